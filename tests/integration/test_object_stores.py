"""What holds of object_store with each of the three stores, against servers that answer as their references say."""

import queue
import time
import tracemalloc
from contextlib import ExitStack
from datetime import timedelta

import pytest

from connectors.object_store import open_store
from schemas.errors import ConfigError, TransientError
from tests.servers import stores, web_server
from tests.servers.feeds import LONG_AGO, fetch, put


@pytest.fixture(params=stores.KINDS)
def store(request, tmp_path):
    with ExitStack() as stack:
        yield stores.running(request.param, tmp_path, stack)


def of_an_object(request: web_server.Request) -> bool:
    return "stock.csv" in request.target


def test_a_listing_of_several_pages_is_read_to_its_end(store):
    store.bucket.page = 3
    for number in range(8):
        put(store.root, f"{number} ä.csv", b"x", LONG_AGO + timedelta(minutes=number))
    found = store.load()[0]._folder().list_files()
    assert sorted(file.name for file in found) == [f"{number} ä.csv" for number in range(8)]


def test_only_what_lies_directly_under_the_prefix_is_asked_for_and_fetched(store):
    (store.root / "export/old").mkdir(parents=True)
    (store.root / "export2").mkdir()
    for name in ("a.csv", "export/b.csv", "export/old/c.csv", "export2.csv", "export2/d.csv"):
        put(store.root, name)
    assert [got.name for got in store.fetch(path="nordwind/export/")] == ["b.csv"]
    assert not any("export2" in request.target for request in store.server.requests)


def test_an_absent_bucket_is_a_mistake(store):
    for path in ("elsewhere", "elsewhere/export"):
        with pytest.raises(ConfigError, match="no bucket elsewhere"):
            store.fetch(path=path)


def test_an_empty_bucket_and_an_absent_prefix_have_nothing_new(store):
    assert store.fetch() == store.fetch(path="nordwind/export") == []


def test_names_with_spaces_signs_and_letters_of_other_languages_are_read_and_cleared(store):
    names = {"Größe #1.csv", "b?versionid=2&g=h.csv", "c+d%20日本.csv"}
    for name in names:
        put(store.root, name)
    source, of = store.load(after="move", move_to="done it")
    for got in fetch(source, of, store.spool):
        source.acknowledge(got.reference)
    assert store.names() == sorted(f"done it/{name}" for name in names)


def test_the_time_of_an_object_is_utc_as_precise_as_the_store_tells_it(store):
    put(store.root, "stock.csv", at=LONG_AGO + timedelta(milliseconds=250))
    [got] = store.fetch()
    assert got.source_time == LONG_AGO + timedelta(milliseconds=250 if store.scheme == "gs" else 0)


def test_an_object_that_changes_between_listing_and_reading_is_left_for_the_next_poll(store):
    put(store.root, "stock.csv", b"old")

    def changing(request):
        if of_an_object(request) and (store.root / "stock.csv").read_bytes() == b"old":
            put(store.root, "stock.csv", b"longer", LONG_AGO + timedelta(minutes=1))

    store.bucket.before = changing
    with pytest.raises(TransientError, match="changed after it was listed"):
        store.fetch()
    [got] = store.fetch()
    assert got.path.read_bytes() == b"longer"


def test_a_large_object_that_is_replaced_between_two_requests_is_not_taken(store, monkeypatch):
    monkeypatch.setattr("connectors.object_folder._PIECE", 1000)
    put(store.root, "stock.csv", b"a" * 3000)

    def replaced_before_the_last_piece(request):
        if "2000-2999" in request.headers.get("range", "") + request.headers.get("x-ms-range", ""):
            put(store.root, "stock.csv", b"b" * 3000)  # of the same size and time

    store.bucket.before = replaced_before_the_last_piece
    with pytest.raises(TransientError, match="replaced while it was read"):
        store.fetch()
    assert list(store.spool.iterdir()) == []


def test_an_object_that_is_gone_when_it_is_read_is_no_fault_of_the_feed(store):
    put(store.root, "stock.csv")

    def gone(request):
        if "range" in request.headers or "x-ms-range" in request.headers:
            (store.root / "stock.csv").unlink(missing_ok=True)

    store.bucket.before = gone
    with pytest.raises(TransientError, match="is gone"):
        store.fetch()
    assert store.fetch() == []


