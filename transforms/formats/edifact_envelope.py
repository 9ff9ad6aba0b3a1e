"""The EDIFACT envelope: references and counts of UNB/UNZ, UNG/UNE and UNH/UNT, with the codes of CONTRL (element 0085).

Never reads a message's content; an interchange without its end is a truncated file.
"""

from transforms.formats.edi_numbers import says
from transforms.formats.edi_report import Fault, Level, Report
from transforms.formats.edifact_tokens import released

_TEST_AT = 11  # element 0035 of UNB


class Envelope:
    """Follows the envelope segments of one file and keeps what is wrong with them in `report`."""

    def __init__(self, report: Report, *, fragments: bool) -> None:
        self.report, self._fragments = report, fragments
        self.interchange: Level | None = None
        self.message: Level | None = None
        self.message_began = 0
        self._groups = 0
        self._seen: set[str] = set()
        self._used: set[tuple[str, ...]] = set()
        self.is_test = False
        self.component = ":"

    def _at(self, segment: list[str], number: int, part: int = 0) -> str:
        components = segment[number].split(self.component) if len(segment) > number else []
        return released(components[part]).strip() if len(components) > part else ""

    def open_interchange(self, segment: list[str], at: int) -> None:
        """Begin an interchange at UNB."""
        self._close_open("UNB", at)
        parties = [released(segment[n]).strip() if len(segment) > n else "" for n in (2, 3)]
        control = self._at(segment, 5)
        self.interchange = level = Level("UNB", control, header=(parties[0], parties[1]))
        level.details = (
            self._at(segment, 4),
            self._at(segment, 4, 1),
            released(segment[1]) if len(segment) > 1 else "",
            "1" if self._at(segment, _TEST_AT) == "1" else "",
        )
        self._groups, self._seen = 0, set()
        self.is_test = self._at(segment, _TEST_AT) == "1"
        if not control:
            level.add(Fault("UNB 0020 (control reference) is missing", "13", "UNB", element=5, at=at))
        if not self._at(segment, 1, 1):
            self.report.note("UNB 0002 (syntax version) is missing")
        if (*level.header, control) in self._used:
            level.add(Fault(f"UNB 0020 {control} occurs twice in this file", "26", "UNB", element=5, value=control, at=at))
        self._used.add((*level.header, control))
        self.report.interchanges.append(level)

    def close_interchange(self, segment: list[str], at: int) -> None:
        """End an interchange at UNZ."""
        self._close_open("UNH", at)
        level, self.interchange = self.interchange, None
        if level is None:
            self._owner("UNZ", at)
            return
        said, control = self._at(segment, 1), self._at(segment, 2)
        count = self._groups or len(level.parts)
        if not says(said, count):
            level.add(Fault(f"UNZ says {said} messages, there are {count}", "29", "UNZ", element=1, value=said, at=at))
        if control != level.control:
            message = f"UNZ reference {control} is not that of UNB, {level.control}"
            level.add(Fault(message, "28", "UNZ", element=2, value=control, at=at))

    def open_group(self) -> None:
        """Count a group at UNG."""
        self._groups += 1

    def open_message(self, segment: list[str], at: int) -> Level:
        """Begin a message at UNH and return its level; its header is the parts of S009."""
        self._close_open("UNH", at)
        kind, control = self._at(segment, 2), self._at(segment, 1)
        parts = released(segment[2]).split(self.component) if len(segment) > 2 else []  # noqa: PLR2004 - S009
        self.message = level = Level(kind, control, header=tuple(parts))
        self.message_began = at
        (self.interchange or self._owner("UNH", at)).parts.append(level)
        if control in self._seen:
            level.add(Fault(f"UNH 0062 {control} occurs twice in its interchange", "26", "UNH", 1, element=1, value=control, at=at))
        self._seen.add(control)
        return level

    def close_message(self, segment: list[str], at: int) -> None:
        """End a message at UNT."""
        level, self.message = self.message, None
        if level is None:
            self._owner("UNT", at).add(Fault("UNT without UNH", "15", "UNT", at=at))
            return
        said, control, count = self._at(segment, 1), self._at(segment, 2), at - self.message_began + 1
        if not says(said, count):
            message = f"UNT {said} against {count} segments (message {level.control})"
            level.add(Fault(message, "29", "UNT", count, element=1, value=said, at=at))
        if control != level.control:
            message = f"UNT reference {control} is not that of UNH, {level.control}"
            level.add(Fault(message, "28", "UNT", count, element=2, value=control, at=at))

    def end(self, at: int) -> None:
        """Say what is still open at the end of the file."""
        self._close_open("UNB", at)

    def _close_open(self, outermost: str, at: int) -> None:
        missing = []
        if self.message is not None:
            missing.append(("UNT", self.message))
        if self.interchange is not None and outermost == "UNB":
            missing.append(("UNZ", self.interchange))
        trailers = "/".join(trailer for trailer, _ in missing)
        for trailer, level in missing:
            message = f"the file ends, or the next part begins, in the middle: no {trailers}"
            level.add(Fault(message, "13", trailer, at=at, rule="FILE-TRUNCATED"))
        self.message = None
        if outermost == "UNB":
            self.interchange = None

    def _owner(self, what: str, at: int) -> Level:
        """Return the interchange, or a nameless one for what stands outside of any."""
        if self.interchange is not None:
            return self.interchange
        if self.report.interchanges and not self.report.interchanges[-1].header:
            return self.report.interchanges[-1]
        nameless = Level("UNB", "")
        if not self._fragments:
            nameless.add(Fault(f"{what} stands outside an interchange", "15", what, at=at))
        self.report.interchanges.append(nameless)
        return nameless
