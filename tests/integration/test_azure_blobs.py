"""The source object_store against a server that answers as Azure Blob Storage does: keys, signatures in addresses, copies."""

import logging
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from schemas.connections import Connection, Secret
from schemas.errors import CredentialsError
from tests.servers import stores, web_server
from tests.servers.azure_container import ACCOUNT, CONTAINER, KEY, error
from tests.servers.feeds import CANARY, fetch, put


@pytest.fixture
def store(tmp_path):
    with ExitStack() as stack:
        yield stores.running("az", tmp_path, stack)


def signed(store, may: str, begins: str = "") -> Connection:
    """Return the connection with a SAS of the container in place of the account's key."""
    over = datetime.now(UTC) + timedelta(hours=1)
    sas = generate_container_sas(ACCOUNT, CONTAINER, KEY, permission=ContainerSasPermissions.from_string(may), expiry=over)
    return replace(store.connection, password=None, extra={**store.connection.extra, "sas_token": Secret(begins + sas)})


def test_a_poll_asks_for_one_list_and_a_few_times_for_each_object(store):
    put(store.root, "stock.csv")
    store.fetch()
    assert store.bucket.asked == ["list", "list", *["properties"] * 2, "get", *["properties"] * 2]


@pytest.mark.parametrize("begins", ["", "?"])
def test_a_signature_for_listing_and_reading_the_container_is_enough(store, begins):
    store.connection = signed(store, "rl", begins)
    assert store.fetch() == store.fetch(path="nordwind/none") == []
    put(store.root, "stock.csv")
    assert [got.name for got in store.fetch()] == ["stock.csv"]


def test_with_a_signature_an_object_is_moved_too(store):
    put(store.root, "stock.csv", b"one")
    store.connection = signed(store, "rwdl")
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    source.acknowledge(got.reference)
    assert store.names() == ["done/stock.csv"]


def test_a_signature_with_too_few_rights_is_a_mistake(store):
    put(store.root, "stock.csv")
    store.connection = signed(store, "l")
    with pytest.raises(CredentialsError, match="refused the login 'acme'"):
        store.fetch()


def test_no_signature_reaches_a_log_or_an_error(store, caplog):
    store.connection = signed(store, "rl")
    signature = store.connection.extra["sas_token"].reveal().partition("sig=")[2].partition("&")[0]
    put(store.root, "stock.csv")
    with caplog.at_level(logging.DEBUG):
        store.fetch()
        store.connection = replace(store.connection, port=1)
        with pytest.raises(Exception, match="cannot be reached") as caught:
            store.fetch()
    told = caplog.text + str(caught.value) + repr(caught.value.__cause__) + caught.value.detail
    assert signature not in told


@pytest.mark.parametrize("password", ["wrong", "d3Jvbmc="], ids=["not base64", "another key"])
def test_a_wrong_key_is_refused(store, password):
    store.connection = replace(store.connection, password=Secret(password))
    with pytest.raises(CredentialsError, match="refused the login 'acme'"):
        store.fetch()


def test_without_a_key_an_open_container_is_read_and_a_closed_one_is_refused(store):
    put(store.root, "stock.csv")
    store.connection, store.bucket.open_to_all = replace(store.connection, password=None), True
    assert [got.name for got in store.fetch()] == ["stock.csv"]
    store.bucket.open_to_all = False
    with pytest.raises(CredentialsError, match="refused"):
        store.fetch()
    store.bucket.before = lambda request: error(409, "PublicAccessNotPermitted", request)
    with pytest.raises(CredentialsError, match="refused"):
        store.fetch()


@pytest.mark.parametrize("name", ["ACCOUNT_KEY", "SAS_TOKEN", "CONNECTION_STRING"])
def test_what_the_machine_has_is_not_used_for_a_connection_without_a_key(store, monkeypatch, name):
    put(store.root, "stock.csv")
    there = f"https://127.0.0.1:{store.server.port}"
    values = {
        "ACCOUNT_KEY": KEY,
        "SAS_TOKEN": signed(store, "rl").extra["sas_token"].reveal(),
        "CONNECTION_STRING": f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={there}",
    }
    monkeypatch.setenv(f"AZURE_STORAGE_{name}", values[name])
    store.connection = replace(store.connection, password=None)
    with pytest.raises(CredentialsError, match="refused"):
        store.fetch()
    assert all("authorization" not in request.headers and "sig=" not in request.target for request in store.server.requests)


def test_an_object_is_deleted_only_when_its_copy_is_whole(store):
    put(store.root, "stock.csv", b"one")
    store.bucket.pending = 1
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    source.acknowledge(got.reference)
    assert (store.root / "done/stock.csv").read_bytes() == b"one"
    assert store.names() == ["done/stock.csv"]


def test_a_stopped_move_of_a_blob_without_md5_is_finished_by_comparing_contents(store):
    put(store.root, "stock.csv", b"one")
    store.bucket.without_md5 = {"stock.csv", "done/stock.csv"}
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    (store.root / "done").mkdir()
    put(store.root / "done", "stock.csv", b"one")
    source.acknowledge(got.reference)
    assert store.names() == ["done/stock.csv"]


def test_the_fake_refuses_what_no_client_of_ours_asks():
    request = web_server.Request("/nordwind?comp=acl&restype=container", {"x-ms-version": "2025-01-05"})
    bucket = stores.KINDS["az"](None)
    assert b"400" in next(bucket.served(request))
    assert bucket.unknown == ["GET /nordwind?comp=acl&restype=container"]
    assert CANARY == KEY
