"""The verb ingest: read → normalise → contract → guard → apply, hold or reject, in one commit per delivery."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from schemas.errors import DeliveryError, PermanentError
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.tables import feed as feed_table
from stockfeed.bootstrap import App
from stockfeed.pipeline import ending
from stockfeed.pipeline.collect import feed_row, microseconds
from stockfeed.pipeline.lease import Lease, hold_lease
from stockfeed.pipeline.results import IngestResult
from stockfeed.pipeline.stage import Staged, stage
from stockfeed.settings import feed_config_version
from stockfeed.store import deliveries, levels, staging
from stockfeed.store.deliveries import Delivery
from stockfeed.store.engine import read, translated
from stockfeed.store.feeds import FeedRow
from transforms.guard import Against, from_json, judge

log = structlog.get_logger()

_TRIES = 3  # a delivery that stops the worker this often is parked (F36)
_AHEAD = timedelta(minutes=10)  # I3: an as-of further in the future than this is held


@dataclass(frozen=True, slots=True)
class Release:
    """A person's decision to apply a held delivery."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """One delivery on its way: everything the steps need to know. `release`: a person released it, the guard is skipped."""

    app: App
    config: Feed
    row: FeedRow
    delivery: Delivery
    lease: Lease
    release: Release | None = None

    @property
    def forced(self) -> bool:
        """Whether a person decided that the guard's findings do not count."""
        return self.release is not None


def ingest(app: App, delivery_id: int) -> IngestResult:
    """Return how a received delivery ended; one that has ended already is reported as it is, so repeats are safe.

    A delivery that cannot be read ends `rejected`, a suspicious one `held`: both are results, not errors. Raises
    TransientError (database, lease), ConfigError (feed no longer configured).
    """
    delivery = load_delivery(app, delivery_id)
    if delivery.state != "received":
        return ending.result_of(delivery)
    return ingest_under_lease(app, delivery_id)


def load_delivery(app: App, delivery_id: int) -> Delivery:
    """Return a delivery of the ledger. Raises PermanentError when there is none with this id."""
    with read(app.engine) as connection:
        delivery = deliveries.load(connection, delivery_id)
    if delivery is None:
        raise PermanentError(f"there is no delivery {delivery_id}", "See `stockfeed deliveries list`.")
    return delivery


def ingest_under_lease(app: App, delivery_id: int, release: Release | None = None) -> IngestResult:
    """Take the feed's lease and bring a received (or, when a person released it, a held) delivery to its end."""
    delivery = load_delivery(app, delivery_id)
    config, _ = app.config.feed(delivery.feed), feed_row(app, delivery.feed)
    with hold_lease(app, feed_table, delivery.feed) as lease:
        delivery, row = load_delivery(app, delivery_id), feed_row(app, delivery.feed)
        if delivery.state not in (("received", "held") if release else ("received",)):
            return ending.result_of(delivery)
        job = Job(app, config, row, delivery, lease, release)
        _count_attempt(job)
        result = _before_reading(job) or _read_and_decide(job)
    log.info(
        "delivery_ended", state=result.state, feed=result.feed, delivery=delivery_id, reason=result.reason,
        read=result.rows_read, accepted=result.rows_accepted, rejected=result.rows_rejected, changes=result.changes,
    )  # fmt: skip
    return result


def _count_attempt(job: Job) -> None:
    with job.lease.write() as connection:
        deliveries.change(connection, job.delivery.id, attempts=job.delivery.attempts + 1)


def _before_reading(job: Job) -> IngestResult | None:
    """End the delivery without reading it, where its identity or bytes already decide."""
    delivery, row, feed = job.delivery, job.row, job.config
    if delivery.attempts >= _TRIES and not job.forced:
        return ending.reject(
            job,
            DeliveryError(
                f"{delivery.source_name} stopped the worker {_TRIES} times",
                "Look at the log, then replay or reject it.",
                code="FILE-CRASH",
            ),
        )
    if feed.mode == "delta" and not job.forced:
        with read(job.app.engine) as connection:
            blocker = deliveries.blocking(connection, row.id, delivery.id)
        if blocker is not None:
            return ending.wait(job, f"waits for delivery {blocker}, which must be released or rejected first")
    if feed.order_by != "own" and _is_older(job, delivery.order_key):
        return ending.supersede(job)
    return _same_bytes(job)


def _is_older(job: Job, key: int | None) -> bool:
    return key is not None and job.row.order_key is not None and key < job.row.order_key


