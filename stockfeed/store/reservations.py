"""Reservations of sales seen at channels: made when a channel's number falls, released by snapshots that contain the sale.

Never releases on an unchanged or duplicate delivery: those are the same old number again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, insert, or_, select, update

from schemas.tables import delivery, feed, inventory, reservation
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


@dataclass(frozen=True, slots=True)
class _Feed:
    """What decides whether a feed's number contains a sale: usable now, true as of its last *applied* delivery, its lag."""

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

    To be called inside the applying transaction, for applied deliveries only. A sale is released when every usable source
    feed it may have come from has applied a snapshot with as_of ≥ seen_at + that feed's sales_lag. A feed that is stale
    meanwhile does not block the others: its share of the doubt stays with it, as a reservation on that feed alone, so that
    its old number does not give the sale back when it returns. A level that the snapshot did not confirm (absent, or only in
    rejected rows) is still the old number, however new the snapshot is.
    """
    candidates = _open_sales_of(connection, feed_id)
    if not candidates:
        return 0
    feeds = _load_feeds(connection)
    if feed_id not in feeds:
        return 0
    # the applied snapshot counts before the feed row says so, and whatever the row's staleness was until now
    feeds[feed_id] = _Feed(is_usable=True, in_shadow=feeds[feed_id].in_shadow, as_of=as_of, sales_lag=feeds[feed_id].sales_lag)
    skus = sorted({sale.sku for sale in candidates})
    sellers, unconfirmed = feeds_of(connection, skus), _unconfirmed(connection, skus)
    done: list[Any] = []
    for sale in candidates:
        sources = _sources_of(sale, sellers, feeds)
        open_ones = [
            f for f in sources if (sale.sku, f) in unconfirmed or not is_contained(feeds[f].as_of, sale.seen_at, feeds[f].sales_lag)
        ]
        if feed_id in sources and not any(feeds[f].is_usable for f in open_ones):
            _carry_over(connection, sale, open_ones)
            done.append(sale)
    _end(connection, done, delivery_id, at)
    return len(done)


def _unconfirmed(connection: Connection, skus: Sequence[str]) -> set[tuple[str, int]]:
    """Return (SKU, feed id) where a level that counts was not confirmed by the feed's last snapshot; one at 0 is no doubt."""
    i = inventory.c
    absent = and_(i.missing_count > 0, i.missing_count < feed.c.missing_after)
    found: set[tuple[str, int]] = set()
    for piece in pieces(skus):
        rows = (
            select(i.sku, i.feed_id)
            .join(feed, feed.c.id == i.feed_id)
            .where(i.sku.in_(piece), or_(absent, i.unconfirmed_count > 0))
        )
        found.update((row.sku, row.feed_id) for row in connection.execute(rows))
    return found


def _open_sales_of(connection: Connection, feed_id: int) -> Sequence[Any]:
    r = reservation.c
    of_feed = select(inventory.c.sku).where(inventory.c.feed_id == feed_id, inventory.c.sku == r.sku)
    return connection.execute(
        select(r.id, r.sku, r.feed_id, r.channel, r.channel_location, r.units, r.seen_at, r.sources)
        .where(r.kind == "seen_sale", r.released_at.is_(None), of_feed.exists())
        .order_by(r.id)
    ).all()


def _load_feeds(connection: Connection) -> dict[int, _Feed]:
    rows = connection.execute(
        select(feed.c.id, feed.c.policy, feed.c.in_shadow, feed.c.is_stale, delivery.c.as_of).outerjoin(
            delivery, delivery.c.id == feed.c.last_applied_id
        )
    )
    return {
        row.id: _Feed(
            is_usable=not row.in_shadow and (not row.is_stale or row.policy.get("stale_policy") == "keep"),
            in_shadow=row.in_shadow,
            as_of=row.as_of,
            sales_lag=timedelta(seconds=row.policy.get("sales_lag_s", 86400)),
        )
        for row in rows
    }


def _sources_of(sale: Any, sellers: Mapping[str, set[int]], feeds: Mapping[int, _Feed]) -> set[int]:
    """Return the feeds that have the SKU and may have served the sale; a feed in shadow offered nothing."""
    if sale.feed_id is not None:
        return {sale.feed_id} & feeds.keys()
    named = set((sale.sources or {}).get("feeds", ()))
    having = sellers.get(sale.sku, set())
    return {f for f in (having & named if named else having) if f in feeds and not feeds[f].in_shadow}


def _carry_over(connection: Connection, sale: Any, feeds: Iterable[int]) -> None:
    rows = [
        {
            "kind": "seen_sale",
            "sku": sale.sku,
            "feed_id": feed_id,
            "channel": sale.channel,
            "channel_location": sale.channel_location,
            "units": sale.units,
            "seen_at": sale.seen_at,
            "sources": sale.sources,
        }
        for feed_id in feeds
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
