"""An SFTP server that stalls, lies, cuts short, grows, hangs up, or is another one: what each looks like from our side."""

import os
import socket
import threading
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest
from paramiko.sftp import CMD_DATA, CMD_NAME

from connectors.registry import load_source
from connectors.sftp import Timeouts, open_sftp
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from schemas.transfer import Seen
from stockfeed.demo.sftp_server import Login, SftpServer
from tests.servers.feeds import CANARY, LONG_AGO, Clock, connection, feed, fetch, put
from tests.servers.sftp_faults import Faults

SIZE = 1_000_000


@pytest.fixture
def faults():
    faults = Faults()
    yield faults
    faults.let_go.set()


@pytest.fixture
def server(tmp_path, faults):
    (tmp_path / "out").mkdir()
    with SftpServer(tmp_path / "out", Login("acme", CANARY), files=faults.files) as running:
        faults.hang_up = running.hang_up
        put(tmp_path / "out", "stock.csv", os.urandom(SIZE))
        yield running
        faults.let_go.set()


def fetch_all(server, spool: Path, seen: Seen | None = None, *, conn=None, **options):
    of = feed({"type": "sftp", "path": "/", "settle": "0s", "idle_timeout": "0.3s", "connect_timeout": "2s", **options})
    clock = Clock()
    return fetch(load_source(of, conn or connection(server), now=clock, sleep=clock.sleep), of, spool, seen)


def nothing_left(spool: Path) -> bool:
    return not spool.exists() or list(spool.iterdir()) == []


def test_a_folder_that_is_missing_beside_the_login_is_told_with_what_is_there(server, tmp_path):
    with pytest.raises(ConfigError, match="there is no such folder") as caught:
        fetch_all(server, tmp_path / "spool", path="outt")
    assert caught.value.hint == "Correct `path`. The folder of the login holds: stock.csv."


@pytest.mark.parametrize("offset", [0, 32768, 900_000])
def test_a_server_that_stalls_is_given_up_after_the_idle_time_out(server, faults, tmp_path, offset):
    faults.stall_at = offset
    started = time.monotonic()
    with pytest.raises(TransientError):
        fetch_all(server, tmp_path / "spool")
    assert time.monotonic() - started < 3
    assert nothing_left(tmp_path / "spool")


@pytest.mark.parametrize("kind", [CMD_NAME, CMD_DATA])
def test_a_slow_drip_of_a_listing_or_a_file_ends_at_the_deadline(server, tmp_path, monkeypatch, kind):
    gone = threading.Event()

    def drip(session, packet: bytes) -> None:
        step = 1 if packet[4] == kind else len(packet)
        for start in range(0, len(packet), step):
            session.sock.sendall(packet[start : start + step])
            if step == 1 and gone.wait(0.1):
                return

    monkeypatch.setattr(paramiko.SFTPServer, "_write_all", drip)
    with pytest.raises(TransientError, match="took longer than 1 s"):
        fetch_all(server, tmp_path / "spool", idle_timeout="20s", deadline="1s")
    gone.set()
    assert nothing_left(tmp_path / "spool")


@pytest.mark.parametrize("offset", [0, 500_000])
def test_a_connection_cut_in_the_middle_is_worth_another_try(server, faults, tmp_path, offset):
    faults.drop_at = offset
    with pytest.raises(TransientError):
        fetch_all(server, tmp_path / "spool", idle_timeout="5s")
    assert nothing_left(tmp_path / "spool")


@pytest.mark.parametrize("end", [0, 1, SIZE - 1])
def test_a_file_that_ends_early_is_never_taken_for_whole(server, faults, tmp_path, end):
    faults.end_at = end
    with pytest.raises(TransientError, match=f"cut short: {SIZE} bytes listed, {end} received"):
        fetch_all(server, tmp_path / "spool")
    assert nothing_left(tmp_path / "spool")


