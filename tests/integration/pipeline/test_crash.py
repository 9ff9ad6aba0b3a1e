"""A run that stops anywhere is finished by the next one, with every rule kept; and two at once do not meet, on both databases."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from sqlalchemy import event

from schemas.errors import PermanentError, TransientError
from schemas.tables import feed as feed_table
from stockfeed.checker import check_database
from stockfeed.pipeline.acts import release_feed, undo_delivery
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.pipeline.lease import hold_lease
from tests.integration.pipeline.conftest import csv, many

WHO = {"actor": "ann", "reason": "checked"}
#: Syncs as another process does, and dies without any clearing up before its n-th commit or begin.
DYING = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from stockfeed.bootstrap import open_app
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.settings import load_settings

left = int(sys.argv[2])
def count(*_):
    global left
    left -= 1
    if left == 0:
        os._exit(9)

with open_app(load_settings(cwd=Path(sys.argv[1]))) as app:
    for name in ("begin", "commit"):
        event.listen(app.engine, name, count)
    for delivery_id in collect(app, "acme.stock").delivery_ids:
        ingest(app, delivery_id)
"""


def assert_rules_hold(world) -> None:
    # the clock of these tests stands in another year than files and processes: only the age is judged by it
    assert check_database(world.app.engine, world.app.settings.archive_dir, world.clock.now) == []
    assert list(world.app.settings.archive_dir.rglob("*.part")) == []
    assert list(world.app.settings.spool_dir.glob("*")) == []


class Stop(Exception):  # noqa: N818 (it is no error of ours)
    """The worker stops here."""


