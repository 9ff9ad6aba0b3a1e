"""One row of a sheet as every spreadsheet engine gives it, and the cells that could not be read.

Never holds more than one row.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from transforms.formats.sheet_choice import Sheet


class CellFault(NamedTuple):
    """A cell that could not be read: its column (0-based), the rejection code and the value to show."""

    column: int
    code: str
    shown: str


class SheetRow(NamedTuple):
    """A row as people number it, with the texts of its cells from column A on (blank: "") and its unreadable cells."""

    row: int
    cells: list[str]
    faults: list[CellFault]

    @property
    def width(self) -> int:
        """Return the number of cells up to the last one with something in it."""
        filled = len(self.cells)
        while filled and not self.cells[filled - 1].strip():
            filled -= 1
        return max([filled, *(fault.column + 1 for fault in self.faults)])

    def is_blank(self, width: int) -> bool:
        """Return whether nothing is in the first `width` cells."""
        return not "".join(self.cells[:width]).strip() and all(fault.column >= width for fault in self.faults)


@dataclass(slots=True)
class OpenSheet:
    """The chosen sheet. `read` starts a new pass over its rows, which adds to `notes`; they are complete at its end.

    `identifiers` (0-based columns, filled in once the header is known) are the columns whose cells must be text, or numbers that
    are sure to mean the same as their text.
    """

    name: str
    sheets: tuple[Sheet, ...]
    engine: str
    read: Callable[[], Iterator[SheetRow]] = field(default=lambda: iter(()))
    identifiers: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
