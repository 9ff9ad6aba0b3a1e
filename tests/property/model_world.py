"""The product as the model-based test drives it: two feeds, one shop, a clock set by hand, and a death at any statement."""

import itertools
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, text

from schemas.channel_config import Channel
from schemas.errors import TransientError
from stockfeed.bootstrap import App
from stockfeed.checker import check_database
from stockfeed.config_files import Config
from stockfeed.pipeline.channel_acts import approve_channel
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.pipeline.publish import publish
from stockfeed.pipeline.reconcile import reconcile
from stockfeed.pipeline.sweep import sweep
from stockfeed.settings import load_config, load_settings
from stockfeed.store.archive import Archive
from stockfeed.store.engine import make_engine, read, write
from tests.integration.publish.memory_shop import PLACE, MemoryShop, PowerCutError
from tests.property.oracle import File

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
WHO = {"actor": "ann", "reason": "checked"}
SNAPSHOT, DELTA = "acme.stock", "acme.changes"
FEED = """
[[feed]]
code = "{code}"
source = {{ type = "folder", path = "{folder}", select = "all_new", pattern = "*.csv", settle = "0s" }}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
sales_lag = "1h"
trust_first = true
mode = "{mode}"
order_by = "{order_by}"
missing_after = {missing_after}
duplicates = "{duplicates}"
buffer = {buffer}
[feed.columns]
supplier_sku = "sku"
on_hand = "qty"
"""
FEEDS = {SNAPSHOT: ("snapshot", "source_time"), DELTA: ("delta", "arrival")}
DEFAULTS = {"missing_after": 2, "duplicates": "reject", "buffer": 0}


#: What is called at each statement and commit of an engine: the life that it serves now.
_DEATHS: dict[Engine, Callable[[], None]] = {}


@cache
def _engine(url: str) -> Engine:
    """One engine per address for all lives: what it has compiled stays; its connections end with each process."""
    engine = make_engine(url)
    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, lambda *_: _DEATHS[engine]())
    return engine


class ModelWorld:
    """The real verbs on a real database. `crash_at` lets the process die at its n-th statement from now."""

    def __init__(self, root: Path, database_url: str, *, compares: bool) -> None:
        self.root, self.url, self.now = root, database_url, START
        self.shop = MemoryShop(compares=compares)
        self.knobs = {code: dict(DEFAULTS) for code in FEEDS}
        self.names = itertools.count(1)
        self.left = 0
        for code in FEEDS:
            self.inbox(code).mkdir(parents=True)
        self.app: App | None = None
        self.open()
        approve_channel(self.app, "shop", **WHO)

    def inbox(self, code: str) -> Path:
        return self.root / code

    def open(self) -> None:
        """Open the application anew, as a new process with the configuration of now would."""
        self.close()
        folder = self.root / "config" / "suppliers"
        folder.mkdir(parents=True, exist_ok=True)
        parts = ['[supplier]\ncode = "acme"\nname = "Acme"\n']
        for code, (mode, order_by) in FEEDS.items():
            short = code.partition(".")[2]
            parts.append(FEED.format(code=short, folder=self.inbox(code), mode=mode, order_by=order_by, **self.knobs[code]))
        (folder / "acme.toml").write_text("".join(parts))
        environ = {"STOCKFEED_CONFIG": str(self.root / "config"), "STOCKFEED_STATE": str(self.root / "state")}
        settings = load_settings({**environ, "STOCKFEED_DATABASE_URL": self.url}, self.root)
        channel = {"code": "shop", "name": "shop", "kind": "memory", "locations": [PLACE], "gate": {"enabled": False}}
        loaded = load_config(settings)
        config = Config(loaded.suppliers, loaded.feeds, {"shop": Channel.model_validate(channel)})
        engine = _engine(settings.database_url)
        _DEATHS[engine] = self._count
        self.app = App(settings, config, engine, Archive(settings.archive_dir), lambda: self.now, _no_connection)

    def close(self) -> None:
        if self.app is not None:
            self.app.engine.dispose()
            self.app = None

    # dying

    def _count(self) -> None:
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                self.left = -1
        if self.left < 0:  # a dead process does nothing more
            raise PowerCutError

    def dying(self, at: int, act: Callable[[], object]) -> bool:
        """Run `act`, dying at the n-th statement or commit from now; returns whether it died."""
        self.left = at
        try:
            act()
        except PowerCutError:
            self._buried()
            return True
        finally:
            self.left = 0
        return False

    def _buried(self) -> None:
        """What the machine knows of a dead process: its connections are gone, its leases are a dead process's."""
        self.left = 0
        self.open()
        with write(self.app.engine) as connection:
            for table in ("feed", "channel"):
                rows = connection.execute(text(f"SELECT code, lease_holder FROM {table} WHERE lease_holder IS NOT NULL")).all()
                for code, holder in rows:
                    host, pid, _, mark = holder.split("/")
                    values = {"code": code, "holder": f"{host}/{pid}/0/{mark}"}
                    connection.execute(text(f"UPDATE {table} SET lease_holder = :holder WHERE code = :code"), values)

    # acts

    def put(self, code: str, rows: Iterable[tuple[str, str]], time: int) -> File:
        file = File(f"f{next(self.names):05}.csv", tuple(rows), time)
        path = self.inbox(code) / file.name
        path.write_text("sku,qty\n" + "".join(f"{sku},{quantity}\n" for sku, quantity in file.rows), encoding="utf-8")
        os.utime(path, (time, time))
        return file

    def sync(self, code: str) -> list[Any]:
        return [ingest(self.app, number) for number in collect(self.app, code).delivery_ids]

    def publish(self, fault: str = "") -> None:
        self.shop.faults = [fault] if fault else []
        try:
            publish(self.app, "shop", door=self.shop)
        except PowerCutError:
            self._buried()
        except TransientError:
            pass  # the shop did not answer: the next publish goes on
        finally:
            self.shop.faults = []

    def reconcile(self) -> None:
        reconcile(self.app, "shop", door=self.shop)

    def settle(self) -> None:
        """What the clock does by itself once faults have stopped: sweep, reconcile, publish."""
        sweep(self.app)
        self.reconcile()
        self.publish()
        self.publish()

    # looking

    def query(self, statement: str) -> list[Any]:
        with read(self.app.engine) as connection:
            return list(connection.execute(text(statement)).all())

    def seconds(self) -> int:
        return int(self.now.timestamp())

    def jump(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def ledger(self, code: str) -> dict[str, Any]:
        """The feed's ledger by file name."""
        statement = (
            "SELECT d.id, d.source_name, d.state, d.attempts FROM delivery d JOIN feed f ON f.id = d.feed_id WHERE f.code = "
        )
        return {row.source_name: row for row in self.query(f"{statement}'{code}' ORDER BY d.id")}

    def faults(self) -> list[Any]:
        log = self.shop.write_log(self.root / "shop.ndjson")
        return check_database(self.app.engine, self.app.settings.archive_dir, self.now, channel_logs={"shop": log})


def emptied(url: str) -> None:
    """Take everything out of an upgraded PostgreSQL database but its tables."""
    engine = _engine(url)
    _DEATHS[engine] = lambda: None
    with write(engine) as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        kept = {"alembic_version", "clock"}
        connection.execute(text(f"TRUNCATE {', '.join(n for n in names if n not in kept)} RESTART IDENTITY CASCADE"))
        connection.execute(text("UPDATE clock SET value = 0"))


def _no_connection(name: str) -> Any:
    raise AssertionError(name)
