"""Reservations of sales seen at channels: made when a channel's number falls, released by snapshots that contain the sale.

Never releases on an unchanged or duplicate delivery: those are the same old number again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, case, func, insert, or_, select, update

from schemas.tables import delivery, feed, feed_location, inventory, reservation
from stockfeed.store.marks import mark
from stockfeed.store.pieces import pieces
from transforms.sales import is_contained


@dataclass(frozen=True, slots=True)
class SeenSale:
    """Units that a channel location sold, and the feeds and source locations (empty: all) they may have come from."""

    sku: str
    channel: str
    location: str
    units: int
    feeds: tuple[int, ...] = ()
    source_locations: tuple[str, ...] = ()


#: A source of a sale: a feed, or one location of a feed whose locations are delivered one by one (None: the whole feed).
_Place = tuple[int, str | None]


@dataclass(frozen=True, slots=True)
class _Source:
    """What decides whether a number contains a sale: usable now, true as of its last *applied* delivery, the feed's lag."""

    is_usable: bool
    in_shadow: bool
    as_of: datetime | None
    sales_lag: timedelta


def add_seen_sales(connection: Connection, sales: Sequence[SeenSale], at: datetime) -> None:
    """Reserve the units of each sale for every channel that shares its sources, and mark the SKUs dirty."""
    if not sales:
        return
    connection.execute(
        insert(reservation),
        [
            {
                "kind": "seen_sale",
                "sku": sale.sku,
                "channel": sale.channel,
                "channel_location": sale.location,
                "units": sale.units,
                "seen_at": at,
                "sources": {"feeds": sorted(sale.feeds), "locations": sorted(sale.source_locations)},
            }
            for sale in sales
        ],
    )
    by_channel: dict[str, set[str]] = {}
    for sale in sales:
        by_channel.setdefault(sale.channel, set()).add(sale.sku)
    for channel, skus in by_channel.items():
        mark(connection, "sku", sorted(skus), reason=f"sale at {channel}", at=at)


def feeds_of(connection: Connection, skus: Sequence[str]) -> dict[str, set[int]]:
    """Return the ids of the feeds that have a level of each SKU."""
    found: dict[str, set[int]] = {}
    for piece in pieces(skus):
        rows = select(inventory.c.sku, inventory.c.feed_id).distinct().where(inventory.c.sku.in_(piece))
        for sku, feed_id in connection.execute(rows):
            found.setdefault(sku, set()).add(feed_id)
    return found


def release_seen_sales(connection: Connection, feed_id: int, as_of: datetime, delivery_id: int, at: datetime) -> int:
    """Release the seen sales that an applied snapshot of `feed_id`, true `as_of`, completes; return how many.

    To be called inside the applying transaction, for applied deliveries only, after the locations it covers were written. A
    sale is released when every usable source it may have come from has applied a snapshot with as_of ≥ seen_at + that feed's
    sales_lag; each location that is delivered on its own is such a source. A source that is stale meanwhile does not block
    the others: its share of the doubt stays with it, as a reservation on it alone, so that its old number does not give the
    sale back when it returns. A level that the snapshot did not confirm (absent, or only in rejected rows) is still the old
    number, however new the snapshot is.
    """
    candidates = _open_sales_of(connection, feed_id)
    if not candidates:
        return 0
    sources = _load_sources(connection)
    whole = sources.get((feed_id, None))
    if whole is None:
        return 0
    # the applied snapshot counts before the feed row says so, and whatever the row's staleness was until now
    sources[feed_id, None] = replace(whole, is_usable=True, as_of=as_of)
    levels = _levels_of(connection, sorted({sale.sku for sale in candidates}))
    done: list[Any] = []
    for sale in candidates:
        confirmed = _sources_of(sale, levels.get(sale.sku, {}), sources)
        open_ones = [
            place
            for place, is_confirmed in confirmed.items()
            if not (is_confirmed and is_contained(sources[place].as_of, sale.seen_at, sources[place].sales_lag))
        ]
        is_ours = any(place[0] == feed_id for place in confirmed)
        gets_further = is_ours and len(open_ones) < len(confirmed)
        if gets_further and not any(sources[place].is_usable for place in open_ones):
            _carry_over(connection, sale, open_ones, delivery_id)
            done.append(sale)
    _end(connection, done, delivery_id, at)
    return len(done)


def take_again(connection: Connection, delivery_id: int, at: datetime) -> None:
    """Reserve again what an undone delivery had released, without what was carried over in its place."""
    mine, r = f"delivery {delivery_id}", reservation.c
    open_ones = select(r.id, r.sources).where(r.kind == "seen_sale", r.feed_id.is_not(None), r.released_at.is_(None))
    carried = [row.id for row in connection.execute(open_ones) if (row.sources or {}).get("carried_by") == mine]
    for ids in pieces(carried):
        values = {"released_at": at, "released_by": f"undo of {mine}"}
        connection.execute(update(reservation).where(r.id.in_(ids)).values(values))
    connection.execute(update(reservation).where(r.released_by == mine).values(released_at=None, released_by=None))


