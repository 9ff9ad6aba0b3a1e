"""The minute's sweep: time makes stock stale, silent suppliers are noticed, and an outage of ours is not mistaken for theirs."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select, update

from schemas.tables import delivery, feed
from stockfeed.bootstrap import App
from stockfeed.pipeline.collect import register_feeds
from stockfeed.pipeline.results import SweepResult
from stockfeed.store import checks, places
from stockfeed.store.engine import read, write
from stockfeed.store.marks import mark
from transforms.outages import is_outage

log = structlog.get_logger()

_SILENT_INTERVALS = 2


def sweep(app: App, *, confirmed: bool = False) -> SweepResult:
    """Judge every feed's age and silence now, mark what changed dirty, and return it.

    When more than half of all feeds would expire at once it is our outage, not theirs: nothing expires and the sweep says
    so, unless a person `confirmed` it.
    """
    register_feeds(app)
    now = app.clock()
    with read(app.engine) as connection:
        rows = list(connection.execute(select(feed.c.id, feed.c.code, feed.c.is_stale, feed.c.stale_at, feed.c.as_of)))
        newest: dict[int, datetime] = dict(_newest_arrivals(connection))
        past, young = places.expiring(connection, now)
    # also feeds whose file is gone or has a mistake: their stock ages all the same
    dated = [row for row in rows if row.as_of is not None]
    stale = [row for row in dated if not row.is_stale and row.stale_at is not None and row.stale_at <= now]
    fresh = [row for row in dated if row.is_stale and row.stale_at is not None and row.stale_at > now]
    outage = not confirmed and is_outage(len(stale), len(dated))
    past = [] if outage else past
    silent = tuple(row.code for row in rows if row.code in app.config.feeds and _is_silent(app, row, newest.get(row.id), now))
    code_of = {row.id: row.code for row in rows}
    gone = tuple(f"{code_of[place.feed_id]}: {place.location}" for place in past)
    result = SweepResult(tuple(r.code for r in stale), tuple(r.code for r in fresh), silent, outage, gone)
    _write(app, ([] if outage else stale, fresh), (past, young), result, now)
    if outage:
        log.error(
            "outage_suspected",
            feeds=len(stale),
            hint="over half of all feeds expired together; confirm with `stockfeed sweep --confirm`",
        )
    for code in silent:
        log.warning("supplier_silent", feed=code)
    return result


def overdue(app: App) -> tuple[str, ...]:
    """Return what is stale or silent now: feeds by code, then single locations ("acme.stock: L2"). Changes nothing."""
    now = app.clock()
    with read(app.engine) as connection:
        rows = list(connection.execute(select(feed.c.id, feed.c.code, feed.c.stale_at)))
        newest = dict(_newest_arrivals(connection))
        past = places.past(connection, now)
    late = [row for row in rows if row.code in app.config.feeds]
    found = {
        row.id: row.code for row in late if (row.stale_at and row.stale_at <= now) or _is_silent(app, row, newest.get(row.id), now)
    }
    codes = {row.id: row.code for row in late if row.id not in found}
    return (*found.values(), *(f"{codes[feed_id]}: {location}" for feed_id, location in past if feed_id in codes))


def _newest_arrivals(connection: Any) -> list[tuple[int, datetime]]:
    from sqlalchemy import func

    found = select(delivery.c.feed_id, func.max(delivery.c.received_at)).group_by(delivery.c.feed_id)
    return [(row[0], row[1]) for row in connection.execute(found)]


def _write(
    app: App, judged: tuple[list[Any], list[Any]], located: tuple[list[Any], list[Any]], result: SweepResult, now: datetime
) -> None:
    """Write the judgement on feeds and on locations (each: those stale now, those fresh now)."""
    with write(app.engine) as connection:
        for rows, is_stale in zip(judged, (True, False), strict=True):
            for row in rows:
                # a delivery that ended meanwhile judged its feed itself, by a newer as-of
                same = update(feed).where(feed.c.id == row.id, feed.c.stale_at == row.stale_at)
                connection.execute(same.values(is_stale=is_stale))
        for found, is_stale in zip(located, (True, False), strict=True):
            for place in found:
                places.judge(connection, place, is_stale=is_stale)
        dirty = {r.id for r in (*judged[0], *judged[1])} | {place.feed_id for place in (*located[0], *located[1])}
        mark(connection, "feed", [str(n) for n in sorted(dirty)], reason="age", at=now)
        outcome = "outage" if result.outage else "alarm" if result.stale or result.silent or result.stale_locations else "fine"
        detail = {
            "stale": result.stale, "fresh": result.fresh, "silent": result.silent, "stale_locations": result.stale_locations
        }  # fmt: skip
        checks.ran(connection, "sweep", at=now, outcome=outcome, detail=detail)


def _is_silent(app: App, row: Any, newest: datetime | None, now: datetime) -> bool:
    """A supplier is silent when nothing arrived for twice the usual interval of the feed's schedule (F14)."""
    schedule = app.config.feed(row.code).schedule
    if schedule is None or newest is None:
        return False
    from croniter import croniter

    times = croniter(schedule, newest)
    for _ in range(_SILENT_INTERVALS + 1):
        due: datetime = times.get_next(datetime)
    return due <= now
