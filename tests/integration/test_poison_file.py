"""A file that takes the worker with it is tried three times and then parked; everything else goes on (X21)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from stockfeed.store.engine import make_engine, read
from tests.integration.hostile_world import database_template
from tests.integration.reading_children import reading_children, wait_for_a_child, workbook

COMMAND = Path(sys.executable).parent / "stockfeed"
SUPPLIER = """
[supplier]
code = "{code}"
name = "{code}"
[[feed]]
code = "stock"
source = {{ type = "folder", path = "{code}", settle = "0s", select = "all_new" }}
format = {{ type = "spreadsheet", batch_rows = 10 }}
timezone = "UTC"
quantities = "net"
stale_after = "3650d"
trust_first = true
[feed.columns]
supplier_sku = "sku"
on_hand = "quantity"
"""


class Workers:
    """Two suppliers in one folder, and the command as a process of its own for each sync."""

    def __init__(self, root: Path) -> None:
        self.root = root
        database_template(root).rename(root / "db.sqlite3")
        self.url = f"sqlite:///{root / 'db.sqlite3'}"
        (root / "config/suppliers").mkdir(parents=True)
        for code in ("acme", "nord"):
            (root / code).mkdir()
            (root / f"config/suppliers/{code}.toml").write_text(SUPPLIER.format(code=code))

    def start(self, feed: str) -> subprocess.Popen[str]:
        environ = {"PATH": os.environ["PATH"], "STOCKFEED_DATABASE_URL": self.url, "STOCKFEED_LOG_LEVEL": "ERROR"}
        return subprocess.Popen(
            [COMMAND, "sync", feed], cwd=self.root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def sync(self, feed: str) -> int:
        """Run one sync to its end; return its exit code."""
        process = self.start(feed)
        process.communicate(timeout=300)
        return process.returncode

    def killed_while_reading(self, feed: str, name: str, attempt: int) -> None:
        """Run one sync, and kill its process as soon as it reads the file: this attempt is counted, and a child is there."""
        process = self.start(feed)
        child = wait_for_a_child(process.pid)
        gone = os.pidfd_open(child)
        while self.deliveries().get(name, ("", 0)) != ("received", attempt):
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        os.close(gone)

    def deliveries(self) -> dict[str, tuple[str, int]]:
        engine = make_engine(self.url)
        with read(engine) as connection:
            rows = connection.execute(text("SELECT source_name, state, attempts FROM delivery")).all()
        engine.dispose()
        return {row.source_name: (row.state, row.attempts) for row in rows}

    def reason(self, name: str) -> str:
        engine = make_engine(self.url)
        with read(engine) as connection:
            found = connection.execute(
                text("SELECT reason_code, reason FROM delivery WHERE source_name = :name"), {"name": name}
            ).one()
        engine.dispose()
        return f"{found.reason_code}: {found.reason}"


@pytest.mark.slow
def test_a_file_whose_worker_is_killed_three_times_is_parked_and_everything_else_goes_on(tmp_path):
    workers = Workers(tmp_path)
    workbook(tmp_path / "acme" / "poison.xlsx", rows=40_000)
    for tried in (1, 2, 3):
        workers.killed_while_reading("acme.stock", "poison.xlsx", tried)
        assert workers.deliveries()["poison.xlsx"] == ("received", tried)
        workbook(tmp_path / "nord" / f"good{tried}.xlsx", quantity=tried)  # another supplier is not concerned (I10)
        assert workers.sync("nord.stock") == 0
        assert workers.deliveries()[f"good{tried}.xlsx"][0] == "applied"
    workbook(tmp_path / "acme" / "next.xlsx", quantity=7)
    assert workers.sync("acme.stock") == 4
    ended = workers.deliveries()
    assert (ended["poison.xlsx"][0], ended["next.xlsx"][0]) == ("rejected", "applied")
    assert workers.reason("poison.xlsx").startswith("FILE-CRASH: poison.xlsx stopped the worker 3 times")
    assert not reading_children(1)  # no child outlived its worker
