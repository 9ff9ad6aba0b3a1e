"""The server that most suppliers run: OpenSSH with internal-sftp."""

import os
from contextlib import ExitStack

import pytest

from connectors.registry import load_source
from connectors.sftp import open_sftp
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, TransientError
from tests.servers import openssh
from tests.servers.feeds import LONG_AGO, Clock, feed, fetch, put

pytestmark = pytest.mark.skipif(not openssh.installed(), reason="openssh-server not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with openssh.running(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def connection(server, host: str = "ed25519", client: str = "ed25519", **extra) -> Connection:
    pinned = {"host_key": server.host_key(host), "private_key": Secret(server.client_key(client))}
    return Connection("acme", "sftp", host="127.0.0.1", port=server.port, login=server.user, extra={**pinned, **extra})


def load(conn, outside, **options):
    of = feed({"type": "sftp", "path": str(outside), "settle": "0s", **options})
    clock = Clock()
    return load_source(of, conn, now=clock, sleep=clock.sleep), of


@pytest.mark.parametrize("host", openssh.KEY_TYPES)
@pytest.mark.parametrize("client", openssh.KEY_TYPES)
def test_every_type_of_host_key_can_be_pinned_and_every_type_of_key_logs_in(server, outside, tmp_path, host, client):
    put(outside, "stock.csv")
    source, of = load(connection(server, host, client), outside)
    [got] = fetch(source, of, tmp_path / "spool")
    assert got.source_time == LONG_AGO


def test_pysftp_logs_in_with_rsa_whatever_host_key_is_pinned(server, outside, tmp_path):
    put(outside, "stock.csv")
    for host in openssh.KEY_TYPES:
        source, of = load(connection(server, host, "rsa"), outside, backend="pysftp")
        assert len(fetch(source, of, tmp_path / "spool")) == 1


def test_the_key_of_another_server_is_refused(server, outside, tmp_path):
    other = openssh.make_key(tmp_path / "other", "ed25519").with_suffix(".pub").read_text()
    with pytest.raises(CredentialsError, match="not the pinned one"), open_sftp(connection(server, host_key=other)):
        pass


def test_an_unknown_key_is_a_refused_login(server, outside, tmp_path):
    strange = openssh.make_key(tmp_path / "strange", "ed25519").read_text()
    with pytest.raises(CredentialsError, match="refused the login"), open_sftp(connection(server, private_key=Secret(strange))):
        pass


def test_names_that_are_not_utf8_are_fetched_and_cleared_up(server, outside, tmp_path):
    for name in (b"caf\xe9.csv", "café.csv", "cafe\u0301.csv", "a\nb.csv", b"..\\x.csv"):
        put(outside, name)
    source, of = load(connection(server), outside, after="move", move_to="done")
    got = fetch(source, of, tmp_path / "spool")
    assert {g.name for g in got} == {r"caf\xe9.csv", "café.csv", "cafe\u0301.csv", "a\nb.csv"}
    for each in got:
        source.acknowledge(each.reference)
        source.acknowledge(each.reference)
    assert sorted(os.fsencode(p.name) for p in outside.iterdir()) == [b"..\\x.csv", b"done"]
    assert b"caf\xe9.csv" in {os.fsencode(p.name) for p in (outside / "done").iterdir()}


def test_a_moved_file_never_replaces_another(server, outside, tmp_path):
    source, of = load(connection(server), outside, after="move", move_to="done/2026")
    for content in (b"one", b"two"):
        put(outside, "stock.csv", content)
        [got] = fetch(source, of, tmp_path / "spool")
        source.acknowledge(got.reference)
    assert {p.name: p.read_bytes() for p in (outside / "done/2026").iterdir()} == {"stock.csv": b"one", "stock.1.csv": b"two"}


def test_links_are_not_followed(server, outside, tmp_path):
    (tmp_path / "elsewhere.csv").write_bytes(b"x")
    (outside / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    source, of = load(connection(server), outside)
    assert fetch(source, of, tmp_path / "spool") == []


def test_a_missing_folder_and_a_file_in_its_place_are_mistakes(server, outside, tmp_path):
    put(outside, "stock.csv")
    for wrong, message in ((outside / "absent", "no such folder"), (outside / "stock.csv", "a file, not a folder")):
        source, of = load(connection(server), wrong)
        with pytest.raises(ConfigError, match=message) as caught:
            fetch(source, of, tmp_path / "spool")
        assert "stock.csv" in caught.value.hint


def test_a_server_that_ends_in_the_middle_is_worth_another_try(outside, tmp_path):
    for number in range(3):
        put(outside, f"{number}.csv")
    with ExitStack() as stack:
        running = stack.enter_context(openssh.running(tmp_path))
        source, of = load(connection(running), outside)
        assert len(fetch(source, of, tmp_path / "spool")) == 3
        stack.close()
        with pytest.raises(TransientError):
            fetch(source, of, tmp_path / "spool")


def test_an_uploaded_file_replaces_the_old_one_in_one_step(server, outside):
    """What a channel that writes a file relies on: the session is a plain paramiko client."""
    put(outside, "stock.csv", b"old")
    with open_sftp(connection(server)) as client:
        with client.open(f"{outside}/.stock.csv.tmp", "wb") as file:
            file.write(b"new")
        client.posix_rename(f"{outside}/.stock.csv.tmp", f"{outside}/stock.csv")
    assert (outside / "stock.csv").read_bytes() == b"new"
