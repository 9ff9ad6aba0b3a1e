"""What differs between FTP servers: MLSD or LIST, with SIZE and MDTM or without, names in UTF-8 or not, old and new."""

from pathlib import Path

import pytest

from connectors.ftp import FtpOptions
from connectors.registry import load_source
from schemas.errors import ConfigError, PermanentError
from schemas.transfer import Seen
from tests.servers import ftp_lying, ftp_pyftpd
from tests.servers.certificates import Authority
from tests.servers.feeds import LONG_AGO, Clock, feed, fetch, put
from tests.servers.ftp_lying import Lies

UNKNOWN = b"500 unknown\r\n"
LISTED = b"-rw-r--r-- 1 o g 5 Nov  1 06:00 stock.csv\r\n"
DOS = b"11-01-26  06:00AM  5 stock.csv\r\n11-01-26  06:00AM  <DIR> done\r\n"


@pytest.fixture
def lies():
    return Lies(files={b"stock.csv": b"12345"}, facts=False, listing=LISTED)


@pytest.fixture
def server(lies):
    with ftp_lying.running(lies) as running:
        yield running


def load(server, **options):
    of = feed({"type": "ftp", "path": "/", "settle": "0s", "idle_timeout": "2s", **options})
    clock = Clock()
    return load_source(of, server.connection(), now=clock, sleep=clock.sleep), of


def fetch_all(server, spool: Path, seen: Seen | None = None, **options):
    source, of = load(server, plain=True, **options)
    return fetch(source, of, spool, seen)


@pytest.mark.parametrize("listing", [LISTED, DOS, b"total 1\r\n" + LISTED])
def test_a_server_with_list_size_and_mdtm_gives_exact_times(server, lies, tmp_path, listing):
    lies.listing = listing
    [got] = fetch_all(server, tmp_path / "spool")
    assert got.identity == "stock.csv|5|2026-11-01T06:00:00+00:00"
    assert b"SIZE stock.csv" in lies.commands


def test_a_server_without_feat_is_asked_by_list(server, lies, tmp_path):
    lies.replies["FEAT"] = UNKNOWN
    assert len(fetch_all(server, tmp_path / "spool")) == 1
    assert b"MLSD" not in lies.commands


def test_a_server_that_promises_mlsd_and_lacks_it_is_asked_by_list(server, lies, tmp_path):
    lies.facts, lies.replies = True, {"MLSD": UNKNOWN, "MLST": UNKNOWN}
    assert len(fetch_all(server, tmp_path / "spool")) == 1
    assert b"LIST" in lies.commands


def test_without_mdtm_the_zone_of_the_listing_must_be_declared(server, lies, tmp_path):
    lies.replies["MDTM"] = UNKNOWN
    with pytest.raises(ConfigError, match="only in its listing") as caught:
        fetch_all(server, tmp_path / "spool")
    assert "list_timezone" in caught.value.hint
    [got] = fetch_all(server, tmp_path / "spool", list_timezone="Europe/Berlin")
    assert got.identity == "stock.csv|5|2026-11-01T05:00:00+00:00"


def test_without_size_the_size_of_the_listing_counts(server, lies, tmp_path):
    lies.replies |= {"SIZE": UNKNOWN, "MDTM": UNKNOWN}
    [got] = fetch_all(server, tmp_path / "spool", list_timezone="UTC")
    assert got.source_time == LONG_AGO
    assert lies.commands.count(b"LIST") >= 3  # listed, looked at before, looked at after
    lies.listing = LISTED.replace(b" 5 ", b" 6 ")
    with pytest.raises(Exception, match="cut short"):
        fetch_all(server, tmp_path / "other", list_timezone="UTC")


def test_a_file_listed_by_its_day_only_is_left_with_the_reason(server, lies, tmp_path):
    lies.replies["MDTM"] = UNKNOWN
    lies.listing += b"-rw-r--r-- 1 o g 5 Jan  1  2026 old.csv\r\n"
    seen = Seen()
    assert [g.name for g in fetch_all(server, tmp_path / "spool", seen, list_timezone="UTC")] == ["stock.csv"]
    assert "by its day only" in seen.waiting["old.csv"]