def test_a_file_that_grows_while_it_is_read_is_fetched_again_and_not_recorded(server, faults, tmp_path):
    faults.grow_on_read = True
    seen = Seen()
    with pytest.raises(TransientError, match="still growing"):
        fetch_all(server, tmp_path / "spool", seen)
    assert nothing_left(tmp_path / "spool")
    assert "stock.csv" not in seen.listing
    faults.grow_on_read = False
    [got] = fetch_all(server, tmp_path / "spool", seen)
    assert got.size > SIZE


@pytest.mark.parametrize("most", [1000, 16384])
def test_a_server_that_answers_with_less_than_asked_for_still_delivers_the_whole_file(server, faults, tmp_path, most):
    faults.short_reads = most
    [got] = fetch_all(server, tmp_path / "spool", idle_timeout="5s")
    assert got.path.read_bytes() == (server.root / "stock.csv").read_bytes()


def test_a_read_that_fails_is_worth_another_try(server, faults, tmp_path):
    faults.fail_reads = True
    with pytest.raises(TransientError):
        fetch_all(server, tmp_path / "spool")
    assert nothing_left(tmp_path / "spool")


def test_files_before_the_broken_one_arrive_and_those_after_it_wait(server, faults, tmp_path):
    put(server.root, "a-first.csv", b"1", LONG_AGO - timedelta(hours=1))
    put(server.root, "z-last.csv", b"3", LONG_AGO + timedelta(hours=1))
    faults.end_at = 500
    got = []
    of = feed({"type": "sftp", "path": "/", "settle": "0s"})
    with pytest.raises(TransientError):
        got.extend(f.name for f in load_source(of, connection(server)).fetch(of, Seen(), tmp_path / "spool"))
    assert len(list((tmp_path / "spool").iterdir())) == 1  # the first one, handed over


def test_hostile_listed_names_are_left_with_a_note(server, faults, tmp_path):
    faults.extra_names = (
        b"../../etc/passwd",
        b"..",
        b"",
        b"/etc/passwd",
        b"a\0b",
        b"..\\..\\win.ini",
        b"x" * 5000,
        b"\xff\xfe/../x",
    )
    seen = Seen()
    assert [g.name for g in fetch_all(server, tmp_path / "spool", seen, ignore=[])] == ["stock.csv"]
    assert "../../etc/passwd" in seen.waiting
    assert all(len(name) <= 80 and name.isprintable() for name in seen.waiting)


def test_one_undecodable_name_does_not_hide_the_other_files(server, faults, tmp_path):
    faults.extra_names = (b"\xff\xfe\xe9.txt",)
    assert [g.name for g in fetch_all(server, tmp_path / "spool", pattern="*.csv")] == ["stock.csv"]


def test_a_folder_closed_to_us_is_a_mistake_with_a_remedy(server, faults, tmp_path):
    faults.deny_listing = True
    with pytest.raises(ConfigError, match="permission denied") as caught:
        fetch_all(server, tmp_path / "spool")
    assert "supplier" in caught.value.hint


def test_a_path_that_names_a_file_is_a_mistake(server, tmp_path):
    with pytest.raises(ConfigError):
        fetch_all(server, tmp_path / "spool", path="/stock.csv")


@pytest.mark.parametrize("backend", ["paramiko", "pysftp"])
def test_another_host_key_is_refused_before_anything_secret_is_sent(server, tmp_path, backend):
    other = paramiko.ECDSAKey.generate()
    pinned = connection(server, extra={"host_key": f"{other.get_name()} {other.get_base64()}"})
    with pytest.raises(CredentialsError) as caught:
        fetch_all(server, tmp_path / "spool", conn=pinned, backend=backend)
    assert other.fingerprint in caught.value.message
    assert server.fingerprint in caught.value.message
    assert "supplier" in caught.value.hint


