"""The cells of .xls, .xlsb and .ods sheets (and of .xlsx where a feed asks for speed), through python-calamine.

This engine gives neither number formats nor error cells: an error cell is blank here. Never used outside the limited child
process, because a sparse sheet can exhaust its memory.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import IO, TYPE_CHECKING

from schemas.errors import DeliveryError
from transforms.formats.number_text import EXACT_DIGITS, NumberFormat, cell_number, moment_text
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.sheet_choice import Sheet, choose_sheet
from transforms.formats.sheet_rows import CellFault, OpenSheet, SheetRow

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
    opened.read = lambda: _rows(sheet, opened)
    return opened


def _rows(sheet: "CalamineSheet", opened: OpenSheet) -> Iterator[SheetRow]:
    """Yield rows from row 1 on; calamine leaves out empty columns on the left, but not empty rows above."""
    opened.notes.append("this reader shows error cells as blank and does not know number formats such as 00000")
    start = sheet.start[1] if sheet.start else 0
    left, identifiers = [""] * start, opened.identifiers
    for row, values in enumerate(sheet.iter_rows(), 1):
        faults: list[CellFault] = []
        cells = [
            value
            if type(value) is str
            else str(int(value))
            if type(value) is float and 0 <= value < _EXACT and value.is_integer()  # nearly every number
            else _cell(value, column, faults, identifier=column in identifiers)
            for column, value in enumerate(values, start)
        ]
        yield SheetRow(row, [*left, *cells] if start else cells, faults)


def _cell(value: _Value, column: int, faults: list[CellFault], *, identifier: bool) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(value, column, faults, identifier=identifier)
    if isinstance(value, bool):
        text = "TRUE" if value else "FALSE"
    else:
        midnight = isinstance(value, datetime) and value.time() == time()
        text = value if isinstance(value, str) else moment_text(value, "yyyy-mm-dd" if midnight else "yyyy-mm-dd hh:mm:ss")
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
