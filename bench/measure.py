"""Measures the product as whole processes beside the yardstick programs, in rounds, and shows measured beside limit.

`make bench`; ROUNDS=1 for a quick look, ONLY=sqlite,postgresql,small,channels for some of it. Never part of the tests:
figures depend on the machine. Ends with 1 when a limit is exceeded, and at once when any outcome is not exactly right.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from channels import Dirty, Shelf, shop_place
from feeds import FeedFile, feed_file
from postgresql import fresh_database, postgres
from product import place, require
from table import Row, markdown, write_results
from yardsticks import Yardsticks

ROUNDS = int(os.environ.get("ROUNDS") or "3")
ROWS = int(os.environ.get("ROWS") or "1000000")
ONLY = set((os.environ.get("ONLY") or "sqlite,postgresql,small,channels").split(","))
WORK = Path(os.environ.get("BENCH_TMP") or Path(tempfile.gettempdir()) / "stockfeed-bench")
RESULTS = Path(__file__).parent / "results"
LISTED, LATENCY = 10_000, 20
_YARDSTICKS = {"sqlite": ("polars_executemany", 1.8), "postgresql": ("polars_copycsv", 1.4)}
_LINES = {"sqlite": "linediff", "postgresql": "linediff/postgresql"}


class Load:
    """The large feed on one kind of database: first delivery, the same bytes again, a thousandth changed.

    The last is measured twice: read as a whole, as when nothing is kept of the delivery before, and by line.
    """

    def __init__(self, kind: str, server: str, files: tuple[FeedFile, FeedFile], yardsticks: Yardsticks) -> None:
        yardstick, ratio = _YARDSTICKS[kind]
        self._kind, self._server, self._files, self._yardsticks = kind, server, files, yardsticks
        what = f"{ROWS:,} rows, {{}}, {kind}"
        self.first = Row(what.format("first load"), 400, yardstick=yardstick, ratio_limit=ratio)
        self.again = Row(what.format("same bytes again"), 150, seconds_limit=1)
        self.changed = Row(what.format("0.1 % changed"), 400, yardstick=yardstick, ratio_limit=1.5)
        self.by_line = Row(what.format("0.1 % changed, read by line"), 400, yardstick=_LINES[kind], ratio_limit=2)
        self.rows = [self.first, self.again, self.changed, self.by_line]

    def measure(self) -> None:
        """Add one run of each to the rows, the yardstick's beside ours."""
        base, changed = self._files
        if self._yardsticks.are_there:
            assert self.first.yardstick is not None
            self.first.yardstick_runs.append(self._yardsticks.load(self.first.yardstick, base, first=True))
            self.changed.yardstick_runs.append(self._yardsticks.load(self.first.yardstick, changed, first=False))
            self._yardsticks.load(_LINES[self._kind], base, first=True)
            self.by_line.yardstick_runs.append(self._yardsticks.load(_LINES[self._kind], changed, first=False))
        with ExitStack() as life:
            url = life.enter_context(fresh_database(self._server)) if self._kind == "postgresql" else None
            where = life.enter_context(place(WORK, url))
            self.first.runs.append(where.sync(base, "applied"))
            where.check(self.first.runs[-1].answer, base.expected, base.expected.valid)
            self.again.runs.append(where.sync(base, "unchanged"))
            where.check(self.again.runs[-1].answer, base.expected, 0)
            self.again.idle_runs.append(where.stockfeed("sync", "bench.stock", "--json"))
            where.forget_reading()
            self.changed.runs.append(where.sync(changed, "applied"))
            where.check(self.changed.runs[-1].answer, changed.expected, changed.expected.changed)
            self.by_line.runs.append(where.sync(base, "applied"))
            where.check(self.by_line.runs[-1].answer, base.expected, changed.expected.changed)
            require("gates", where.gates(), ["whole", "whole", "lines"])


class SmallLoad:
    """A hundred thousand rows into an empty SQLite database."""

    def __init__(self, file: FeedFile) -> None:
        self._file = file
        self.rows = [Row(f"{ROWS // 10:,} rows, first load, sqlite", 250, seconds_limit=2.5)]

    def measure(self) -> None:
        """Add one run to the row."""
        with place(WORK) as where:
            measured = where.sync(self._file, "applied")
            where.check(measured.answer, self._file.expected, self._file.expected.valid)
            self.rows[0].runs.append(measured)


class Selling:
    """Allocating what changed, and publishing it; the places stay from round to round."""

    def __init__(self, dirty: Dirty, shelf: Shelf) -> None:
        ats = Row(f"ATS of 0.1 % dirty of {ROWS:,} levels × 5 channels", 200, seconds_limit=0.5)
        sent = Row(f"{LISTED:,} listings to a shop {LATENCY} ms away", 150, seconds_limit=2)
        self.rows, self._work, self._idle = [ats, sent], (dirty.measure, shelf.measure), dirty.idle

    def measure(self) -> None:
        """Add one run of each to the rows."""
        for row, work in zip(self.rows, self._work, strict=True):
            row.runs.append(work())
        self.rows[0].idle_runs.append(self._idle())


def main() -> int:
    """Measure all rounds, write the results and return 1 when a limit was exceeded."""
    WORK.mkdir(parents=True, exist_ok=True)
    files = feed_file(WORK / "data", ROWS), feed_file(WORK / "data", ROWS, 0.001)
    with ExitStack() as life:
        server = life.enter_context(postgres()) if "postgresql" in ONLY else ""
        yardsticks = Yardsticks(WORK, server)
        if yardsticks.are_there:
            yardsticks.prepare()
        parts: list[Load | SmallLoad | Selling] = [Load(kind, server, files, yardsticks) for kind in _YARDSTICKS if kind in ONLY]
        if "small" in ONLY:
            parts.append(SmallLoad(feed_file(WORK / "data", ROWS // 10)))
        if "channels" in ONLY:
            dirty = Dirty(life.enter_context(place(WORK)), files)
            parts.append(Selling(dirty, life.enter_context(shop_place(WORK, LISTED, LATENCY))))
        _in_rounds([part.measure for part in parts])
    rows = [row for part in parts for row in part.rows]
    print(markdown(rows))
    write_results(RESULTS, rows, rounds=ROUNDS)
    return 0 if all(row.is_within for row in rows) else 1


def _in_rounds(work: list[Callable[[], None]]) -> None:
    """Do all the work once, then all of it again, so that what else the machine does falls on everything alike."""
    for number in range(1, ROUNDS + 1):
        for one in work:
            print(f"round {number} of {ROUNDS}: {one.__self__.rows[0].work}", flush=True)  # type: ignore[attr-defined]  # bound methods
            one()


if __name__ == "__main__":
    raise SystemExit(main())
