"""The source object_store against a server that speaks S3, and what is handed to the libraries of the other stores."""

import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest

from connectors.object_store import ObjectStoreOptions, open_store
from connectors.registry import load_source
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from schemas.transfer import Seen
from tests.servers import google_bucket, object_server, web_server
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch, put


class Store:
    def __init__(self, tmp_path, stack: ExitStack) -> None:
        self.outside = tmp_path / "outside"
        self.outside.mkdir()
        self.bucket = object_server.Bucket(self.outside)
        authority = Authority(tmp_path)
        self.server = stack.enter_context(web_server.running(self.bucket.answer(), server_context(authority.issue("127.0.0.1"))))
        self.connection = self.server.connection(authority)
        self.spool, self.clock = tmp_path / "spool", Clock()

    def load(self, **options):
        of = feed({"type": "object_store", "store": "s3", "path": object_server.BUCKET, **options})
        return load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of

    def fetch(self, seen: Seen | None = None, **options):
        return fetch(*self.load(**options), self.spool, seen)


@pytest.fixture
def store(tmp_path):
    with ExitStack() as stack:
        yield Store(tmp_path, stack)


def test_without_a_connection_a_closed_bucket_says_what_is_missing(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.server.url("/").rstrip("/"))
    monkeypatch.setenv("AWS_CA_BUNDLE", store.connection.extra["ca_file"])
    store.connection = None
    with pytest.raises(CredentialsError, match="not open to everybody") as caught:
        store.fetch()
    assert "connection" in caught.value.hint


def test_a_certificate_of_an_unknown_authority_is_refused_and_not_tried_again(store):
    store.connection = replace(store.connection, extra={})
    with pytest.raises(PermanentError, match=r"the certificate is not accepted \(unable to get local issuer certificate") as caught:
        store.fetch()
    assert "`ca_file`" in caught.value.hint


def test_a_key_of_azure_that_is_none_is_refused_before_it_is_sent(tmp_path):
    of = feed({"type": "object_store", "store": "az", "path": "nordwind/export"})
    key = Connection("n", host="n.blob.core.localhost", port=1, login="n", password=Secret(f"{CANARY} is no base64"))
    with pytest.raises(CredentialsError, match="refused the login 'n'") as caught:
        fetch(load_source(of, key), of, tmp_path)
    assert CANARY not in str(caught.value)


def test_a_large_object_that_is_replaced_between_two_requests_is_not_taken(store, monkeypatch):
    monkeypatch.setattr("connectors.object_folder._PIECE", 1000)
    put(store.outside, "stock.csv", b"a" * 3000)
    serve = store.bucket._content

    def replaced_after_the_first_piece(path, request):
        answer = serve(path, request)
        if request.method == "GET" and path.read_bytes()[:1] == b"a":
            put(store.outside, "stock.csv", b"b" * 3000)  # of the same size and time
        return answer

    store.bucket._content = replaced_after_the_first_piece
    with pytest.raises(TransientError, match="replaced while it was read"):
        store.fetch()
    assert list(store.spool.iterdir()) == []
    [got] = store.fetch()
    assert got.path.read_bytes() == b"b" * 3000


def test_a_move_that_was_stopped_between_copy_and_deletion_is_finished(store):
    put(store.outside, "stock.csv", b"one")
    source, of = store.load(after="move", move_to="done")
    [got] = fetch(source, of, store.spool)
    (store.outside / "done").mkdir()
    put(store.outside / "done", "stock.csv", b"one")
    source.acknowledge(got.reference)
    assert sorted(str(p.relative_to(store.outside)) for p in store.outside.rglob("*.csv")) == ["done/stock.csv"]


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_cannot_answer_now_is_asked_again_later(store, status):
    store.bucket.before = lambda _request: web_server.reply(status, b"<Error><Code>SlowDown</Code></Error>")
    with pytest.raises(TransientError):
        store.fetch()


