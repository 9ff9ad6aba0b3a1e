"""Listings of many servers: what is read, and what is refused rather than guessed."""

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ftp_listing import Entry, ListingError, parse_facts, parse_list, parse_mlsd, parse_size, parse_stamp

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
AT_SIX = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)


def files(data: bytes, zone=UTC, now=NOW) -> list[tuple]:
    return [(e.name, e.size, e.modified_at) for e in parse_list(data, zone, now) if e.kind == "file"]


@pytest.mark.parametrize(
    "line",
    [
        b"-rw-r--r--    1 0        0              12 Nov 01 06:00 stock.csv",  # vsftpd
        b"-rw-r--r--   1 owner    group          12 Nov  1 06:00 stock.csv",  # proftpd
        b"-rw-r--r-- 1 owner 12 Nov 1 6:00 stock.csv",  # no group
        b"-rw-r--r--+ 1 Domain Users Some Group 12 Nov  1 06:00 stock.csv",  # blanks in names, ACL
        b"-rw-r--r--. 1 1000 100 12 2026-11-01 06:00 stock.csv",  # long-iso, SELinux
        b"11-01-26  06:00AM                   12 stock.csv",  # IIS
        b"11-01-2026  06:00AM                 12 stock.csv",  # IIS with four-digit years
        b"11-01-26  06:00                     12 stock.csv",
    ],
)
def test_a_file_is_read_from_every_known_form(line):
    assert files(line + b"\r\n") == [(b"stock.csv", 12, AT_SIX)]


def test_noon_and_midnight_of_dos_listings():
    lines = b"".join(b"11-01-26  %b  1 x\r\n" % clock for clock in (b"12:00AM", b"12:59PM", b"11:59PM"))
    assert [at.strftime("%H:%M") for _, _, at in files(lines)] == ["00:00", "12:59", "23:59"]


def test_names_are_kept_to_the_last_byte():
    for name in (b" lead", b"trail ", b"a  b.csv", b"caf\xe9.csv", b"a\nb.csv", b"x 1 Nov  1 06:00 y.csv", b"a -> b", b"\xff"):
        assert files(b"-rw-r--r-- 1 o g 12 Nov  1 06:00 " + name + b"\r\n")[0][0] == name
        assert parse_facts(b"type=file; " + name) == Entry(name, "file")


def test_folders_links_pipes_and_devices_are_no_files():
    data = (
        b"total 12\r\ndrwxr-xr-x 2 o g 4096 Nov  1 06:00 .\r\ndrwxr-xr-x 2 o g 4096 Nov  1 06:00 done\r\n"
        b"lrwxrwxrwx 1 o g 9 Nov  1 06:00 link.csv -> stock.csv\r\nprw-r--r-- 1 o g 0 Nov  1 06:00 pipe.csv\r\n"
        b"crw-rw-rw- 1 root root 1, 3 Nov  1 06:00 null\r\nsrwxrwxrwx 1 o g 0 Nov  1 06:00 sock\r\n"
        b"11-01-26  06:00AM  <DIR>  old\r\n"
    )
    assert files(data) == []
    assert {e.name for e in parse_list(data, UTC, NOW)} >= {b"done", b"old"}


def test_a_date_without_a_year_is_the_latest_that_is_not_in_the_future():
    line = b"-rw-r--r-- 1 o g 12 %b stock.csv\r\n"
    cases = {b"Nov  1 06:00": 2026, b"Nov  3 06:00": 2026, b"Nov  4 09:00": 2025, b"Dec 31 23:59": 2025, b"Feb 29 10:00": 2024}
    assert {text: files(line % text)[0][2].year for text in cases} == cases
    new_year = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
    assert files(line % b"Dec 31 23:59", now=new_year)[0][2].year == 2026


def test_times_are_those_of_the_declared_zone():
    line = b"-rw-r--r-- 1 o g 12 Nov  1 07:00 stock.csv\r\n"
    assert files(line, ZoneInfo("Europe/Berlin"))[0][2] == AT_SIX


def test_without_a_zone_and_for_old_files_there_is_no_time_rather_than_a_guess():
    assert files(b"-rw-r--r-- 1 o g 12 Nov  1 06:00 stock.csv\r\n", None)[0][2] is None
    assert files(b"-rw-r--r-- 1 o g 12 Nov  1  2025 stock.csv\r\n")[0][2] is None


