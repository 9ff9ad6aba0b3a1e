"""Acknowledgements of EDI interchanges as text: TA1 with 997 or 999, and CONTRL.

They judge syntax alone, as the standards have it: that a delivery is held or rejected for what it says of stock is told to people.
Pure: the same interchange always gives the same bytes under the same name, so an answer sent again is the same answer. Never
answers an acknowledgement.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from transforms.formats.edi_report import Fault, Level, Report

_NUMBERS = 1_000_000_000  # control numbers have nine digits
_GUIDE = "005010X231A1"  # of the 999
_SHOWN = 35  # characters of a wrong value, or of a sender, that are given back
_REFERENCE = 14  # characters of UNB 0020
_TOLD_APART = 8  # digits of the hash of the file


@dataclass(frozen=True, slots=True)
class Answer:
    """One interchange to send back: its file name and content."""

    name: str
    content: bytes


def answers(report: Report, kind: str, sha256: str, at: datetime, *, repeated: bool = False) -> list[Answer]:
    """Return the answers to the interchanges of a file, one each, in order.

    `kind` is "997", "999", "contrl" or "none"; `sha256` that of the file; `repeated`: each control number came before with other
    content. Number, date and time of an answer are those of its interchange; `at` (UTC) stands for a date that is none.
    """
    if kind == "none":
        return []
    found = []
    for place, level in enumerate(report.interchanges, 1):
        if not level.header or not level.control or _only_answers(level):
            continue
        when = _prepared(level) or at
        if report.syntax == "x12":
            text, ending = _x12(level, kind, _control(level.control), when, repeated=repeated), "x12"
        else:
            text, ending = _contrl(level, when, repeated=repeated), "edi"
        found.append(Answer(f"{_name(report, level, kind)}-{sha256[:_TOLD_APART]}-{place}.{ending}", text.encode("utf-8")))
    return found


def _name(report: Report, level: Level, kind: str) -> str:
    """Return who sent the interchange, its control number and what answers it, as part of a file name."""
    before, _, behind = level.header[0].partition(":")
    parts = (behind if report.syntax == "x12" else before, level.control)
    return "-".join([*(re.sub(r"[^A-Za-z0-9]", "_", part.strip())[:_SHOWN] for part in parts), kind])


def _control(received: str) -> int:
    """Return our control number: the received one, or what is made of one that is no number."""
    return (int(received) if re.fullmatch("[0-9]{1,9}", received) else zlib.crc32(received.encode())) % _NUMBERS


def _prepared(level: Level) -> datetime | None:
    """Return when the interchange says it was made, None where that is no date and time."""
    day, clock = level.details[:2]
    text = day + clock
    if not (text.isascii() and text.isdigit()):
        return None
    try:
        return datetime.strptime(text, "%y%m%d%H%M" if len(day) == len("YYMMDD") else "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def _only_answers(level: Level) -> bool:
    kinds = {message.kind for message in _messages(level)}
    return bool(kinds) and kinds <= {"997", "999", "CONTRL", "TA1"}


def _messages(level: Level) -> Iterator[Level]:
    for part in level.parts:
        if part.kind == "GS":
            yield from part.parts
        else:
            yield part


def _x12(level: Level, kind: str, control: int, at: datetime, *, repeated: bool) -> str:
    """Return ISA, TA1, a group with one 997 (or 999) for each group answered, IEA."""
    sender, receiver = (party.partition(":") for party in level.header)
    day, clock, version, test = level.details
    segments: list[Sequence[str]] = [
        ("ISA", "00", " " * 10, "00", " " * 10, receiver[0][:2].ljust(2), receiver[2][:15].ljust(15), sender[0][:2].ljust(2),
         sender[2][:15].ljust(15), f"{at:%y%m%d}", f"{at:%H%M}", "U" if version < "00402" else "^", version[:5].rjust(5, "0"),
         f"{control:09}", "0", test or "P", ">"),
        ("TA1", level.control.rjust(9, "0"), day, clock, *ta1_codes(level, repeated=repeated)),
    ]  # fmt: skip
    groups = [group for group in level.parts if group.kind == "GS" and group.header[0] != "FA"]
    if ta1_codes(level, repeated=repeated)[0] != "R" and groups:
        segments += _acknowledged(groups, kind, control, at, ours=receiver[2], theirs=sender[2])
        segments.append(("IEA", "1", f"{control:09}"))
    else:
        segments.append(("IEA", "0", f"{control:09}"))
    return "".join("*".join([name, *(_plain(e, "*~>") for e in rest[:-1]), rest[-1]]) + "~\n" for name, *rest in segments)


def ta1_codes(level: Level, *, repeated: bool = False) -> tuple[str, str]:
    """Return TA104 and TA105 for an interchange: accepted, accepted with an error, or refused, and the reason."""
    if repeated:
        return "R", "025"
    refusing = next((f for f in level.faults if not f.tolerated), None)
    if refusing is not None:
        return ("E" if refusing.code == "024" else "R"), refusing.code
    return ("E", level.faults[0].code) if level.faults else ("A", "000")


def _acknowledged(groups: list[Level], kind: str, control: int, at: datetime, *, ours: str, theirs: str) -> list[Sequence[str]]:
    version = _GUIDE if kind == "999" else "004010"
    segments: list[Sequence[str]] = [("GS", "FA", ours, theirs, f"{at:%Y%m%d}", f"{at:%H%M}", str(control), "X", version)]
    for place, group in enumerate(groups, 1):
        body = _one_group(group, kind)
        own = f"{place:04}"
        header = ("ST", kind, own, *((_GUIDE,) if kind == "999" else ()))
        segments += [header, *body, ("SE", str(len(body) + 2), own)]
    segments.append(("GE", str(len(groups)), str(control)))
    return segments


def _one_group(group: Level, kind: str) -> list[Sequence[str]]:
    letter = "I" if kind == "999" else "A"
    version = (group.header[1],) if kind == "999" else ()
    segments: list[Sequence[str]] = [("AK1", group.header[0], group.control, *version)]
    for message in group.parts:
        segments.append(("AK2", message.kind, message.control))
        for fault in message.faults:
            if fault.segment_code:
                segments += _one_fault(fault, letter)
        segments.append((f"{letter}K5", ak5_code(message), *sorted({fault.code for fault in message.faults})[:5]))
    accepted = sum(ak5_code(message) != "R" for message in group.parts)
    said = group.said if group.said.isdigit() else str(len(group.parts))
    codes = sorted({fault.code for fault in group.faults})[:5]
    segments.append(("AK9", ak9_code(group), said, str(len(group.parts)), "0" if group.is_refused else str(accepted), *codes))
    return segments


def _one_fault(fault: Fault, letter: str) -> Iterator[Sequence[str]]:
    yield f"{letter}K3", fault.segment[:3], str(fault.position), "", fault.segment_code
    if fault.element_code:
        yield f"{letter}K4", str(fault.element), "", fault.element_code, fault.value[:_SHOWN] or " "


def ak5_code(message: Level) -> str:
    """Return AK501 of a transaction set: A, E (only tolerated faults) or R."""
    return "R" if message.is_refused else "E" if message.faults else "A"


def ak9_code(group: Level) -> str:
    """Return AK901 of a group, consistent with its sets: all A, any E, P for a part refused, R for all or for the group itself."""
    codes = {ak5_code(message) for message in group.parts}
    if group.is_refused or (codes and codes <= {"R"}):
        return "R"
    if "R" in codes:
        return "P"
    return "E" if "E" in codes or group.faults else "A"


def _contrl(level: Level, at: datetime, *, repeated: bool) -> str:
    """Return UNB, a CONTRL message with UCI and a UCM for each message that is not accepted, UNZ."""
    sender, receiver = level.header
    _, _, syntax, test = level.details
    action, code = uci_codes(level, repeated=repeated)
    body = [("UCI", level.control, sender, receiver, action, *((code,) if code else ()))]
    if action != "4":
        body += [_ucm(message) for message in _messages(level) if message.faults]
    number = level.control[:_REFERENCE]
    version = "4" if syntax.endswith(":4") else "3"
    unb: tuple[str, ...] = ("UNB", f"UNOC:{version}", receiver, sender, f"{at:%y%m%d}:{at:%H%M}", number)
    if test:
        unb = (*unb, "", "", "", "", "", "1")
    kind = "CONTRL:4:1:UN" if version == "4" else "CONTRL:D:3:UN"
    segments = [unb, ("UNH", "1", kind), *body, ("UNT", str(len(body) + 2), "1"), ("UNZ", "1", number)]
    return "UNA:+.? '\n" + "".join("+".join(_released(e) for e in segment) + "'\n" for segment in segments)


def uci_codes(level: Level, *, repeated: bool = False) -> tuple[str, str]:
    """Return 0083 and 0085 for an interchange: 7 (acknowledged, but for what UCM says) or 4 (refused) with the reason."""
    if repeated:
        return "4", "26"
    fault = next((f for f in level.faults if not f.tolerated), None)
    return ("4", fault.code) if fault else ("7", "")


def _ucm(message: Level) -> tuple[str, ...]:
    first = next((f for f in message.faults if not f.tolerated), message.faults[0])
    return "UCM", message.control, ":".join(message.header), "4", first.code, first.segment


def _plain(text: str, separators: str) -> str:
    """Return the text without characters that would separate something in an answer."""
    return "".join(" " if c in separators or not c.isprintable() else c for c in text)


def _released(element: str) -> str:
    """Return an element with what would end it released; a colon stays, because parties and types are composites here."""
    return "".join("?" + c if c in "?+'" else c for c in element if c.isprintable())