def test_clearing_up_what_is_gone_already_does_nothing(store):
    put(store.root, "stock.csv")
    source, of = store.load(after="delete")
    [got] = fetch(source, of, store.spool)
    for _ in range(2):
        source.acknowledge(got.reference)
    assert store.names() == []


def test_a_move_that_was_stopped_between_copy_and_deletion_is_finished(store):
    put(store.root, "stock.csv", b"one")
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    source._folder()._store.cp_file("nordwind/stock.csv", "nordwind/done/stock.csv")
    source.acknowledge(got.reference)
    assert store.names() == ["done/stock.csv"]


def test_another_object_of_the_same_size_at_the_target_of_a_move_stays(store):
    (store.root / "done").mkdir()
    put(store.root / "done", "stock.csv", b"old")
    put(store.root, "stock.csv", b"new")
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    source.acknowledge(got.reference)
    assert {name: (store.root / name).read_bytes() for name in store.names()} == {
        "done/stock.csv": b"old",
        "done/stock.1.csv": b"new",
    }


@pytest.mark.parametrize("status", [429, 503])
def test_a_store_that_says_when_to_come_again_is_asked_again_then(store, status):
    store.bucket.before = lambda request: None if "/token" in request.target else store.bucket.busy(status, Retry_After="77")
    with pytest.raises(TransientError, match="tried again") as caught:
        store.fetch()
    assert caught.value.retry_after == 77


def test_a_store_that_is_busy_for_a_moment_is_asked_once_more(store):
    put(store.root, "stock.csv")
    answers = [store.bucket.busy(503)]
    store.bucket.before = lambda request: answers.pop() if answers and "/token" not in request.target else None
    assert [got.name for got in store.fetch()] == ["stock.csv"]


@pytest.mark.parametrize("speaks", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"], ids=["nothing", "half"])
def test_a_silent_store_is_left_when_its_time_is_over_and_asked_twice_at_most(store, speaks):
    ends = queue.Queue()

    def silent(request, line):
        if "/token" in request.target:
            answer(request, line)
        else:
            line.send(speaks)
            ends.put(line.is_left())

    answer, store.server.answer = store.server.answer, silent
    with pytest.raises(TransientError, match="cut short or cannot be reached"):
        store.fetch(idle_timeout="0.4s", connect_timeout="5s")
    asked = [request for request in store.server.requests if "/token" not in request.target]
    assert len(asked) <= 2
    assert all(ends.get(timeout=20) for _ in asked)


def test_a_store_that_drips_is_left_when_the_time_for_a_file_is_over(store):
    def dripping(request, line):
        if "/token" in request.target:
            answer(request, line)
        else:
            line.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + b" " * 999, 0.1)

    answer, store.server.answer = store.server.answer, dripping
    began = time.monotonic()
    with pytest.raises(TransientError, match="cut short or cannot be reached"):
        store.fetch(deadline="1s")
    assert time.monotonic() - began < 30  # it would drip for 100 s


def test_memory_does_not_grow_with_the_object(store, monkeypatch):
    monkeypatch.setattr("connectors.object_folder._PIECE", 1 << 18)
    put(store.root, "stock.csv", b"x" * (4 << 20))
    folder = store.load()[0]._folder()
    with folder.open("stock.csv", 4 << 20) as read:
        size = len(read(0))
        tracemalloc.start()
        try:
            while piece := read(0):
                size += len(piece)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert size == 4 << 20
    assert peak < 2 << 20


def test_one_client_serves_a_poll_and_what_is_cleared_up_after_it(store, monkeypatch):
    opened = []
    monkeypatch.setattr("connectors.object_store.open_store", lambda *told: opened.append(open_store(*told)) or opened[-1])
    for name in ("a.csv", "b.csv"):
        put(store.root, name)
    source, of = store.load(after="delete")
    for got in fetch(source, of, store.spool):
        source.acknowledge(got.reference)
    assert (store.names(), len(opened)) == ([], 1)
