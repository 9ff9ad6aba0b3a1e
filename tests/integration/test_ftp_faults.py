"""An FTP server that cuts, lies, grows, falls silent, points elsewhere or breaks TLS: what each looks like from our side."""

import time
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.registry import load_source
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from schemas.transfer import Seen
from tests.servers import ftp_lying
from tests.servers.certificates import Authority, outdated_context, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.ftp_lying import Lies

CONTENT = b"SKU;Qty\r\n" + b"A;1\r\n" * 50_000
NAME = b"stock.csv"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def lies():
    return Lies(files={NAME: CONTENT})


@pytest.fixture
def server(lies):
    with ftp_lying.running(lies) as running:
        yield running


@pytest.fixture
def encrypted(lies, authority):
    lies.tls = server_context(authority.issue("127.0.0.1"))
    with ftp_lying.running(lies) as running:
        yield running


def fetch_all(server, spool: Path, seen: Seen | None = None, *, conn=None, **options):
    """Everything new; plain unless the test says how it is encrypted."""
    plain = {} if "tls" in options else {"plain": True}
    of = feed({"type": "ftp", "path": "/", "settle": "0s", "idle_timeout": "5s", "connect_timeout": "2s", **plain, **options})
    clock = Clock()
    return fetch(load_source(of, conn or server.connection(), now=clock, sleep=clock.sleep), of, spool, seen)


def trusting(server, authority):
    return server.connection(extra={"ca_file": str(authority.ca_file)})


def nothing_left(spool: Path) -> bool:
    return not spool.exists() or list(spool.iterdir()) == []


@pytest.mark.parametrize("cut_at", [0, 1, 100_000, len(CONTENT) - 1])
@pytest.mark.parametrize(
    "end",
    [
        ("226", "cut short"),  # F06
        ("426", "broken off"),
        ("reset", "."),
        ("silence", "no answer in time"),  # F07
        ("nothing", "no answer in time"),
    ],
)
def test_a_data_connection_that_is_cut_is_never_taken_for_whole(server, lies, tmp_path, cut_at, end):
    lies.cut_at, (lies.cut_with, message) = cut_at, end
    started = time.monotonic()
    with pytest.raises(TransientError, match=message):
        fetch_all(server, tmp_path / "spool", idle_timeout="0.3s")
    assert time.monotonic() - started < 5
    assert nothing_left(tmp_path / "spool")


@pytest.mark.parametrize("cut_with", ["426", "reset", "silence", "nothing"])
def test_a_listing_that_is_cut_is_an_error(server, lies, tmp_path, cut_with):
    lies.cut_at, lies.cut_with, lies.cut_listing = 20, cut_with, True
    with pytest.raises(TransientError):
        fetch_all(server, tmp_path / "spool", idle_timeout="0.3s")


def test_a_listing_that_is_cut_inside_a_line_is_an_error_even_when_it_is_confirmed(server, lies, tmp_path):
    lies.cut_at, lies.cut_listing = 20, True
    with pytest.raises(PermanentError, match="has no known form"):
        fetch_all(server, tmp_path / "spool")


@pytest.mark.parametrize("encryption", [{"tls": "explicit"}, {"tls": "implicit"}])
def test_tls_that_ends_without_its_end_mark_is_not_a_whole_file(encrypted, lies, authority, tmp_path, encryption):
    lies.implicit = encryption["tls"] == "implicit"
    lies.cut_at = len(CONTENT)  # every byte arrives, and 226 is said
    assert len(fetch_all(encrypted, tmp_path / "spool", conn=trusting(encrypted, authority), **encryption)) == 1
    lies.tls_end = False
    with pytest.raises(TransientError, match="end mark of TLS"):
        fetch_all(encrypted, tmp_path / "other", conn=trusting(encrypted, authority), **encryption)
    assert nothing_left(tmp_path / "other")


def test_a_growing_file_is_fetched_again_and_not_recorded(server, lies, tmp_path):
    lies.grow_on_read = True
    seen = Seen()
    with pytest.raises(TransientError, match="still growing"):
        fetch_all(server, tmp_path / "spool", seen)
    assert nothing_left(tmp_path / "spool")
    assert "stock.csv" not in seen.listing
    lies.grow_on_read = False
    [got] = fetch_all(server, tmp_path / "spool", seen)
    assert got.size == len(CONTENT) + 4


