"""Two installations that get the same deliveries: one in a short way, the other reads every file and stages every record.

The short ways are telling line differences, and leaving out the records that are in the levels as they are.
"""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self
from unittest import mock

from sqlalchemy import text

from schemas.channel_config import Channel
from stockfeed.bootstrap import App
from stockfeed.checker import check_database
from stockfeed.pipeline import by_line, taking
from stockfeed.pipeline.acts import release_delivery, undo_delivery
from stockfeed.pipeline.allocate import allocate
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.pipeline.results import IngestResult
from stockfeed.pipeline.taking import AtOnce
from stockfeed.settings import load_config, load_settings
from stockfeed.store.archive import Archive
from stockfeed.store.engine import make_engine, read

Gate = Literal["lines", "left out", "staged"]
WHO = {"actor": "ann", "reason": "checked"}
SUPPLIER = """
[supplier]
code = "acme"
name = "Acme"

[[feed]]
code = "stock"
source = {{ type = "folder", path = "{folder}", select = "all_new", pattern = "*.csv", settle = "0s" }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
{feed}
[feed.format]
type = "delimited"
{form}
[feed.columns]
supplier_sku = "sku"
on_hand = "qty"
location = "place"
gtin = "ean"
{tables}
"""
_SHOP = {"shop": Channel.model_validate({"code": "shop", "name": "Shop", "kind": "memory", "locations": [{"id": "main"}]})}
#: What must be the same, in which order, without the columns that name a machine's own folder or a lease's holder.
_TABLES = {
    "inventory": ("feed_id, supplier_sku, location, condition", ()),
    "level_change": ("id", ()),
    "rejection": ("delivery_id, number", ()),
    "delivery": ("id", ("source_identity", "reference", "source_name")),
    "hold": ("id", ()),
    "feed": ("id", ("listing", "lease_holder", "lease_until", "policy")),
    "clock": ("name", ()),
    "dirty_mark": ("id", ()),
    "available_to_sell": ("channel, sku, channel_location", ()),
    "ats_change": ("id", ()),
    "publication": ("id", ()),
}


def _json(value: object) -> dict[str, object]:
    return json.loads(value) if isinstance(value, str) else value


class Installation:
    """One feed "acme.stock" in one database, whose deliveries are read in one of the ways."""

    def __init__(self, root: Path, url: str, gate: Gate) -> None:
        self.root, self._gated, self.now = root, gate, datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
        self._url, self._names = url, itertools.count(1)
        self._engine = make_engine(url)
        (root / "inbox").mkdir(parents=True)
        (root / "config" / "suppliers").mkdir(parents=True)

    def configure(self, feed: str = "", form: str = "", tables: str = "") -> None:
        """Write the supplier's file and open the application on it."""
        text_ = SUPPLIER.format(folder=self.root / "inbox", feed=feed, form=form, tables=tables)
        (self.root / "config" / "suppliers" / "acme.toml").write_text(text_)
        environ = {"STOCKFEED_CONFIG": str(self.root / "config"), "STOCKFEED_STATE": str(self.root / "state")}
        settings = load_settings({**environ, "STOCKFEED_DATABASE_URL": self._url}, self.root)
        config = replace(load_config(settings), channels=_SHOP)
        self.app = App(settings, config, self._engine, Archive(settings.archive_dir), lambda: self.now, mock.Mock())

    def deliver(self, content: bytes) -> IngestResult:
        """Let an hour pass, let the file arrive, ingest and allocate; return how it ended."""
        self.now += timedelta(hours=1)
        path = self.root / "inbox" / f"stock_{next(self._names):03}.csv"
        path.write_bytes(content)
        os.utime(path, (self.now.timestamp(),) * 2)
        (result,) = [self._ingest(delivery_id) for delivery_id in collect(self.app, "acme.stock").delivery_ids]
        return result

    def _ingest(self, delivery_id: int) -> IngestResult:
        with self._gate():
            result = ingest(self.app, delivery_id)
        allocate(self.app, "shop")
        return result

    def undo(self, delivery_id: int) -> None:
        """Take a delivery back."""
        self.now += timedelta(minutes=1)
        undo_delivery(self.app, delivery_id, **WHO)
        allocate(self.app, "shop")

    def release(self, delivery_id: int) -> IngestResult:
        """Apply a held delivery."""
        self.now += timedelta(minutes=1)
        with self._gate():
            result = release_delivery(self.app, delivery_id, **WHO)
        allocate(self.app, "shop")
        return result

    @contextmanager
    def _gate(self) -> Iterator[None]:
        with ExitStack() as patches:
            if self._gated == "left out":  # however few are the same: a few rows are most of a small delivery
                patches.enter_context(mock.patch.object(taking, "_AT_MOST", 1.0))
            if self._gated != "lines":
                patches.enter_context(mock.patch.object(by_line, "_why_whole", return_value="switched off by the test"))
            if self._gated == "staged":
                patches.enter_context(mock.patch.object(by_line, "_taking", lambda _job, held: nullcontext(AtOnce(held))))
            yield

    def gate(self, delivery_id: int) -> dict[str, object]:
        """Return how a delivery was read."""
        with read(self._engine) as connection:
            reading = connection.execute(text(f"SELECT reading FROM delivery WHERE id = {delivery_id}")).scalar()
        return _json(reading)["gate"]

    def dump(self) -> dict[str, list[dict[str, object]]]:
        """Return everything that must not depend on how deliveries were read."""
        found = {}
        with read(self._engine) as connection:
            for table, (order, without) in _TABLES.items():
                rows = [dict(r) for r in connection.execute(text(f"SELECT * FROM {table} ORDER BY {order}")).mappings()]
                for row in rows:
                    for name in without:
                        row.pop(name)
                    if row.get("reading"):
                        row["reading"] = {name: value for name, value in _json(row["reading"]).items() if name != "gate"}
                found[table] = rows
        return found

    def faults(self) -> list[object]:
        """Return what the checker finds wrong."""
        return list(check_database(self._engine, self.app.settings.archive_dir, self.now))

    def spoil_archive(self) -> None:
        """Damage every archived file."""
        for path in self.app.archive.root.glob("??/??/*"):
            path.write_bytes(path.read_bytes() + b"x")

    def close(self) -> None:
        self._engine.dispose()


class Twins:
    """Both installations, treated alike; after each act everything in them must be the same."""

    def __init__(self, root: Path, urls: Sequence[str], gate: Gate = "lines") -> None:
        self.one, self.other = Installation(root / "one", urls[0], gate), Installation(root / "other", urls[1], "staged")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self.one, self.other):
            one.close()

    def configure(self, **parts: str) -> None:
        for one in (self.one, self.other):
            one.configure(**parts)

    def deliver(self, content: bytes) -> IngestResult:
        return self._both(lambda one: one.deliver(content))

    def act(self, act: Callable[[Installation], object]) -> None:
        self._both(act)

    def _both(self, act: Callable[[Installation], Any]) -> Any:
        result, expected = act(self.one), act(self.other)
        assert result == expected
        left, right = self.one.dump(), self.other.dump()
        for table in _TABLES:
            assert left[table] == right[table], table
        return result


def sqlite_twins(root: Path, template: Path, gate: Gate = "lines") -> Twins:
    """Return twins on copies of an upgraded, empty SQLite database, in a new folder."""
    urls = []
    for name in ("one", "other"):
        shutil.copyfile(template, root / f"{name}.sqlite3")
        urls.append(f"sqlite:///{root / f'{name}.sqlite3'}")
    return Twins(root, urls, gate)
