"""Listings: the channel's own ids of a SKU at a location, and what the channel last confirmed or showed.

A cache of the channel's answers; `confirmed_quantity` is the number that later falls are measured against. Never decides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, tuple_, update

from schemas.publishing import Listing
from schemas.tables import available_to_sell, listing, publication
from stockfeed.store.pieces import pieces

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_NOTHING_CONFIRMED = {"confirmed_quantity": None, "confirmed_version": None, "confirmed_at": None}
_KEY = (listing.c.channel, listing.c.sku, listing.c.channel_location)


@dataclass(frozen=True, slots=True)
class Shown:
    """One active listing with what the channel last confirmed (None: nothing yet) and what we offer now."""

    listing: Listing
    confirmed: int | None
    offered: int | None
    version: int | None


def unresolved(connection: Connection, channel: str, *, retry_before: datetime, limit: int, after: str = "") -> list[str]:
    """Return SKUs (greater than `after`) that wait for publication without a listing, or whose listing was not usable.

    The latter only when last asked before `retry_before`: an unlisted item is not asked for every minute.
    """
    p, li = publication.c, listing.c
    key = (li.channel == channel, li.sku == p.sku, li.channel_location == p.channel_location)
    waiting = select(p.sku).where(p.channel == channel, p.state == "pending", p.sku > after, ~exists().where(*key))
    again = select(li.sku).where(li.channel == channel, li.status != "active", li.resolved_at <= retry_before, li.sku > after)
    both = waiting.union(again).subquery()
    return list(connection.execute(select(both.c.sku).order_by(both.c.sku).limit(limit)).scalars())


def save(connection: Connection, channel: str, found: Sequence[Listing], at: datetime) -> list[tuple[str, str]]:
    """Insert or update resolved listings; return the (SKU, location) of those that became usable only now.

    What was confirmed stays, unless the listing is another item at the channel than before.
    """
    li = listing.c
    known = {
        (row.sku, row.channel_location): row
        for skus in pieces(sorted({one.sku for one in found}))
        for row in connection.execute(
            select(li.sku, li.channel_location, li.status, li.ids).where(li.channel == channel, li.sku.in_(skus))
        )
    }
    new = [one for one in found if (one.sku, one.location) not in known]
    if new:
        connection.execute(insert(listing), [{"channel": channel, **_values(one, at)} for one in new])
    for one in found:
        row = known.get((one.sku, one.location))
        if row is not None:
            forgotten = (
                {} if row.ids == dict(one.ids) else {"confirmed_quantity": None, "confirmed_version": None, "confirmed_at": None}
            )
            _change(connection, channel, one, **_values(one, at), **forgotten)
    return [
        (one.sku, one.location)
        for one in found
        if one.status == "active" and (row := known.get((one.sku, one.location))) is not None and row.status != "active"
    ]


def _values(one: Listing, at: datetime) -> dict[str, Any]:
    return {
        "sku": one.sku,
        "channel_location": one.location,
        "ids": dict(one.ids),
        "status": one.status,
        "message": one.message or None,
        "resolved_at": at,
    }


def _change(connection: Connection, channel: str, one: Listing, **values: Any) -> None:
    key = (listing.c.channel == channel, listing.c.sku == one.sku, listing.c.channel_location == one.location)
    connection.execute(update(listing).where(*key).values(**values))


def mark_gone(connection: Connection, channel: str, one: Listing, message: str) -> None:
    """Note that the channel no longer shows a listing, and forget what it showed; the next publish resolves it again."""
    _change(connection, channel, one, status="missing", message=message, resolved_at=_LONG_AGO, **_NOTHING_CONFIRMED)


def account_for(connection: Connection, channel: str, rows: Sequence[tuple[str, str, int]], at: datetime) -> None:
    """Store (SKU, location, quantity) as what the channel shows and we have accounted for; the last confirmed version stays."""
    if not rows:
        return
    keys = (c == bindparam(f"b_{c.name}") for c in _KEY)
    connection.execute(
        update(listing).where(*keys).values(confirmed_quantity=bindparam("b_quantity"), confirmed_at=at),
        [
            {"b_channel": channel, "b_sku": sku, "b_channel_location": location, "b_quantity": quantity}
            for sku, location, quantity in rows
        ],
    )


def pages(connection: Connection, channel: str, locations: Sequence[str], after: tuple[str, str], limit: int) -> list[Shown]:
    """Return the next `limit` active listings at `locations`, after the (SKU, location) `after`, in key order."""
    li, a = listing.c, available_to_sell.c
    rows = connection.execute(
        select(li.sku, li.channel_location, li.ids, li.confirmed_quantity, a.quantity, a.version)
        .select_from(
            listing.outerjoin(
                available_to_sell, (a.channel == li.channel) & (a.sku == li.sku) & (a.channel_location == li.channel_location)
            )
        )
        .where(
            li.channel == channel,
            li.status == "active",
            li.channel_location.in_(locations),
            tuple_(li.sku, li.channel_location) > tuple_(*after),
        )
        .order_by(li.sku, li.channel_location)
        .limit(limit)
    )
    return [
        Shown(Listing(row.sku, row.channel_location, row.ids), row.confirmed_quantity, row.quantity, row.version) for row in rows
    ]


def all_pages(connection: Connection, channel: str, locations: Sequence[str], size: int) -> Iterator[list[Shown]]:
    """Yield all active listings at `locations`, `size` at a time."""
    after = ("", "")
    while page := pages(connection, channel, locations, after, size):
        yield page
        after = (page[-1].listing.sku, page[-1].listing.location)