@pytest.mark.parametrize("lie", [len(CONTENT) + 1, len(CONTENT) - 1, 0])
@pytest.mark.parametrize("facts", [True, False])
def test_a_size_that_is_a_lie_is_detected(server, lies, tmp_path, lie, facts):
    lies.listed_sizes = {NAME: lie}
    if not facts:
        lies.facts, lies.listing = False, b"-rw-r--r-- 1 a b %d Nov  1 06:00 stock.csv\r\n" % lie
    with pytest.raises(TransientError, match=r"cut short|sends more than"):
        fetch_all(server, tmp_path / "spool")
    assert nothing_left(tmp_path / "spool")


def test_a_listing_that_disagrees_with_the_file_is_detected(server, lies, tmp_path):
    lies.listing = b"type=file;size=7;modify=20261101060000; stock.csv\r\n"
    with pytest.raises(TransientError, match="changed after it was listed"):
        fetch_all(server, tmp_path / "spool")


def test_a_file_that_is_listed_twice_is_fetched_once(server, lies, tmp_path):
    lies.listing = b"type=file;size=%d;modify=20261101060000; stock.csv\r\n" % len(CONTENT) * 3
    assert [got.size for got in fetch_all(server, tmp_path / "spool")] == [len(CONTENT)]
    assert lies.commands.count(b"RETR stock.csv") == 1


def test_a_listed_file_that_is_not_there_is_worth_another_try(server, lies, tmp_path):
    lies.listing = b"type=file;size=7;modify=20261101060000; ghost.csv\r\n"
    with pytest.raises(TransientError, match="changed after it was listed"):
        fetch_all(server, tmp_path / "spool")


def test_an_endless_file_is_stopped(server, lies, tmp_path):
    lies.listed_sizes = {NAME: 1000}
    with pytest.raises(TransientError, match="sends more than the 1000 bytes listed"):
        fetch_all(server, tmp_path / "spool")


def test_a_file_above_the_limit_is_left_with_the_reason(server, lies, tmp_path):
    seen = Seen()
    assert fetch_all(server, tmp_path / "spool", seen, max_size=1000) == []
    assert "max_size" in seen.waiting["stock.csv"]


@pytest.mark.parametrize("elsewhere", [b"203,0,113,9", b"10,0,0,1", b"0,0,0,0"])
def test_the_address_in_the_pasv_answer_is_ignored(server, lies, tmp_path, elsewhere):
    lies.claims = elsewhere
    assert len(fetch_all(server, tmp_path / "spool")) == 1


def test_ipv6_uses_epsv(lies, tmp_path):
    with ftp_lying.running(lies, "::1") as server:
        assert len(fetch_all(server, tmp_path / "spool", conn=server.connection(host="::1"))) == 1
    assert b"EPSV" in lies.commands
    assert b"PASV" not in lies.commands


def test_epsv_is_used_where_pasv_is_not_known(server, lies, tmp_path):
    lies.replies["PASV"] = b"502 not here\r\n"
    assert len(fetch_all(server, tmp_path / "spool")) == 1


def test_a_server_that_tells_no_size_is_refused(server, lies, tmp_path):
    lies.listing = b"type=file;modify=20261101060000; stock.csv\r\n"
    lies.replies["SIZE"] = b"500 unknown\r\n"
    with pytest.raises(PermanentError, match="does not tell the size"):
        fetch_all(server, tmp_path / "spool")


@pytest.mark.parametrize("reply", [b"227 no port\r\n", b"227 (1,2,3,4,999,999)\r\n", b"227 (127,0,0,1,0,0)\r\n"])
def test_a_pasv_answer_without_a_port_is_an_error(server, lies, tmp_path, reply):
    lies.replies["PASV"] = reply
    with pytest.raises((TransientError, PermanentError), match="no port"):
        fetch_all(server, tmp_path / "spool")


def test_hostile_names_in_a_listing_are_left_with_a_note_and_never_asked_for(server, lies, tmp_path):
    hostile = (b"../../etc/passwd", b"/etc/passwd", b"..", b"a\0b", b"..\\..\\win.ini", b"x\ny.csv", b"x\ry.csv", b"z" * 2000)
    lies.listing = b"".join(b"type=file;size=7;modify=20261101060000; %b\r\n" % name for name in hostile)
    seen = Seen()
    assert fetch_all(server, tmp_path / "spool", seen, ignore=[]) == []
    assert len(seen.waiting) == len(hostile)
    assert all(name.isprintable() and len(name) <= 80 for name in seen.waiting)
    assert not any(command.startswith((b"RETR", b"MLST", b"SIZE", b"MDTM")) for command in lies.commands)


