"""What counts of every feed for available to sell: its policy, and how old it and its locations are now."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, func, not_, or_, select

from schemas.tables import feed, feed_location
from transforms.availability import SourceFeed
from transforms.outages import is_outage


def load_feeds(connection: Connection, now: datetime) -> dict[int, SourceFeed]:
    """Return what counts of every feed at `now`, by feed id.

    A limit that passed since the last sweep counts at once, unless so many feeds pass theirs together that the sweep holds
    them back as an outage of ours: allocation and sweep judge by the same rule (docs/decisions/0009).
    """
    names = ("id", "code", "supplier", "policy", "in_shadow", "as_of", "stale_at", "is_stale", "missing_after")
    rows = connection.execute(select(*(feed.c[name] for name in names))).all()
    late, outage = _late(rows, now)
    stale_places, oldest = _load_places(connection, now, outage=outage)
    return {
        row.id: _source(
            row, is_stale=row.is_stale or row.id in late, oldest=oldest.get(row.id), places=stale_places.get(row.id, ())
        )
        for row in rows
    }


def late_feeds(connection: Connection, now: datetime) -> frozenset[int]:
    """Return the ids of feeds that count as stale at `now`, as a whole or at some location, though no sweep has said so yet."""
    rows = connection.execute(select(*(feed.c[name] for name in ("id", "as_of", "stale_at", "is_stale")))).all()
    late, outage = _late(rows, now)
    if outage:
        return frozenset()
    p = feed_location.c
    somewhere = connection.execute(select(p.feed_id).where(not_(p.is_stale), p.stale_at <= now).distinct()).scalars()
    return frozenset(late) | frozenset(somewhere)


def _late(rows: Sequence[Any], now: datetime) -> tuple[set[int], bool]:
    """Return the feeds whose limit passed since the last sweep, and whether they are so many that none of them counts."""
    dated = [row for row in rows if row.as_of is not None]
    past = {row.id for row in dated if not row.is_stale and row.stale_at is not None and row.stale_at <= now}
    outage = is_outage(len(past), len(dated))
    return (set() if outage else past), outage


def _load_places(connection: Connection, now: datetime, *, outage: bool) -> tuple[dict[int, list[str]], dict[int, datetime]]:
    """Return by feed id the locations that are too old on their own, and the as-of of the oldest that is not."""
    p = feed_location.c
    is_late = p.is_stale if outage else or_(p.is_stale, p.stale_at <= now)
    stale: dict[int, list[str]] = {}
    for row in connection.execute(select(p.feed_id, p.location).where(is_late)):
        stale.setdefault(row.feed_id, []).append(row.location)
    oldest = connection.execute(select(p.feed_id, func.min(p.as_of)).where(not_(is_late)).group_by(p.feed_id))
    return stale, {row[0]: row[1] for row in oldest}


def _source(row: Any, *, is_stale: bool, oldest: datetime | None, places: Collection[str]) -> SourceFeed:
    policy = row.policy
    lag = timedelta(seconds=policy.get("order_lag_s", 0))
    as_of = oldest or row.as_of  # an order of any location is inside the number only when it is inside the oldest one's
    return SourceFeed(
        id=row.id,
        code=row.code,
        supplier=row.supplier,
        is_stale=is_stale,
        in_shadow=row.in_shadow,
        counts_when_stale=policy.get("stale_policy") == "keep",
        gross=policy.get("quantities") == "gross",
        orders_after=as_of - lag if as_of else None,
        trust=Fraction(policy.get("trust", "1/1")),
        buffer=policy.get("buffer", 0),
        priority=policy.get("priority", 1),
        missing_after=row.missing_after,
        stale_locations=frozenset(places),
        lowers_while_held=policy.get("while_held") == "lower",
    )
