"""Retention: old bytes go, what is in force stays, and the ledger always says the truth."""

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.errors import PermanentError
from stockfeed.pipeline.retention import retain
from stockfeed.pipeline.sweep import overdue
from tests.integration.pipeline.conftest import many


def archived(world) -> set[str]:
    return {path.name for path in world.app.settings.archive_dir.rglob("*") if path.is_file()}


def hashes(world) -> list[str]:
    return [r.sha256 for r in world.query("SELECT sha256 FROM delivery ORDER BY id")]


def test_old_bytes_go_but_not_those_in_force_nor_the_one_an_undo_needs(world):
    world.configure()
    for quantity in (10, 11, 12, 13):
        world.deliver(many(30, quantity))
    world.clock.advance(days=91)
    assert retain(world.app).files == 2
    assert archived(world) == set(hashes(world)[2:])
    assert [r.discarded_at is not None for r in world.query("SELECT discarded_at FROM delivery ORDER BY id")] == [
        True,
        True,
        False,
        False,
    ]


def test_young_bytes_stay(world):
    world.configure().deliver({"A": 1})
    world.deliver({"A": 2})
    world.clock.advance(days=89)
    assert retain(world.app).files == 0


def test_a_held_delivery_keeps_its_bytes(world):
    world.configure().deliver(many(30))
    world.deliver(many(30, 0))
    world.clock.advance(days=400)
    assert retain(world.app).files == 0


def test_a_supplier_over_its_quota_loses_its_oldest_bytes(world):
    world.configure()
    for quantity in (10, 11, 12, 13):
        world.deliver(many(30, quantity))
    object.__setattr__(world.app, "settings", world.app.settings.model_copy(update={"archive_bytes": 600}))
    assert retain(world.app).files == 2
    assert archived(world) == set(hashes(world)[2:])


def test_the_folder_of_a_mail_that_a_killed_run_left_is_removed(world):
    folder = world.configure().app.settings.spool_dir / "mail-left"
    folder.mkdir(parents=True)
    (folder / "mail").write_bytes(b"x")
    assert retain(world.app).spooled == 0
    old = (world.clock.advance(days=3) - timedelta(days=3)).timestamp()
    os.utime(folder / "mail", (old, old))
    assert retain(world.app).spooled == 1
    os.utime(folder, (old, old))
    retain(world.app)
    assert list(world.app.settings.spool_dir.iterdir()) == []


def test_spool_files_of_killed_runs_are_removed(world):
    world.configure().deliver({"A": 1})
    stray = world.app.settings.spool_dir / "left-behind"
    stray.write_bytes(b"x")
    os.utime(stray, (world.clock.now.timestamp(),) * 2)
    assert retain(world.app).spooled == 0
    world.clock.advance(days=2)
    assert retain(world.app).spooled == 1
    assert not stray.exists()


def test_overdue_names_stale_feeds_and_changes_nothing(world):
    world.configure().deliver({"A": 1})
    assert overdue(world.app) == ()
    world.clock.advance(hours=25)
    assert overdue(world.app) == ("acme.stock",)
    assert not world.query("SELECT is_stale FROM feed")[0].is_stale


def test_bytes_that_arrive_again_while_retention_runs_stay(world):
    import importlib

    module = importlib.import_module("stockfeed.pipeline.retention")
    world.configure("trust_first = true\nrepeats = true")
    for quantity in (10, 11, 12):
        world.deliver(many(30, quantity))
    world.clock.advance(days=91)
    ((sha256, known),) = module._expired(world.app, world.clock.now)
    world.deliver(many(30, 10))
    assert module._discard(world.app, sha256, known, world.clock.now) == 0
    assert world.app.archive.verify(sha256)


def test_retention_waits_until_stored_bytes_are_in_the_ledger(world):
    import fcntl

    world.configure().deliver({"A": 1})
    folder = os.open(world.app.archive.root, os.O_RDONLY)
    try:
        with world.app.archive.kept(), pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with world.app.archive.removing(), pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    finally:
        os.close(folder)


def test_parts_left_in_the_archive_by_killed_runs_are_removed(world):
    world.configure().deliver({"A": 1})
    (sha256,) = hashes(world)
    part = world.app.archive.path(sha256).with_name(f"{sha256}.77.part")
    part.write_bytes(b"half")
    instant = world.clock.now.timestamp() - 2 * 86_400
    os.utime(part, (instant, instant))
    retain(world.app)
    assert archived(world) == {sha256}


def test_bytes_that_a_killed_run_had_only_noted_as_removed_are_removed_by_the_next(world, monkeypatch):
    world.configure()
    for quantity in (10, 11, 12):
        world.deliver(many(30, quantity))
    world.clock.advance(days=91)

    def killed(*_arguments, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(world.app.archive), "path", killed)
        with pytest.raises(KeyboardInterrupt):
            retain(world.app)
    assert world.query("SELECT discarded_at FROM delivery ORDER BY id")[0].discarded_at is not None
    assert archived(world) == set(hashes(world))
    world.clock.advance(days=1)
    assert retain(world.app).files == 1
    assert archived(world) == set(hashes(world)[1:])
    assert retain(world.app).files == 0


def test_bytes_noted_as_removed_that_arrived_again_stay(world):
    world.configure("trust_first = true\nrepeats = true")
    for quantity in (10, 11, 12):
        world.deliver(many(30, quantity))
    world.clock.advance(days=91)
    retain(world.app)
    world.deliver(many(30, 10))
    assert retain(world.app).files == 1  # those of the second delivery: no undo leads back to it any more
    assert archived(world) == set(hashes(world)[2:])


def test_a_file_that_the_disk_does_not_let_go_of_is_named(world):
    world.configure()
    for quantity in (10, 11, 12):
        world.deliver(many(30, quantity))
    world.clock.advance(days=91)
    path = world.app.archive.path(hashes(world)[0])
    path.unlink()
    path.mkdir()  # no file can be removed here
    with pytest.raises(PermanentError, match=f"{path} cannot be removed"):
        retain(world.app)
    path.rmdir()
    assert retain(world.app).files == 0


def test_a_spool_folder_that_the_disk_does_not_list_is_named(world, monkeypatch):
    """Found by an EIO at the n-th system call: the command ended with a traceback."""

    def broken(folder, *_):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))

    world.configure()
    world.deliver(many(30, 10))
    monkeypatch.setattr(Path, "_scandir" if hasattr(Path, "_scandir") else "glob", broken)
    with pytest.raises(PermanentError, match="cannot be listed: Input/output error") as caught:
        retain(world.app)
    assert str(world.app.settings.spool_dir) in caught.value.message


def test_a_spool_file_that_its_download_removes_meanwhile_is_none_of_ours(world, monkeypatch):
    world.configure()
    world.deliver(many(30, 10))
    spooled = world.app.settings.spool_dir / "leaving.spool"
    spooled.touch()
    stat = Path.stat

    def gone(path, **named):
        if path == spooled:
            spooled.unlink(missing_ok=True)
        return stat(path, **named)

    monkeypatch.setattr(Path, "is_file", lambda path: path.name == "leaving.spool")
    monkeypatch.setattr(Path, "stat", gone)
    assert retain(world.app).spooled == 0
