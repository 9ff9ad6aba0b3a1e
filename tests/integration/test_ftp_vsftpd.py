"""The server that many suppliers run: vsftpd. It knows no MLSD, and demands that data connections reuse the TLS session."""

import ssl
from contextlib import ExitStack

import pytest

from connectors.registry import load_source
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from schemas.transfer import Seen
from tests.servers import ftp_vsftpd
from tests.servers.feeds import LONG_AGO, Clock, feed, fetch, put

pytestmark = pytest.mark.skipif(ftp_vsftpd.missing() is not None, reason=ftp_vsftpd.missing() or "")

ENCRYPTIONS = {"explicit": {"tls": "explicit"}, "implicit": {"tls": "implicit"}, "plain": {"plain": True}}


@pytest.fixture(scope="module", params=ENCRYPTIONS)
def server(request):
    with ftp_vsftpd.running(implicit=request.param == "implicit", tls=request.param != "plain") as running:
        running.options = ENCRYPTIONS[request.param]
        yield running


@pytest.fixture
def outside(server):
    yield server.outside
    for path in sorted(server.outside.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def load(server, connection=None, **options):
    of = feed({"type": "ftp", "path": "/out", "settle": "0s", **server.options, **options})
    clock = Clock()
    return load_source(of, connection or server.connection(), now=clock, sleep=clock.sleep), of


def test_files_arrive_whole_with_exact_times(server, outside, tmp_path):
    content = bytes(range(256)) * 20_000
    put(outside, "stock.csv", content)
    source, of = load(server)
    [got] = fetch(source, of, tmp_path / "spool")
    assert got.path.read_bytes() == content
    assert got.identity == f"stock.csv|{len(content)}|2026-11-01T06:00:00+00:00"
    assert got.source_time == LONG_AGO


def test_several_files_of_one_session_arrive(server, outside, tmp_path):
    for number in range(5):
        put(outside, f"{number}.csv", b"%d" % number)
    source, of = load(server)
    assert [got.path.read_bytes() for got in fetch(source, of, tmp_path / "spool")] == [b"0", b"1", b"2", b"3", b"4"]


def test_names_of_every_kind_are_fetched_and_cleared_up(server, outside, tmp_path):
    names = ("b 2.csv", b"caf\xe9.csv", "café.csv", " lead.csv", "trail.csv ", "[x]*.csv", "-rf.csv", 'quote".csv', "a\nb.csv")
    for name in names:
        put(outside, name)
    source, of = load(server, after="move", move_to="done/2026")
    seen = Seen()
    got = fetch(source, of, tmp_path / "spool", seen)
    assert {g.name for g in got} == {r"caf\xe9.csv", *(n for n in names if isinstance(n, str) and "\n" not in n)}
    assert "line break" in seen.waiting[r"a\nb.csv"]
    for each in got:
        source.acknowledge(each.reference)
        source.acknowledge(each.reference)
    assert sorted(p.name for p in outside.iterdir()) == ["a\nb.csv", "done"]
    assert len(list((outside / "done/2026").iterdir())) == len(got)


def test_a_moved_file_never_replaces_another_and_a_deleted_one_is_gone(server, outside, tmp_path):
    source, of = load(server, after="move", move_to="done")
    for content in (b"one", b"two"):
        put(outside, "stock.csv", content)
        [got] = fetch(source, of, tmp_path / "spool")
        source.acknowledge(got.reference)
    assert {p.name: p.read_bytes() for p in (outside / "done").iterdir()} == {"stock.csv": b"one", "stock.1.csv": b"two"}
    put(outside, "last.csv")
    source, of = load(server, after="delete")
    [got] = fetch(source, of, tmp_path / "spool")
    source.acknowledge(got.reference)
    assert [p.name for p in outside.iterdir()] == ["done"]


def test_links_and_folders_are_left_out(server, outside, tmp_path):
    put(outside.parent, "elsewhere.csv")
    (outside / "link.csv").symlink_to(outside.parent / "elsewhere.csv")
    (outside / "folder.csv").mkdir()
    source, of = load(server)
    assert fetch(source, of, tmp_path / "spool") == []


def test_a_missing_folder_is_a_mistake_and_what_is_there_is_named(server, outside, tmp_path):
    source, of = load(server, path="/outt")
    with pytest.raises(ConfigError, match="no such folder") as caught:
        fetch(source, of, tmp_path / "spool")
    assert "out" in caught.value.hint


def test_a_wrong_password_is_refused(server, outside, tmp_path):
    source, of = load(server, server.connection(password=Secret("wrong")))
    with pytest.raises(CredentialsError, match="refused the login 'ftp'"):
        fetch(source, of, tmp_path / "spool")


def test_a_server_and_a_feed_that_disagree_about_encryption_exchange_no_file(tmp_path):
    for encrypted, options, message in (
        (True, {"plain": True}, "refused the login|encryption"),
        (False, {}, "offers no encryption"),
    ):
        with ftp_vsftpd.running(tls=encrypted) as server:
            put(server.outside, "stock.csv")
            server.options = options
            source, of = load(server)
            with pytest.raises((CredentialsError, PermanentError), match=message):
                fetch(source, of, tmp_path / "spool")


def test_data_connections_without_the_session_of_the_control_connection_would_be_refused(tmp_path, monkeypatch):
    """What makes the reuse necessary: the same server, the same client, and no session offered."""
    wrap = ssl.SSLContext.wrap_socket

    def without_session(context, sock, **options):
        return wrap(context, sock, **options | {"session": None})

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", without_session)
    with ftp_vsftpd.running() as server:
        put(server.outside, "stock.csv")
        server.options = ENCRYPTIONS["explicit"]
        source, of = load(server)
        with pytest.raises(TransientError):
            fetch(source, of, tmp_path / "spool")


def test_a_server_that_ends_in_the_middle_is_worth_another_try(tmp_path):
    with ExitStack() as stack:
        server = stack.enter_context(ftp_vsftpd.running(tls=False))
        server.options = ENCRYPTIONS["plain"]
        put(server.outside, "stock.csv")
        source, of = load(server)
        assert len(fetch(source, of, tmp_path / "spool")) == 1
        stack.close()
        with pytest.raises(TransientError):
            fetch(source, of, tmp_path / "spool")
