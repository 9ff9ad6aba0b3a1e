"""Cells of a worksheet as texts: what a person meant where the sheet shows it, the exact number where it shows less.

Never turns a text into a number, and never shows a number in a form of some locale.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

EXACT = 10**15  # a sheet keeps 15 digits
_RANGE = re.compile(r"(?P<c1>[A-Z]{1,3})(?P<r1>[1-9]\d{0,7})?:(?P<c2>[A-Z]{1,3})(?P<r2>[1-9]\d{0,7})?")
_GROUPED = re.compile(r"-?[1-9][0-9]{0,2}\.[0-9]{3}")
_LETTERS = 26
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of cells, counted from 1, ends included."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int

    @property
    def name(self) -> str:
        """Return it in A1 notation."""
        return f"{letters(self.first_column)}{self.first_row}:{letters(self.last_column)}{self.last_row}"

    def pieces(self, rows: int) -> "Iterator[Area]":
        """Yield it in pieces of so many rows."""
        for first in range(self.first_row, self.last_row + 1, rows):
            yield Area(first, self.first_column, min(first + rows - 1, self.last_row), self.last_column)


def area_of(text: str | None, rows: int, columns: int) -> Area:
    """Return the cells that a range names in a sheet of so many rows and columns. Raises ValueError."""
    if text is None:
        return Area(1, 1, rows, columns)
    match = _RANGE.fullmatch(text)
    if match is None:
        msg = f'{text!r} is no range: write for example "A3:F" or "B2:F500"'
        raise ValueError(msg)
    area = Area(
        int(match["r1"] or 1), _number(match["c1"]), int(match["r2"] or max(rows, int(match["r1"] or 1))), _number(match["c2"])
    )
    if area.first_column > area.last_column or area.first_row > area.last_row:
        msg = f"{text!r} ends before it begins"
        raise ValueError(msg)
    return area


def letters(column: int) -> str:
    """Return a column's letters: 1 is A, 27 is AA."""
    name = ""
    while column:
        column, rest = divmod(column - 1, _LETTERS)
        name = chr(ord("A") + rest) + name
    return name


def _number(name: str) -> int:
    number = 0
    for letter in name:
        number = number * _LETTERS + ord(letter) - ord("A") + 1
    return number


def cell_texts(shown: Sequence[Sequence[Cell]], exact: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Return the texts of cells, given as the sheet shows them and as they are stored."""
    rows = []
    for number in range(max(len(shown), len(exact))):
        left = shown[number] if number < len(shown) else ()
        right = exact[number] if number < len(exact) else ()
        width = max(len(left), len(right))
        rows.append([_text(left[n] if n < len(left) else "", right[n] if n < len(right) else "") for n in range(width)])
    return rows


def _text(shown: Cell, exact: Cell) -> str:
    if isinstance(exact, bool):
        return "TRUE" if exact else "FALSE"
    if not isinstance(exact, int | float):
        return str(exact if exact not in {None, ""} else shown or "")
    plain = format(Decimal(repr(exact)).normalize(), "f") if isinstance(exact, float) else str(exact)
    # a number format of zeros ("00000") is how a sheet keeps the leading zeros of an identifier
    padded = (
        isinstance(shown, str)
        and shown.isascii()
        and shown.isdigit()
        and shown.startswith("0")
        and shown.lstrip("0") == plain.lstrip("0")
    )
    return str(shown) if padded else plain


def grouped_by_points(exact: Sequence[Sequence[Cell]], area: Area) -> list[str]:
    """Return the names of cells whose number would be another one where points group thousands: 1.125 would be 1125."""
    return [
        f"{letters(area.first_column + column)}{area.first_row + row}"
        for row, cells in enumerate(exact)
        for column, cell in enumerate(cells)
        if isinstance(cell, float) and _GROUPED.fullmatch(_text("", cell))
    ]


def too_long(exact: Sequence[Sequence[Cell]], area: Area) -> list[str]:
    """Return the addresses of numbers with more digits than a sheet keeps."""
    return [
        f"{letters(area.first_column + column)}{area.first_row + row}"
        for row, cells in enumerate(exact)
        for column, cell in enumerate(cells)
        if isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) >= EXACT
    ]