def stopping_at(world, number: int) -> Callable[[], None]:
    """Make the n-th statement of this application raise; returns how to end that."""
    left = [number]

    def count(*_arguments: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Stop

    event.listen(world.app.engine, "before_cursor_execute", count)
    return lambda: event.remove(world.app.engine, "before_cursor_execute", count)


def test_a_run_that_fails_at_any_statement_is_finished_by_the_next(world):
    world.configure("trust_first = true\nmissing_after = 1").deliver(many(30, GONE=1))
    for number in range(1, 400):
        world.clock.advance(hours=1)
        world.put(csv(many(30, 10 + number, **{f"NEW{number}": 5})))
        listen_no_more = stopping_at(world, number)
        try:
            world.sync()
        except Stop:
            listen_no_more()
        else:
            listen_no_more()
            break
        world.clock.advance(hours=1)  # where giving back the lease failed, it ends by itself
        states = [r.state for r in world.sync()]
        assert states in (["applied"], []), number
        assert world.stock()[f"NEW{number}"] == 5, number
        assert world.stock()["S000"] == 10 + number, number
    else:
        pytest.fail("a sync has more statements than were tried")
    assert_rules_hold(world)


def test_an_undo_that_fails_at_any_statement_changes_nothing(world):
    world.configure("trust_first = true\nmissing_after = 1").deliver(many(30, GONE=1))
    second = world.deliver(many(30, 12, NEW=1))
    before = world.query("SELECT * FROM inventory"), world.query("SELECT last_applied_id, epoch, order_key FROM feed")
    for number in range(1, 100):
        listen_no_more = stopping_at(world, number)
        try:
            undo_delivery(world.app, second.delivery_id, **WHO)
        except Stop:
            listen_no_more()
        else:
            listen_no_more()
            break
        now = world.query("SELECT * FROM inventory"), world.query("SELECT last_applied_id, epoch, order_key FROM feed")
        assert now == before or now[1][0].epoch == 1
        if now != before:  # stopped after the commit, while the lease was given back
            break
    assert world.stock() == many(30, GONE=1)


def start(world, at: int) -> subprocess.Popen[bytes]:
    environ = {
        "PATH": os.environ["PATH"], "STOCKFEED_CONFIG": str(world.root / "config"), "STOCKFEED_STATE": str(world.root / "state"),
        "STOCKFEED_DATABASE_URL": world.database_url,
    }  # fmt: skip
    return subprocess.Popen([sys.executable, "-c", DYING, str(world.root), str(at)], env=environ, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process; being told that another one works on the feed is no failure."""
    words = process.communicate(timeout=60)[1].decode()
    assert process.returncode in (0, 9) or "being worked on" in words, words


def test_a_process_that_dies_at_any_commit_is_replaced_and_nothing_is_lost(world):
    world.configure().deliver(many(30))
    died = 0
    for at in range(1, 60, 3):
        world.clock.advance(hours=1)
        world.put(csv(many(30, 10 + at)))
        process = start(world, at)
        finish(process)
        died += process.returncode == 9
        assert [r.state for r in world.sync()] in (["applied"], [])
        assert world.stock()["S000"] == 10 + at
        if process.returncode == 0:
            break
    assert died >= 5
    assert_rules_hold(world)


def test_two_processes_at_once_bring_every_delivery_to_one_end(world):
    world.configure().deliver(many(30))
    for number in range(1, 6):
        world.put(csv(many(30, 10 + number)))
    for process in [start(world, 0) for _ in range(2)]:
        finish(process)
    world.sync()
    assert world.stock()["S000"] == 15
    rows = world.query("SELECT state FROM delivery")
    assert len(rows) == 6
    assert {r.state for r in rows} <= {"applied", "superseded"}
    assert_rules_hold(world)


def waiting(world, rows: dict[str, object]) -> int:
    world.clock.advance(hours=1)
    world.put(csv(rows))
    (delivery_id,) = collect(world.app, "acme.stock").delivery_ids
    return delivery_id


@pytest.fixture
def after_staging(monkeypatch):
    """Something that happens while a delivery is between reading and judging."""
    import importlib

    module = importlib.import_module("stockfeed.pipeline.by_line")
    real = module.stage_delivery

    def arrange(act: Callable[[], object]) -> None:
        def staged(*arguments: object, **named: object):
            result = real(*arguments, **named)
            act()
            return result

        monkeypatch.setattr(module, "stage_delivery", staged)

    return arrange


def test_a_worker_that_lost_its_lease_writes_nothing(world, after_staging):
    world.configure().deliver({"A": 3})
    delivery_id = waiting(world, {"A": 4})
    taken = []

    def lose() -> None:
        world.clock.advance(hours=1)
        other = hold_lease(world.app, feed_table, "acme.stock")
        other.__enter__()
        taken.append(other)

    after_staging(lose)
    with pytest.raises(TransientError, match="lost"):
        ingest(world.app, delivery_id)
    assert world.stock() == {"A": 3}
    taken.pop().__exit__(None, None, None)
    after_staging(lambda: None)
    world.app.clock.advance(minutes=1)
    assert ingest(world.app, delivery_id).state == "applied"


def test_a_feed_released_while_a_delivery_is_read_stays_released(world, after_staging):
    world.configure("").deliver({"A": 3})
    delivery_id = waiting(world, {"A": 4})
    after_staging(lambda: release_feed(world.app, "acme.stock", **WHO))
    assert ingest(world.app, delivery_id).state == "applied"
    assert not world.query("SELECT in_shadow FROM feed")[0].in_shadow


def test_bytes_that_changed_in_the_archive_are_never_applied_and_a_new_arrival_repairs_them(world):
    world.configure().deliver({"A": 3})
    delivery_id = waiting(world, {"A": 4})
    (row,) = world.query(f"SELECT sha256 FROM delivery WHERE id = {delivery_id}")
    path = world.app.archive.path(row.sha256)
    path.write_bytes(path.read_bytes().replace(b"4", b"9"))
    with pytest.raises(PermanentError, match="not those that arrived"):
        ingest(world.app, delivery_id)
    assert world.stock() == {"A": 3}
    waiting_again = collect_again(world, {"A": 4})
    assert world.app.archive.verify(row.sha256)
    assert ingest(world.app, delivery_id).state == "applied"
    assert ingest(world.app, waiting_again).state == "unchanged"


def collect_again(world, rows: dict[str, object]) -> int:
    world.clock.advance(hours=1)
    world.put(csv(rows))
    return collect(world.app, "acme.stock").delivery_ids[-1]


def test_two_processes_may_register_the_same_new_feed(world):
    world.configure()
    for process in [start(world, 0) for _ in range(3)]:
        finish(process)
    assert len(world.query("SELECT * FROM feed")) == 1
