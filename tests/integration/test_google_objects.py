"""The source object_store against a server that answers as Google Cloud Storage does: keys, rights, copies, times."""

import json
import os
import queue
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, TransientError
from schemas.transfer import Seen
from tests.servers import stores, web_server
from tests.servers.feeds import CANARY, LONG_AGO, fetch, put


@pytest.fixture
def store(tmp_path):
    with ExitStack() as stack:
        yield stores.running("gs", tmp_path, stack)


def with_changed_key(store, **changes) -> Connection:
    key = json.loads(store.connection.extra["keyfile_json"].reveal()) | changes
    return replace(store.connection, extra={**store.connection.extra, "keyfile_json": Secret(json.dumps(key))})


def test_a_poll_asks_for_one_token_one_list_and_a_few_times_for_each_object(store):
    put(store.root, "stock.csv")
    store.fetch()
    assert store.bucket.asked == ["token", "list", "list", *["get"] * 2, "media", *["get"] * 2]


def test_the_rights_to_list_and_to_read_objects_are_enough(store):
    store.bucket.may = {"list", "get"}
    assert store.fetch() == []
    put(store.root, "stock.csv")
    assert [got.name for got in store.fetch()] == ["stock.csv"]


@pytest.mark.parametrize("missing", ["list", "get"])
def test_a_missing_right_is_a_mistake_in_the_key_and_not_tried_again(store, missing):
    put(store.root, "stock.csv")
    store.bucket.may -= {missing}
    with pytest.raises(CredentialsError, match="refused the login 'acme'"):
        store.fetch()


def test_a_right_that_is_missing_for_clearing_up_is_told(store):
    put(store.root, "stock.csv")
    source, of = store.load(after="delete")
    [got] = fetch(source, of, store.spool)
    store.bucket.may -= {"delete"}
    with pytest.raises(CredentialsError, match="refused"):
        source.acknowledge(got.reference)


def test_a_key_that_google_does_not_know_is_refused_at_once(store):
    store.connection = with_changed_key(store, client_email="else@nordwind.example")
    with pytest.raises(CredentialsError, match="refused the login 'acme'"):
        store.fetch()
    assert store.bucket.asked == ["token"]


def test_a_private_key_that_cannot_be_read_is_a_mistake_without_its_text(store):
    store.connection = with_changed_key(store, private_key=CANARY)
    with pytest.raises(CredentialsError, match="private key in `keyfile_json` cannot be read") as caught:
        store.fetch()
    assert CANARY not in repr(caught.value) + repr(caught.value.__cause__) + str(caught.value)


def test_a_key_is_not_sent_to_a_token_server_without_https(store):
    store.connection = with_changed_key(store, token_uri="http://tokens.example/token")
    with pytest.raises(ConfigError, match="token_uri"):
        store.fetch()


def test_a_token_server_that_cannot_answer_now_is_no_mistake_in_the_key(store, monkeypatch):
    monkeypatch.setattr("google.auth._exponential_backoff.time", SimpleNamespace(sleep=lambda _seconds: None))
    busy = web_server.reply(503, b'{"error": "temporarily_unavailable"}')
    store.bucket.before = lambda request: busy if request.target == "/token" else None
    with pytest.raises(TransientError, match="token server cannot answer now"):
        store.fetch()


def test_a_silent_token_server_is_left_when_its_time_is_over(store):
    ends = queue.Queue()
    store.server.answer = lambda _request, line: ends.put(line.is_left())
    with pytest.raises(TransientError, match="cut short or cannot be reached"):
        store.fetch(idle_timeout="0.4s")
    assert all(ends.get(timeout=20) for _ in store.server.requests)


def test_without_a_connection_an_open_bucket_is_read_and_a_closed_one_says_what_is_missing(store, monkeypatch):
    monkeypatch.setattr("connectors.google_objects.ADDRESS", store.server.url("/").rstrip("/"))
    monkeypatch.setattr("connectors.object_store._bounds", _trusting(store.connection.extra["ca_file"]))
    put(store.root, "stock.csv")
    store.connection, store.bucket.open_to_all = None, True
    assert [got.name for got in store.fetch()] == ["stock.csv"]
    store.bucket.open_to_all = False
    with pytest.raises(CredentialsError, match="not open to everybody"):
        store.fetch()


def test_the_environment_leads_no_key_to_another_server(store, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    put(store.root, "stock.csv")
    assert [got.name for got in store.fetch()] == ["stock.csv"]


def test_the_machines_own_identity_is_used_when_the_connection_says_so(store, monkeypatch, tmp_path):
    put(store.root, "stock.csv")
    file = tmp_path / "identity.json"
    file.write_text(store.connection.extra["keyfile_json"].reveal())
    extra = {"ca_file": store.connection.extra["ca_file"]}
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", os.fspath(file))
    store.connection = replace(store.connection, extra=extra)
    with pytest.raises(CredentialsError, match="no service account key"):
        store.fetch()
    store.connection = replace(store.connection, extra={**extra, "identity": "machine"})
    assert [got.name for got in store.fetch()] == ["stock.csv"]
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", os.fspath(tmp_path / "absent.json"))
    with pytest.raises(CredentialsError, match="no identity of its own"):
        store.fetch()


def test_an_object_whose_storage_class_changed_is_not_new(store):
    """Google moves `updated` with each change of metadata, also its own; `timeCreated` is that of the content."""
    put(store.root, "stock.csv")
    [got] = store.fetch()
    store.bucket.touched["stock.csv"] = LONG_AGO + timedelta(days=30)
    assert store.fetch(Seen(identities=frozenset({got.identity}))) == []


def test_a_copy_that_takes_several_calls_is_finished_before_the_object_is_deleted(store):
    put(store.root, "stock.csv", b"one")
    store.bucket.rewrites = 3
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    source.acknowledge(got.reference)
    assert [one for one in store.bucket.asked if one in {"rewrite", "delete"}] == ["rewrite", "rewrite", "rewrite", "delete"]
    assert store.names() == ["done/stock.csv"]


def test_a_stopped_move_of_an_object_without_md5_is_finished_by_comparing_contents(store):
    put(store.root, "stock.csv", b"one")
    store.bucket.composite = {"stock.csv"}
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    (store.root / "done").mkdir()
    put(store.root / "done", "stock.csv", b"one")
    source.acknowledge(got.reference)
    assert store.names() == ["done/stock.csv"]


def _trusting(ca_file: str):
    from connectors.object_store import _times

    return lambda options, _connection: {"times": _times(options), "ca_file": ca_file}
