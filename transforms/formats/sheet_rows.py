"""Rows of a sheet as every spreadsheet engine gives them, one by one or some at a time, and the cells that could not be read.

Never holds more than a bounded number of rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from transforms.formats.sheet_choice import Sheet

#: How many rows and cells a block has at most, if there is more than one row in it.
BLOCK_ROWS = 2_000
BLOCK_CELLS = 200_000
_FEW_ROWS = 100  # where rows are wanted one by one, it is for the head of a sheet
_LONG = 16_000  # characters


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


class SheetBlock(NamedTuple):
    """At least one row, column by column.

    `rows` are their numbers, `lengths` how many cells each of them has, `columns` the texts from column A on, all as long as
    `rows` (blank, or beyond a row's cells: ""), `faults` the unreadable cells with the index of their row, in order.
    """

    rows: Sequence[int]
    lengths: Sequence[int]
    columns: Sequence[Sequence[str]]
    faults: Sequence[tuple[int, CellFault]]


def block_of(rows: Sequence[SheetRow]) -> SheetBlock:
    """Return rows as a block."""
    lengths = [len(row.cells) for row in rows]
    width = max(lengths)
    blanks = [""] * width
    padded = [row.cells if len(row.cells) == width else [*row.cells, *blanks[len(row.cells) :]] for row in rows]
    faults = [(at, fault) for at, row in enumerate(rows) for fault in row.faults]
    return SheetBlock([row.row for row in rows], lengths, list(zip(*padded, strict=True)), faults)


def rows_of(block: SheetBlock) -> Iterator[SheetRow]:
    """Yield the rows of a block."""
    faults: dict[int, list[CellFault]] = {}
    for at, fault in block.faults:
        faults.setdefault(at, []).append(fault)
    for at, (row, length) in enumerate(zip(block.rows, block.lengths, strict=True)):
        yield SheetRow(row, [texts[at] for texts in block.columns[:length]], faults.get(at, []))


@dataclass(slots=True)
class OpenSheet:
    """The chosen sheet. `read` and `blocks` start a new pass over its rows, which adds to `notes`; they are complete at its end.

    An engine gives its rows one by one (`by_row`), or after so many of them at most so many at a time (`by_block`).
    `identifiers` (0-based columns, filled in once the header is known) are the columns whose cells must be text, or numbers that
    are sure to mean the same as their text; `commas` those whose numbers are written with a decimal comma.
    """

    name: str
    sheets: tuple[Sheet, ...]
    engine: str
    by_row: Callable[[], Iterator[SheetRow]] | None = None
    by_block: Callable[[int, int], Iterator[SheetBlock]] | None = None
    identifiers: set[int] = field(default_factory=set)
    commas: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def read(self) -> Iterator[SheetRow]:
        """Return all rows, one by one."""
        if self.by_block is not None:
            return (row for block in self.by_block(0, _FEW_ROWS) for row in rows_of(block))
        assert self.by_row is not None
        return self.by_row()

    def blocks(self, skipped: int) -> Iterator[SheetBlock]:
        """Return the rows after the first `skipped` of them, some at a time."""
        if self.by_block is not None:
            return self.by_block(skipped, BLOCK_ROWS)
        return _gathered(islice(self.read(), skipped, None))


def _gathered(rows: Iterator[SheetRow]) -> Iterator[SheetBlock]:
    """Yield rows as blocks; a row that is long ends its block, so that what may be over a limit is looked at at once."""
    kept: list[SheetRow] = []
    width = 0  # in a block all rows are as wide as the widest
    for row in rows:
        kept.append(row)
        width = max(width, len(row.cells))
        if len(kept) == BLOCK_ROWS or len(kept) * width >= BLOCK_CELLS or len("".join(row.cells)) > _LONG:
            yield block_of(kept)
            kept, width = [], 0
    if kept:
        yield block_of(kept)