def _same_bytes(job: Job) -> IngestResult | None:
    delivery, row = job.delivery, job.row
    with read(job.app.engine) as connection:
        last = deliveries.load(connection, row.last_applied_id) if row.last_applied_id else None
        older = [
            r for r in deliveries.same_bytes(connection, row.id, delivery.sha256, ("applied", "undone")) if r.id != delivery.id
        ]
    if job.forced or job.config.order_by == "own":
        return None
    if last is not None and last.sha256 == delivery.sha256 and last.config_version == feed_config_version(job.config):
        return ending.unchanged(job, last)
    undone = next((r for r in older if r.state == "undone"), None)
    if undone is not None:
        return ending.hold_unread(
            job,
            Finding(
                "UNDONE-BYTES",
                "hold",
                f"delivery {undone.id} with the same content was undone",
                "Release it only if undoing was the mistake.",
            ),
        )
    if older and not job.config.repeats and last is not None and last.sha256 != delivery.sha256:
        when = older[0].ended_at
        return ending.hold_unread(
            job,
            Finding(
                "OLD-BYTES",
                "hold",
                f"the content is the same as delivery {older[0].id} of {when:%Y-%m-%d %H:%M} UTC",
                "Ask the supplier for a new export; set repeats = true if this is normal.",
            ),
        )
    return None


def _read_and_decide(job: Job) -> IngestResult:
    app, engine = job.app, job.app.engine
    path = app.archive.existing(job.delivery.sha256)
    with translated(engine), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execution_options(sqlite_begin="DEFERRED")  # staging writes temporary tables only
        try:
            staged = stage(connection, job.config, path, keep=app.settings.rejections_kept, on_batch=lambda _: job.lease.renew())
        except DeliveryError as error:
            connection.rollback()
            return ending.reject(job, error)
        connection.commit()
        try:
            return _decide(job, connection, staged)
        finally:
            connection.rollback()
            if engine.dialect.name == "sqlite":
                connection.execution_options(sqlite_begin="DEFERRED")
            staging.drop(connection)
            connection.commit()


def _decide(job: Job, connection: Any, staged: Staged) -> IngestResult:
    feed = job.config
    job, superseded = _with_own_order(job, staged)
    if superseded:
        return ending.supersede(job)
    if connection.dialect.name == "sqlite":
        connection.execution_options(sqlite_begin="IMMEDIATE")
    job.lease.check(connection)
    is_snapshot = feed.mode == "snapshot"
    compared = levels.compare(
        connection, job.row.id, scope_locations=feed.scope == "location", find_absent=is_snapshot and staged.is_complete
    )
    findings = _findings(job, staged, compared)
    if any(f.severity == "reject" for f in findings):
        connection.rollback()
        first = next(f for f in findings if f.severity == "reject")
        return ending.reject(job, DeliveryError(first.message, first.remedy, code="EXPECT-FAILED"), staged, findings)
    if any(f.severity == "hold" for f in findings) and not job.forced:
        connection.rollback()
        return ending.hold(job, staged, findings)
    result = ending.apply(job, connection, staged, findings)
    connection.commit()
    return result


def _with_own_order(job: Job, staged: Staged) -> tuple[Job, bool]:
    """Give the delivery its order position where the content holds it, and say whether a newer one was applied already."""
    if job.config.order_by != "own":
        return job, False
    if staged.as_of is None:
        raise DeliveryError("no row holds the time of the stock", "Correct `as_of` for this feed.", code="DATE-FORMAT")
    job = replace(job, delivery=replace(job.delivery, order_key=microseconds(staged.as_of), as_of=staged.as_of))
    return job, _is_older(job, job.delivery.order_key)


def _findings(job: Job, staged: Staged, compared: levels.Compared) -> list[Finding]:
    with read(job.app.engine) as other:
        last = deliveries.load(other, job.row.last_applied_id) if job.row.last_applied_id else None
    old = from_json(last.profile) if last is not None and last.profile else None
    assert staged.profile is not None
    against = Against(compared.known, compared.present, compared.newly_zero)
    found = [Finding(**f) for f in job.delivery.findings or []] + staged.findings
    found += judge(staged.profile, old, against, limits=job.config.guard, delta=job.config.mode == "delta")
    return found + _future(job)


def _future(job: Job) -> list[Finding]:
    as_of, now = ending.as_of(job), job.app.clock()
    if as_of <= now + _AHEAD:
        return []
    return [
        Finding(
            "AS-OF-FUTURE",
            "hold",
            f"the stock is of {as_of:%Y-%m-%d %H:%M} UTC, which is in the future",
            "Check the feed's timezone and the supplier's clock.",
        )
    ]
