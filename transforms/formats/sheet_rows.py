"""One row of a sheet as both spreadsheet engines give it, and the cells that could not be read.

Never holds more than one row.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from transforms.formats.sheet_choice import Sheet


class Cell(NamedTuple):
    """A cell's text, and the rejection code with the value to show when it could not be read."""

    text: str
    code: str = ""
    shown: str = ""


BLANK = Cell("")


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row as people number it, with its cells from column A on."""

    row: int
    cells: list[Cell]


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