@pytest.mark.parametrize(
    "line",
    [
        b"stock.csv",
        b"12 stock.csv",
        b"-rw-r--r-- 1 o g 12 Nov  1 06:00",
        b"-rw-r--r-- 1 o g 12 Okt  1 06:00 x",
        b"-rw-r--r-- 1 o g 12 Nov 31 06:00 x",
        b"-rw-r--r-- 1 o g -1 Nov  1 06:00 x",
        b"-rw-r--r-- 1 o g 1.2K Nov  1 06:00 x",
        b"-rw-r--r-- 1 o g 12 Nov  1 25:00 x",
        b"01.11.26  06:00  12 stock.csv",
        b"26-11-01  06:00AM  12 stock.csv",
        b"11-01-26  13:00PM  12 stock.csv",
        b"11-01-26  06:00AM  1.234 stock.csv",
        b"+i8388621.48594,m825718503,r,s280,\tdjb.html",
        b"STOCK.CSV;1  12/24  1-NOV-2026 06:00 [A,B] (RWED)",
        b"<html>login",
        b"\x00",
        b"type=file; x",
        b"-rw-r--r-- 1 o g 9999999999999999999999 Nov  1 06:00 x",
        b"--rw-r--r-- 1 o g 12 Nov 1 06:00 x",
        b"total 12",
        b"-rw-r--r-- 1 o g 12 Nov  1 06:00 ",
    ],
)
def test_a_line_of_another_form_is_an_error_and_never_left_out(line):
    good = b"-rw-r--r-- 1 o g 12 Nov  1 06:00 stock.csv\r\n"
    with pytest.raises(ListingError, match="no known form"):
        parse_list(good + line + b"\r\n", UTC, NOW)


@pytest.mark.parametrize(
    ("line", "zone"),
    [
        (b"-rw-r--r-- 1 o g 12 9999-12-31 23:59 x", "America/New_York"),
        (b"-rw-r--r-- 1 o g 12 0001-01-01 00:01 x", "Asia/Tokyo"),
        (b"12-31-9999  11:59PM  12 x", "America/New_York"),
        (b"01-01-0001  12:00AM  12 x", "Asia/Tokyo"),
    ],
)
def test_a_time_that_no_clock_can_show_is_an_error_of_the_listing(line, zone):
    with pytest.raises(ListingError, match="no known form"):
        parse_list(line + b"\r\n", ZoneInfo(zone), NOW)


def test_facts_are_read_in_any_order_and_letter_case():
    data = (
        b"Modify=20261101060000.123;SIZE=12;UNIX.mode=0644;Type=File; stock.csv\r\ntype=cdir;modify=20261101060000; .\r\n"
        b"type=pdir; ..\r\ntype=dir;modify=20261101060000; done\r\ntype=OS.unix=slink:/etc/passwd;size=1; link\r\n"
    )
    assert parse_mlsd(data) == [
        Entry(b"stock.csv", "file", 12, AT_SIX + timedelta(milliseconds=123)),
        Entry(b"done", "other"),
        Entry(b"link", "other"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"stock.csv",
        b"type=file;size=12",
        b"type=file;size=12; ",
        b"type=file;size=x; a",
        b"type=file;modify=2026; a",
        b"type=file;size; a",
        b"size=12; a",
        b"type=file;modify=20261301060000; a",
        b"type=file size=12; a",
        b"",
        b"type=file;modify=20261101060000Z; a",
    ],
)
def test_facts_of_another_form_are_an_error(line):
    with pytest.raises(ListingError):
        parse_facts(line)


def test_a_server_that_ends_lines_with_a_line_feed_only_is_read_too():
    assert [e.name for e in parse_mlsd(b"type=file; a\ntype=file; b\n")] == [b"a", b"b"]


@pytest.mark.parametrize(
    "text", [b"2026110106000", b"19126110106000x", b"20261131060000", b"", b"20261101 60000", "２０２６1101060000".encode()]
)
def test_a_time_of_another_form_is_an_error(text):
    with pytest.raises(ListingError):
        parse_stamp(text)


@pytest.mark.parametrize("text", [b"", b"-1", b"1 2", b"1e3", b"12 bytes", b"9" * 19, "１".encode()])
def test_a_size_of_another_form_is_an_error(text):
    with pytest.raises(ListingError):
        parse_size(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_listing_or_an_error_of_it(data):
    for parse in (parse_mlsd, lambda d: parse_list(d, UTC, NOW), parse_stamp, parse_size):
        for each in (data, b"-rw-r--r-- 1 o g 12 Nov  1 06:00 " + data, b"11-01-26  06:00AM  " + data, b"type=file;size=" + data):
            with contextlib.suppress(ListingError):
                parse(each)


@given(
    name=st.binary(min_size=1, max_size=40).filter(lambda n: b"\r\n" not in n and not n.endswith(b"\r")),
    size=st.integers(0, 10**15),
)
def test_what_a_server_lists_is_what_is_read(name, size):
    assert parse_mlsd(b"type=file;size=%d;modify=20261101060000; %b\r\n" % (size, name)) == [Entry(name, "file", size, AT_SIX)]
    listed = files(b"-rw-r--r-- 1 o g %d Nov  1 06:00 %b\r\n" % (size, name))
    assert listed == ([] if name in {b".", b".."} else [(name, size, AT_SIX)])
