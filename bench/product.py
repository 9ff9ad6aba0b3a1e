"""A place where the command line is measured: configuration, database, archive and the supplier's folder, as users have them."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from feeds import Expected, FeedFile
from process import Measured, run, settle_disk
from sqlalchemy import create_engine, make_url, text

STOCKFEED = Path(sys.executable).with_name("stockfeed")

# What the yardsticks check, and a contract and the guard (on by default) beside it.
_SUPPLIER = """
[supplier]
code = "bench"
name = "Bench"

[[feed]]
code = "stock"
source = { type = "folder", path = "INBOX", settle = "0s" }
format = { type = "delimited", delimiter = "," }
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
repeats = true
decimal = "."
thousands = ","
gtin = "reject"
duplicates = "first"
words = { "In Stock" = 1, "Out of Stock" = 0, "{n}+" = "{n}", "<{n}" = "{n}-1" }

[feed.columns]
supplier_sku = "Supplier SKU"
on_hand = "Qty"
unit_cost = "Cost"
location = "Warehouse"
gtin = "UPC/GTIN"
status = { column = "Status", true = ["Active", "Backorder", "Preorder", "Closeout"], false = ["Inactive", "Discontinued"] }

[[feed.expect]]
type = "expect_column_values_to_be_between"
column = "on_hand"
min_value = 0
max_value = 1000000
severity = "row"

[[feed.expect]]
type = "expect_column_values_to_not_be_null"
column = "unit_cost"
mostly = 0.9
severity = "hold"
"""


class Place:
    """One installation in a folder of its own, on one database."""

    def __init__(self, folder: Path, database: str, environ: Mapping[str, str]) -> None:
        self.folder, self.database = folder, database
        self.environ = {
            # installed programs keep their compiled modules; a shell that forbids it would have each process compile everything
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "STOCKFEED_DATABASE_URL": database,
            "STOCKFEED_STATE": str(folder / "state"),
            "STOCKFEED_CONFIG": str(folder / "config"),
            "STOCKFEED_LOG_LEVEL": "ERROR",
            **environ,
        }
        self._arrivals = 0

    def stockfeed(self, *arguments: str) -> Measured:
        """Return what one command line took."""
        return run([STOCKFEED, *arguments], folder=self.folder, environ=self.environ)

    def sync(self, file: FeedFile, state: str) -> Measured:
        """Let the feed's file arrive, and return what `stockfeed sync` took. Raises SystemExit unless it ends in `state`."""
        self._arrivals += 1
        shutil.copyfile(file.path, self.folder / "inbox" / f"stock_{self._arrivals:04}.csv")
        settle_disk()
        measured = self.stockfeed("sync", "bench.stock", "--json")
        require("state", measured.answer["state"], state)
        return measured

    def check(self, answer: Mapping[str, Any], expected: Expected, changes: int) -> None:
        """Raise SystemExit unless the answer, the levels, the history and the rejections are exactly those expected."""
        if answer["state"] == "applied":
            require("accepted", answer["rows_accepted"], expected.valid)
            require("quarantined", answer["rows_rejected"] + answer["rows_skipped"], expected.quarantined)
        require("changes", answer["changes"], changes)
        found = self.query("SELECT COUNT(*), SUM(on_hand), SUM(unit_cost) FROM inventory")[0]
        require("levels", [int(n) for n in found], [expected.valid, expected.units * 1000, expected.cents * 100])
        delivery = answer["delivery_id"]
        require("history", self.query(f"SELECT COUNT(*) FROM level_change WHERE delivery_id = {delivery}")[0][0], changes)  # noqa: S608
        sha = self.query(f"SELECT sha256 FROM delivery WHERE id = {delivery}")[0][0]  # noqa: S608
        archived = self.folder / "state" / "archive" / sha[:2] / sha[2:4] / sha
        require("archived", archived.is_file(), wanted=True)

    def gates(self) -> list[str]:
        """Return how each delivery that was read was read: "whole", or by its "lines" that differ."""
        found = [row[0] for row in self.query("SELECT reading FROM delivery WHERE reading IS NOT NULL ORDER BY id")]
        return [(json.loads(reading) if isinstance(reading, str) else reading)["gate"]["kind"] for reading in found]

    def forget_reading(self) -> None:
        """Leave nothing that a line difference could start from, as an upgrade does: the next delivery is read as a whole."""
        self._run("DELETE FROM last_reading")

    def query(self, statement: str) -> list[Any]:
        """Return the rows of a query, in this process and not measured."""
        return self._run(statement)

    def _run(self, statement: str) -> list[Any]:
        url = make_url(self.database)
        if url.get_backend_name() == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url)
        with engine.begin() as connection:
            done = connection.execute(text(statement))
            rows = list(done.all()) if done.returns_rows else []
        engine.dispose()
        return rows


@contextmanager
def place(work: Path, database: str | None = None, **environ: str) -> Iterator[Place]:
    """Yield a new installation whose database is upgraded: this one, or else a SQLite file in its own folder."""
    with TemporaryDirectory(dir=work, prefix="place-") as name:
        folder = Path(name)
        for part in ("inbox", "config/suppliers", "config/channels", "state"):
            (folder / part).mkdir(parents=True)
        (folder / "config/suppliers/bench.toml").write_text(_SUPPLIER.replace("INBOX", str(folder / "inbox")))
        made = Place(folder, database or f"sqlite:///{folder / 'state' / 'stockfeed.sqlite3'}", environ)
        made.stockfeed("db", "upgrade")
        yield made


def require(what: str, found: object, wanted: object) -> None:
    """Raise SystemExit unless what was found is what must be there."""
    if found != wanted:
        raise SystemExit(f"wrong result, so nothing was measured: {what} is {found}, expected {wanted}")
