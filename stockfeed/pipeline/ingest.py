"""The verb ingest: read → normalise → contract → guard → apply, hold or reject, in one commit per delivery."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Connection

from schemas.errors import DeliveryError, PermanentError, StockfeedError
from schemas.findings import Finding
from schemas.tables import feed as feed_table
from stockfeed.bootstrap import App
from stockfeed.pipeline import ending
from stockfeed.pipeline.arrival import decide_unread, found_in_bytes, future
from stockfeed.pipeline.batches import opened
from stockfeed.pipeline.collect import feed_row
from stockfeed.pipeline.interchanges import is_partial, replayed, why_ignored
from stockfeed.pipeline.job import Job, Release
from stockfeed.pipeline.late_deltas import keep_the_rest
from stockfeed.pipeline.lease import Lease, hold_lease
from stockfeed.pipeline.ordering import is_older, microseconds
from stockfeed.pipeline.results import IngestResult
from stockfeed.store import deliveries, levels
from stockfeed.store.deliveries import Delivery
from stockfeed.store.engine import read, translated
from stockfeed.store.staged import end as end_staging
from transforms.guard import Against, Profile, from_json, judge

if TYPE_CHECKING:
    from stockfeed.pipeline.stage import Staged

log = structlog.get_logger()


def ingest(app: App, delivery_id: int) -> IngestResult:
    """Return how a received delivery ended; one that has ended already is reported as it is, so repeats are safe.

    A delivery that cannot be read ends `rejected`, a suspicious one `held`, and a delta behind an undecided one stays
    `received`: all are results, not errors. Raises TransientError (database, lease), ConfigError (feed no longer
    configured), PermanentError (bytes missing from the archive, or not those that arrived).
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
    feed = load_delivery(app, delivery_id).feed
    feed_row(app, feed)
    with hold_lease(app, feed_table, feed) as lease:
        delivery = load_delivery(app, delivery_id)
        if delivery.state not in (("received", "held") if release else ("received",)):
            return ending.result_of(delivery)
        result = _end_counted(_make_job(app, delivery, lease, release))
    log.info(
        "delivery_ended", state=result.state, feed=result.feed, delivery=delivery_id, reason=result.reason,
        read=result.rows_read, accepted=result.rows_accepted, rejected=result.rows_rejected, changes=result.changes,
    )  # fmt: skip
    return result


def _make_job(app: App, delivery: Delivery, lease: Lease, release: Release | None) -> Job:
    row = feed_row(app, delivery.feed)
    last = load_delivery(app, row.last_applied_id) if row.last_applied_id else None
    return Job(app, app.config.feed(delivery.feed), row, delivery, last, lease, release)


def _end_counted(job: Job) -> IngestResult:
    """Count the attempt while it runs: only a worker that died or failed for no known reason leaves it counted."""
    _set_attempts(job, job.delivery.attempts + 1)
    try:
        return decide_unread(job) or _read_and_decide(job)
    except StockfeedError:
        _set_attempts(job, job.delivery.attempts)  # not the delivery's fault
        raise


def _set_attempts(job: Job, attempts: int) -> None:
    with job.lease.write() as connection:
        deliveries.change(connection, job.delivery.id, attempts=attempts)


def _read_and_decide(job: Job) -> IngestResult:
    engine = job.app.engine
    path = job.app.archive.verified(job.delivery.sha256)
    with translated(engine), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execution_options(sqlite_begin="DEFERRED")  # staging writes temporary tables only
        try:
            job, staged = _stage(job, connection, path)
        except DeliveryError as error:
            connection.rollback()
            return ending.reject(job, error)
        try:
            if (why := why_ignored(staged)) is not None:
                connection.rollback()
                return ending.ignore(job, staged, why)
            if not is_older(job):
                return _decide(job, connection, staged, [])
            late = None
            if job.config.mode == "delta":
                late = keep_the_rest(job, connection, lambda: _stage(job, connection, path))
            return _decide(late[0], connection, *late[1:]) if late else ending.supersede(job)
        finally:
            connection.rollback()
            end_staging(connection)


def _stage(job: Job, connection: Connection, path: Path) -> "tuple[Job, Staged]":
    """Read the content, and place the delivery in time and space where only its content says so."""
    feed = job.config
    with opened(feed, path) as raw:  # a process that reads a workbook starts, while this one loads the frame library
        from stockfeed.pipeline.by_line import stage_delivery  # here: most runs find nothing new, and do without it
        from stockfeed.pipeline.stage import stated_as_of
        from stockfeed.store.staging import locations

        staged = stage_delivery(job, connection, path, raw)
    if feed.scope == "location":
        job = job.covering(locations(connection))
    connection.commit()
    if feed.order_by != "own":
        return job, staged
    as_of = stated_as_of(staged)
    return job.at(as_of=as_of, order_key=microseconds(as_of)), staged


def _decide(job: Job, connection: Any, staged: "Staged", found: list[Finding]) -> IngestResult:
    """Judge what is staged, beside what was `found` already, and apply, hold or reject it."""
    if connection.dialect.name == "sqlite":
        connection.execution_options(sqlite_begin="IMMEDIATE")
    job.lease.check(connection)
    compared = _compare(job, connection, staged)
    staged.others = compared.others
    if not staged.is_complete and compared.present < compared.known:
        staged.kept = None  # levels that it lacks stay as they are: what is known is not what it says
    findings = [*found, *_findings(job, staged, compared)]
    judged = [*job.arrived_with, *findings]
    first = next((f for f in judged if f.severity == "reject"), None)
    if first is not None:
        connection.rollback()
        error = DeliveryError(first.message, first.remedy, code=first.code, row=first.row, column=first.column)
        return ending.reject(job, error, staged, findings)
    if any(f.severity == "hold" for f in judged) and not job.forced:
        result = ending.hold(job, connection, staged, findings)
        connection.commit()
        return result
    result = ending.apply(job, connection, staged, findings)
    connection.commit()
    return result


def _compare(job: Job, connection: Any, staged: "Staged") -> levels.Compared:
    """Compare what is staged with the levels of the feed: all of them, or those that the staged lines are about."""
    feed = job.config
    if staged.touched is not None:
        known, others = staged.touched.known, staged.touched.others
        return levels.compare_touched(connection, job.row.id, known=known, others=others, is_complete=staged.is_complete)
    return levels.compare(
        connection,
        job.row.id,
        scope_locations=feed.scope == "location",
        find_absent=feed.mode == "snapshot",
        is_complete=staged.is_complete,
    )


def _findings(job: Job, staged: "Staged", compared: levels.Compared) -> list[Finding]:
    assert staged.profile is not None
    against = Against(compared.known, compared.present, compared.newly_zero)
    delta = job.config.mode == "delta" or is_partial(staged)
    judged = judge(staged.profile, _profile_before(job), against, limits=job.config.guard, delta=delta)
    return [*staged.findings, *judged, *future(job), *found_in_bytes(job), *replayed(job, staged)]


def _profile_before(job: Job) -> Profile | None:
    """Return what the last applied delivery of the same stock looked like; a location is compared with itself."""
    last = job.last
    if job.config.scope == "location" and job.delivery.locations is not None:
        with read(job.app.engine) as other:
            last = deliveries.last_covering(other, job.row.id, job.delivery.locations)
    return from_json(last.profile) if last is not None and last.profile else None
