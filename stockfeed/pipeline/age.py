"""Where a feed and its locations stand after a delivery: how old their stock is, and what an undo goes back to."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from stockfeed.pipeline.job import Job
from stockfeed.pipeline.ordering import is_late_delta, position
from stockfeed.store import feeds, places
from stockfeed.store.marks import mark

_INSTANTS = ("as_of", "confirmed_at", "content_since", "stale_at")


def standing(job: Job, stock_of: datetime) -> dict[str, Any]:
    """Return the columns of the feed row that say where the feed stands after this delivery.

    A late file of one location does not put the others back.
    """
    row, key = job.row, position(job.config, job.delivery)
    if job.config.scope == "location" and row.order_by in (None, job.config.order_by):
        stock_of = max(stock_of, row.as_of or stock_of)
        key = max(filter(None, (key, row.order_key)), default=None)
    return {
        "as_of": stock_of, "stale_at": stock_of + job.config.stale_after, "superseded_in_a_row": 0,
        "order_key": key, "order_by": job.config.order_by,
    }  # fmt: skip


def before(job: Job, connection: Connection) -> dict[str, Any]:
    """Return what undo needs to put the feed and the covered locations back, as JSON values."""
    row = job.row
    times = {"as_of": row.as_of, "confirmed_at": row.confirmed_at, "content_since": row.content_since, "stale_at": row.stale_at}
    texts = {name: value.isoformat() if value else None for name, value in times.items()}
    noted = places.note(connection, row.id, _covered(job))
    return {**texts, "order_key": row.order_key, "order_by": row.order_by, "places": noted}


def _covered(job: Job) -> list[str] | None:
    return job.delivery.locations if job.config.scope == "location" else None


def refresh(job: Job, connection: Connection, stands: dict[str, Any], *, is_applied: bool) -> None:
    """Write the age of the feed and of the locations covered; what was stale and is fresh now counts at once.

    The rest of a delta that came late adds to newer stock, and makes nothing older.
    """
    if is_late_delta(job):
        return
    row, now, moved = job.row, job.app.clock(), False
    if job.config.scope == "location":
        if row.as_of and row.stale_at:
            places.start(connection, row.id, row.as_of, row.stale_at)
        standing_now = places.Standing(job.as_of, job.config.stale_after, now, job.delivery.id if is_applied else None)
        moved = places.stand(connection, row.id, job.delivery.locations or [], standing_now)
    elif is_applied:
        places.forget(connection, row.id)
    feeds.change(connection, row.id, confirmed_at=now, **stands)
    is_stale = stands["stale_at"] <= now
    if is_stale != row.is_stale:
        feeds.change(connection, row.id, is_stale=is_stale)
        mark(connection, "feed", [str(row.id)], reason="fresh again" if row.is_stale else "stale on arrival", at=now)
    elif moved:
        mark(connection, "feed", [str(row.id)], reason="age of a location", at=now)


def put_back(connection: Connection, feed_id: int, locations: list[str] | None, noted: dict[str, Any]) -> dict[str, Any]:
    """Restore the locations that an undone delivery covered; return the columns of the feed row before it."""
    known = {name: v for name, v in noted.items() if name in (*_INSTANTS, "order_key", "order_by")}
    columns = {name: datetime.fromisoformat(str(v)) if name in _INSTANTS and v else v for name, v in known.items()}
    places.restore(connection, feed_id, locations, noted["places"] if "places" in noted else _as_the_feed(locations, noted))
    youngest = places.newest(connection, feed_id)
    return columns if youngest is None else columns | {"as_of": youngest[0], "stale_at": youngest[1]}


def _as_the_feed(locations: list[str] | None, noted: dict[str, Any]) -> list[dict[str, Any]]:
    """A delivery applied before locations had an age of their own goes back to the feed's."""
    if not locations or not noted.get("as_of") or not noted.get("stale_at"):
        return []
    times = {"as_of": noted["as_of"], "confirmed_at": noted["confirmed_at"], "stale_at": noted["stale_at"]}
    return [{"location": one, **times, "is_stale": False, "applied_as_of": noted["as_of"]} for one in locations]
