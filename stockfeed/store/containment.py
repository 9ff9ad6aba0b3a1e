"""Whether a feed's present number of a SKU contains a sale that was seen at a channel. Never changes anything.

A snapshot of the whole feed speaks for every level, one of a location for that location only, and a delta only for what it
states: what a delta leaves out may still be the number from before the sale.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from schemas.columns import KEY_COLUMNS
from schemas.tables import delivery, feed, feed_location, inventory
from stockfeed.store.pieces import pieces
from stockfeed.store.staged import staged
from transforms.sales import is_contained

Level = Any  # sku, feed_id, location, delivery_id, missing_count, unconfirmed_count, missing_after, on_hand, available


class Applied(NamedTuple):
    """What the delivery being applied speaks for: its feed, instant, locations (None: all), and the SKUs it states (deltas)."""

    feed_id: int
    delivery_id: int
    as_of: datetime
    locations: Collection[str] | None = None
    stated: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class FeedState:
    """What decides how a feed's number is read: usable now, as of its last *applied* delivery, its lag and mode."""

    is_usable: bool
    in_shadow: bool
    as_of: datetime | None
    sales_lag: timedelta
    is_delta: bool = False
    is_scoped: bool = False


@dataclass(slots=True)
class Containment:
    """The levels of some SKUs, and from when on each of them speaks for itself."""

    feeds: dict[int, FeedState]
    applied: Applied | None = None
    levels: dict[tuple[str, int], list[Level]] = field(default_factory=dict)
    at_location: dict[tuple[int, str], datetime] = field(default_factory=dict)
    of_delivery: dict[int, datetime] = field(default_factory=dict)
    stale_places: set[tuple[int, str]] = field(default_factory=set)  # locations too old on their own: they offer nothing now

    def sellers(self, sku: str) -> set[int]:
        """Return the ids of the feeds that have a level of a SKU."""
        return {feed_id for known, feed_id in self.levels if known == sku}

    def open_places(self, sku: str, feed_id: int, seen_at: datetime, places: Collection[str]) -> set[str]:
        """Return the locations of the levels that may have served a sale (at `places`, empty: anywhere) and lack it."""
        rows = [row for row in self.levels.get((sku, feed_id), ()) if not places or row.location in places]
        return {row.location for row in rows if not self._contains(self.feeds[feed_id], row, seen_at)}

    def has_reported(self, sku: str, feed_id: int, seen_at: datetime, places: Collection[str]) -> bool:
        """Return whether a number of the feed contains a sale (at `places`, empty: anywhere), not only by a 0 from before."""
        rows = [row for row in self.levels.get((sku, feed_id), ()) if not places or row.location in places]
        return any(self._speaks_after(self.feeds[feed_id], row, seen_at) for row in rows)

    def offers_at(self, feed_id: int, places: Collection[str]) -> bool:
        """Return whether a feed's stock at one of these locations is offered now."""
        return self.feeds[feed_id].is_usable and any((feed_id, place) not in self.stale_places for place in places)

    def _contains(self, state: FeedState, row: Level, seen_at: datetime) -> bool:
        if _is_unconfirmed(row):
            return False
        units, spoke = row.available if row.available is not None else row.on_hand, self._spoke(row)
        if not units and row.missing_count == 0 and (spoke is None or spoke <= seen_at):
            return True  # there was nothing when it sold, so it was not sold from here
        return self._speaks_after(state, row, seen_at)

    def _speaks_after(self, state: FeedState, row: Level, seen_at: datetime) -> bool:
        """Return whether a level's number is from after a sale and its lag."""
        if _is_unconfirmed(row):
            return False
        if state.is_delta:
            # stated since the sale, and by the end of the lag there was nothing to add
            spoke = self._spoke(row)
            return spoke is not None and spoke > seen_at and is_contained(state.as_of, seen_at, state.sales_lag)
        as_of = self.at_location.get((row.feed_id, row.location)) if state.is_scoped else state.as_of
        return is_contained(as_of, seen_at, state.sales_lag)

    def _spoke(self, row: Level) -> datetime | None:
        """Return as of when a level was stated; None: longer ago than the oldest of these sales."""
        now = self.applied if self.applied is not None and self.applied.feed_id == row.feed_id else None
        if now is not None and (row.sku in now.stated or row.delivery_id == now.delivery_id):
            return now.as_of
        return self.of_delivery.get(row.delivery_id)


