"""X12 text as segments: delimiters found in ISA, whatever its width; one interchange after another, each with its own.

Never looks at what a segment means, and never takes a letter, digit or blank for a separator.
"""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.rejections import escape_value
from transforms.formats.edi_items import Items, end_of_segments, in_items, next_start, segments, without_noise
from transforms.formats.edi_report import unreadable
from transforms.formats.edi_text import NOISE
from transforms.formats.limits import exceeded

_ISA_ELEMENTS = 16
_LONGEST_ISA = 1000
_FRAGMENT_STARTS = ("ST", "BIA", "LIN", "GS")


class Delimiters(NamedTuple):
    """The separators of an interchange; `isa_length` counts ISA with its terminator (0: there is none)."""

    element: str
    component: str
    terminator: str
    isa_length: int


def find_delimiters(head: str) -> Delimiters:
    """Return the separators of text that begins with ISA. Raises DeliveryError when they cannot be told."""
    hint = "An interchange begins with ISA, its 16 elements, and a terminator."
    element = head[3:4]
    if not element or element.isalnum() or element == " ":
        raise unreadable(f"segment 1: {escape_value(element)!r} after ISA is no element separator", hint, value=head[:20])
    at = 3
    for _ in range(_ISA_ELEMENTS - 1):
        at = head.find(element, at + 1, _LONGEST_ISA)
        if at < 0:
            raise unreadable("segment 1: ISA has not 16 elements", hint, value=head[:106])
    component, terminator = head[at + 1 : at + 2], head[at + 2 : at + 3]
    if not terminator:
        raise unreadable("segment 1: the file ends inside ISA", hint, code="FILE-TRUNCATED")
    if terminator.isalnum() or terminator in (" ", element) or terminator == component:
        raise unreadable(
            f"segment 1: {escape_value(terminator)!r} after ISA is no segment terminator", hint, value=head[at : at + 4]
        )
    return Delimiters(element, component, terminator, at + 3)


def guess_delimiters(head: str) -> Delimiters | None:
    """Return the separators of a message without an interchange, None when the text begins with no segment of one."""
    name = next((start for start in _FRAGMENT_STARTS if head.startswith(start)), None)
    if name is None or not head[len(name) : len(name) + 1].strip() or head[len(name)].isalnum():
        return None
    return Delimiters(head[len(name)], "", "~" if "~" in head[:_LONGEST_ISA] else "\n", 0)


class Segments:
    """The segments of X12 text in order, each a list of elements; `delimiters` are those of the present one.

    `fragments` allows text that begins with a message instead of an interchange. With `items` line items come as `Items` where
    they stand whole in the text at hand.
    """

    def __init__(self, pieces: Iterator[str], limit: int, *, fragments: bool, items: bool = False) -> None:
        self._pieces, self._limit, self._fragments, self._items = pieces, limit, fragments, items
        self._text, self._at = "", 0
        self.delimiters = Delimiters("", "", "", 0)

    def __iter__(self) -> Iterator[list[str] | Items]:
        while self._fill():
            self.delimiters = self._found()
            yield from self._interchange()

    def _fill(self) -> bool:
        """Have enough text for an ISA in hand; False at the end."""
        self._at = without_noise(self._text, self._at)
        while len(self._text) - self._at < _LONGEST_ISA and self._more():
            self._at = without_noise(self._text, self._at)
        return self._at < len(self._text)

    def _more(self) -> bool:
        """Read on; False at the end of the file."""
        more = next(self._pieces, "")
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)

    def _found(self) -> Delimiters:
        head = self._text[self._at : self._at + 2 * _LONGEST_ISA]
        if head.startswith("ISA"):
            return find_delimiters(head)
        guessed = guess_delimiters(head) if self._fragments else None
        if guessed is None:
            raise unreadable(
                "segment 1: there is no ISA: this is no X12 interchange",
                'Send the whole interchange; envelope = "optional" reads a message without one.',
                value=head[:20],
            )
        return guessed

    def _interchange(self) -> Iterator[list[str] | Items]:
        """Yield segments up to the next ISA, whose text stays in hand, or to the end of the file."""
        element, terminator = self.delimiters.element, self.delimiters.terminator
        is_first = True
        while True:
            self._at = without_noise(self._text, self._at)
            if not is_first and self._text.startswith("ISA", self._at):
                return
            following = next_start(self._text, self._at, "ISA", terminator)
            end = following if following >= 0 else end_of_segments(self._text, self._at, terminator)
            if end > self._at:
                body, self._at, is_first = self._text[self._at : end], end, False
                yield from in_items(body, element, terminator) if self._items else segments(body, element, terminator)
            elif len(self._text) - self._at > self._limit:
                raise exceeded(f"a segment is longer than {self._limit} characters", self._limit, "line_bytes")
            elif not self._more():
                break
        text, self._at = self._text[self._at :].strip(NOISE), len(self._text)
        if text:
            yield text.split(element)  # some senders leave out the terminator of the last segment