def test_only_files_that_matter_are_asked_for_their_time(server, lies, tmp_path):
    lies.listing = b"".join(b"-rw-r--r-- 1 o g 5 Nov  1 06:00 %b\r\n" % n for n in (b"stock.csv", b"photo.jpg", b"x.tmp", b"READY"))
    lies.files[b"READY"] = b""
    assert len(fetch_all(server, tmp_path / "spool", pattern="*.csv", done_marker="READY")) == 1
    assert {c for c in lies.commands if c.startswith(b"MDTM")} == {b"MDTM stock.csv", b"MDTM READY"}


@pytest.mark.parametrize("answer", [b"213 19126110106000\r\n", b"213 yesterday\r\n", b"213 \r\n"])
def test_a_time_that_is_none_is_an_error(server, lies, tmp_path, answer):
    lies.replies["MDTM"] = answer
    with pytest.raises(PermanentError, match="no known form"):
        fetch_all(server, tmp_path / "spool")


def test_a_listing_of_an_unknown_form_is_an_error_with_a_remedy(server, lies, tmp_path):
    lies.listing += b"STOCK.CSV;1  12/24  1-NOV-2026 06:00\r\n"
    with pytest.raises(PermanentError, match="no known form") as caught:
        fetch_all(server, tmp_path / "spool")
    assert "MLSD" in caught.value.hint


def test_names_are_bytes_whatever_their_encoding(tmp_path):
    (tmp_path / "out").mkdir()
    names = (b"caf\xe9.csv", "café.csv", "cafe\u0301.csv", "在庫.csv", b"\x93\xfa.csv")
    for without in ((), ("MLSD", "MLST")):
        for name in names:
            put(tmp_path / "out", name)
        with ftp_pyftpd.running(tmp_path / "out", Authority(tmp_path), without=without) as server:
            source, of = load(server, after="delete")
            got = fetch(source, of, tmp_path / "spool")
            assert {g.name for g in got} == {r"caf\xe9.csv", "café.csv", "cafe\u0301.csv", "在庫.csv", r"\x93\xfa.csv"}
            for each in got:
                source.acknowledge(each.reference)
        assert list((tmp_path / "out").iterdir()) == []


def test_every_data_connection_is_private(tmp_path):
    (tmp_path / "out").mkdir()
    put(tmp_path / "out", "stock.csv")
    with ftp_pyftpd.running(tmp_path / "out", Authority(tmp_path), claims="203.0.113.9") as server:
        source, of = load(server)
        assert len(fetch(source, of, tmp_path / "spool")) == 1
    assert (server.logins, server.encrypted_data) == (1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plain": True, "tls": "implicit"}, "one of them"),
        ({"list_timezone": "Mars/North"}, "unknown time zone"),
        ({"verify": False}, "Extra"),
    ],
)
def test_wrong_options_are_told_when_the_file_is_read(options, message):
    with pytest.raises(ValueError, match=message):
        FtpOptions(path="/", **options)


def test_new_content_within_the_minute_of_a_listing_without_seconds_is_never_lost(server, lies, tmp_path):
    lies.replies |= {"MDTM": UNKNOWN}
    seen, clock = Seen(), Clock()

    def replace_and_sleep(seconds: float) -> None:
        lies.files[b"stock.csv"] = b"54321"  # the same size and, as the listing tells it, the same time
        clock.sleep(seconds)

    of = feed({"type": "ftp", "path": "/", "plain": True, "settle": "1s", "list_timezone": "UTC"})
    source = load_source(of, server.connection(), now=clock, sleep=replace_and_sleep)
    [got] = fetch(source, of, tmp_path / "spool", seen)
    assert got.path.read_bytes() == b"54321"
    assert clock.slept == [60]
