"""What every registered source must do. A source without a harness here fails: add one with its fake server."""

import hashlib
import json
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from connectors.registry import SOURCES, load_source
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, StockfeedError, TransientError
from schemas.transfer import Seen
from stockfeed.demo.sftp_server import Login, SftpServer
from tests.servers.feeds import CANARY, LONG_AGO, Clock, connection, feed, fetch, put
from tests.servers.sftp_faults import Faults

CONTENT = "SKU;Qty\nNA;1\n001;2\n é;3\n".encode()


@dataclass
class Harness:
    """One source under test: its outside folder, how it is configured, and how to break it."""

    outside: Path
    spool: Path
    source: dict
    connection: Connection | None = None
    break_reading: Callable[[], None] | None = None
    clock: Clock = field(default_factory=Clock)

    def load(self, **options):
        of = feed({**self.source, **options})
        return load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of

    def fetch(self, seen: Seen | None = None, **options):
        source, of = self.load(**options)
        return fetch(source, of, self.spool, seen)


def _folder(tmp_path: Path, stack: ExitStack) -> Harness:
    outside = tmp_path / "outside"
    return Harness(outside, tmp_path / "spool", {"type": "folder", "path": str(outside)})


def _sftp(tmp_path: Path, stack: ExitStack, backend: str = "paramiko") -> Harness:
    outside, faults = tmp_path / "outside", Faults()
    server = stack.enter_context(SftpServer(outside, Login("acme", CANARY), files=faults.files))

    def break_reading() -> None:
        faults.end_at = 5

    source = {"type": "sftp", "path": "/", "backend": backend}
    return Harness(outside, tmp_path / "spool", source, connection(server), break_reading)


HARNESSES = {
    "folder": _folder,
    "sftp": _sftp,
    "sftp/pysftp": lambda tmp_path, stack: _sftp(tmp_path, stack, "pysftp"),
}


def test_every_registered_source_has_a_harness():
    assert {name.partition("/")[0] for name in HARNESSES} == set(SOURCES)


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    (tmp_path / "outside").mkdir()
    with ExitStack() as stack:
        yield HARNESSES[request.param](tmp_path, stack)


@pytest.fixture(params=[name for name in HARNESSES if SOURCES[name.partition("/")[0]].needs_connection])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    (tmp_path / "outside").mkdir()
    with ExitStack() as stack:
        yield HARNESSES[request.param](tmp_path, stack)


def everything(folder: Path) -> dict[str, tuple[bytes, float]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime) for p in folder.iterdir()}


def test_a_file_arrives_whole_with_its_hash_and_an_aware_utc_time(harness):
    put(harness.outside, "stock.csv", CONTENT)
    [got] = harness.fetch()
    assert got.path.read_bytes() == CONTENT
    assert (got.sha256, got.size, got.name) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "stock.csv")
    assert got.source_time == LONG_AGO
    assert got.source_time.utcoffset() == timedelta(0)
    assert got.identity == f"stock.csv|{len(CONTENT)}|2026-11-01T06:00:00+00:00"
    assert got.path.parent == harness.spool
    assert stat.S_IMODE(got.path.stat().st_mode) == 0o600


def test_a_file_of_many_pieces_arrives_unchanged(harness):
    content = os.urandom(3_000_001)
    put(harness.outside, "stock.bin", content)
    [got] = harness.fetch()
    assert got.sha256 == hashlib.sha256(content).hexdigest()


def test_an_empty_file_is_an_arrival_too(harness):
    put(harness.outside, "stock.csv", b"")
    assert [g.size for g in harness.fetch()] == [0]


def test_a_second_fetch_gives_the_same_hash_and_identity(harness):
    put(harness.outside, "stock.csv", CONTENT)
    [first], [second] = harness.fetch(), harness.fetch()
    assert (first.sha256, first.identity) == (second.sha256, second.identity)
    assert first.path != second.path


def test_what_was_seen_is_not_fetched_again_and_new_content_is(harness):
    put(harness.outside, "stock.csv", CONTENT)
    seen = Seen()
    [got] = harness.fetch(seen)
    seen.identities = frozenset({got.identity})
    assert harness.fetch(seen) == []
    put(harness.outside, "stock.csv", CONTENT + b"B;1\n", LONG_AGO + timedelta(hours=1))
    assert len(harness.fetch(seen)) == 1


