"""EDIFACT text as segments: separators from UNA or the standard's own, release characters honoured.

Never looks at what a segment means. A released character travels as one of a private plane of Unicode until its component is
taken, so that no separator can be mistaken for it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from schemas.rejections import escape_value
from transforms.formats.edi_items import Items, end_of_segments, in_items, next_start, segments, without_noise
from transforms.formats.edi_report import unreadable
from transforms.formats.edi_text import NOISE
from transforms.formats.limits import exceeded

_PRIVATE = 0xF0000
_RELEASED = re.compile("[\U000f0000-\U000fffff]")
_HEAD = 200
_UNA_LENGTH = 9
_STARTS = ("UNA", "UNB", "UNH", "BGM", "LIN", "INV")


class Separators(NamedTuple):
    """The service characters of an interchange; `release` is "" where nothing is released."""

    component: str
    element: str
    decimal: str
    release: str
    terminator: str


_STANDARD = Separators(":", "+", ".", "?", "'")


def from_una(una: str) -> Separators:
    """Return the separators of "UNA" and its six characters. Raises DeliveryError when they cannot separate anything."""
    hint = "UNA is followed by six characters: component, element, decimal mark, release, blank, terminator, all different."
    if len(una) < _UNA_LENGTH:
        raise unreadable("segment 1: the file ends inside UNA", hint, code="FILE-TRUNCATED", value=una)
    component, element, decimal, release, _, terminator = list(una[3:_UNA_LENGTH])
    used = [component, element, terminator, *([] if release == " " else [release])]
    if len(set(used)) < len(used) or any(c.isalnum() or c == " " for c in used):
        raise unreadable("segment 1: the separators of UNA are not different from each other or from data", hint, value=una)
    return Separators(component, element, decimal if decimal in ".," else ".", release.strip(" "), terminator)


def released(text: str) -> str:
    """Return a component as data: its released characters as they are."""
    return _RELEASED.sub(lambda found: chr(ord(found[0]) - _PRIVATE), text) if not text.isascii() else text


class Segments:
    """The segments of EDIFACT text in order, each a list of elements whose components are still together.

    With `items` line items come as `Items` where they stand whole in the text at hand. `unfinished` is what a file ends with that
    is no end: a release character that releases nothing.
    """

    def __init__(self, pieces: Iterator[str], limit: int, *, fragments: bool, items: bool = False) -> None:
        self._pieces, self._limit, self._fragments, self._items = pieces, limit, fragments, items
        self._text, self._at = "", 0
        self.separators = _STANDARD
        self.unfinished = ""

    def __iter__(self) -> Iterator[list[str] | Items]:
        while self._fill():
            self.separators = self._found()
            yield from self._interchange()

    def _fill(self) -> bool:
        self._at = without_noise(self._text, self._at)
        while len(self._text) - self._at < _HEAD and self._more():
            self._at = without_noise(self._text, self._at)
        return self._at < len(self._text)

    def _more(self) -> bool:
        """Read on; False at the end of the file."""
        more = next(self._pieces, "")
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)

    def _found(self) -> Separators:
        head = self._text[self._at : self._at + _HEAD]
        if head.startswith("UNA"):
            found = from_una(head[:_UNA_LENGTH])
            self._at += _UNA_LENGTH
            return found
        starts = _STARTS if self._fragments else ("UNB",)
        if not any(head.startswith(start + _STANDARD.element) for start in starts):
            raise unreadable(
                f"segment 1: not UNA or UNB but {escape_value(head[:10])!r} begins this file: this is no EDIFACT interchange",
                'Send the whole interchange; envelope = "optional" reads a message without one.',
                value=head[:20],
            )
        # some senders end segments with a line feed, and say so nowhere
        ends_lines = "'" not in head and "\n" in head
        return _STANDARD._replace(terminator="\n") if ends_lines else _STANDARD

    def _interchange(self) -> Iterator[list[str] | Items]:
        """Yield segments up to the next UNA, whose text stays in hand, or to the end of the file."""
        element, terminator, release = self.separators.element, self.separators.terminator, self.separators.release
        while True:
            self._at = without_noise(self._text, self._at)
            if self._text.startswith("UNA", self._at):
                return
            following = next_start(self._text, self._at, "UNA", terminator, release)
            end = following if following >= 0 else end_of_segments(self._text, self._at, terminator, release)
            if end > self._at:
                body, self._at = set_apart(self._text[self._at : end], release), end
                yield from in_items(body, element, terminator) if self._items else segments(body, element, terminator)
            elif len(self._text) - self._at > self._limit:
                raise exceeded(f"a segment is longer than {self._limit} characters", self._limit, "line_bytes")
            elif not self._more():
                break
        text, self._at = set_apart(self._text[self._at :], release), len(self._text)
        if release and text.endswith(release):
            self.unfinished = release
        elif text := text.strip(NOISE):
            yield text.split(element)  # some senders leave out the terminator of the last segment


def set_apart(text: str, release: str) -> str:
    """Return the text with what is released set apart."""
    if not release or release not in text:
        return text
    return re.sub(re.escape(release) + "(.)", _set_apart, text, flags=re.DOTALL)


def _set_apart(found: re.Match[str]) -> str:
    point = ord(found[1])
    return chr(_PRIVATE + point) if point < 0x10000 else found[1]  # noqa: PLR2004 - no separator is beyond
