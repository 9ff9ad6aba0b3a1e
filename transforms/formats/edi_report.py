"""What was found of an EDI envelope: interchanges, groups and messages with their faults, as acknowledgements need them.

Never holds a supplier's stock, only control data and places.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import DeliveryError
from schemas.rejections import escape_value

_TOLD = 5  # faults in one message for people
_KEPT = 20  # faults of one message or group


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what people are told, and the standard's codes for it.

    `code` is the reason at the level of the fault (TA105, AK905, AK502 or 0085), `segment` the segment it is about, `position` its
    place in the message (ST or UNH is 1), `segment_code` AK304, `element` and `element_code` AK401 and AK403.
    """

    message: str
    code: str
    segment: str = ""
    position: int = 0
    segment_code: str = ""
    element: int = 0
    element_code: str = ""
    value: str = ""
    at: int = 0  # segment of the file
    rule: str = "EDI-ENVELOPE"
    tolerated: bool = False
    habit: str = ""  # the name under which a feed may tolerate it


@dataclass(slots=True)
class Level:
    """An interchange, group or message: its kind and control number, what it says of itself, and what is wrong with it."""

    kind: str
    control: str
    faults: list[Fault] = field(default_factory=list)
    parts: list["Level"] = field(default_factory=list)
    header: tuple[str, ...] = ()
    details: tuple[str, ...] = ()  # its other elements, as acknowledgements repeat them
    said: str = ""  # the count in its trailer
    is_stock: bool = False
    is_ignored: bool = False

    def add(self, fault: Fault) -> None:
        """Keep a fault; beyond a number that people can read, further ones say nothing new."""
        if len(self.faults) < _KEPT:
            self.faults.append(fault)

    @property
    def is_refused(self) -> bool:
        """Whether it has a fault that is not tolerated."""
        return any(not fault.tolerated for fault in self.faults)

    @property
    def everything(self) -> Iterator[Fault]:
        """Yield its faults and those of its parts, outermost first."""
        yield from self.faults
        for part in self.parts:
            yield from part.everything


@dataclass(slots=True)
class Report:
    """A file's interchanges in order, and whether any message held stock."""

    syntax: str
    interchanges: list[Level] = field(default_factory=list)
    delimiters: str = ""
    stock_messages: int = 0
    other_messages: dict[str, int] = field(default_factory=dict)
    purposes: list[str] = field(default_factory=list)
    is_partial: bool = False
    has_quantities: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a sentence for people, once."""
        if text not in self.notes and len(self.notes) < _KEPT:
            self.notes.append(text)

    def undeclared(self, code: str) -> str:
        """Return the kind of a quantity whose code nobody declared, and note the code: what it counts may be the stock."""
        self.note(f"quantity code {escape_value(repr(code))} is not declared in [feed.format.quantities]: never stock")
        return "unmapped"

    def add_purpose(self, code: str) -> None:
        """Keep what a message says it is for, once."""
        if code not in self.purposes:
            self.purposes.append(code)

    @property
    def faults(self) -> list[Fault]:
        """Every fault of the file."""
        return [fault for interchange in self.interchanges for fault in interchange.everything]

    @property
    def keys(self) -> list[str]:
        """Return each interchange as "sender receiver control number", by which a repetition is known."""
        return [" ".join((*level.header, level.control)) for level in self.interchanges if level.control]

    def told(self, wanted: str, test: str) -> list[str]:
        """Return the notes for people, tolerated faults first; `wanted` is the message read, `test` says why nothing is."""
        kinds = [f"{count} message(s) {kind}: not an {wanted}, ignored" for kind, count in self.other_messages.items()]
        tolerated = [f"tolerated: {fault.message}" for fault in self.faults if fault.tolerated]
        return [*tolerated, *([test] if test else []), *kinds, *self.notes]

    def reading(self, syntax: str, ignored: str) -> dict[str, Any]:
        """Return how the file was read, JSON-ready; `ignored` says why it changes no stock, "" when it does."""
        found: dict[str, Any] = {
            "syntax": syntax,
            "delimiters": self.delimiters,
            "interchanges": self.keys,
            "purposes": self.purposes,
        }
        if self.is_partial:
            found["partial"] = True
        if ignored:
            found["ignored"] = ignored
        return found

    def raise_faults(self, *, fragments: bool = False) -> None:
        """Raise DeliveryError for what the file has wrong; a fragment that holds no stock and is whole is only told of."""
        error = self.error()
        if error is None:
            return
        if not fragments or self.has_quantities or any(fault.rule == "FILE-TRUNCATED" for fault in self.faults):
            raise error
        self.note(f"nothing of it is stock, so its faults do not matter: {error.message}")

    def error(self) -> DeliveryError | None:
        """Return the error for what is not tolerated, all of it in one message; None when nothing is."""
        bad = [fault for fault in self.faults if not fault.tolerated]
        if not bad:
            return None
        cut = next((fault for fault in bad if fault.rule == "FILE-TRUNCATED"), None)
        first = cut or bad[0]
        told = list(dict.fromkeys(fault.message for fault in ([first, *bad])))
        more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        remedy = "Send the whole file again." if cut else "Correct the interchange and send it again under a new control number."
        habits = list(dict.fromkeys(fault.habit for fault in bad))
        if all(habits):
            named = ", ".join(f'"{habit}"' for habit in habits)
            remedy += f" Where it is a habit of theirs, add {named} to the feed's `tolerate`."
        place = {
            "row": None,
            "line": first.at or None,
            "column": f"{first.segment}{first.element:02}" if first.element else first.segment,
        }
        value = escape_value(first.value) if first.value else None
        return DeliveryError("; ".join(told[:_TOLD]) + more, remedy, code=first.rule, value=value, **place)  # type: ignore[arg-type]  # as named above


def unreadable(message: str, hint: str, *, line: int = 1, code: str = "FILE-UNREADABLE", value: str | None = None) -> DeliveryError:
    """Return the error for a file of which not even an envelope can be read."""
    return DeliveryError(message, hint, code=code, line=line, value=None if value is None else escape_value(value))