def test_files_come_oldest_first(harness):
    put(harness.outside, "a.csv", b"2", LONG_AGO + timedelta(hours=1))
    put(harness.outside, "b.csv", b"1", LONG_AGO)
    assert [g.name for g in harness.fetch()] == ["b.csv", "a.csv"]


def test_fetching_leaves_the_source_as_it_is(harness):
    put(harness.outside, "stock.csv", CONTENT)
    before = everything(harness.outside)
    harness.fetch(after="delete")
    harness.fetch(after="move", move_to="processed")
    assert everything(harness.outside) == before


def test_a_growing_file_is_left_for_the_next_poll(harness):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load(settle="30s")
    sleep = harness.clock.sleep

    def grow(seconds: float) -> None:
        put(harness.outside, "stock.csv", CONTENT * 2)
        sleep(seconds)

    source._sleep = grow
    seen = Seen()
    assert fetch(source, of, harness.spool, seen) == []
    assert "growing" in seen.waiting["stock.csv"]
    harness.clock.sleep(30)
    source._sleep = sleep
    [got] = fetch(source, of, harness.spool, seen)
    assert got.size == len(CONTENT * 2)


def test_names_of_every_kind_are_only_names(harness, shared):
    names = json.loads((shared / "hostile/made/names/remote_names.json").read_text("utf-8"))
    possible = [n for n in names if n not in {"", ".", ".."} and not {"/", "\0"} & set(n) and len(n.encode()) < 256]
    for name in possible:
        put(harness.outside, name)
    _names_survive(harness)


test_names_of_every_kind_are_only_names = pytest.mark.needs_shared(test_names_of_every_kind_are_only_names)


def test_strange_names_are_only_names(harness):
    for name in ("Größe 1.csv", "cafe\u0301.csv", "café.csv", "-rf.csv", "$(id).csv", "a\nb.csv", "\u202efdp.csv", b"..\\..\\x"):
        put(harness.outside, name)
    got = _names_survive(harness)
    assert {"Größe 1.csv", "cafe\u0301.csv", "café.csv", "a\nb.csv"} <= {g.name for g in got}
    assert not any("x5c" in g.name for g in got)


def _names_survive(harness: Harness):
    got = harness.fetch(ignore=[])
    assert len({g.identity for g in got}) == len(got) >= 7
    assert {g.path.parent for g in got} == {harness.spool}
    assert all(g.path.name.removesuffix(".spool").isalnum() for g in got)
    assert all((g.name + g.identity).encode("utf-8") and "\0" not in g.name for g in got)
    source, _ = harness.load(after="delete")
    for each in got:
        source.acknowledge(each.reference)
    assert harness.fetch(ignore=[]) == []
    return got


def test_links_and_folders_are_not_followed(harness, tmp_path):
    (tmp_path / "secret.csv").write_bytes(b"not for suppliers")
    (harness.outside / "link.csv").symlink_to(tmp_path / "secret.csv")
    (harness.outside / "folder.csv").mkdir()
    os.mkfifo(harness.outside / "pipe.csv")
    assert harness.fetch() == []
    assert harness.fetch(select="exact", name="link.csv") == []


def test_a_file_that_is_deleted_after_the_commit_stays_until_then(harness):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load(after="delete")
    [got] = fetch(source, of, harness.spool)
    assert (harness.outside / "stock.csv").exists()
    source.acknowledge(got.reference)
    source.acknowledge(got.reference)
    assert list(harness.outside.iterdir()) == []


def test_a_moved_file_goes_to_the_named_folder_and_never_replaces_another(harness):
    source, of = harness.load(after="move", move_to="done/2026")
    for content in (b"one", b"two", b"three"):
        put(harness.outside, "stock.csv", content)
        [got] = fetch(source, of, harness.spool)
        source.acknowledge(got.reference)
        source.acknowledge(got.reference)
    moved = {p.name: p.read_bytes() for p in (harness.outside / "done/2026").iterdir()}
    assert moved == {"stock.csv": b"one", "stock.1.csv": b"two", "stock.2.csv": b"three"}
    assert [p.name for p in harness.outside.iterdir()] == ["done"]


