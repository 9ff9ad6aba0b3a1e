"""Reservations of sales seen at channels: made when a channel's number falls, released by snapshots that contain the sale.

Never releases on an unchanged or duplicate delivery: those are the same old number again.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from schemas.tables import inventory, reservation
from stockfeed.store import containment
from stockfeed.store.containment import Applied, Containment
from stockfeed.store.marks import mark
from stockfeed.store.pieces import pieces


@dataclass(frozen=True, slots=True)
class SeenSale:
    """Units that a channel location sold, and the feeds and source locations (empty: all) they may have come from."""

    sku: str
    channel: str
    location: str
    units: int
    feeds: tuple[int, ...] = ()
    source_locations: tuple[str, ...] = ()


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


def release_seen_sales(
    connection: Connection,
    feed_id: int,
    as_of: datetime,
    delivery_id: int,
    at: datetime,
    *,
    locations: Collection[str] | None = None,
    stated: Collection[str] = (),
) -> int:
    """Release the seen sales that an applied delivery of `feed_id`, true `as_of`, completes; return how many.

    To be called inside the applying transaction, for applied deliveries only: with the `locations` it covers (None: all), and
    for a delta with the SKUs it states. A sale is released when the number of every usable source feed it may have come from
    contains it (stockfeed.store.containment), one of them because it is from after the sale. A feed, or a location delivered
    on its own, that is stale or in shadow meanwhile does not block the others: its share of the doubt stays with it, as a
    reservation on it alone, so that its old number does not give the sale back when it returns.
    """
    candidates = _open_sales_of(connection, feed_id)
    if not candidates:
        return 0
    known = _judging(connection, candidates, Applied(feed_id, delivery_id, as_of, locations, stated))
    done: list[Any] = []
    for sale in candidates:
        sources = _sources_of(sale, known)
        lacking = {f: places for f in sources if (places := _open_places(known, sale, f))}
        blocked = any(known.offers_at(f, places) for f, places in lacking.items())
        if feed_id in sources and not blocked and not _is_of(sale, known, lacking) and _is_reported(sale, known, sources):
            _carry_over(connection, sale, known, lacking)
            done.append(sale)
    _end(connection, done, f"delivery {delivery_id}", at)
    return len(done)


def take_back(connection: Connection, feed_id: int, delivery_id: int, applied_at: datetime, at: datetime) -> None:
    """Put the seen sales back as they are without a delivery of `feed_id` that was undone, each of them counted once.

    To be called when the feed's row and levels are restored. What the delivery released is open again, in place of what its
    release had left with single feeds; what others released meanwhile because this feed had reported it stays with this
    feed alone.
    """
    r = reservation.c
    of_sales = select(*_COLUMNS).where(r.kind == "seen_sale").order_by(r.id)
    by_it = r.released_by == f"delivery {delivery_id}"  # also where its ledger row says a moment later than the release
    released = {sale.id: sale for sale in connection.execute(of_sales.where(or_(r.released_at >= applied_at, by_it)))}
    skus = sorted({sale.sku for sale in released.values()})
    mine = {number: sale for number, sale in released.items() if sale.released_by == f"delivery {delivery_id}"}
    parts = [
        part for piece in pieces(skus) for part in connection.execute(of_sales.where(r.sku.in_(piece), r.feed_id.is_not(None)))
    ]
    open_wholes = _open_among(connection, {_part_of(part) for part in parts}) | {
        n for n, sale in mine.items() if sale.feed_id is None
    }
    again = {number for number, sale in mine.items() if _part_of(sale) not in open_wholes}
    for ids in pieces(sorted(again)):
        connection.execute(update(reservation).where(r.id.in_(ids)).values(released_at=None, released_by=None))
    narrowed = {(_part_of(mine[number]), mine[number].feed_id) for number in again}
    replaced = [
        part
        for part in parts
        if part.released_at is None and (_part_of(part) in open_wholes or (_part_of(part), part.feed_id) in narrowed)
    ]
    _end(connection, replaced, f"undo of delivery {delivery_id}", at)
    with_this_feed = {
        _part_of(part) for part in parts if part.feed_id == feed_id and (part.released_at is None or part.id in again)
    }
    others = [sale for number, sale in released.items() if sale.feed_id is None and number not in open_wholes | with_this_feed]
    known = _judging(connection, others, None)
    for sale in others:
        if feed_id in _sources_of(sale, known) and (places := _open_places(known, sale, feed_id)):
            _carry_over(connection, sale, known, {feed_id: places})
    mark(connection, "sku", skus, reason=f"delivery {delivery_id} undone", at=at)


_COLUMNS = [
    reservation.c[name]
    for name in (
        "id", "sku", "feed_id", "channel", "channel_location", "units", "seen_at", "sources", "released_at", "released_by"
    )
]  # fmt: skip


def _open_among(connection: Connection, ids: Iterable[int | None]) -> set[int]:
    r = reservation.c
    wanted = sorted(number for number in ids if number is not None)
    found = (connection.execute(select(r.id).where(r.id.in_(piece), r.released_at.is_(None))) for piece in pieces(wanted))
    return {int(row.id) for rows in found for row in rows}


def _open_sales_of(connection: Connection, feed_id: int) -> Sequence[Any]:
    r = reservation.c
    of_feed = select(inventory.c.sku).where(inventory.c.feed_id == feed_id, inventory.c.sku == r.sku)
    mine = or_(r.feed_id.is_(None), r.feed_id == feed_id)
    return connection.execute(
        select(*_COLUMNS).where(r.kind == "seen_sale", r.released_at.is_(None), mine, of_feed.exists()).order_by(r.id)
    ).all()


def _judging(connection: Connection, sales: Sequence[Any], applied: Applied | None) -> Containment:
    since = min((sale.seen_at for sale in sales), default=None)
    return containment.load(connection, sorted({sale.sku for sale in sales}), since, applied)


def _open_places(known: Containment, sale: Any, feed_id: int) -> set[str]:
    return known.open_places(sale.sku, feed_id, sale.seen_at, _places_of(sale))


def _places_of(sale: Any) -> list[str]:
    return list((sale.sources or {}).get("locations", ()))


def _is_reported(sale: Any, known: Containment, sources: Collection[int]) -> bool:
    """Return whether a source contains the sale, rather than all of them having had nothing: then it came from one that is gone."""
    # a reservation on one source alone is what was left when the others had reported it
    return sale.feed_id is not None or any(known.has_reported(sale.sku, f, sale.seen_at, _places_of(sale)) for f in sources)


def _is_of(sale: Any, known: Containment, lacking: Mapping[int, Collection[str]]) -> bool:
    """Return whether a reservation is already one on the only source, and on no more places than those, that lack the sale."""
    if sale.feed_id not in lacking:
        return False
    places = set(_places_of(sale))
    return not known.feeds[sale.feed_id].is_scoped or (bool(places) and places <= set(lacking[sale.feed_id]))


def _sources_of(sale: Any, known: Containment) -> set[int]:
    """Return the feeds that have the SKU and may have served the sale; a feed in shadow did only if the sale names it."""
    if sale.feed_id is not None:
        return {sale.feed_id} & known.feeds.keys()
    named = set((sale.sources or {}).get("feeds", ()))
    having = known.sellers(sale.sku) & known.feeds.keys()
    return having & named if named else {f for f in having if not known.feeds[f].in_shadow}


def _part_of(sale: Any) -> int | None:
    """Return the id of the sale that a carried-over reservation is a part of."""
    number = (sale.sources or {}).get("part_of")
    return None if number is None else int(number)


def _carry_over(connection: Connection, sale: Any, known: Containment, lacking: Mapping[int, Collection[str]]) -> None:
    """Reserve the units on each source that lacks the sale; of locations delivered on their own, on those that lack it."""
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
                "part_of": sale.id if sale.feed_id is None else _part_of(sale),
                **({"locations": sorted(places)} if known.feeds[feed_id].is_scoped else {}),
            },
        }
        for feed_id, places in lacking.items()
    ]
    if rows:
        connection.execute(insert(reservation), rows)


def _end(connection: Connection, sales: Sequence[Any], by: str, at: datetime) -> None:
    if not sales:
        return
    for ids in pieces([sale.id for sale in sales]):
        connection.execute(update(reservation).where(reservation.c.id.in_(ids)).values(released_at=at, released_by=by))
    mark(connection, "sku", sorted({sale.sku for sale in sales}), reason=by, at=at)
