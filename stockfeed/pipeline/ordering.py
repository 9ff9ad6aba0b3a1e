"""Where a delivery stands among the deliveries of its feed (I3): by the arrival, the source's time or its own.

Never mixes them: after `order_by` was changed, what is compared is placed in the new order first.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from schemas.errors import PermanentError
from schemas.feed_config import Feed
from stockfeed.pipeline.job import Job
from stockfeed.store import deliveries
from stockfeed.store.deliveries import Delivery
from stockfeed.store.engine import read

LATE_DELTA = "LATE-DELTA"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(instant: datetime) -> int:
    """Return an instant as microseconds since 1970: an exact, sortable integer."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def source_position(config: Feed, source_time: datetime | None, name: str) -> int | None:
    """Return the position of an arrival, None where it is the arrival number.

    With order_by = "own" the position is read from the content later; until then the arrival number stands in. Raises
    PermanentError when the source gives no time although the feed is ordered by it.
    """
    if config.order_by != "source_time":
        return None
    if source_time is None:
        raise PermanentError(f"{name} has no time at its source", 'Use order_by = "arrival" or "own" for this feed.')
    return microseconds(source_time)


def position(config: Feed, one: Delivery) -> int | None:
    """Return where a delivery stands in the feed's present order, None while only its content says so."""
    if config.order_by == "source_time":
        return source_position(config, one.source_time, one.source_name)
    if config.order_by == "own":
        return microseconds(one.as_of) if one.as_of else None
    # a replayed copy keeps the arrival number of its original; a greater number counts microseconds of another order
    return one.order_key if one.order_key is not None and one.order_key <= one.id else one.id


def is_older(job: Job) -> bool:
    """Return whether a newer delivery of the same stock is applied already."""
    mine = position(job.config, job.delivery)
    if mine is None or job.last is None:
        return False
    if job.config.scope == "location":
        return _is_older_somewhere(job)
    same_order = job.row.order_by in (None, job.config.order_by)
    reached = job.row.order_key if same_order else position(job.config, job.last)
    return reached is not None and mine < reached


def is_late_delta(job: Job) -> bool:
    """Return whether this is a delta that arrives after a newer one was applied: only part of it may still count."""
    return job.config.mode == "delta" and is_older(job)


def came_late(one: Delivery) -> bool:
    """Return whether an applied delivery was such a late delta. The feed may have moved on since by the same bytes again."""
    return any(finding["code"] == LATE_DELTA for finding in one.findings or ())


def newer_than(job: Job, most: int) -> list[Delivery]:
    """Return the deliveries in force that are newer than the job's and cover some of its stock.

    Where the feed has `most` newer ones or more, these, whatever they cover: there may be others.
    """
    with read(job.app.engine) as connection:
        newer = deliveries.newer_in_force(connection, job.row.id, *_place(job), most=most)
    if len(newer) >= most or job.config.scope != "location":
        return newer
    return [one for one in newer if overlap(one.locations, job.delivery.locations)]


def _place(job: Job) -> tuple[str, object]:
    """Return the column of the ledger that orders the feed, and where the job's delivery stands in it."""
    if job.config.order_by == "arrival":
        return "id", position(job.config, job.delivery)
    return ("as_of", job.delivery.as_of) if job.config.order_by == "own" else ("source_time", job.delivery.source_time)


def _is_older_somewhere(job: Job) -> bool:
    """Each location has its own order: only deliveries that cover one of these locations count."""
    with read(job.app.engine) as connection:
        newer = deliveries.in_force_since(connection, job.row.id, *_place(job))
    return any(overlap(locations, job.delivery.locations) for locations in newer)


def overlap(left: Sequence[str] | None, right: Sequence[str] | None) -> bool:
    """Return whether two deliveries cover the same stock somewhere (None: the whole feed)."""
    return left is None or right is None or not set(left).isdisjoint(right)


def is_ahead(job: Job, other: Delivery) -> bool:
    """Return whether another delivery of the same stock is newer than the job's."""
    mine, its = position(job.config, job.delivery), position(job.config, other)
    return mine is not None and its is not None and its > mine and overlap(other.locations, job.delivery.locations)
