"""The ways a delivery ends: applied, unchanged, held, rejected, superseded, duplicate. Each is one commit under the lease.

Never decides which way: ingest does.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection

from schemas.errors import DeliveryError
from schemas.findings import Finding
from schemas.rejections import rejection
from stockfeed.pipeline import age
from stockfeed.pipeline.job import Job
from stockfeed.pipeline.ordering import LATE_DELTA, is_ahead, is_late_delta, overlap, position
from stockfeed.pipeline.results import IngestResult
from stockfeed.settings import feed_config_version
from stockfeed.store import audit, containment, deliveries, feeds, held_levels, holds, last_reading, levels, reservations
from stockfeed.store.deliveries import Delivery
from stockfeed.store.marks import mark
from transforms.guard import to_json

if TYPE_CHECKING:
    from stockfeed.pipeline.stage import Staged

_SUPERSEDED_ALARM = 3  # I3: so many superseded deliveries in a row raise an alarm
_AGREEING = 0.95  # two held deliveries with this share of equal cells support each other
_FROZEN_INTERVALS = 3


def result_of(delivery: Delivery) -> IngestResult:
    """Return the result of a delivery that has ended already, from the ledger."""
    return IngestResult(
        delivery.id, delivery.feed, delivery.state, delivery.reason or "", delivery.rows_read or 0, delivery.rows_accepted or 0,
        delivery.rows_rejected or 0, delivery.rows_skipped or 0, delivery.changes or 0, tuple(delivery.findings or ()),
    )  # fmt: skip


def apply(job: Job, connection: Connection, staged: "Staged", findings: Sequence[Finding]) -> IngestResult:
    """Write the levels and everything that belongs to them; the caller commits."""
    delivery, row, now = job.delivery, job.row, job.app.clock()
    work = levels.Applying(
        row.id, delivery.id, now, job.config.missing_after, job.config.match == "identity", in_key_order=staged.in_key_order
    )
    changes = levels.apply(connection, work)
    feed_before = age.before(job, connection)
    _keep_reading(job, connection, staged)
    late = is_late_delta(job)
    feeds.change(connection, row.id, last_applied_id=delivery.id, content_since=row.content_since if late else job.as_of)
    age.refresh(job, connection, age.standing(job, job.as_of), is_applied=True)
    if row.in_shadow and job.config.trust_first:
        feeds.change(connection, row.id, in_shadow=False)
        mark(connection, "feed", [str(row.id)], reason="first delivery is trusted", at=now)
    _overtake(job, connection, now)
    if not late:
        stated = containment.stated_skus(connection, row.id) if job.config.mode == "delta" else ()
        reservations.release_seen_sales(
            connection, row.id, job.as_of, delivery.id, now, locations=delivery.locations, stated=stated
        )  # fmt: skip
    reason = f"released by {job.release.actor}: {job.release.reason}" if job.release else "applied"
    return _end(
        job, connection, "applied", reason, staged=staged, findings=findings, changes=changes,
        applied_before_id=row.last_applied_id, feed_before=feed_before, epoch=row.epoch, at=now,
    )  # fmt: skip


def _keep_reading(job: Job, connection: Connection, staged: "Staged") -> None:
    """Keep for the next line difference what it needs to know of the delivery that is now in force."""
    if staged.kept is None:
        last_reading.forget(connection, job.row.id)
        return
    from stockfeed.pipeline.last_reading import meaning  # it reads frames, as whoever staged did

    content = staged.kept.to_bytes(others=staged.others)
    last_reading.save(connection, job.row.id, job.delivery.id, meaning(job.config), content)


def _overtake(job: Job, connection: Connection, now: datetime) -> None:
    """A snapshot in force supersedes the held deliveries before it, and settles what rejected deltas left open."""
    if job.config.mode != "snapshot":
        return
    words = f"superseded by delivery {job.delivery.id}"
    for other in _undecided_before(job, connection):
        if other.state == "held":
            deliveries.change(connection, other.id, state="superseded", reason=words, reason_code="NEWER-APPLIED", ended_at=now)
        holds.close_for_delivery(connection, other.id, state="superseded", at=now, by="system", reason=words)


def _undecided_before(job: Job, connection: Connection) -> list[Delivery]:
    """Return the other deliveries with an open hold that cover the same stock and are not newer."""
    found = deliveries.undecided(connection, job.row.id)
    return [d for d in found if d.id != job.delivery.id and overlap(d.locations, job.delivery.locations) and not is_ahead(job, d)]


def unchanged(job: Job, last: Delivery) -> IngestResult:
    """The same bytes as the delivery in force, from a new arrival: counters and as-of move on, levels do not."""
    feed, row, now = job.config, job.row, job.app.clock()
    job = job.covering(last.locations)
    stands = age.standing(job, max(job.as_of, row.as_of or job.as_of))
    work = levels.Applying(row.id, job.delivery.id, now, feed.missing_after, feed.match == "identity")
    with job.lease.write() as connection:
        changes = 0
        if feed.mode == "snapshot":
            changes += levels.count_missing(connection, work, levels.counted_by(row.id, last.id, "missing"))
            changes += levels.count_unconfirmed(connection, work, levels.counted_by(row.id, last.id, "unconfirmed"))
        age.refresh(job, connection, stands, is_applied=False)
        _overtake(job, connection, now)
        found = _frozen(job, last)
        return _end(job, connection, "unchanged", f"the same content as delivery {last.id}", findings=found, changes=changes)


def _frozen(job: Job, last: Delivery) -> list[Finding]:
    """Return the finding about content that has stayed the same for too long, by the time of its source.

    The stock's own time stands still with the content: there the arrival counts.
    """
    since, limit = last.as_of, job.config.frozen_after or _three_intervals(job.config.schedule, job.app.clock())
    stock_of = job.delivery.received_at if job.config.order_by == "own" else job.as_of
    if since is None or limit is None or stock_of - since <= limit:
        return []
    return [
        Finding(
            "EXPORT-FROZEN", "warn", f"the content has not changed since {since:%Y-%m-%d %H:%M} UTC",
            "Ask the supplier whether the export still runs.", measured=str(stock_of - since), limit=str(limit),
        )
    ]  # fmt: skip


def _three_intervals(schedule: str | None, now: datetime) -> timedelta | None:
    if schedule is None:
        return None
    from croniter import croniter

    times = croniter(schedule, now)
    first: datetime = times.get_next(datetime)
    second: datetime = times.get_next(datetime)
    return _FROZEN_INTERVALS * (second - first)


def supersede(job: Job) -> IngestResult:
    """An older snapshot than the applied one: recorded, and nothing else happens (I3)."""
    in_a_row = job.row.superseded_in_a_row + 1
    found = []
    if in_a_row >= _SUPERSEDED_ALARM:
        words = f"{in_a_row} deliveries in a row were older than the applied one"
        found = [Finding("OLDER-REPEATED", "warn", words, "Check the feed's order_by and the supplier's clock.")]
    with job.lease.write() as connection:
        feeds.change(connection, job.row.id, superseded_in_a_row=in_a_row)
        words = f"older than delivery {job.row.last_applied_id}, which is applied"
        return _end(job, connection, "superseded", words, findings=found)


def duplicate(job: Job, twin: int) -> IngestResult:
    """The same arrival read with the same configuration as another delivery: it refreshes nothing (I2)."""
    with job.lease.write() as connection:
        version = job.delivery.config_version  # stays: the other one has the present version
        return _end(job, connection, "duplicate", f"the same arrival as delivery {twin}", config_version=version)


def wait(job: Job, reason: str) -> IngestResult:
    """A delta that waits for an earlier one: it stays received."""
    with job.lease.write() as connection:
        deliveries.change(connection, job.delivery.id, reason=reason, reason_code="WAITS", attempts=job.delivery.attempts)
    return IngestResult(job.delivery.id, job.delivery.feed, "received", reason)


def reject(job: Job, error: DeliveryError, staged: "Staged | None" = None, findings: Sequence[Finding] = ()) -> IngestResult:
    """The delivery cannot be used: the last good levels stay. A rejected delta blocks later ones until a person decides."""
    problem = rejection(
        error.code, row=error.row, line=error.line, column=error.column, value=error.value, message=error.message, remedy=error.hint
    )
    with job.lease.write() as connection:
        result = _end(
            job, connection, "rejected", error.message, staged=staged, findings=findings, code=error.code, problem=problem
        )
        if job.config.mode == "delta":
            words = "Later deltas wait until this one is replayed or rejected."
            _open_hold(job, connection, [Finding("DELTA-REJECTED", "hold", error.message, words)])
        return result


def ignore(job: Job, staged: "Staged", why: str) -> IngestResult:
    """A whole file that holds nothing for this feed (an inquiry, an order): no level changes, nothing counts as missing."""
    with job.lease.write() as connection:
        return _end(job, connection, "ignored", why, reading={**staged.reading, "notes": staged.notes})


def hold(job: Job, connection: Connection, staged: "Staged", findings: Sequence[Finding]) -> IngestResult:
    """A suspicious delivery waits for a person; a newer held snapshot takes the place of an older one. The caller commits.

    Where the feed offers the smaller of old and held meanwhile, what is staged is kept for that.
    """
    result = _hold(job, connection, findings, staged)
    # of a delta that came late and cannot be told apart, some of it is older than the levels
    undecidable = any(f.code == LATE_DELTA and f.severity == "hold" for f in findings)
    if result.state == "held" and job.config.while_held == "lower" and not undecidable:
        held_levels.keep(connection, job.row.id, job.delivery.id, job.app.clock())
    return result


def hold_unread(job: Job, findings: Sequence[Finding]) -> IngestResult:
    """Hold a delivery for what its bytes are, without reading them."""
    with job.lease.write() as connection:
        return _hold(job, connection, findings, None)


def _hold(job: Job, connection: Connection, findings: Sequence[Finding], staged: "Staged | None") -> IngestResult:
    if job.config.mode == "snapshot":
        newer = [d for d in deliveries.undecided(connection, job.row.id) if d.state == "held" and is_ahead(job, d)]
        if newer:
            words = f"older than delivery {newer[0].id}, which is held"
            return _end(job, connection, "superseded", words, staged=staged, findings=findings)
        findings = [*findings, *_replace_older_held(job, connection, staged.sample if staged else {})]
    everything = [*job.arrived_with, *findings]
    reason = next(f.message for f in everything if f.severity == "hold")
    result = _end(job, connection, "held", reason, staged=staged, findings=findings)
    _open_hold(job, connection, everything)
    return result


def _open_hold(job: Job, connection: Connection, findings: Sequence[Finding]) -> None:
    notes = [f.as_dict() for f in findings]
    holds.open_for_delivery(connection, feed_id=job.row.id, delivery_id=job.delivery.id, findings=notes, at=job.app.clock())


def _replace_older_held(job: Job, connection: Connection, sample: dict[str, int | None]) -> list[Finding]:
    found = []
    for older in _undecided_before(job, connection):
        if older.state != "held":
            continue
        if older.sha256 == job.delivery.sha256 or _agree((older.profile or {}).get("sample", {}), sample):
            words = f"delivery {older.id}, held before, has the same quantities: this is probably how the stock is now"
            found.append(Finding("HELD-AGREES", "hold", words, "Decide soon: two deliveries in a row agree."))
        words = f"superseded by delivery {job.delivery.id}, which is held too"
        now = job.app.clock()
        deliveries.change(connection, older.id, state="superseded", reason=words, reason_code="NEWER-HELD", ended_at=now)
        holds.close_for_delivery(connection, older.id, state="superseded", at=now, by="system", reason=words)
    return found


def _agree(old: dict[str, int | None], new: dict[str, int | None]) -> bool:
    keys = old.keys() | new.keys()
    if not keys or not old:
        return False
    equal = sum(key in old and key in new and old[key] == new[key] for key in keys)
    return equal >= _AGREEING * len(keys)


def _end(
    job: Job,
    connection: Connection,
    state: str,
    reason: str,
    *,
    staged: "Staged | None" = None,
    findings: Sequence[Finding] = (),
    changes: int = 0,
    code: str | None = None,
    problem: Any = None,
    at: datetime | None = None,
    **columns: Any,
) -> IngestResult:
    """Write the ledger row of an ended delivery, its rejections and counts; its open hold, if any, is decided.

    `at`: the instant of all that the delivery did, where an undo goes by it; by default it is now.
    """
    found = [*job.arrived_with, *findings]
    notes = [f.as_dict() for f in found]
    problems = ([problem] if problem else []) + (staged.rejections if staged else [])
    delivery = job.delivery
    key = position(job.config, delivery) or delivery.order_key
    values: dict[str, Any] = {"as_of": job.as_of, "order_key": key, "locations": delivery.locations, "changes": changes}
    values["mode"] = job.config.mode
    values |= {"config_version": feed_config_version(job.config), **columns, **(_counts(staged) if staged else {})}
    deliveries.change(
        connection, delivery.id, state=state, reason=reason, reason_code=code or _code(found), ended_at=at or job.app.clock(),
        findings=notes, **values,
    )  # fmt: skip
    deliveries.write_rejections(connection, delivery.id, problems)
    _decide_hold(job, connection, state)
    count = values.get
    return IngestResult(
        delivery.id, delivery.feed, state, reason, count("rows_read", 0), count("rows_accepted", 0),
        count("rows_rejected", 0), count("rows_skipped", 0), changes, tuple(notes),
    )  # fmt: skip


def _decide_hold(job: Job, connection: Connection, state: str) -> None:
    """Close the delivery's own hold; what a person released is audited however it ended."""
    now, release = job.app.clock(), job.release
    by, why = (release.actor, release.reason) if release else ("system", "judged again")
    outcome: dict[str, Literal["released", "rejected"]] = {"applied": "released", "rejected": "rejected"}
    holds.close_for_delivery(connection, job.delivery.id, state=outcome.get(state, "superseded"), at=now, by=by, reason=why)
    if release:
        audit.record(connection, at=now, actor=by, act="release_delivery", subject=f"delivery {job.delivery.id}", reason=why)


def _code(findings: Sequence[Finding]) -> str | None:
    return next((f.code for f in findings if f.severity == "hold"), None)


def _counts(staged: "Staged") -> dict[str, Any]:
    return {
        "rows_read": staged.rows_read,
        "rows_accepted": staged.rows_accepted,
        "rows_rejected": staged.rows_rejected,
        "rows_skipped": sum(staged.skipped.values()),
        "skipped": dict(staged.skipped),
        "records": staged.profile.records if staged.profile else None,
        "reading": {**staged.reading, "gate": staged.gate, "notes": staged.notes, "rejections_total": staged.rejections_total},
        "profile": {**to_json(staged.profile), "sample": staged.sample} if staged.profile else None,
    }