def _levels_of(connection: Connection, skus: Sequence[str]) -> dict[str, dict[tuple[int, str], bool]]:
    """Return by SKU the (feed id, location) of its levels, and whether the feed's last snapshot confirmed all of them there.

    A level that counts was not confirmed when it was absent or only in rejected rows; one at 0 is no doubt.
    """
    i = inventory.c
    absent = and_(i.missing_count > 0, i.missing_count < feed.c.missing_after)
    doubtful = case((or_(absent, i.unconfirmed_count > 0), 1), else_=0)
    found: dict[str, dict[tuple[int, str], bool]] = {}
    for piece in pieces(skus):
        rows = (
            select(i.sku, i.feed_id, i.location, func.max(doubtful))
            .join(feed, feed.c.id == i.feed_id)
            .where(i.sku.in_(piece))
            .group_by(i.sku, i.feed_id, i.location)
        )
        for sku, feed_id, location, doubt in connection.execute(rows):
            found.setdefault(sku, {})[feed_id, location] = not doubt
    return found


def _open_sales_of(connection: Connection, feed_id: int) -> Sequence[Any]:
    r = reservation.c
    of_feed = select(inventory.c.sku).where(inventory.c.feed_id == feed_id, inventory.c.sku == r.sku)
    return connection.execute(
        select(r.id, r.sku, r.feed_id, r.channel, r.channel_location, r.units, r.seen_at, r.sources)
        .where(r.kind == "seen_sale", r.released_at.is_(None), of_feed.exists())
        .order_by(r.id)
    ).all()


def _load_sources(connection: Connection) -> dict[_Place, _Source]:
    rows = connection.execute(
        select(feed.c.id, feed.c.policy, feed.c.in_shadow, feed.c.is_stale, delivery.c.as_of).outerjoin(
            delivery, delivery.c.id == feed.c.last_applied_id
        )
    )
    keeps: dict[int, bool] = {}
    found: dict[_Place, _Source] = {}
    for row in rows:
        keeps[row.id] = row.policy.get("stale_policy") == "keep"
        found[row.id, None] = _Source(
            is_usable=not row.in_shadow and (not row.is_stale or keeps[row.id]),
            in_shadow=row.in_shadow,
            as_of=row.as_of,
            sales_lag=timedelta(seconds=row.policy.get("sales_lag_s", 86400)),
        )
    for place in connection.execute(select(feed_location)):
        whole = found[place.feed_id, None]
        is_usable = not whole.in_shadow and (not place.is_stale or keeps[place.feed_id])
        found[place.feed_id, place.location] = replace(whole, is_usable=is_usable, as_of=place.applied_as_of)
    return found


def _sources_of(sale: Any, levels: Mapping[tuple[int, str], bool], sources: Mapping[_Place, _Source]) -> dict[_Place, bool]:
    """Return the sources that have the SKU and may have served the sale, and whether each confirmed it.

    A feed in shadow offered nothing. Of a feed whose locations are delivered one by one, only those of the sale count.
    """
    named = {sale.feed_id} if sale.feed_id is not None else set((sale.sources or {}).get("feeds", ()))
    places = set((sale.sources or {}).get("locations", ()))
    found: dict[_Place, bool] = {}
    for (feed_id, location), is_confirmed in levels.items():
        if (feed_id, None) not in sources or (named and feed_id not in named):
            continue
        alone = (feed_id, location) in sources
        if alone and places and location not in places:
            continue
        place: _Place = (feed_id, location) if alone else (feed_id, None)
        if sale.feed_id is not None or not sources[place].in_shadow:
            found[place] = found.get(place, True) and is_confirmed
    return found


def _carry_over(connection: Connection, sale: Any, places: Iterable[_Place], delivery_id: int) -> None:
    located: dict[int, list[str]] = {}
    for feed_id, location in places:
        located.setdefault(feed_id, []).extend([] if location is None else [location])
    rows = [
        {
            "kind": "seen_sale",
            "sku": sale.sku,
            "feed_id": feed_id,
            "channel": sale.channel,
            "channel_location": sale.channel_location,
            "units": sale.units,
            "seen_at": sale.seen_at,
            "sources": {
                **(sale.sources or {}),
                "carried_by": f"delivery {delivery_id}",
                **({"locations": sorted(names)} if names else {}),
            },
        }
        for feed_id, names in located.items()
    ]
    if rows:
        connection.execute(insert(reservation), rows)


def _end(connection: Connection, sales: Sequence[Any], delivery_id: int, at: datetime) -> None:
    if not sales:
        return
    for ids in pieces([sale.id for sale in sales]):
        connection.execute(
            update(reservation).where(reservation.c.id.in_(ids)).values(released_at=at, released_by=f"delivery {delivery_id}")
        )
    mark(connection, "sku", sorted({sale.sku for sale in sales}), reason=f"delivery {delivery_id}", at=at)