def test_leave_changes_nothing(harness):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load()
    [got] = fetch(source, of, harness.spool)
    before = everything(harness.outside)
    source.acknowledge(got.reference)
    assert everything(harness.outside) == before


@pytest.mark.parametrize("change", [{"content": CONTENT * 2}, {"at": LONG_AGO + timedelta(seconds=9)}])
@pytest.mark.parametrize("after", [{"after": "delete"}, {"after": "move", "move_to": "done"}])
def test_new_content_under_the_old_name_is_never_deleted_or_moved(harness, change, after):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load(**after)
    [got] = fetch(source, of, harness.spool)
    put(harness.outside, "stock.csv", **{"content": CONTENT} | change)
    source.acknowledge(got.reference)
    assert (harness.outside / "stock.csv").exists()
    assert len(fetch(source, of, harness.spool, Seen(identities=frozenset({got.identity})))) == 1


def test_the_done_marker_of_a_file_goes_with_it(harness):
    put(harness.outside, "stock.csv", CONTENT)
    put(harness.outside, "stock.csv.done", b"")
    source, of = harness.load(after="delete", done_marker="{name}.done")
    [got] = fetch(source, of, harness.spool)
    source.acknowledge(got.reference)
    assert list(harness.outside.iterdir()) == []


def test_a_missing_folder_is_a_mistake_and_what_is_there_is_named(harness):
    (harness.outside / "outgoing").mkdir()
    wrong = harness.source["path"].rstrip("/") + "/outgiong"
    with pytest.raises(ConfigError) as caught:
        harness.fetch(path=wrong)
    assert "outgiong" in caught.value.message
    assert "outgoing" in caught.value.hint


def test_a_failed_fetch_leaves_the_spool_empty_and_nothing_recorded(remote):
    put(remote.outside, "stock.csv", CONTENT)
    remote.break_reading()
    seen = Seen()
    with pytest.raises(TransientError, match="cut short"):
        remote.fetch(seen)
    assert list(remote.spool.iterdir()) == []
    assert (seen.identities, seen.listing) == (frozenset(), {})


def test_a_wrong_password_is_refused_in_one_line_with_a_remedy(remote):
    remote.connection = replace(remote.connection, password=Secret("wrong"))
    with pytest.raises(CredentialsError, match="refused the login 'acme'") as caught:
        remote.fetch()
    assert "acme_sftp" in caught.value.hint


def test_a_dead_server_is_worth_another_try(remote):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    remote.connection = replace(remote.connection, port=port)
    with pytest.raises(TransientError, match=rf"127\.0\.0\.1.*{port}"):
        remote.fetch()


def test_an_unknown_host_name_is_worth_another_try(remote):
    remote.connection = replace(remote.connection, host="no-such-host.invalid")
    with pytest.raises(TransientError, match=r"no-such-host\.invalid"):
        remote.fetch()


def test_no_secret_reaches_a_log_an_error_or_a_representation(remote, caplog):
    put(remote.outside, "stock.csv", CONTENT)
    texts = []
    with caplog.at_level(logging.DEBUG):
        source, of = remote.load()
        [got] = fetch(source, of, remote.spool)
        texts += [repr(source), repr(vars(source)), repr(got), repr(of)]
        for broken in ({"host": "127.0.0.2"}, {"login": "else"}, {"port": 1}, {"extra": {}}):
            remote.connection = replace(remote.connection, **broken)
            with pytest.raises(StockfeedError) as caught:
                remote.fetch()
            texts += [str(caught.value), caught.value.detail, repr(caught.value), repr(caught.value.__cause__)]
    texts += [r.getMessage() for r in caplog.records]
    assert caplog.records
    assert not any(CANARY in text for text in texts)


def test_source_times_are_utc_whatever_the_local_time_zone(harness, monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        put(harness.outside, "stock.csv", CONTENT)
        [got] = harness.fetch()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert got.source_time == LONG_AGO
    assert got.source_time.tzinfo is UTC