def _is_unconfirmed(row: Level) -> bool:
    """Return whether the last snapshot did not confirm a level: it still is the old number."""
    return bool(row.unconfirmed_count > 0 or 0 < row.missing_count < row.missing_after)


def load(connection: Connection, skus: Sequence[str], since: datetime | None, applied: Applied | None = None) -> Containment:
    """Return what is needed to judge sales of these SKUs seen from `since` on, with `applied` counted as in force already."""
    found = Containment(_load_feeds(connection, applied), applied)
    i = inventory.c
    columns = (i.sku, i.feed_id, i.location, i.delivery_id, i.missing_count, i.unconfirmed_count, i.on_hand, i.available)
    for piece in pieces(skus):
        rows = select(*columns, feed.c.missing_after).join(feed, feed.c.id == i.feed_id).where(i.sku.in_(piece))
        for row in connection.execute(rows):
            found.levels.setdefault((row.sku, row.feed_id), []).append(row)
    if since is not None:
        _load_deliveries(connection, found, since)
    found.stale_places = _load_stale_places(connection)
    return found


def stated_skus(connection: Connection, feed_id: int) -> set[str]:
    """Return the master SKUs that the staged delivery states; to be called once it is applied."""
    same = [staged.c[name] == inventory.c[name] for name in KEY_COLUMNS]
    rows = select(inventory.c.sku).distinct().where(inventory.c.feed_id == feed_id, inventory.c.sku.is_not(None), *same)
    return set(connection.execute(rows).scalars())


def _load_feeds(connection: Connection, applied: Applied | None) -> dict[int, FeedState]:
    rows = connection.execute(
        select(
            feed.c.id, feed.c.policy, feed.c.in_shadow, feed.c.is_stale, feed.c.last_applied_id, delivery.c.as_of,
            delivery.c.locations,
        ).outerjoin(delivery, delivery.c.id == feed.c.last_applied_id)
    )  # fmt: skip
    states = {}
    for row in rows:
        # the delivery being applied counts before the feed row says so, and whatever the row's staleness was until now
        mine = applied if applied is not None and applied.feed_id == row.id else None
        states[row.id] = FeedState(
            is_usable=mine is not None or (not row.in_shadow and (not row.is_stale or row.policy.get("stale_policy") == "keep")),
            in_shadow=row.in_shadow,
            as_of=mine.as_of if mine else row.as_of,
            sales_lag=timedelta(seconds=row.policy.get("sales_lag_s", 86400)),
            is_delta=row.policy.get("mode") == "delta",
            is_scoped=(mine.locations if mine else row.locations) is not None,
        )
    return states


def _load_stale_places(connection: Connection) -> set[tuple[int, str]]:
    p = feed_location.c
    rows = select(p.feed_id, p.location, feed.c.policy).join(feed, feed.c.id == p.feed_id).where(p.is_stale)
    return {(row.feed_id, row.location) for row in connection.execute(rows) if row.policy.get("stale_policy") != "keep"}


def _load_deliveries(connection: Connection, found: Containment, since: datetime) -> None:
    d = delivery.c
    feed_ids = sorted({feed_id for _, feed_id in found.levels})
    rows = connection.execute(
        select(d.id, d.feed_id, d.as_of, d.locations).where(d.feed_id.in_(feed_ids), d.state == "applied", d.as_of >= since)
    )
    spoken = []
    for row in rows:
        found.of_delivery[row.id] = row.as_of
        spoken.append((row.feed_id, row.locations, row.as_of))
    if found.applied is not None:
        spoken.append((found.applied.feed_id, found.applied.locations, found.applied.as_of))
    everywhere = {(feed_id, row.location) for (_, feed_id), levels in found.levels.items() for row in levels}
    for feed_id, locations, as_of in spoken:
        places = locations if locations is not None else [place for known, place in everywhere if known == feed_id]
        for place in places:
            key = (feed_id, place)
            found.at_location[key] = max(as_of, found.at_location.get(key, as_of))
