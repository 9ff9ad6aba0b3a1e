"""The cells of .xls, .xlsb and .ods sheets (and of .xlsx where a feed asks for speed), through python-calamine.

This engine gives neither number formats nor error cells: an error cell is blank here. Never used outside the limited child
process, because a sparse sheet can exhaust its memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from schemas.errors import DeliveryError
from transforms.formats.number_text import EXACT_DIGITS, NumberFormat, cell_number, moment_text
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.sheet_choice import Sheet, choose_sheet
from transforms.formats.sheet_rows import BLOCK_CELLS, CellFault, OpenSheet, SheetBlock

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

_Value = str | int | float | bool | date | time | timedelta
_PLAIN = NumberFormat()
_EXACT = 10**EXACT_DIGITS
_KNOWN_NUMBERS = 20_000  # texts of numbers kept of each column


def open_calamine(stream: IO[bytes], options: SpreadsheetOptions) -> OpenSheet:
    """Return the chosen sheet of the workbook in `stream`. Raises DeliveryError FILE-SHEET, FILE-UNREADABLE."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    try:
        book = CalamineWorkbook.from_object(_without_python(stream))
        tables = [s for s in book.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
        sheets = tuple(Sheet(s.name, s.visible == SheetVisibleEnum.Visible) for s in tables)
        opened = OpenSheet(choose_sheet(sheets, options), sheets, "calamine")
        sheet = book.get_sheet_by_name(opened.name)
    except (CalamineError, OSError, ValueError) as error:
        raise DeliveryError(
            "the workbook cannot be read: it is damaged or protected by a password",
            "Open the workbook in its program, save it again without a password and send it.",
            f"{type(error).__name__}: {error}",
            code="FILE-UNREADABLE",
        ) from error
    opened.by_block = lambda skipped, height: _blocks(sheet, opened, skipped, height)
    return opened


def _without_python(stream: IO[bytes]) -> IO[bytes] | str:
    """Return a path at which the parser itself opens the very file of `stream`, and so reads it beside Python; else the stream.

    Never the file's own name: the parser believes what that ends with, and cannot open every one.
    """
    try:
        path = f"/proc/self/fd/{stream.fileno()}"
    except OSError:  # in memory
        return stream
    return path if Path(path).exists() else stream


def _blocks(sheet: "CalamineSheet", opened: OpenSheet, skipped: int, height: int) -> Iterator[SheetBlock]:
    """Yield rows from row 1 on; calamine leaves out empty columns on the left, but not empty rows above."""
    opened.notes.append("this reader shows error cells as blank and does not know number formats such as 00000")
    start = sheet.start[1] if sheet.start else 0
    height = max(1, min(height, BLOCK_CELLS // max(sheet.width, 1)))
    rows = islice(sheet.iter_rows(), skipped, None)
    numbers = [
        _Numbers(column, identifier=column in opened.identifiers, has_comma=column in opened.commas)
        for column in range(start, start + sheet.width)
    ]
    first = skipped + 1
    while values := list(islice(rows, height)):
        faults: list[tuple[int, CellFault]] = []
        blank: Sequence[str] = [""] * len(values)
        columns = [blank] * start + [_texts(*column, faults) for column in zip(zip(*values, strict=True), numbers, strict=True)]
        faults.sort()
        yield SheetBlock(range(first, first + len(values)), [len(columns)] * len(values), columns, faults)
        first += len(values)


class _Numbers(dict[_Value, str]):
    """The texts of a column's numbers, each made once. Raises _Fault for a number that is one of the column's faults."""

    def __init__(self, column: int, *, identifier: bool, has_comma: bool) -> None:
        super().__init__()
        self.column, self.identifier, self.has_comma = column, identifier, has_comma

    def text(self, number: _Value, found: list[CellFault]) -> str:
        """Return the text of one cell, with what is wrong with it added to `found`."""
        text = _cell(number, self.column, found, identifier=self.identifier)
        return text.replace(".", ",") if self.has_comma and isinstance(number, float) else text

    def __missing__(self, number: _Value) -> str:
        found: list[CellFault] = []
        text = self.text(number, found)
        if found:
            raise _Fault
        if len(self) >= _KNOWN_NUMBERS:
            self.clear()
        self[number] = text
        return text


class _Fault(Exception):  # noqa: N818 - no error: the cells are looked at one by one then
    pass


def _texts(cells: Sequence[_Value], numbers: _Numbers, faults: list[tuple[int, CellFault]]) -> Sequence[str]:
    """Return the texts of a column's cells, and add its faults, each with the index of its cell."""
    kinds = set(map(type, cells))
    if kinds == {str}:
        return cast("Sequence[str]", cells)
    if kinds <= {str, float}:
        with suppress(_Fault):
            return [value if type(value) is str else numbers[value] for value in cells]
    texts: list[str] = []
    for at, value in enumerate(cells):
        found: list[CellFault] = []
        texts.append(numbers.text(value, found))
        faults += [(at, fault) for fault in found]
    return texts


def _cell(value: _Value, column: int, faults: list[CellFault], *, identifier: bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and 0 <= value < _EXACT and value.is_integer():  # nearly every number
        return str(int(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(value, column, faults, identifier=identifier)
    if isinstance(value, bool):
        text = "TRUE" if value else "FALSE"
    else:
        midnight = isinstance(value, datetime) and value.time() == time()
        text = moment_text(value, "yyyy-mm-dd" if midnight else "yyyy-mm-dd hh:mm:ss")
    if identifier:
        faults.append(CellFault(column, "SKU-EXCEL", text))
    return text


def _number(value: float, column: int, faults: list[CellFault], *, identifier: bool) -> str:
    try:
        text, sure = cell_number(repr(value), _PLAIN, identifier=identifier)
    except ValueError:
        faults.append(CellFault(column, "QTY-CELL", str(value)))
        return ""
    if not sure:
        faults.append(CellFault(column, "SKU-EXCEL", text))
    return text
