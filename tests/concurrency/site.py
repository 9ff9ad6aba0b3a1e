"""A supplier's folders, a configuration and a database, and real processes that work on them at once.

The processes are forked from one that has imported what starts no threads (Polars does, so each process imports the
pipeline itself): a fork takes no threads along, and would wait for them for ever. The
clock is handed in: an offset in seconds that a file holds and that is read anew at each look at it.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import event, text

from schemas.errors import ConfigError, PermanentError, TransientError
from stockfeed.bootstrap import open_app, utc_now
from stockfeed.checker import check_database
from stockfeed.settings import load_settings
from stockfeed.store.engine import make_engine, read, write

FEED = """
[[feed]]
code = "{code}"
source = {{ type = "folder", path = "{folder}", select = "all_new", pattern = "*.csv", settle = "0s" }}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
missing_after = 1
order_by = "{order_by}"
[feed.columns]
supplier_sku = "sku"
on_hand = "{column}"
"""
BUSY, CONFIG, PERMANENT, FAULT = 75, 3, 4, 1
_PATIENCE = 600.0  # seconds a process may take before the case counts as hung: the machine may be busy with others


class Site:
    """Everything of one case. `codes` are the feeds of the one supplier, by their short codes."""

    def __init__(self, root: Path, url: str, codes: Sequence[str], *, order_by: str = "arrival") -> None:
        self.root, self.url, self.codes, self.order_by = root, url, tuple(codes), order_by
        for code in codes:
            (root / "in" / code).mkdir(parents=True)
        self.offset = root / "offset"
        self.shift_clock(0)
        self.configure()

    def configure(self, *, column: str = "qty", codes: Sequence[str] | None = None) -> None:
        """Write the supplier's file: from which column the quantity comes, and which feeds there are."""
        folder = self.root / "config" / "suppliers"
        folder.mkdir(parents=True, exist_ok=True)
        parts = ['[supplier]\ncode = "acme"\nname = "Acme"\n']
        parts += [
            FEED.format(code=code, folder=self.root / "in" / code, order_by=self.order_by, column=column)
            for code in (self.codes if codes is None else codes)
        ]
        part = folder / "acme.part"
        part.write_text("".join(parts))
        part.replace(folder / "acme.toml")

    def shift_clock(self, seconds: int) -> None:
        part = self.offset.with_suffix(".part")
        part.write_text(str(seconds))
        part.replace(self.offset)

    def clock(self) -> Any:
        return utc_now() + timedelta(seconds=int(self.offset.read_text()))

    def put(self, code: str, name: str, rows: dict[str, tuple[int, int]], *, age: float = 0) -> None:
        """Drop a file, whole at once, as of `age` seconds ago."""
        folder = self.root / "in" / code
        part = folder / f"{name}.part"
        part.write_text("sku,qty,other\n" + "".join(f"{sku},{one},{two}\n" for sku, (one, two) in rows.items()))
        instant = time.time() - age
        os.utime(part, (instant, instant))
        part.replace(folder / f"{name}.csv")

    # processes

    def start(self, act: Callable[[Any], object], *, stop_at: int = 0, own_offset: int | None = None) -> int:
        """Fork a process that opens the application and acts; it stops itself (SIGSTOP) at its n-th statement."""
        assert "polars" not in sys.modules, "a fork would wait for its threads for ever"
        process = os.fork()
        if process:
            return process
        code = FAULT
        try:
            code = self._work(act, stop_at, own_offset)
        except BaseException:  # noqa: BLE001 (a forked process must not go on in its parent's code)
            with (self.root / "faults.txt").open("a") as file:
                file.write(traceback.format_exc())
        finally:
            os._exit(code)

    def _work(self, act: Callable[[Any], object], stop_at: int, own_offset: int | None) -> int:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        environ = {"STOCKFEED_CONFIG": str(self.root / "config"), "STOCKFEED_STATE": str(self.root / "state"),
                   "STOCKFEED_LEASE_SECONDS": "10", "STOCKFEED_BUSY_SECONDS": "5", "STOCKFEED_DATABASE_URL": self.url}  # fmt: skip
        clock = self.clock if own_offset is None else lambda: utc_now() + timedelta(seconds=own_offset)
        try:
            with open_app(load_settings(environ, self.root), clock=clock) as app:
                if stop_at:
                    _stop_at(app.engine, stop_at)
                act(app)
        except TransientError as error:
            with (self.root / "busy.txt").open("a") as file:
                file.write(f"{error.message} {error.detail or ''}\n")
            return BUSY
        except ConfigError:
            return CONFIG
        except PermanentError:
            return PERMANENT
        return 0

    def wait(self, process: int) -> int:
        """Return the exit code of a process, -9 for a killed one. Kills one that hangs, which is a fault."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.01)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return FAULT

    def why_busy(self) -> list[str]:
        """Return what the runs said that ended with BUSY, oldest first."""
        file = self.root / "busy.txt"
        return file.read_text().splitlines() if file.is_file() else []

    def stopped(self, process: int) -> bool:
        """Wait until a process has stopped itself (True) or ended (False)."""
        _, status = os.waitpid(process, os.WUNTRACED)
        return os.WIFSTOPPED(status)

    def finish(self, code: str, *, tries: int = 60) -> int:
        """Sync a feed until nobody else works on it any more, and return the exit code."""
        for _ in range(tries):
            ended = self.wait(self.start(syncing(code)))
            if ended != BUSY:
                return ended
            time.sleep(0.5)
        return BUSY

    # looking

    def query(self, statement: str) -> list[Any]:
        engine = make_engine(self.url)
        try:
            with read(engine) as connection:
                return list(connection.execute(text(statement)).all())
        finally:
            engine.dispose()

    def levels(self, code: str) -> dict[str, int]:
        """Units by SKU, without those that are 0: a SKU that came and went, and one that never came, are the same."""
        columns = "i.supplier_sku, i.on_hand FROM inventory i JOIN feed f ON f.id = i.feed_id"
        rows = self.query(f"SELECT {columns} WHERE f.code = 'acme.{code}'")
        return {row.supplier_sku: row.on_hand // 1000 for row in rows if row.on_hand}

    def states(self, code: str) -> list[str]:
        columns = "d.state FROM delivery d JOIN feed f ON f.id = d.feed_id"
        rows = self.query(f"SELECT {columns} WHERE f.code = 'acme.{code}' ORDER BY d.id")
        return [row.state for row in rows]

    def violations(self) -> list[str]:
        """What the checker finds, feeds still leased, and what a process did not foresee."""
        engine = make_engine(self.url)
        try:
            faults = check_database(engine, self.root / "state" / "archive", utc_now())
        finally:
            engine.dispose()
        found = [f"{one['rule']} {one['subject']}: {one['message']}" for one in faults]
        found += [f"{row.code} is still leased" for row in self.query("SELECT code FROM feed WHERE lease_holder IS NOT NULL")]
        unforeseen = self.root / "faults.txt"
        return found + ([unforeseen.read_text()] if unforeseen.exists() else [])


def syncing(*codes: str) -> Callable[[Any], None]:
    """Return what collects and ingests these feeds; a feed that another process has is an error (75)."""

    def act(app: Any) -> None:
        from stockfeed.pipeline.collect import collect
        from stockfeed.pipeline.ingest import ingest

        for code in codes:
            for number in collect(app, f"acme.{code}").delivery_ids:
                ingest(app, number)

    return act


def sweeping_all(codes: Iterable[str]) -> Callable[[Any], None]:
    """Return what syncs these feeds one after the other and leaves those to others that others have."""

    def act(app: Any) -> None:
        for code in codes:
            try:
                syncing(code)(app)
            except TransientError:
                continue  # another worker has it

    return act


def _stop_at(engine: Any, number: int) -> None:
    left = [number]

    def count(*_arguments: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGSTOP)

    for name in ("before_cursor_execute", "commit"):
        event.listen(engine, name, count)


def emptied(url: str) -> None:
    """Take everything out of an upgraded PostgreSQL database but its tables."""
    engine = make_engine(url)
    with write(engine) as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        kept = {"alembic_version", "clock"}
        connection.execute(text(f"TRUNCATE {', '.join(n for n in names if n not in kept)} RESTART IDENTITY CASCADE"))
        connection.execute(text("UPDATE clock SET value = 0"))
    engine.dispose()
