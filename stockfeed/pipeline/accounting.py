"""What a channel shows against what it last confirmed: sales become reservations, edits a new starting point.

The one place where the rule of DESIGN §3, "Sales seen at channels", is applied; publish and reconcile both use it.
Never writes to the channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from schemas.publishing import Listing
from stockfeed.pipeline.allocate import allowed_feeds, build_offers
from stockfeed.pipeline.channel_work import ChannelWork
from stockfeed.store import listings, reservations
from stockfeed.store.reservations import SeenSale
from stockfeed.store.source_feeds import load_feeds
from transforms.sales import Difference


@dataclass(frozen=True, slots=True)
class Finding:
    """What one listing shows now, and what that means."""

    listing: Listing
    observed: int
    difference: Difference


@dataclass(slots=True)
class Tally:
    """Running counts of one publish or reconcile; sales are counted in units."""

    sent: int = 0
    confirmed: int = 0
    failed: int = 0
    stale: int = 0
    sales_seen: int = 0
    edited: int = 0
    tried: set[int] = field(default_factory=set)  # rows not to be tried again in this run


def account(work: ChannelWork, connection: Connection, findings: Sequence[Finding], tally: Tally) -> None:
    """Reserve the units of every sale, and take what the channel shows as confirmed from now on."""
    now = work.now()
    sold = [f for f in findings if f.difference.kind == "sale"]
    if sold:
        reservations.add_seen_sales(connection, _sales(work, connection, sold), now)
    listings.account_for(connection, work.code, [(f.listing.sku, f.listing.location, f.observed) for f in findings], now)
    tally.sales_seen += sum(f.difference.units for f in sold)
    tally.edited += sum(f.difference.kind == "edited" for f in findings)


def _sales(work: ChannelWork, connection: Connection, sold: Sequence[Finding]) -> list[SeenSale]:
    """Return the sales with the feeds and source locations their units may have come from."""
    feeds = load_feeds(connection, work.now())
    allowed = allowed_feeds(build_offers(work.channel, feeds, work.now().date()))
    having = reservations.feeds_of(connection, sorted({f.listing.sku for f in sold}))
    places = {place.id: place.from_locations for place in work.channel.locations}
    return [
        SeenSale(
            sku=f.listing.sku,
            channel=work.code,
            location=f.listing.location,
            units=f.difference.units,
            feeds=tuple(sorted(having.get(f.listing.sku, set()) & allowed)),
            source_locations=places.get(f.listing.location, ()),
        )
        for f in sold
    ]
