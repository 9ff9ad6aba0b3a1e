"""The X12 envelope: control numbers and counts of ISA/IEA, GS/GE and ST/SE, with the reason codes of TA1 and 997.

Never reads a message's content; an interchange without its end is a truncated file, which no setting tolerates.
"""

import re
from collections.abc import Collection

from transforms.formats.edi_numbers import says
from transforms.formats.edi_report import Fault, Level, Report
from transforms.formats.x12_tokens import Delimiters

_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1)
_ISA_LENGTH = 106
#: TA105 for each element of ISA that can be wrong in itself.
_ISA_NOTES = {
    1: "010", 2: "011", 3: "012", 4: "013", 5: "005", 6: "006", 7: "007", 8: "008", 9: "014", 10: "015", 11: "016", 12: "017",
    13: "018", 14: "019", 15: "020",
}  # fmt: skip
_CONTROL = re.compile(r"[0-9A-Za-z]{1,9}")


class Envelope:
    """Follows the envelope segments of one file and keeps what is wrong with them in `report`."""

    def __init__(self, report: Report, tolerate: Collection[str], *, fragments: bool) -> None:
        self.report, self._tolerate, self._fragments = report, tolerate, fragments
        self.interchange: Level | None = None
        self.group: Level | None = None
        self.message: Level | None = None
        self.message_began = 0
        self._seen_messages: set[str] = set()
        self._used: set[tuple[str, ...]] = set()
        self.is_test = False

    def open_interchange(self, segment: list[str], delimiters: Delimiters, at: int) -> None:
        """Begin an interchange at ISA."""
        self._close_open("ISA", at)
        fields = [*segment[1:], *[""] * 16][:16]
        sender, receiver = (f"{fields[n]}:{fields[n + 1].strip()}" for n in (4, 6))
        self.interchange = level = Level(
            "ISA", fields[12].strip(), header=(sender, receiver), details=(fields[8], fields[9], fields[11], fields[14])
        )
        self.is_test = fields[14] == "T"
        if level.control and (*level.header, level.control) in self._used:
            level.add(
                Fault(f"ISA13 {level.control} occurs twice in this file", "025", "ISA", element=13, value=level.control, at=at)
            )
        self._used.add((*level.header, level.control))
        self.report.interchanges.append(level)
        self.report.delimiters = "".join(delimiters[:3])
        habit = "ISA-WIDTH"
        tolerated = habit in self._tolerate
        wrong = [(n, len(f), w) for n, (f, w) in enumerate(zip(fields, _WIDTHS, strict=False), 1) if len(f) != w]
        for number, length, width in wrong:
            whole = f"ISA is {delimiters.isa_length} characters, not {_ISA_LENGTH}"
            message = f"ISA{number:02} has {length} characters, not {width} ({whole})"
            value, note = fields[number - 1], _ISA_NOTES[number]
            level.add(Fault(message, note, "ISA", element=number, value=value, at=at, tolerated=tolerated, habit=habit))
        if not re.fullmatch(r"\d{1,9}", level.control):
            level.add(
                Fault(f"ISA13 {level.control!r} is not a control number", "018", "ISA", element=13, value=level.control, at=at)
            )
        if delimiters.component == delimiters.element:
            level.add(Fault("ISA16: component and element separator are the same", "027", "ISA", element=16, at=at))

    def close_interchange(self, segment: list[str], at: int) -> None:
        """End an interchange at IEA."""
        self._close_open("GS", at)
        level, self.interchange = self.interchange, None
        if level is None:
            self.report.interchanges.append(Level("ISA", "", [Fault("IEA without ISA", "022", "IEA", at=at)]))
            return
        said, control = _element(segment, 1), _element(segment, 2)
        level.said = said
        if not says(said, len(level.parts)):
            level.add(Fault(f"IEA01 says {said} groups, there are {len(level.parts)}", "021", "IEA", element=1, value=said, at=at))
        if control.strip() != level.control:
            level.add(Fault(f"IEA02 {control} is not ISA13 {level.control}", "001", "IEA", element=2, value=control, at=at))

    def open_group(self, segment: list[str], at: int) -> None:
        """Begin a group at GS."""
        self._close_open("GS", at)
        self.group = Level("GS", _element(segment, 6), header=(_element(segment, 1), _element(segment, 8), _element(segment, 7)))
        self._seen_messages = set()
        self._owner(at, "GS").parts.append(self.group)

    def close_group(self, segment: list[str], at: int) -> None:
        """End a group at GE."""
        self._close_open("ST", at)
        level, self.group = self.group, None
        if level is None:
            self._owner(at, "GE").add(Fault("GE without GS", "024", "GE", at=at))
            return
        said, control = _element(segment, 1), _element(segment, 2)
        level.said = said
        if not says(said, len(level.parts)):
            level.add(Fault(f"GE01 says {said} messages, there are {len(level.parts)}", "5", "GE", element=1, value=said, at=at))
        if control != level.control:
            level.add(Fault(f"GE02 {control} is not GS06 {level.control}", "4", "GE", element=2, value=control, at=at))

    def open_message(self, segment: list[str], at: int) -> Level:
        """Begin a transaction set at ST and return its level."""
        self._close_open("ST", at)
        kind, control = _element(segment, 1), _element(segment, 2)
        self.message = level = Level(kind, control)
        self.message_began = at
        if self.group is None:
            if not self._fragments or self.interchange is not None:
                self._owner(at, "ST").add(Fault(f"ST {control} stands in no group (GS)", "022", "ST", at=at))
            self._owner(at, "ST", quiet=True).parts.append(level)
        else:
            self.group.parts.append(level)
            if kind == "846" and self.group.header[0] != "IB":
                habit, value = "GS01", self.group.header[0]
                tolerated, message = habit in self._tolerate, f"GS01 {value} is not the group of an 846 (IB)"
                self.group.add(Fault(message, "1", "GS", element=1, value=value, at=at, tolerated=tolerated, habit=habit))
        if not _CONTROL.fullmatch(control) and not self._fragments:
            level.add(Fault(f"ST02 {control!r} is not a control number", "7", "ST", 1, element=2, value=control, at=at))
        if control in self._seen_messages:
            level.add(Fault(f"ST02 {control} occurs twice in its group", "23", "ST", 1, element=2, value=control, at=at))
        self._seen_messages.add(control)
        return level

    def close_message(self, segment: list[str], at: int) -> None:
        """End a transaction set at SE."""
        level, self.message = self.message, None
        if level is None:
            self._owner(at, "SE").add(Fault("SE without ST", "024", "SE", at=at))
            return
        said, control, count = _element(segment, 1), _element(segment, 2), at - self.message_began + 1
        level.said = said
        if not says(said, count):
            message = f"SE01 says {said} segments, there are {count} (ST02 {level.control})"
            habit = "SE01"
            tolerated = habit in self._tolerate
            level.add(Fault(message, "4", "SE", count, element=1, value=said, at=at, tolerated=tolerated, habit=habit))
        if control != level.control:
            level.add(Fault(f"SE02 {control} is not ST02 {level.control}", "3", "SE", count, element=2, value=control, at=at))

    def end(self, at: int) -> None:
        """Say what is still open at the end of the file."""
        self._close_open("ISA", at)

    def _close_open(self, outermost: str, at: int) -> None:
        """Report levels that the segment at hand would begin anew though they have not ended."""
        levels = (("ST", "SE", self.message), ("GS", "GE", self.group), ("ISA", "IEA", self.interchange))
        missing = []
        for kind, trailer, level in levels:
            if level is not None and not (kind == "ISA" and level.control == "" and self._fragments and not level.header):
                missing.append((kind, trailer, level))
            if kind == outermost:
                break
        codes = {"ST": "2", "GS": "3", "ISA": "023"}
        trailers = "/".join(trailer for _, trailer, _ in missing)
        for kind, trailer, level in missing:
            message = f"the file ends, or the next part begins, in the middle: no {trailers}"
            level.add(Fault(message, codes[kind], trailer, at=at, rule="FILE-TRUNCATED"))
        self.message = None
        if outermost in {"GS", "ISA"}:
            self.group = None
        if outermost == "ISA":
            self.interchange = None

    def _owner(self, at: int, what: str, *, quiet: bool = False) -> Level:
        """Return the interchange; text without one gets a nameless one to hold what is found."""
        if self.interchange is None:
            if self.report.interchanges and not self.report.interchanges[-1].header and not self.report.interchanges[-1].control:
                return self.report.interchanges[-1]
            nameless = Level("ISA", "")
            if not self._fragments and not quiet:
                nameless.add(Fault(f"{what} stands outside an interchange", "022", what, at=at))
            self.report.interchanges.append(nameless)
            return nameless
        return self.interchange


def _element(segment: list[str], number: int) -> str:
    return segment[number] if len(segment) > number else ""
