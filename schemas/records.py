"""Data in flight: what readers yield, what normalising yields, and the columns of both frames.

Frames are Polars. Quantities are Int64 thousandths of the supplier's unit (12.5 → 12500), costs Int64 ten-thousandths of
the currency's main unit, dates are Date, everything else is String. Null means unknown, never 0 and never "".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import polars as pl

from schemas.columns import KEY_COLUMNS, RECORD_COLUMNS
from schemas.rejections import Rejection

_KINDS: Mapping[str, Any] = {"integer": pl.Int64, "text": pl.String, "date": pl.Date}

#: Columns of a frame of StockRecords, in order.
RECORD_SCHEMA: Mapping[str, Any] = {name: _KINDS[kind] for name, kind in RECORD_COLUMNS.items()}

#: Keys of rows that were rejected but whose key could be read ("unconfirmed", not missing).
KEY_SCHEMA: Mapping[str, Any] = dict.fromkeys(KEY_COLUMNS, pl.String)


@dataclass(frozen=True, slots=True)
class CellProblem:
    """A cell that could not be read (error value, formula without result). Becomes a Rejection only if its column is mapped."""

    row: int
    line: int | None
    column: int  # position, 0-based
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class RawBatch:
    """A bounded number of raw records as text cells.

    `frame` has the columns `row` (Int64), `line` (Int64, null in spreadsheets) and `c0 … cN` (String, one per header
    column; a blank cell is "", never null). `header` are the column names as found, without doubles; the same for all
    batches of one delivery. `rejections` are rows that could not be split into cells: they are not in `frame`.
    `skipped` counts rows left out on purpose, by reason. `reading` says how the file was read (encoding, delimiter,
    header_row, sheet …), `notes` are sentences for people. `members` are the paths of a document's first record, for people who
    look for one that it has not: only in a first batch, and only where an asked one is missing.
    """

    header: tuple[str, ...]
    frame: pl.DataFrame
    rejections: tuple[Rejection, ...] = ()
    cell_problems: tuple[CellProblem, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    reading: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    members: tuple[str, ...] = ()

    @property
    def rows_read(self) -> int:
        """Rows seen in the file: in the frame, rejected while splitting, and skipped."""
        return self.frame.height + len(self.rejections) + sum(self.skipped.values())


@dataclass(frozen=True, slots=True)
class NormalisedBatch:
    """The typed result of one RawBatch.

    `records` has RECORD_SCHEMA; one row of the file gives several records when warehouses are columns. `rejections` hold
    every problem of every row (and notes); `rejected_keys` (KEY_SCHEMA) the readable keys of rejected rows. Counted in
    rows of the file: rows_read = rows_accepted + rows_rejected + sum(skipped).
    """

    records: pl.DataFrame
    rejections: tuple[Rejection, ...]
    rejected_keys: pl.DataFrame
    rows_read: int
    rows_accepted: int
    rows_rejected: int
    skipped: Mapping[str, int]
    rejected_without_key: int = 0


#: Opens the same bytes anew at each call (readers may need two passes: sniff, then read).
OpenBinary = Callable[[], IO[bytes]]

#: A format reader: chunked reading only; raises DeliveryError when the file as a whole cannot be read as declared.
Reader = Callable[[OpenBinary, Any], Iterator[RawBatch]]

#: Yields what a file shows before any rule, for formats whose rows do not show it; raises as a Reader does.
Observer = Callable[[OpenBinary, Any], Iterator[dict[str, Any]]]