@pytest.mark.parametrize("name", ["a\r\nDELE stock.csv", "a\nb", "a\rb", "a\0b"])
def test_a_stored_name_with_a_line_break_never_becomes_a_command(server, lies, name):
    of = feed({"type": "ftp", "path": "/", "plain": True, "after": "delete"})
    reference = {"name": name, "size": "7", "modified_at": "2026-11-01T06:00:00+00:00"}
    with pytest.raises(PermanentError):
        load_source(of, server.connection()).acknowledge(reference)
    assert not any(b"DELE" in command for command in lies.commands)


def test_a_line_break_in_login_password_or_path_never_becomes_a_command(server, lies, tmp_path):
    for changes in ({"login": "acme\r\nDELE x"}, {"password": Secret("x\r\nDELE x")}):
        with pytest.raises(PermanentError, match="line break"):
            fetch_all(server, tmp_path / "spool", conn=server.connection(**changes))
    with pytest.raises(PermanentError, match="line break"):
        fetch_all(server, tmp_path / "spool", path="/a\r\nDELE x")
    assert not any(command.startswith(b"DELE") for command in lies.commands)


@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"220-never\r\n" + b"ends\r\n" * 5000,
        b"x" * 20_000,
        b"\xff\r\n",
    ],
    ids=["ssh", "http", "endless", "long", "binary"],
)
def test_a_server_that_does_not_speak_ftp_is_named(server, lies, tmp_path, greeting):
    lies.greeting = greeting
    with pytest.raises(PermanentError, match="does not speak FTP"):
        fetch_all(server, tmp_path / "spool")


@pytest.mark.parametrize("greeting", [b"", b"220-wait\r\n", b"22"], ids=["nothing", "half", "part"])
def test_a_silent_server_is_given_up_after_the_idle_time_out(server, lies, tmp_path, greeting):
    lies.greeting = greeting
    started = time.monotonic()
    with pytest.raises(TransientError, match="no answer in time"):
        fetch_all(server, tmp_path / "spool", idle_timeout="0.3s")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("encryption", [{"plain": True}, {"tls": "explicit"}])
def test_a_server_that_waits_for_tls_from_the_first_byte_is_told_with_the_key_for_it(
    encrypted, lies, authority, tmp_path, encryption
):
    lies.implicit = True
    with pytest.raises(TransientError, match="has not greeted us") as told:
        fetch_all(encrypted, tmp_path / "spool", conn=trusting(encrypted, authority), idle_timeout="0.3s", **encryption)
    assert 'tls = "implicit"' in told.value.hint


def test_a_server_that_is_full_is_worth_another_try(server, lies, tmp_path):
    lies.greeting = b"421 too many connections\r\n"
    with pytest.raises(TransientError, match="421 too many"):
        fetch_all(server, tmp_path / "spool")
    lies.greeting = b"120 in a minute\r\n220 ready\r\n"
    assert len(fetch_all(server, tmp_path / "spool")) == 1
    lies.replies["PASS"] = b"421 too many users\r\n"
    with pytest.raises(TransientError, match="421 too many"):
        fetch_all(server, tmp_path / "spool")


def test_the_password_is_never_shown_when_a_server_repeats_it(server, lies, tmp_path):
    lies.replies["PASS"] = f"530 {CANARY} is wrong\r\n".encode()
    with pytest.raises(CredentialsError, match=r"530 \*\*\* is wrong") as caught:
        fetch_all(server, tmp_path / "spool")
    assert CANARY not in repr(caught.value) + caught.value.hint + caught.value.detail


def test_no_login_is_sent_when_the_server_takes_no_tls(server, lies, tmp_path):
    with pytest.raises(PermanentError, match="offers no encryption") as caught:
        fetch_all(server, tmp_path / "spool", tls="explicit")
    assert "FTPS or SFTP" in caught.value.hint
    assert not any(command.startswith((b"USER", b"PASS")) for command in lies.commands)


def test_data_without_encryption_is_refused(encrypted, lies, authority, tmp_path):
    lies.replies["PROT"] = b"536 not here\r\n"
    with pytest.raises(PermanentError, match="PROT was refused"):
        fetch_all(encrypted, tmp_path / "spool", conn=trusting(encrypted, authority), tls="explicit")


