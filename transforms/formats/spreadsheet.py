"""Workbooks (xlsx, xlsb, xls down to Excel 2, ods) as batches of text cells, as a person sees them in the sheet.

The content decides which kind of workbook it is, never the name. Never calculates, never follows a link, never merges
sheets. Runs only in the limited child process.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from typing import IO

import polars as pl

from schemas.errors import DeliveryError
from schemas.records import CellProblem, OpenBinary, RawBatch
from schemas.rejections import Rejection, escape_value, rejection
from transforms.formats.content import not_a_table, not_text, shown
from transforms.formats.header import check_header, combine_header, find_header_row
from transforms.formats.limits import exceeded
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.row_selection import RowSelection, joined
from transforms.formats.sheet_choice import hidden_note
from transforms.formats.sheet_rows import CellFault, OpenSheet, SheetBlock, SheetRow, rows_of
from transforms.formats.xlsx_package import Package

_Fault = tuple[int, CellFault]  # with the number of its row

_HEAD_BYTES = 4_096
_HEAD_ROWS = 100
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NO_OTHERS = pl.DataFrame(schema={"row": pl.Int64, "kind": pl.String, "text": pl.String})
_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F]"  # line breaks and tabs inside a cell are content


def read(open_binary: OpenBinary, options: SpreadsheetOptions) -> Iterator[RawBatch]:
    """Yield the rows of one sheet in batches; at least one batch, maybe without rows. `line` is null.

    Raises DeliveryError FILE-EMPTY, FILE-NOT-TABLE, FILE-UNREADABLE, FILE-SHEET, FILE-LIMIT, HEADER-MISSING, HEADER-DUPLICATE.
    """
    with open_binary() as stream, open_binary() as again:
        opened = _open(stream, again, options)
        yield from _batches(_find_table(opened, options))


def _open(stream: IO[bytes], again: IO[bytes], options: SpreadsheetOptions) -> OpenSheet:
    """Return the chosen sheet; nothing of a zip package is used before it has been checked."""
    from transforms.formats.beside import after
    from transforms.formats.biff_cells import BIFF, open_biff
    from transforms.formats.calamine_cells import open_calamine
    from transforms.formats.xlsx_cells import open_xlsx

    head = stream.read(_HEAD_BYTES)
    if not head:
        raise DeliveryError("the file is empty (0 bytes)", "Send the file again.", code="FILE-EMPTY")
    size = stream.seek(0, 2)
    if size > options.limits.file_bytes:
        raise exceeded(f"file: {size} bytes", options.limits.file_bytes, "file_bytes")
    stream.seek(0)
    if head.startswith(_ZIP):
        package = Package(stream, options.limits)
        if package.kind != "xlsx" or options.engine != "openpyxl":
            return after(package.check, lambda: open_calamine(again, options))
        package.check()
        return open_xlsx(again, options)
    if head.startswith(_OLE):
        return open_calamine(again, options)
    if BIFF.match(head):
        return open_biff(stream, options)
    found = not_text(head) or f"{not_a_table(head) or 'text'} (magic bytes {shown(head)})"
    raise DeliveryError(
        f"the file is not a workbook this reader knows but {found}",
        "Send the workbook itself as .xlsx, or declare the right format.",
        code="FILE-NOT-TABLE",
        line=1,
    )


@dataclass(slots=True)
class _Table:
    """The table in the sheet, and what has been seen of it."""

    opened: OpenSheet
    options: SpreadsheetOptions
    selection: RowSelection
    header: tuple[str, ...]
    header_row: int | None
    blocks: Iterator[SheetBlock]
    skipped: Counter[str]
    cells: int = 0
    data_rows: int = 0
    beyond: int = 0


def _find_table(opened: OpenSheet, options: SpreadsheetOptions) -> _Table:
    """Return the table with its header found and checked, its rows from the first below the header on."""
    declared = options.first_row or options.header_row
    head = list(islice(opened.read(), _HEAD_ROWS + (declared if isinstance(declared, int) else 0)))
    if not any(row.width for row in head):
        raise DeliveryError(
            f'sheet "{escape_value(opened.name)}" holds no value', "Send the sheet with its rows.", code="FILE-EMPTY", row=1
        )
    if options.header:
        before = _header_position(head, options)
        found = head[before].row
        names = check_header(_names(head[before:], options), found, options.limits)
        first = max(found + options.header_rows, options.first_row or 1)
    else:
        before, found, first = 0, None, options.first_row or 1
        width = max((row.width for row in head if row.row >= first), default=1)
        names = check_header([f"#{i}" for i in range(1, width + 1)], 1, options.limits)
    opened.identifiers |= _positions(names, options.identifier_columns)
    opened.commas |= _positions(names, options.decimal_commas) - opened.identifiers
    opened.notes[:] = hidden_note(opened.sheets, opened.name)
    above = [row for row in head if row.row < first]
    within = [] if found is None else [row for row in above if found <= row.row < found + options.header_rows]
    skipped = Counter(preamble=len(above) - len(within))
    return _Table(opened, options, RowSelection(options, names), names, found, opened.blocks(len(above)), skipped)


def _positions(names: Sequence[str], wanted: Sequence[str]) -> set[int]:
    named = {name.strip().casefold() for name in wanted}
    return {at for at, name in enumerate(names) if name.casefold() in named}


def _names(head: list[SheetRow], options: SpreadsheetOptions) -> list[str]:
    """Return the column names of the header that begins with the first row of `head`."""
    rows = [row for row in head if row.row < head[0].row + options.header_rows]
    return combine_header([row.cells[: row.width] for row in rows])


def _header_position(head: list[SheetRow], options: SpreadsheetOptions) -> int:
    if options.header_row == "auto":
        return find_header_row([_names(head[i:], options) for i in range(len(head))], options.expected_columns)
    found = next((i for i, row in enumerate(head) if row.row == options.header_row), None)
    if found is None:
        raise DeliveryError(
            f"row {options.header_row}: the header is declared there, but the row is empty",
            "Correct format.header_row, or set it to auto.",
            code="HEADER-MISSING",
            row=options.header_row,
        )
    return found


def _batches(table: _Table) -> Iterator[RawBatch]:
    """Yield full batches as they fill, and the last one, which carries the notes that only the end knows."""
    size = table.options.batch_rows
    kept, faults = [_frame((), (), len(table.header))], list[_Fault]()
    for block in table.blocks:
        _check_limits(block, table)
        table.beyond += _beyond(block, len(table.header))
        frame, found = _without_blanks(block, table)
        kept.append(frame)
        faults += found
        while sum(part.height for part in kept) > size:  # the last batch has rows, if there are any
            whole = pl.concat(kept)
            yield _batch(whole[:size], faults, table)
            kept = [whole[size:]]
            faults = [fault for fault in faults if fault[0] > whole["row"][size - 1]]
    if table.beyond:
        table.opened.notes.append(f"{table.beyond} rows have cells to the right of the header, which were not read")
    yield _batch(pl.concat(kept), faults, table, notes=tuple(table.opened.notes))


def _check_limits(block: SheetBlock, table: _Table) -> None:
    limits = table.options.limits
    cells, rows = table.cells + sum(block.lengths), table.data_rows + len(block.rows)
    longest = max((max(map(len, texts)) for texts in block.columns), default=0)
    if cells > limits.cells or rows > limits.rows or longest * 4 > limits.field_bytes:
        _check_each_row(block, table)
    table.cells, table.data_rows = cells, rows


def _check_each_row(block: SheetBlock, table: _Table) -> None:
    """Raise DeliveryError FILE-LIMIT for the first row that is over a limit, if one is."""
    limits, cells = table.options.limits, table.cells
    for at, row in enumerate(rows_of(block), 1):
        cells += len(row.cells)
        if cells > limits.cells:
            raise exceeded(f"row {row.row}: more than {limits.cells} cells", limits.cells, "cells", row=row.row)
        if table.data_rows + at > limits.rows:
            raise exceeded(f"row {row.row}: more than {limits.rows} rows", limits.rows, "rows", row=row.row)
        _check_field_sizes(row, table)


def _check_field_sizes(row: SheetRow, table: _Table) -> None:
    limit = table.options.limits.field_bytes
    for position, text in enumerate(row.cells):
        size = len(text.encode())
        if size > limit:
            name = table.header[position] if position < len(table.header) else f"#{position + 1}"
            found = f'row {row.row}, column "{escape_value(name)}": a cell of {size} bytes'
            raise exceeded(found, limit, "field_bytes", row=row.row, column=escape_value(name))


def _beyond(block: SheetBlock, width: int) -> int:
    """Return how many rows have something to the right of the header."""
    filled = {at for texts in block.columns[width:] for at, text in enumerate(texts) if text.strip()}
    return len(filled.union(at for at, fault in block.faults if fault.column >= width))


def _without_blanks(block: SheetBlock, table: _Table) -> tuple[pl.DataFrame, list[_Fault]]:
    """Return the rows that have something under the header, as a frame, and their unreadable cells, each with its row."""
    width = len(table.header)
    faults = [(at, fault) for at, fault in block.faults if fault.column < width]
    columns = block.columns[:width]
    rows = block.rows
    blank = _blank_rows(columns, len(rows), {at for at, _ in faults}) if table.options.skip_blank else []
    if blank:
        table.skipped["blank"] += len(blank)
        filled = [True] * len(rows)
        for at in blank:
            filled[at] = False
        rows, columns = list(compress(rows, filled)), [list(compress(texts, filled)) for texts in columns]
    return _frame(rows, columns, width), [(block.rows[at], fault) for at, fault in faults]


def _blank_rows(columns: Sequence[Sequence[str]], height: int, faulty: set[int]) -> list[int]:
    """Return the indexes of rows without a text in any column and without a fault; most rows have one in the first."""
    maybe = [at for at, text in enumerate(columns[0]) if not text.strip()] if columns else range(height)
    return [at for at in maybe if at not in faulty and not any(texts[at].strip() for texts in columns)]


def _batch(frame: pl.DataFrame, faults: list[_Fault], table: _Table, *, notes: tuple[str, ...] = ()) -> RawBatch:
    width = len(table.header)
    if table.selection.selects:
        frame, left_out = table.selection.apply(frame, joined(frame, width), _NO_OTHERS)
        table.skipped.update(left_out["kind"])
    control = frame.select(pl.any_horizontal(pl.col(f"c{i}").str.contains(_CONTROL) for i in range(width))).to_series()
    refused = frame.filter(control)
    rejections: list[Rejection] = [
        rejection("ROW-CONTROL", row=row, value=text) for row, text in zip(refused["row"], joined(refused, width), strict=True)
    ]
    frame = frame.filter(~control) if rejections else frame
    skipped, table.skipped = dict(+table.skipped), Counter()
    reading = {"sheet": table.opened.name, "header_row": table.header_row, "engine": table.opened.engine}
    return RawBatch(table.selection.header, frame, tuple(rejections), tuple(_problems(faults, frame)), skipped, reading, notes)


def _frame(rows: Sequence[int], cells: Sequence[Sequence[str]], width: int) -> pl.DataFrame:
    """Return the rows as a frame; columns that the sheet does not have are blank."""
    nothing = pl.repeat(None, len(rows), dtype=pl.Int64, eager=True)
    blank = pl.repeat("", len(rows), dtype=pl.String, eager=True)
    columns = {"row": pl.Series(rows, dtype=pl.Int64), "line": nothing}
    columns |= {f"c{i}": pl.Series(cells[i], dtype=pl.String) if i < len(cells) else blank for i in range(width)}
    return pl.DataFrame(columns)


def _problems(faults: list[_Fault], kept: pl.DataFrame) -> Iterator[CellProblem]:
    """Yield the unreadable cells of rows that are in the frame."""
    numbers = set(kept["row"]) if faults else set()
    for row, fault in faults:
        if row in numbers:
            yield CellProblem(row, None, fault.column, fault.code, fault.shown)
