"""Line items of EDI text cut out whole, and the place where another interchange begins.

Never looks into a line item. Every function goes over its text once, so that no file can make it slow.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from transforms.formats.edi_text import NOISE

_AT_ONCE = 1_000  # line items that are given together


_NO_NOISE = re.compile(f"[^{NOISE}]")


class Items(NamedTuple):
    """Whole line items in order, each the text between "LIN" with its separator and the LIN of the next one."""

    texts: list[str]
    element: str
    terminator: str

    def segments(self, number: int) -> Iterator[list[str]]:
        """Yield the segments of one item."""
        return segments("LIN" + self.element + self.texts[number], self.element, self.terminator)


def segments(text: str, element: str, terminator: str) -> Iterator[list[str]]:
    """Yield the segments of text that ends where one does, each a list of its elements; blanks between do not count."""
    for part in text.split(terminator):
        if found := part.strip(NOISE):
            yield found.split(element)


def in_items(text: str, element: str, terminator: str) -> Iterator[list[str] | Items]:
    """Yield text that ends where a segment does: the line items that another one follows as `Items`, all else as segments.

    What stands between two segments is taken from the first LIN; items that are not divided so stay together in one.
    """
    start = "LIN" + element
    noise = NOISE.replace(terminator, "")
    mark = re.search(f"{re.escape(terminator)}[{noise}]*{re.escape(start)}", text)
    first, *items = text.split(mark[0]) if mark else [text]
    yield from segments(first, element, terminator)
    last = items.pop() if items else None
    for at in range(0, len(items), _AT_ONCE):
        yield Items(items[at : at + _AT_ONCE], element, terminator)
    if last is not None:
        yield from segments(start + last, element, terminator)


def without_noise(text: str, at: int) -> int:
    """Return where, from `at` on, something stands that is no blank and no line end; the end when nothing does."""
    found = _NO_NOISE.search(text, at)
    return found.start() if found else len(text)


def next_start(text: str, at: int, mark: str, terminator: str, release: str = "") -> int:
    """Return where, from `at` on, a segment that begins with `mark` stands; -1 when none does. `at` begins a segment itself.

    The terminator before it must not be released.
    """
    noise = NOISE.replace(terminator, "")
    seen, found = at, text.find(mark, at)
    while found >= 0:
        before = text[seen:found].rstrip(noise)
        if before.endswith(terminator) and not _is_released(before[: -len(terminator)], release):
            return found
        seen, found = found, text.find(mark, found + 1)
    return -1


def end_of_segments(text: str, at: int, terminator: str, release: str = "") -> int:
    """Return the place behind the last terminator after `at` that is not released; `at` when there is none."""
    found = text.rfind(terminator, at)
    while found >= 0:
        before = text.rfind(terminator, at, found)
        if not _is_released(text[max(at, before + 1) : found], release):
            return found + 1
        found = before
    return at


def _is_released(before: str, release: str) -> bool:
    """Return whether what follows the text is released: an odd number of release characters stands at its end."""
    return bool(release) and (len(before) - len(before.rstrip(release))) % 2 == 1
