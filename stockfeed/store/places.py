"""The age of each location of a feed whose deliveries cover one location each (scope = "location").

Never decides whether stock is too old: the pipeline does. A feed without rows here is one whole, with the age of its feed row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from schemas.tables import feed_location, inventory
from stockfeed.store.pieces import pieces

_TIMES = ("as_of", "confirmed_at", "stale_at", "applied_as_of")
_p = feed_location.c


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a delivery puts the locations it covers: what the stock is of, how long that lasts, and our time now."""

    as_of: datetime
    lasts: timedelta
    now: datetime
    applied: int | None  # the delivery that is applied; None: the same content again, which refreshes the age and nothing else


def stand(connection: Connection, feed_id: int, locations: Sequence[str], standing: Standing) -> bool:
    """Write the standing of these locations; return whether one of them became stale or fresh by it."""
    before = {row.location: row for row in _rows(connection, feed_id, locations)}
    rows = [_row(feed_id, location, before.get(location), standing) for location in locations]
    _replace(connection, feed_id, locations, rows)
    return any(row["is_stale"] != (row["location"] in before and before[row["location"]].is_stale) for row in rows)


def _row(feed_id: int, location: str, before: Any, standing: Standing) -> dict[str, Any]:
    as_of, applied_as_of, delivery_id = standing.as_of, standing.as_of, standing.applied
    if before is not None and standing.applied is None:
        as_of, applied_as_of, delivery_id = max(as_of, before.as_of), before.applied_as_of, before.delivery_id
    stale_at = as_of + standing.lasts
    return {
        "feed_id": feed_id, "location": location, "as_of": as_of, "confirmed_at": standing.now, "stale_at": stale_at,
        "is_stale": stale_at <= standing.now, "applied_as_of": applied_as_of, "delivery_id": delivery_id,
    }  # fmt: skip


def start(connection: Connection, feed_id: int, as_of: datetime, stale_at: datetime) -> None:
    """Give every location that has levels the age of the whole feed: from now on each has its own.

    For a feed that had no locations of its own until now; does nothing for one that has.
    """
    if connection.execute(select(_p.location).where(_p.feed_id == feed_id).limit(1)).first():
        return
    found = connection.execute(select(inventory.c.location).distinct().where(inventory.c.feed_id == feed_id)).scalars()
    times = {"as_of": as_of, "stale_at": stale_at, "applied_as_of": as_of}
    rows = [{"feed_id": feed_id, "location": location, "is_stale": False, **times} for location in found]
    if rows:
        connection.execute(insert(feed_location), rows)


def forget(connection: Connection, feed_id: int) -> None:
    """Let the whole feed have one age again."""
    connection.execute(delete(feed_location).where(_p.feed_id == feed_id))


def note(connection: Connection, feed_id: int, locations: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return these locations (None: all) as they stand, as JSON values for `restore`."""
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row._mapping.items()}  # noqa: SLF001
        for row in _rows(connection, feed_id, locations)
    ]


def restore(connection: Connection, feed_id: int, locations: Sequence[str] | None, noted: Sequence[dict[str, Any]]) -> None:
    """Put these locations (None: all) back to what `note` returned; those it did not have go away."""
    rows = [{**row, **{n: datetime.fromisoformat(row[n]) if row[n] else None for n in _TIMES}, "feed_id": feed_id} for row in noted]
    if locations is None:
        forget(connection, feed_id)
        _insert(connection, rows)
    else:
        _replace(connection, feed_id, locations, rows)


def newest(connection: Connection, feed_id: int) -> tuple[datetime, datetime] | None:
    """Return as_of and stale_at of a feed's youngest location, None where it has none."""
    row = connection.execute(select(func.max(_p.as_of), func.max(_p.stale_at)).where(_p.feed_id == feed_id)).one()
    return None if row[0] is None else (row[0], row[1])


def follow_policy(connection: Connection, feed_id: int, lasts: timedelta) -> None:
    """Move the stale limit of every location of a feed."""
    rows = connection.execute(select(_p.location, _p.as_of).where(_p.feed_id == feed_id)).all()
    for row in rows:
        at = update(feed_location).where(_p.feed_id == feed_id, _p.location == row.location)
        connection.execute(at.values(stale_at=row.as_of + lasts))


def expiring(connection: Connection, now: datetime) -> tuple[list[Any], list[Any]]:
    """Return the locations (feed_id, location, stale_at) that are past their limit but not judged stale, and the reverse."""
    found = select(_p.feed_id, _p.location, _p.stale_at).order_by(_p.feed_id, _p.location)
    past = found.where(_p.is_stale.is_(False), _p.stale_at <= now)
    young = found.where(_p.is_stale.is_(True), _p.stale_at > now)
    return list(connection.execute(past)), list(connection.execute(young))


def past(connection: Connection, now: datetime) -> list[tuple[int, str]]:
    """Return (feed id, location) of every location that is past its limit, judged or not."""
    found = select(_p.feed_id, _p.location).where(_p.stale_at <= now).order_by(_p.feed_id, _p.location)
    return [(row[0], row[1]) for row in connection.execute(found)]


def judge(connection: Connection, row: Any, *, is_stale: bool) -> None:
    """Set whether a location is stale, unless a delivery moved its limit meanwhile."""
    same = (_p.feed_id == row.feed_id, _p.location == row.location, _p.stale_at == row.stale_at)
    connection.execute(update(feed_location).where(*same).values(is_stale=is_stale))


def _rows(connection: Connection, feed_id: int, locations: Sequence[str] | None) -> list[Any]:
    names = ("location", "as_of", "confirmed_at", "stale_at", "is_stale", "applied_as_of", "delivery_id")
    found = select(*(_p[name] for name in names)).where(_p.feed_id == feed_id)
    if locations is None:
        return list(connection.execute(found))
    return [row for piece in pieces(list(locations)) for row in connection.execute(found.where(_p.location.in_(piece)))]


def _replace(connection: Connection, feed_id: int, locations: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    for piece in pieces(list(locations)):
        keys = tuple_(_p.feed_id, _p.location).in_([(feed_id, location) for location in piece])
        connection.execute(delete(feed_location).where(keys))
    _insert(connection, rows)


def _insert(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(feed_location), list(rows))
