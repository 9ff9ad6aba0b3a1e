"""The cells of worksheets of Excel 2 to 4, which are bare streams of records and no archives, as a person sees them.

Such a file is one sheet without a name. Never guesses its code page beyond the one of Western Windows, and says when it does.
"""

import codecs
import struct
from collections.abc import Iterator
from typing import IO

from schemas.errors import DeliveryError
from transforms.formats.biff_records import BIFF, BiffCell, BiffSheet, read_stream
from transforms.formats.number_text import NumberFormat, cell_number, moment_text, number_format
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.sheet_choice import Sheet, choose_sheet
from transforms.formats.sheet_rows import CellFault, OpenSheet, SheetRow

__all__ = ["BIFF", "open_biff"]

_WESTERN = "cp1252"
_ONLY_SHEET = "Sheet1"


def open_biff(stream: IO[bytes], options: SpreadsheetOptions) -> OpenSheet:
    """Return the one sheet of the file in `stream`. Raises DeliveryError FILE-UNREADABLE, FILE-SHEET."""
    try:
        sheet = read_stream(stream)
        codec = codecs.lookup(sheet.code_page or _WESTERN).name
    except (ValueError, LookupError, struct.error) as error:
        raise _unreadable("its records are damaged or cut off", str(error)) from error
    if sheet.protected:
        raise _unreadable("it is protected by a password")
    only = (Sheet(_ONLY_SHEET, visible=True),)
    opened = OpenSheet(choose_sheet(only, options), only, f"biff{sheet.version}")
    opened.by_row = lambda: _rows(sheet, opened, codec)
    return opened


def _unreadable(why: str, detail: str = "") -> DeliveryError:
    return DeliveryError(
        f"the workbook of Excel 4 or older cannot be read: {why}",
        "Open the workbook in its program, save it again as .xlsx without a password and send it.",
        detail,
        code="FILE-UNREADABLE",
    )


def _rows(sheet: BiffSheet, opened: OpenSheet, codec: str) -> Iterator[SheetRow]:
    for row, stored in sheet.rows.items():
        cells, faults = [""] * (stored[-1].column + 1), list[CellFault]()
        for cell in stored:
            identifier = cell.column in opened.identifiers
            text = _text(cell, sheet, codec, faults, identifier=identifier)
            is_number = isinstance(cell.value, float) and cell.column in opened.commas
            cells[cell.column] = text.replace(".", ",") if is_number else text
        yield SheetRow(row + 1, cells, faults)
    if sheet.code_page is None:
        opened.notes.append(f"the file names no code page: its texts were read as {codec}")
    if sheet.formulas:
        opened.notes.append(f"cells with formulas: {sheet.formulas}; their last calculated values were read")
    if sheet.hidden_rows:
        opened.notes.append(f"hidden rows were read: {sheet.hidden_rows}")
    for first, last in sheet.hidden_columns:
        opened.notes.append(f"hidden columns were read: {first + 1} to {last + 1}")


def _text(cell: BiffCell, sheet: BiffSheet, codec: str, faults: list[CellFault], *, identifier: bool) -> str:
    if isinstance(cell.value, bytes):
        try:
            return cell.value.decode(codec)
        except UnicodeDecodeError:
            faults.append(CellFault(cell.column, "ENC-BAD", cell.value.decode(codec, errors="backslashreplace")))
            return ""
    if cell.kind == "error":
        faults.append(CellFault(cell.column, "QTY-CELL", str(cell.value)))
        return ""
    if isinstance(cell.value, bool):
        text, sure = ("TRUE" if cell.value else "FALSE"), not identifier
    else:
        text, sure = _number(float(cell.value), sheet, cell.style, identifier=identifier)
    if not sure:
        faults.append(CellFault(cell.column, "SKU-EXCEL" if text else "QTY-CELL", text or str(cell.value)))
    return text


def _number(value: float, sheet: BiffSheet, style: int, *, identifier: bool) -> tuple[str, bool]:
    """Return a number's text (a date where its format shows one) and whether it is sure; "" when it is none."""
    from openpyxl.styles.numbers import is_date_format, is_timedelta_format
    from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

    code = sheet.number_format(style).decode("latin-1")
    try:
        if code and is_date_format(code):
            epoch = CALENDAR_MAC_1904 if sheet.from_1904 else CALENDAR_WINDOWS_1900
            moment = from_excel(value, epoch, timedelta=is_timedelta_format(code))
            return moment_text(moment, code), not identifier
        return cell_number(repr(value), number_format(code) if code else NumberFormat(), identifier=identifier)
    except (ValueError, OverflowError):
        return "", False
