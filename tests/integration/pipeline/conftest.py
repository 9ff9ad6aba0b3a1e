"""A small world to run the verbs in: one supplier that drops files into a folder, a database of each kind, a hand-set clock."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from stockfeed.bootstrap import App, open_app
from stockfeed.checker import check_database
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.pipeline.results import IngestResult
from stockfeed.settings import load_settings
from stockfeed.store.engine import read

SUPPLIER = """
[supplier]
code = "acme"
name = "Acme"

[[feed]]
code = "stock"
source = {{ type = "folder", path = "{folder}", select = "all_new", pattern = "*.csv", settle = "0s" }}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
{feed}
[feed.columns]
supplier_sku = "sku"
on_hand = "qty"
{tables}
"""


class World:
    """One supplier, one feed "acme.stock"."""

    def __init__(self, root: Path, database_url: str, clock) -> None:
        self.root, self.database_url, self.clock = root, database_url, clock
        self.inbox = root / "inbox"
        self.inbox.mkdir()
        self.names = itertools.count(1)
        self.app: App | None = None
        self.is_damaged = False  # set by a test that does what no verb does: the rules need not hold at its end

    def assert_rules_hold(self) -> None:
        """The checker calls nothing of what the verbs did a fault; a delivery that a test left unread may be old."""
        found = check_database(self.app.engine, self.app.settings.archive_dir, self.clock.now)
        assert [fault for fault in found if "has no end state" not in fault["message"]] == []

    def configure(self, feed: str = "trust_first = true", tables: str = "") -> "World":
        """Write the supplier's file and open the application on it (anew, when called again)."""
        folder = self.root / "config" / "suppliers"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "acme.toml").write_text(SUPPLIER.format(folder=self.inbox, feed=feed, tables=tables))
        return self._reopen()

    def edit(self, old: str, new: str) -> "World":
        """Change the supplier's file and open the application anew."""
        path = self.root / "config" / "suppliers" / "acme.toml"
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
        return self._reopen()

    def _reopen(self) -> "World":
        self.close()
        environ = {"STOCKFEED_CONFIG": str(self.root / "config"), "STOCKFEED_STATE": str(self.root / "state")}
        settings = load_settings({**environ, "STOCKFEED_DATABASE_URL": self.database_url}, self.root)
        self._opened = open_app(settings, clock=self.clock)
        self.app = self._opened.__enter__()
        return self

    def close(self) -> None:
        if self.app is not None:
            self._opened.__exit__(None, None, None)
            self.app = None

    def put(self, content: str | bytes, *, name: str | None = None) -> Path:
        """Drop a file into the supplier's folder, as of the clock's present time."""
        path = self.inbox / (name or f"stock_{next(self.names):03}.csv")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        instant = self.clock.now.timestamp()
        os.utime(path, (instant, instant))
        return path

    def sync(self) -> list[IngestResult]:
        """Collect and ingest whatever waits."""
        return [ingest(self.app, delivery_id) for delivery_id in collect(self.app, "acme.stock").delivery_ids]

    def deliver(self, rows: dict[str, object] | str, **clock_step) -> IngestResult:
        """Let an hour pass, drop a file with these rows (or this text), sync, and return how it ended."""
        self.clock.advance(**(clock_step or {"hours": 1}))
        self.put(rows if isinstance(rows, str) else csv(rows))
        (result,) = self.sync()
        return result

    def stock(self) -> dict[str, float | None]:
        """On-hand units by supplier SKU, as the public view shows them."""
        return {r.supplier_sku: None if r.on_hand is None else float(r.on_hand) for r in self.query("SELECT * FROM inventory_v1")}

    def query(self, sql: str):
        with read(self.app.engine) as connection:
            return connection.execute(text(sql)).all()


def csv(rows: dict[str, object]) -> str:
    return "sku,qty\n" + "".join(f"{sku},{qty}\n" for sku, qty in rows.items())


def many(count: int, quantity: int = 10, **others: object) -> dict[str, object]:
    """`count` SKUs with various quantities from `quantity` on (all 0 for 0): enough for fractions to count."""
    return {f"S{n:03}": quantity and quantity + n % 7 for n in range(count)} | others


@pytest.fixture
def world(tmp_path: Path, database_url: str, clock) -> Iterator[World]:
    made = World(tmp_path, database_url, clock)
    yield made
    if made.app is not None and not made.is_damaged:
        made.assert_rules_hold()
    made.close()
