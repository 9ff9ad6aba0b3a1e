"""EDIFACT text as segments: separators from UNA or the standard's own, release characters honoured.

Never looks at what a segment means. A released character travels as one of a private plane of Unicode until its component is
taken, so that no separator can be mistaken for it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from schemas.rejections import escape_value
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


def take(text: str) -> str:
    """Return a component as data: its released characters as they are."""
    return _RELEASED.sub(lambda found: chr(ord(found[0]) - _PRIVATE), text) if not text.isascii() else text


class Segments:
    """The segments of EDIFACT text in order, each a list of elements whose components are still together."""

    def __init__(self, pieces: Iterator[str], limit: int, *, fragments: bool) -> None:
        self._pieces, self._limit, self._fragments = pieces, limit, fragments
        self._raw = ""
        self.separators = _STANDARD

    def __iter__(self) -> Iterator[list[str]]:
        while self._fill():
            self.separators = self._found()
            yield from self._interchange()

    def _fill(self) -> bool:
        self._raw = self._raw.lstrip(NOISE)
        while len(self._raw) < _HEAD and (more := next(self._pieces, "")):
            self._raw = (self._raw + more).lstrip(NOISE)
        return bool(self._raw)

    def _found(self) -> Separators:
        if self._raw.startswith("UNA"):
            found = from_una(self._raw[:_UNA_LENGTH])
            self._raw = self._raw[_UNA_LENGTH:]
            return found
        starts = _STARTS if self._fragments else ("UNB",)
        if not any(self._raw.startswith(start + _STANDARD.element) for start in starts):
            raise unreadable(
                f"segment 1: not UNA or UNB but {escape_value(self._raw[:10])!r} begins this file: this is no EDIFACT interchange",
                'Send the whole interchange; envelope = "optional" reads a message without one.',
                value=self._raw[:20],
            )
        # some senders end segments with a line feed, and say so nowhere
        ends_lines = "'" not in self._raw[:_HEAD] and "\n" in self._raw[:_HEAD]
        return _STANDARD._replace(terminator="\n") if ends_lines else _STANDARD

    def _interchange(self) -> Iterator[list[str]]:
        """Yield segments up to the next UNA, whose text stays in hand, or to the end of the file."""
        element, terminator, release = self.separators.element, self.separators.terminator, self.separators.release
        rest, number = "", 0
        while True:
            rest += self._released(release)
            parts = rest.split(terminator)
            rest = parts.pop()
            for at, part in enumerate(parts):
                text = part.strip(NOISE)
                if not text:
                    continue
                if text[:3] == "UNA":
                    self._raw = _put_back(terminator.join([part.lstrip(NOISE), *parts[at + 1 :], rest]), release) + self._raw
                    return
                number += 1
                yield text.split(element)
            if len(rest) > self._limit:
                raise exceeded(f"a segment is longer than {self._limit} characters", self._limit, "line_bytes")
            more = next(self._pieces, "")
            if not more:
                break
            self._raw += more
        if self._raw:
            raise unreadable(
                f"segment {number + 1}: at the end of file stands a release character, {escape_value(self._raw)!r}, alone",
                "Send the whole file again.",
                line=number + 1,
                code="FILE-TRUNCATED",
            )
        if text := rest.strip(NOISE):
            yield text.split(element)  # some senders leave out the terminator of the last segment

    def _released(self, release: str) -> str:
        """Return the text in hand with what is released set apart; a release character at its end waits for the next block."""
        text, self._raw = self._raw, ""
        if not release or release not in text:
            return text
        done = re.sub(re.escape(release) + "(.)", _set_apart, text, flags=re.DOTALL)
        if done.endswith(release):
            done, self._raw = done[:-1], release
        return done


def _set_apart(found: re.Match[str]) -> str:
    point = ord(found[1])
    return chr(_PRIVATE + point) if point < 0x10000 else found[1]  # noqa: PLR2004 - no separator is beyond


def _put_back(text: str, release: str) -> str:
    return _RELEASED.sub(lambda found: release + chr(ord(found[0]) - _PRIVATE), text)