@pytest.mark.parametrize("backend", ["paramiko", "pysftp"])
def test_a_key_of_another_type_than_the_pinned_one_is_refused_and_named(server, tmp_path, backend):
    other = paramiko.RSAKey.generate(2048)
    pinned = connection(server, extra={"host_key": f"{other.get_name()} {other.get_base64()}"})
    with pytest.raises(CredentialsError, match="not the pinned one") as caught:
        fetch_all(server, tmp_path / "spool", conn=pinned, backend=backend)
    assert server.fingerprint in caught.value.message


@pytest.mark.parametrize("backend", ["paramiko", "pysftp"])
def test_without_a_pinned_key_nothing_is_fetched_and_the_presented_key_is_named(server, tmp_path, backend):
    with pytest.raises(CredentialsError, match="no host key is pinned") as caught:
        fetch_all(server, tmp_path / "spool", conn=connection(server, extra={}), backend=backend)
    assert server.host_key in caught.value.hint


def test_a_pinned_known_hosts_line_with_a_port_is_enough(server, tmp_path):
    assert len(fetch_all(server, tmp_path / "spool", conn=connection(server, extra={"known_hosts": server.host_key_line}))) == 1


@pytest.mark.parametrize(
    "greeting", [b"", b"220 FTP server ready\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silent", "ftp", "http"]
)
def test_a_port_where_no_ssh_server_answers_is_worth_another_try(greeting, tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def greet() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(greeting)
                client.recv(1000)
                over.wait(10)

        over = threading.Event()
        thread = threading.Thread(target=greet)
        thread.start()
        stranger = connection(SftpServer(tmp_path, Login("acme", CANARY), port=listener.getsockname()[1]))
        started = time.monotonic()
        try:
            with pytest.raises(TransientError), open_sftp(stranger, Timeouts(connect=0.3, idle=0.3)):
                pass
            assert time.monotonic() - started < 5
        finally:
            over.set()
            thread.join()


def test_a_login_without_password_or_key_is_named(server, tmp_path):
    with pytest.raises(CredentialsError, match="neither a password nor a private key"):
        fetch_all(server, tmp_path / "spool", conn=connection(server, password=None))


def test_a_missing_user_name_is_named(server, tmp_path):
    with pytest.raises(CredentialsError, match="has no login"):
        fetch_all(server, tmp_path / "spool", conn=connection(server, login=None))


def test_a_listing_without_end_is_bounded(server, faults, tmp_path, monkeypatch):
    monkeypatch.setattr("connectors.sftp_folder.MOST_ENTRIES", 1000)
    faults.extra_names = tuple(b"%06d.csv" % n for n in range(1001))
    with pytest.raises(PermanentError, match="more than 1000 files"):
        fetch_all(server, tmp_path / "spool", idle_timeout="30s")


def all_sessions_end() -> bool:
    """Both ends of every session run on threads; they end by themselves once the client has closed."""
    threads = [t for t in threading.enumerate() if isinstance(t, (paramiko.Transport, paramiko.SubsystemHandler))]
    for thread in threads:
        thread.join(5)
    return not any(t.is_alive() for t in threads)


def test_connections_end_with_the_fetch(server, tmp_path):
    for backend in ("paramiko", "pysftp"):
        fetch_all(server, tmp_path / "spool", backend=backend)
    assert all_sessions_end()


def test_a_fetch_given_up_half_way_closes_its_connection(server, tmp_path):
    put(server.root, "other.csv")
    of = feed({"type": "sftp", "path": "/", "settle": "0s"})
    arrivals = load_source(of, connection(server)).fetch(of, Seen(), tmp_path / "spool")
    next(arrivals)
    arrivals.close()
    assert all_sessions_end()


@pytest.mark.parametrize("backend", ["paramiko", "pysftp"])
def test_a_refused_login_leaves_no_connection(server, tmp_path, backend):
    with pytest.raises(CredentialsError):
        fetch_all(server, tmp_path / "spool", conn=connection(server, login="else"), backend=backend)
    assert all_sessions_end()