def test_answers_slipped_in_before_tls_are_refused(encrypted, lies, authority, tmp_path):
    lies.slipped_in = b"230 no password needed\r\n"
    with pytest.raises(PermanentError, match="before TLS"):
        fetch_all(encrypted, tmp_path / "spool", conn=trusting(encrypted, authority), tls="explicit")
    assert not any(command.startswith((b"USER", b"PASS")) for command in lies.commands)


@pytest.mark.parametrize("encryption", ["explicit", "implicit"])
def test_wrong_certificates_are_refused_before_the_login(lies, authority, tmp_path, encryption):
    stranger = Authority(tmp_path)
    wrong = {
        "IP address mismatch": server_context(authority.issue("203.0.113.9", "else.example", file="name.pem")),
        "expired": server_context(authority.issue("127.0.0.1", valid=timedelta(days=-1), file="old.pem")),
        "unable to get local issuer|self-signed": server_context(stranger.issue("127.0.0.1", file="strange.pem")),
        "TLS could not be agreed": outdated_context(authority.issue("127.0.0.1", file="outdated.pem")),
    }
    for message, context in wrong.items():
        lies.tls, lies.implicit = context, encryption == "implicit"
        with ftp_lying.running(lies) as server, pytest.raises(PermanentError, match=message) as caught:
            fetch_all(server, tmp_path / "spool", conn=trusting(server, authority), tls=encryption)
        assert caught.value.hint
    assert not any(command.startswith((b"USER", b"PASS")) for command in lies.commands)


def test_a_wrong_certificate_on_the_data_connection_is_refused(encrypted, lies, authority, tmp_path):
    lies.data_context = server_context(authority.issue("203.0.113.9", file="data.pem"))
    with pytest.raises(PermanentError, match="certificate is not accepted"):
        fetch_all(encrypted, tmp_path / "spool", conn=trusting(encrypted, authority), tls="explicit")


def test_a_ca_file_that_is_none_is_a_mistake_of_the_connection(encrypted, tmp_path):
    (tmp_path / "not.pem").write_text("hello")
    for path in (tmp_path / "absent.pem", tmp_path / "not.pem"):
        with pytest.raises(CredentialsError, match="ca_file"):
            fetch_all(encrypted, tmp_path / "spool", conn=encrypted.connection(extra={"ca_file": str(path)}), tls="explicit")


def test_without_a_ca_file_the_machines_authorities_decide(encrypted, tmp_path):
    with pytest.raises(PermanentError, match="certificate is not accepted") as caught:
        fetch_all(encrypted, tmp_path / "spool", tls="explicit")
    assert "ca_file" in caught.value.hint


def test_plain_ftp_is_marked_on_every_delivery(server, lies, tmp_path):
    lies.files[b"second.csv"] = b"x"
    got = fetch_all(server, tmp_path / "spool")
    assert [[(f.code, f.severity) for f in g.findings] for g in got] == [[("PLAIN-TRANSFER", "warn")]] * 2


def test_an_encrypted_delivery_has_no_mark(encrypted, authority, tmp_path):
    [got] = fetch_all(encrypted, tmp_path / "spool", conn=trusting(encrypted, authority), tls="explicit")
    assert got.findings == ()


def test_a_folder_closed_to_us_is_a_mistake_with_a_remedy(server, lies, tmp_path):
    for verb in ("MLSD", "CWD", "RETR"):
        lies.replies = {verb: b"550 Permission denied.\r\n"}
        with pytest.raises(ConfigError) as caught:
            fetch_all(server, tmp_path / "spool")
        assert caught.value.hint


def test_a_listing_without_end_is_bounded(server, lies, tmp_path, monkeypatch):
    monkeypatch.setattr("connectors.ftp_folder.MOST_ENTRIES", 1000)
    lies.listing = b"".join(b"type=file;size=1;modify=20261101060000; %d\r\n" % n for n in range(1001))
    with pytest.raises(PermanentError, match="more than 1000 files"):
        fetch_all(server, tmp_path / "spool")
    monkeypatch.setattr("connectors.ftp_folder.MOST_LISTING", 5000)
    with pytest.raises(PermanentError, match="larger than 5000 bytes"):
        fetch_all(server, tmp_path / "spool")


def test_what_takes_too_long_altogether_ends_at_the_deadline(server, lies, tmp_path):
    with pytest.raises(TransientError, match="took longer than"):
        fetch_all(server, tmp_path / "spool", deadline="0.0001s")
    assert nothing_left(tmp_path / "spool")
