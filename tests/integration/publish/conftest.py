"""A desk to run allocate, publish and reconcile at: feeds and levels written directly, shops in memory, a hand-set clock."""

import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text, update

from schemas.channel_config import Channel
from schemas.tables import delivery, feed, hold, inventory, level_change
from stockfeed.bootstrap import App
from stockfeed.config_files import Config
from stockfeed.pipeline.allocate import allocate
from stockfeed.pipeline.channel_acts import approve_channel
from stockfeed.pipeline.publish import PublishResult, publish
from stockfeed.pipeline.reconcile import ReconcileResult, reconcile
from stockfeed.settings import Settings
from stockfeed.store.archive import Archive
from stockfeed.store.engine import next_change_ids, read, write
from stockfeed.store.marks import mark
from stockfeed.store.reservations import release_seen_sales, take_back
from tests.integration.publish.memory_shop import PLACE, MemoryShop

WHO = {"actor": "ann", "reason": "looked at it"}


class Desk:
    """Suppliers' feeds by code, channels with their shops, and the verbs."""

    def __init__(self, engine: Engine, clock: Any, root: Path) -> None:
        self.engine, self.clock = engine, clock
        settings = Settings(
            config_dir=root, state_dir=root, archive_dir=root, spool_dir=root, database_url=f"sqlite:///{root / 'unused.sqlite3'}"
        )
        self.app = App(settings, Config({}, {}, {}), engine, Archive(root), clock, _no_connection)
        self.shops: dict[str, MemoryShop] = {}
        self.feeds: dict[str, int] = {}
        self.levels: dict[tuple[str, str, str], int | None] = {}
        self.applied: dict[str, list[tuple[int, dict[str, Any], dict[tuple[str, str, str], Any]]]] = {}
        self.identities = itertools.count(1)

    # the world

    def add_feed(self, code: str, *, in_shadow: bool = False, **policy: Any) -> None:
        values = {"quantities": "net", "sales_lag_s": 86400, "order_lag_s": 0, "trust": "1/1", "buffer": 0, "priority": 1}
        values |= {"stale_policy": "zero"} | policy
        supplier = code.split(".", maxsplit=1)[0]
        row = {"code": code, "supplier": supplier, "supplier_name": supplier, "supplier_kind": "supplier", "policy": values}
        with write(self.engine) as connection:
            self.feeds[code] = connection.execute(insert(feed).values(**row, in_shadow=in_shadow).returning(feed.c.id)).scalar_one()

    def add_channel(self, code: str = "shop", *, approved: bool = True, compares: bool = True, **config: Any) -> MemoryShop:
        config = {"locations": [PLACE], "gate": {"enabled": False}} | config
        channel = Channel.model_validate({"code": code, "name": code, "kind": "memory", **config})
        channels = {**self.app.config.channels, code: channel}
        self.app = App(self.app.settings, Config({}, {}, channels), self.engine, self.app.archive, self.clock, self.app.resolve)
        shop = self.shops.setdefault(code, MemoryShop(compares=compares, locations=tuple(p.id for p in channel.locations)))
        if approved:
            approve_channel(self.app, code, **WHO)
        return shop

    def deliver(
        self,
        code: str,
        stock: dict[str, int | None],
        *,
        as_of: datetime | None = None,
        location: str = "",
        covers: list[str] | None = None,
    ) -> int:
        """Apply a snapshot of some SKUs (the others stay), as the applying transaction does it; return the delivery id."""
        feed_id, at = self.feeds[code], self.clock.now
        as_of = as_of or at
        with write(self.engine) as connection:
            delivery_id = self._delivery(connection, feed_id, as_of, covers)
            self._remember(
                connection, code, delivery_id, {(code, sku, location): self.levels.get((code, sku, location)) for sku in stock}
            )
            changes = []
            for sku, units in stock.items():
                thousandths = None if units is None else units * 1000
                key = {"feed_id": feed_id, "supplier_sku": sku, "location": location, "condition": ""}
                known = (code, sku, location) in self.levels
                if known and self.levels[code, sku, location] == units:
                    continue
                if known:
                    where = (inventory.c[name] == value for name, value in key.items())
                    connection.execute(update(inventory).where(*where).values(on_hand=thousandths, delivery_id=delivery_id))
                else:
                    row = {**key, "sku": sku, "on_hand": thousandths, "delivery_id": delivery_id, "source_row": 2}
                    connection.execute(insert(inventory).values(row))
                self.levels[code, sku, location] = units
                changes.append(
                    {**key, "sku": sku, "kind": "changed", "delivery_id": delivery_id, "at": at, "on_hand_after": thousandths}
                )
            if changes:
                base = next_change_ids(connection, len(changes))
                connection.execute(insert(level_change), [{**row, "id": base + n} for n, row in enumerate(changes, start=1)])
            connection.execute(update(feed).where(feed.c.id == feed_id).values(last_applied_id=delivery_id, as_of=as_of))
            release_seen_sales(connection, feed_id, as_of, delivery_id, at, locations=covers, stated=set(stock))
        return delivery_id

    def _remember(self, connection: Any, code: str, delivery_id: int, levels: dict[tuple[str, str, str], Any]) -> None:
        columns = [feed.c[name] for name in ("as_of", "last_applied_id")]
        row = connection.execute(select(*columns).where(feed.c.code == code)).one()
        of_levels = {}
        for key, units in levels.items():
            where = (inventory.c.feed_id == self.feeds[code], inventory.c.supplier_sku == key[1], inventory.c.location == key[2])
            of_levels[key] = (units, connection.execute(select(inventory.c.delivery_id).where(*where)).scalar())
        self.applied.setdefault(code, []).append((delivery_id, dict(row._mapping), of_levels))

    def undo(self, code: str) -> None:
        """Undo the last applied delivery of a feed, as undo_delivery does it (levels must have been there before)."""
        delivery_id, row, levels = self.applied[code].pop()
        feed_id, at = self.feeds[code], self.clock.now
        with write(self.engine) as connection:
            applied_at = connection.execute(select(delivery.c.ended_at).where(delivery.c.id == delivery_id)).scalar_one()
            changes = []
            for (_, sku, location), (units, last) in levels.items():
                key = {"feed_id": feed_id, "supplier_sku": sku, "location": location, "condition": ""}
                where = (inventory.c[name] == value for name, value in key.items())
                connection.execute(update(inventory).where(*where).values(on_hand=units * 1000, delivery_id=last))
                self.levels[code, sku, location] = units
                changes.append({**key, "sku": sku, "kind": "undone", "delivery_id": delivery_id, "at": at})
            base = next_change_ids(connection, len(changes))
            connection.execute(insert(level_change), [{**row, "id": base + n} for n, row in enumerate(changes, start=1)])
            connection.execute(update(feed).where(feed.c.id == feed_id).values(**row))
            connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(state="undone"))
            take_back(connection, feed_id, delivery_id, applied_at, at)
            mark(connection, "feed", [str(feed_id)], reason=f"delivery {delivery_id} undone", at=at)

    def _delivery(self, connection: Any, feed_id: int, as_of: datetime, covers: list[str] | None) -> int:
        number = next(self.identities)
        values = {"feed_id": feed_id, "source_name": "stock.csv", "source_identity": str(number), "sha256": f"{number:064}"}
        values |= {"size": 1, "config_version": "1", "received_at": self.clock.now, "as_of": as_of, "state": "applied"}
        values |= {"ended_at": self.clock.now, "locations": covers}
        return connection.execute(insert(delivery).values(values).returning(delivery.c.id)).scalar_one()

    def unchanged(self, code: str) -> None:
        """The same file again: as_of is refreshed, nothing is applied."""
        with write(self.engine) as connection:
            connection.execute(update(feed).where(feed.c.code == code).values(as_of=self.clock.now))

    def set_feed(self, code: str, *, reason: str = "feed changed", **values: Any) -> None:
        """Change a feed row and mark its SKUs dirty, as the sweep and `feeds release` do."""
        with write(self.engine) as connection:
            connection.execute(update(feed).where(feed.c.code == code).values(**values))
            mark(connection, "feed", [str(self.feeds[code])], reason=reason, at=self.clock.now)

    def add_released_hold(self, delivery_id: int) -> None:
        with write(self.engine) as connection:
            values = {
                "kind": "delivery",
                "delivery_id": delivery_id,
                "findings": [],
                "state": "released",
                "opened_at": self.clock.now,
            }
            connection.execute(insert(hold).values(values))

    # the verbs

    def allocate(self, code: str = "shop") -> Any:
        return allocate(self.app, code)

    def publish(self, code: str = "shop") -> PublishResult:
        return publish(self.app, code, door=self.shops[code])

    def reconcile(self, code: str = "shop") -> ReconcileResult:
        return reconcile(self.app, code, door=self.shops[code])

    # looking

    def query(self, statement: str, **values: Any) -> list[Any]:
        with read(self.engine) as connection:
            return list(connection.execute(text(statement), values).all())

    def ats(self, sku: str, code: str = "shop", location: str = PLACE) -> Any:
        """Return the available_to_sell row, None without one."""
        from schemas.tables import available_to_sell as a

        with read(self.engine) as connection:
            keys = (a.c.channel == code, a.c.sku == sku, a.c.channel_location == location)
            return connection.execute(select(a).where(*keys)).one_or_none()

    def offered(self, code: str = "shop") -> dict[str, int]:
        rows = self.query("SELECT sku, quantity FROM available_to_sell WHERE channel = :code", code=code)
        return {row.sku: row.quantity for row in rows}

    def outbox(self, code: str = "shop") -> list[tuple[str, int, str]]:
        rows = self.query("SELECT sku, quantity, state FROM publication WHERE channel = :code ORDER BY id", code=code)
        return [tuple(row) for row in rows]

    def open_sales(self) -> dict[str, int]:
        rows = self.query("SELECT sku, SUM(units) AS units FROM reservation WHERE released_at IS NULL GROUP BY sku")
        return {row.sku: int(row.units) for row in rows}


def _no_connection(name: str) -> Any:
    raise AssertionError(name)


def day(number: float) -> timedelta:
    return timedelta(days=number)


@pytest.fixture
def desk(engine: Engine, clock: Any, tmp_path: Path) -> Desk:
    return Desk(engine, clock, tmp_path)


@pytest.fixture
def simple(desk: Desk) -> Desk:
    """One feed with A 10 and B 20, published to one shop that compares."""
    desk.add_feed("acme.stock")
    desk.add_channel().list_skus("A", "B")
    desk.deliver("acme.stock", {"A": 10, "B": 20})
    desk.publish()
    return desk
