"""What every registered source must do. A source without a harness here fails: add one with its fake server."""

import bz2
import gzip
import hashlib
import logging
import lzma
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
import zstandard

from connectors.registry import SOURCES
from schemas.connections import Secret
from schemas.errors import CredentialsError, StockfeedError, TransientError
from schemas.feed_config import TypedSection
from schemas.transfer import Seen
from stockfeed.reading import read_batches
from tests.contract.source_harnesses import HARNESSES, INTERFACES, REMOTE, Harness
from tests.servers.feeds import CANARY, LONG_AGO, everything, fetch, put

# nothing is fetched, or no file is: tests/integration/uploads and test_google_sheets.py
WITHOUT_FILES = {"upload", "google_sheets"}
CONTENT = "SKU;Qty\nNA;1\n001;2\n é;3\n".encode()


def test_every_registered_source_has_a_harness():
    assert {name.partition("/")[0] for name in HARNESSES | INTERFACES} == set(SOURCES) - WITHOUT_FILES


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    (tmp_path / "outside").mkdir()
    with ExitStack() as stack:
        yield HARNESSES[request.param](tmp_path, stack)


@pytest.fixture(params=[*REMOTE, *INTERFACES])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    (tmp_path / "outside").mkdir()
    with ExitStack() as stack:
        yield (HARNESSES | INTERFACES)[request.param](tmp_path, stack)


def test_a_file_arrives_whole_with_its_hash_and_an_aware_utc_time(harness):
    put(harness.outside, "stock.csv", CONTENT)
    [got] = harness.fetch()
    assert got.path.read_bytes() == CONTENT
    assert (got.sha256, got.size, got.name) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "stock.csv")
    assert got.source_time == LONG_AGO
    assert got.source_time.utcoffset() == timedelta(0)
    assert got.identity.startswith(harness.identity_begins)
    assert got.path.parent == harness.spool
    assert stat.S_IMODE(got.path.stat().st_mode) == 0o600


def test_a_file_of_many_pieces_arrives_unchanged(harness):
    content = os.urandom(3_000_001)
    put(harness.outside, "stock.csv", content)
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


def test_leave_changes_nothing(harness):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load()
    [got] = fetch(source, of, harness.spool)
    before = everything(harness.outside)
    source.acknowledge(got.reference)
    assert everything(harness.outside) == before


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
    assert remote.connection.name in caught.value.hint


def test_a_dead_server_is_worth_another_try(remote):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    remote.point_to(port=port)
    with pytest.raises(TransientError, match=rf"127\.0\.0\.1.*{port}"):
        remote.fetch()


def test_an_unknown_host_name_is_worth_another_try(remote):
    remote.point_to(host="no-such-host.invalid")
    with pytest.raises(TransientError, match=r"no-such-host\.invalid"):
        remote.fetch()


def test_no_secret_reaches_a_log_an_error_or_a_representation(remote, caplog):
    put(remote.outside, "stock.csv", CONTENT)
    texts = []
    for name in ("paramiko", "httpx"):
        caplog.set_level(logging.DEBUG, name)  # a test that ran the command line here before has quietened it
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
    # kept silent where whole headers, or commands with a login, would be shown
    silent = {"bigcommerce", "imap", "magento", "object_store", "web_api", "web_file", "woocommerce"}
    assert caplog.records or of.source.type in silent
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


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress], ids=["gz", "bz2", "xz", "zst"])
def test_a_packed_file_arrives_as_it_is_and_is_unpacked_by_its_reader(harness, pack):
    packed = pack(CONTENT)
    put(harness.outside, "stock.csv", packed)
    [got] = harness.fetch()
    assert got.sha256 == hashlib.sha256(packed).hexdigest()
    batches = list(read_batches(got.path, TypedSection(type="delimited", delimiter=";", archive="auto")))
    assert [cells for batch in batches for cells in batch.frame.select("c0", "c1").rows()] == [
        ("NA", "1"),
        ("001", "2"),
        (" é", "3"),
    ]
