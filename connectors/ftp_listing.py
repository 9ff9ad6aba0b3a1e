"""What FTP servers say about files: MLSD and MLST facts (RFC 3659), unix and DOS listings, MDTM times.

Never guesses: a line or a time that does not follow a known form is an error. Names are bytes, as the server sent them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal

_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_STAMP = re.compile(rb"(\d{14})(?:\.(\d{1,6})\d*)?")
_NUMBER = re.compile(rb"\d{1,18}")
_UNIX = re.compile(
    rb"(?P<kind>[-bcdlps])[-rwxsStTl]{9}[+.@]?\s+\d+\s+\S.*?\s+(?P<size>\d{1,18})\s+"
    rb"(?:(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?:(?P<clock>\d{1,2}:\d\d)|(?P<year>\d{4}))"
    rb"|(?P<iso>\d{4}-\d\d-\d\d) (?P<iso_clock>\d\d:\d\d)) (?P<name>.+)",
    re.DOTALL,
)
_UNIX_OTHER = re.compile(rb"[bcdlps][-rwxsStTl]{9}[+.@]?\s", re.DOTALL)  # a folder, link, pipe or device
_DOS = re.compile(
    rb"(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>\d{4}|\d\d) +(?P<hour>\d\d):(?P<minute>\d\d)(?P<half>[AP]M)? +"
    rb"(?:(?P<folder><(?:DIR|JUNCTION|SYMLINKD?)>)|(?P<size>\d{1,18})) +(?P<name>.+)",
    re.DOTALL,
)
_TOTAL = re.compile(rb"total \d+")
_NOON = 12
_CENTURY = 2000  # of DOS listings with two-digit years

Kind = Literal["file", "other"]


class ListingError(ValueError):
    """A listing, fact or time in a form that is not known; the text says which, escaped."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a folder: its name, whether it is a regular file, size in bytes and time (UTC) where told."""

    name: bytes
    kind: Kind
    size: int | None = None
    modified_at: datetime | None = None


def split_lines(data: bytes) -> list[bytes]:
    """Return the lines of a listing. A bare line feed belongs to a name, except where the server never sends CR LF."""
    mark = b"\r\n" if b"\r\n" in data else b"\n"
    return [line for line in data.split(mark) if line]


def parse_mlsd(data: bytes) -> list[Entry]:
    """Return the entries of an MLSD answer (RFC 3659 §7), the folder itself and its parent left out."""
    entries = (parse_facts(line) for line in split_lines(data))
    return [entry for entry in entries if entry is not None]


def parse_facts(line: bytes) -> Entry | None:
    """Return the entry that "type=file;size=12;modify=20261101060000; name" describes; None for the folder and its parent."""
    facts, blank, name = line.partition(b" ")
    if not blank or not name or (facts and not facts.endswith(b";")):
        raise _unknown("entry", line)
    pairs = [fact.partition(b"=") for fact in facts.split(b";") if fact]
    if not all(sign for _, sign, _ in pairs):
        raise _unknown("entry", line)
    values = {key.lower(): value for key, _, value in pairs}
    kind = values.get(b"type", b"").lower()
    if not kind:
        raise _unknown("entry without a type", line)
    if kind in {b"cdir", b"pdir"}:
        return None
    if kind != b"file":
        return Entry(name, "other")
    size, modified = values.get(b"size"), values.get(b"modify")
    return Entry(name, "file", None if size is None else parse_size(size), None if modified is None else parse_stamp(modified))


def parse_list(data: bytes, zone: tzinfo | None, now: datetime) -> list[Entry]:
    """Return the entries of a LIST answer in unix (`ls -l`) or DOS form.

    Times are those of `zone`; without one they are left out, and so is the time of a unix entry that shows a year instead
    of a clock. An entry without a year is the latest such moment not more than a day after `now`, as `ls` means it.
    """
    lines = split_lines(data)
    if lines and _TOTAL.fullmatch(lines[0]):
        lines = lines[1:]
    return list(_parsed(lines, zone, now))


def parse_size(text: bytes) -> int:
    """Return a size in bytes."""
    if not _NUMBER.fullmatch(text):
        raise _unknown("size", text)
    return int(text)


def parse_stamp(text: bytes) -> datetime:
    """Return the UTC time that YYYYMMDDHHMMSS[.sss] means (RFC 3659 §2.3)."""
    found = _STAMP.fullmatch(text)
    if not found:
        raise _unknown("time", text)
    try:
        moment = datetime.strptime(found[1].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        raise _unknown("time", text) from None
    return moment + timedelta(microseconds=int((found[2] or b"0").ljust(6, b"0")))


def _parsed(lines: list[bytes], zone: tzinfo | None, now: datetime) -> Iterator[Entry]:
    for line in lines:
        if unix := _UNIX.fullmatch(line):
            if unix["name"] not in {b".", b".."}:
                yield _entry(unix, line, zone, lambda found: _unix_time(found, zone or UTC, now))
        elif _UNIX_OTHER.match(line):
            yield Entry(line.rpartition(b" ")[2], "other")
        elif dos := _DOS.fullmatch(line):
            yield _entry(dos, line, zone, lambda found: _dos_time(found, zone or UTC))
        else:
            raise _unknown("line of the listing", line)


def _entry(
    found: re.Match[bytes], line: bytes, zone: tzinfo | None, time_of: Callable[[re.Match[bytes]], datetime | None]
) -> Entry:
    parts = found.groupdict()
    if parts.get("kind", b"-") != b"-" or parts.get("folder"):
        return Entry(found["name"], "other")
    try:
        moment = time_of(found)  # also without a zone: a date that is none shows that the form is not the one taken for
    except (ValueError, KeyError, OverflowError):  # the last for a moment before the year 1 or after 9999 in UTC
        raise _unknown("date in the listing", line) from None
    return Entry(found["name"], "file", int(found["size"]), moment if zone else None)


def _unix_time(found: re.Match[bytes], zone: tzinfo, now: datetime) -> datetime | None:
    if found["iso"]:
        text = (found["iso"] + found["iso_clock"]).decode("ascii")
        return datetime.strptime(text, "%Y-%m-%d%H:%M").replace(tzinfo=zone).astimezone(UTC)
    month, day = _MONTHS[found["month"]], int(found["day"])
    if found["year"]:
        datetime(int(found["year"]), month, day, tzinfo=zone)
        return None
    hour, minute = map(int, found["clock"].split(b":"))
    return _latest(now + timedelta(days=1), zone, month, day, (hour, minute))


def _latest(end: datetime, zone: tzinfo, month: int, day: int, clock: tuple[int, int]) -> datetime:
    this_year = end.astimezone(zone).year
    for year in range(this_year, this_year - 5, -1):  # 29 February comes every four years
        try:
            moment = datetime(year, month, day, *clock, tzinfo=zone).astimezone(UTC)
        except ValueError:
            continue
        if moment <= end:
            return moment
    msg = "no such day"
    raise ValueError(msg)


def _dos_time(found: re.Match[bytes], zone: tzinfo) -> datetime:
    year, hour = int(found["year"]), int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= _NOON:
            msg = "no such hour"
            raise ValueError(msg)
        hour = hour % _NOON + (_NOON if found["half"] == b"PM" else 0)
    full_year = year if len(found["year"]) > 2 else _CENTURY + year  # noqa: PLR2004 - two digits
    moment = datetime(full_year, int(found["month"]), int(found["day"]), hour, int(found["minute"]), tzinfo=zone)
    return moment.astimezone(UTC)


def _unknown(what: str, text: bytes) -> ListingError:
    return ListingError(f"{what} {text[:120]!r} has no known form")
