"""The cells of .xls, .xlsb and .ods sheets (and of .xlsx where a feed asks for speed), through python-calamine.

This engine gives neither number formats nor error cells: an error cell is blank here. Never used outside the limited child
process, because a sparse sheet can exhaust its memory.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
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


def open_calamine(stream: IO[bytes], options: SpreadsheetOptions) -> OpenSheet:
    """Return the chosen sheet of the workbook in `stream`. Raises DeliveryError FILE-SHEET, FILE-UNREADABLE."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

    try:
        book = CalamineWorkbook.from_filelike(stream)
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


def _blocks(sheet: "CalamineSheet", opened: OpenSheet, skipped: int, height: int) -> Iterator[SheetBlock]:
    """Yield rows from row 1 on; calamine leaves out empty columns on the left, but not empty rows above."""
    opened.notes.append("this reader shows error cells as blank and does not know number formats such as 00000")
    start = sheet.start[1] if sheet.start else 0
    height = max(1, min(height, BLOCK_CELLS // max(sheet.width, 1)))
    rows = islice(sheet.iter_rows(), skipped, None)
    first = skipped + 1
    while values := list(islice(rows, height)):
        faults: list[tuple[int, CellFault]] = []
        columns: list[Sequence[str]] = [[""] * len(values)] * start
        for column, cells in enumerate(zip(*values, strict=True), start):
            columns.append(_texts(cells, column, faults, identifier=column in opened.identifiers))
        faults.sort()
        yield SheetBlock(range(first, first + len(values)), [len(columns)] * len(values), columns, faults)
        first += len(values)


def _texts(cells: Sequence[_Value], column: int, faults: list[tuple[int, CellFault]], *, identifier: bool) -> Sequence[str]:
    """Return the texts of a column's cells: those of equal numbers are made once, unless one of them is a fault."""
    kinds = set(map(type, cells))
    if kinds == {str}:
        return cast("Sequence[str]", cells)
    if kinds <= {str, float}:
        found: list[CellFault] = []
        numbers = {value for value in cells if type(value) is float}
        shown: dict[_Value, str] = {number: _cell(number, column, found, identifier=identifier) for number in numbers}
        if not found:
            return [value if type(value) is str else shown[value] for value in cells]
    texts: list[str] = []
    for at, value in enumerate(cells):
        found = []
        texts.append(_cell(value, column, found, identifier=identifier))
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