def test_a_key_is_never_sent_over_an_unencrypted_line():
    there = Connection("n", host="minio.example", login="k", password=Secret(CANARY), extra={"plain": "true"})
    with pytest.raises(ConfigError, match="https"):
        open_store(_options("s3"), there)


@pytest.mark.parametrize("path", ["", "/", "s3://nordwind/export"])
def test_the_path_names_a_bucket(path):
    with pytest.raises(ValueError, match="path"):
        ObjectStoreOptions(store="s3", path=path)


def test_google_gets_the_service_account_and_nothing_else(monkeypatch):
    given = _taken(monkeypatch, "connectors.google_objects.GoogleObjects")
    key = google_bucket.key_file("https://tokens.example")
    open_store(_options("gs"), Connection("n", extra={"keyfile_json": Secret(key)}))
    open_store(_options("gs"), Connection("n", extra={"identity": "machine"}))
    open_store(_options("gs"), None)
    assert [getattr(one["token"], "service_account_email", one["token"]) for one in given] == [
        google_bucket.EMAIL,
        "google_default",
        "anon",
    ]
    with pytest.raises(CredentialsError, match="not JSON") as caught:
        open_store(_options("gs"), Connection("n", extra={"keyfile_json": Secret(CANARY)}))
    for other in ("[]", "{}", '"key"'):
        with pytest.raises(CredentialsError, match="no service account's key"):
            open_store(_options("gs"), Connection("n", extra={"keyfile_json": Secret(other)}))
    assert CANARY not in repr(caught.value.__cause__) + str(caught.value)


def test_azure_gets_the_account_with_its_key_a_token_or_nothing(monkeypatch):
    given = _taken(monkeypatch, "connectors.azure_blobs.AzureBlobs")
    open_store(_options("az"), Connection("n", login="nordwind", password=Secret("k")))
    open_store(_options("az"), Connection("n", login="nordwind", extra={"sas_token": Secret("t")}))
    open_store(_options("az"), Connection("n", login="nordwind"))
    open_store(_options("az"), Connection("n", login="nordwind", extra={"identity": "machine"}))
    ways = [{k: one[k] for k in ("key", "sas", "machine") if k in one} for one in given]
    assert ways == [{"key": "k"}, {"sas": "t"}, {}, {"machine": True}]
    assert {one["account_name"] for one in given} == {"nordwind"}


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_the_libraries_of_the_other_stores_are_there_and_take_what_they_are_given(scheme):
    key = {"gs": None, "az": Connection("n", login="nordwind")}[scheme]
    assert open_store(_options(scheme), key).protocol


def test_google_is_asked_over_https_only():
    """The class that fsspec gives for "gs" asks over gRPC first, and waits a minute where that is closed or not allowed."""
    kinds = type(open_store(_options("gs"), None)).__mro__
    assert "gcsfs.core" in {kind.__module__ for kind in kinds}
    assert "gcsfs.extended_gcsfs" not in {kind.__module__ for kind in kinds}


def test_a_store_whose_library_is_missing_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs.core", None)
    monkeypatch.delitem(sys.modules, "connectors.google_objects", raising=False)
    with pytest.raises(ConfigError, match="gcsfs") as caught:
        open_store(_options("gs"), None)
    assert "stockfeed[gcs]" in caught.value.hint


def _options(store: str) -> ObjectStoreOptions:
    return ObjectStoreOptions(store=store, path="nordwind/export")


def _taken(monkeypatch, kind: str) -> list[dict]:
    given: list[dict] = []
    monkeypatch.setattr(kind, lambda **arguments: given.append(arguments))
    return given


def test_the_machines_own_key_is_not_used_unless_the_connection_says_so(store, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "acme")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", object_server.REGION)
    put(store.outside, "stock.csv")
    bare = Connection("n", host="127.0.0.1", port=store.server.port, extra=dict(store.connection.extra))
    store.connection = bare
    with pytest.raises(CredentialsError, match="no login"):
        store.fetch()
    store.connection = Connection("n", host=bare.host, port=bare.port, extra={**bare.extra, "identity": "machine"})
    assert [got.name for got in store.fetch()] == ["stock.csv"]
