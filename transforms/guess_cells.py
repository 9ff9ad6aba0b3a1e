"""What the cells of one column look like: numbers and their marks, dates, barcodes, quantity words.

Never changes a cell: these are counts over a sample, the evidence for a guess that a person reads.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from transforms.columns import BLANKS
from transforms.dates import parse_dates
from transforms.identifiers import parse_gtins

FORMATS = (
    "%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y",
    "%d-%b-%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M",
)  # fmt: skip
_SIGNED = re.compile(r"[+-]?\s?[0-9][0-9.,'\u2019\u00a0\u202f ]*", re.ASCII)
_PLAIN = re.compile(r"[+-]?[0-9]+", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]+(?:\.0+)?", re.ASCII)
_MARK = re.compile(r"[.,'\u2019\u00a0\u202f ]")
_AROUND = re.compile(r"^(?P<before>[^0-9]*)(?P<n>[0-9]+)(?P<after>[^0-9]*)$", re.ASCII)
_GROUP = 3  # digits between thousands marks
MOST_WORDS = 20


@dataclass(frozen=True, slots=True)
class Marks:
    """Decimal and thousands marks seen, with a cell that shows one; `ambiguous` are cells with two readings, one for each mark."""

    decimal: str | None = None
    thousands: str | None = None
    shown_by: str = ""
    ambiguous: tuple[str, ...] = ()

    def trapped_by(self, mark: str) -> str:
        """Return a cell with two readings that `mark` as the decimal mark would settle, "" when there is none."""
        return next((text for text in self.ambiguous if mark in text), "")


@dataclass(frozen=True, slots=True)
class Cells:
    """The sampled texts of one column, trimmed; `filled` are those that are not blank."""

    texts: tuple[str, ...]
    filled: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "filled", tuple(text for text in self.texts if text))

    @property
    def numbers(self) -> float:
        """Return the share of filled cells that are numbers with any marks."""
        return self.share(_SIGNED)

    @property
    def whole_numbers(self) -> float:
        """Return the share of filled cells that are whole numbers without marks (a workbook's "5.0" counts)."""
        return self.share(_WHOLE)

    @property
    def distinct(self) -> float:
        """Return the number of different filled cells over that of all cells: 1 for a key, 0 for an empty column."""
        return len(set(self.filled)) / len(self.texts) if self.texts else 0.0

    @property
    def gtins(self) -> float:
        """Return the share of filled cells that are barcodes with a right check digit."""
        if not self.filled:
            return 0.0
        read = parse_gtins(pl.Series(self.filled, dtype=pl.String)).values
        return (len(self.filled) - read.null_count()) / len(self.filled)

    def share(self, pattern: re.Pattern[str]) -> float:
        """Return the share of filled cells that `pattern` matches as a whole, 0 without any."""
        return sum(pattern.fullmatch(text) is not None for text in self.filled) / len(self.filled) if self.filled else 0.0

    def date_formats(self) -> tuple[tuple[str, ...], float]:
        """Return every format that reads the most cells as dates, and the share of filled cells that it reads."""
        if not self.filled:
            return (), 0.0
        texts = pl.Series(self.filled, dtype=pl.String)
        counts = {one: len(self.filled) - parse_dates(texts, (one,)).values.null_count() for one in FORMATS}
        best = max(counts.values())
        return (tuple(one for one, count in counts.items() if count == best) if best else ()), best / len(self.filled)

    def marks(self) -> Marks:
        """Return the number marks that the cells show. A single mark before three digits ("1.250") shows nothing."""
        return _marks([text for text in self.filled if _SIGNED.fullmatch(text)])

    def words(self) -> tuple[str, ...]:
        """Return what stands for a quantity without being a number, most frequent first: words, or patterns ("{n}+")."""
        found: Counter[str] = Counter()
        for text in self.filled:
            if _SIGNED.fullmatch(text):
                continue
            around = _AROUND.match(text)
            found[f"{around['before']}{{n}}{around['after']}" if around else text] += 1
        return tuple(word for word, _ in found.most_common(MOST_WORDS))


def cells(texts: Sequence[str]) -> Cells:
    """Return the column's sampled `texts`, trimmed as the readers of values trim them."""
    return Cells(tuple(text.strip(BLANKS) for text in texts))


def _marks(numbers: Sequence[str]) -> Marks:
    decimal: Counter[str] = Counter()
    thousands: Counter[str] = Counter()
    example: dict[str, str] = {}
    ambiguous: dict[str, str] = {}
    for text in numbers:
        if _PLAIN.fullmatch(text):
            continue
        shown = _of_one(text)
        if shown is None:
            ambiguous.setdefault(text[-1 - _GROUP], text)
            continue
        for counter, mark in ((decimal, shown[0]), (thousands, shown[1])):
            if mark:
                counter[mark] += 1
                example.setdefault(mark, text)
    point = next((mark for mark, _ in decimal.most_common(1)), None)
    group = next((mark for mark, _ in thousands.most_common() if mark != point), None)
    return Marks(point, group, example.get(point or group or "", ""), tuple(ambiguous.values()))


def _of_one(text: str) -> tuple[str, str] | None:
    """Return the decimal and thousands mark that one number shows ("" for none), None when it has two readings."""
    found = _MARK.findall(text.lstrip("+- "))
    if not found:
        return "", ""
    last = found[-1]
    behind = len(re.split(_MARK, text)[-1])
    different = next((mark for mark in found if mark != last), "")
    if different:
        return (last if last in ".," else ""), different
    if len(found) > 1:
        return "", last
    if last not in ".,":
        return ("", last) if behind == _GROUP else ("", "")
    return None if behind == _GROUP and not text.lstrip("+- ").startswith("0") else (last, "")
