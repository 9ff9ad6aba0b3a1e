"""The cells of an .xlsx sheet, as a person sees them, through openpyxl.

Reads workbook, styles and shared strings with openpyxl (read-only, hardened by defusedxml), and the sheet's rows itself,
because openpyxl cannot tell a formula without a result from an empty cell. Never calculates a formula.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError, iterparse
from zipfile import BadZipFile

from defusedxml.common import DefusedXmlException

from schemas.errors import DeliveryError
from transforms.formats.number_text import lost_digits, moment_text, number_format, number_text, plain_number
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.sheet_choice import Sheet, choose_sheet
from transforms.formats.sheet_rows import BLANK, Cell, OpenSheet, SheetRow

if TYPE_CHECKING:
    from openpyxl.workbook.workbook import Workbook

_NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROW, _COL, _VALUE, _FORMULA, _INLINE, _TEXT, _RUN = (f"{_NS}{t}" for t in ("row", "col", "v", "f", "is", "t", "r"))
_FIRST_CUSTOM_FORMAT = 164
_LIBRARY_ERRORS = (
    *(LookupError, ValueError, TypeError, AttributeError, ArithmeticError, OSError),
    *(BadZipFile, ParseError, DefusedXmlException),
)
_DIGITS = "0123456789"


@contextmanager
def _as_delivery_error() -> Iterator[None]:
    """Turn what openpyxl raises on a damaged workbook into a DeliveryError: it has no error class of its own."""
    try:
        yield
    except _LIBRARY_ERRORS as e:
        raise DeliveryError(
            "the workbook cannot be read: its parts are damaged or contradict each other",
            "Open the workbook in its program, save it again and send it.",
            f"{type(e).__name__}: {e}",
            code="FILE-UNREADABLE",
        ) from e


def open_xlsx(stream: IO[bytes], options: SpreadsheetOptions) -> OpenSheet:
    """Return the chosen sheet of the workbook in `stream`, unread. Raises DeliveryError FILE-SHEET, FILE-UNREADABLE."""
    import openpyxl

    with _as_delivery_error(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and extensions, which change no cell
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        sheets = tuple(Sheet(ws.title, ws.sheet_state == "visible") for ws in book.worksheets)
    opened = OpenSheet(choose_sheet(sheets, options), sheets, "openpyxl")
    opened.read = lambda: _XlsxRows(book, opened).rows()
    return opened


class _XlsxRows:
    """One pass over the rows of the chosen sheet."""

    def __init__(self, book: "Workbook", opened: OpenSheet) -> None:
        self._book: Any = book
        self._sheet: Any = book[opened.name]
        self._opened = opened
        self._formats: dict[int, str] = {}
        self._columns: dict[str, int] = {}
        self._formulas = 0
        self._hidden_rows = 0

    def rows(self) -> Iterator[SheetRow]:
        """Yield the rows that are in the file; notes are added at the end.

        The standard parser is safe here and four times faster than the hardened one: `xlsx_package` has refused every part
        with a DTD, so there are no entities, and every part that nests deeply.
        """
        with _as_delivery_error(), self._sheet._get_source() as part:  # noqa: SLF001 - read-only sheets offer no other way
            last = 0
            for _, element in iterparse(part):  # noqa: S314 - the docstring says why
                if element.tag == _ROW:
                    row = int(element.get("r") or last + 1)
                    if row <= last:
                        msg = f"row {row} comes after row {last}"
                        raise ValueError(msg)
                    last = row
                    self._hidden_rows += element.get("hidden") in ("1", "true")
                    yield SheetRow(row, self._cells(element))
                    element.clear()
                elif element.tag == _COL and element.get("hidden") in ("1", "true"):
                    self._note_hidden(int(element.get("min", 1)), int(element.get("max", 1)))
        if self._formulas:
            self._opened.notes.append(f"cells with formulas: {self._formulas}; their last calculated values were read")
        if self._hidden_rows:
            self._opened.notes.append(f"hidden rows were read: {self._hidden_rows}")

    def _note_hidden(self, first: int, last: int) -> None:
        from openpyxl.utils import get_column_letter

        letters = get_column_letter(first) if first == last else f"{get_column_letter(first)} to {get_column_letter(last)}"
        self._opened.notes.append(f"hidden columns were read: {letters}")

    def _cells(self, row: Element) -> list[Cell]:
        cells: list[Cell] = []
        for element in row:
            reference = element.get("r")
            column = self._column(reference) if reference else len(cells)
            if column < len(cells):
                msg = f"cell {reference} comes after a cell to its right"
                raise ValueError(msg)
            cells.extend([BLANK] * (column - len(cells)))
            cells.append(self._cell(element, column))
        return cells

    def _column(self, reference: str) -> int:
        letters = reference.rstrip(_DIGITS)
        if letters not in self._columns:
            from openpyxl.utils import column_index_from_string

            self._columns[letters] = column_index_from_string(letters) - 1
        return self._columns[letters]

    def _cell(self, element: Element, column: int) -> Cell:
        kind = element.get("t", "n")
        raw = element.findtext(_VALUE)
        if element.find(_FORMULA) is not None:
            if raw is None or (not raw and kind == "n"):
                return Cell("", "QTY-CELL", f"formula without a result in cell {element.get('r', '')}".rstrip())
            self._formulas += 1
        if kind in ("s", "str", "inlineStr"):
            return Cell(self._string(kind, raw, element))
        if not raw:
            return BLANK
        if kind == "e":
            return Cell("", "QTY-CELL", raw)
        return self._value(kind, raw, int(element.get("s", 0)), identifier=column in self._opened.identifiers)

    def _string(self, kind: str, raw: str | None, element: Element) -> str:
        if kind == "inlineStr":
            return _inline(element)
        if kind == "str" or not raw:
            return raw or ""
        return str(self._sheet._shared_strings[int(raw)])  # noqa: SLF001 - no public access to one string

    def _value(self, kind: str, raw: str, style: int, *, identifier: bool) -> Cell:
        """Return a boolean, ISO date or number cell; in an identifier column only what is sure to mean its text has no fault."""
        if kind == "b":
            text = "TRUE" if raw.strip() in ("1", "true") else "FALSE"
            return Cell(text, "SKU-EXCEL", text) if identifier else Cell(text)
        if kind == "d":
            text = raw.removesuffix("T00:00:00")
            return Cell(text, "SKU-EXCEL", text) if identifier else Cell(text)
        code = self._format(style)
        if code and style in self._book._date_formats:  # noqa: SLF001 - found by openpyxl while loading
            return self._moment(raw, style, code, identifier=identifier)
        value, form = plain_number(raw), number_format(code)
        text = number_text(value, form, as_identifier=identifier)
        unsure = identifier and (form.percent or (value != value.to_integral_value() and not form.decimals))
        return Cell(text, "SKU-EXCEL", text) if unsure or lost_digits(value) else Cell(text)

    def _moment(self, raw: str, style: int, code: str, *, identifier: bool) -> Cell:
        from openpyxl.utils.datetime import from_excel

        as_duration = style in self._book._timedelta_formats  # noqa: SLF001 - found by openpyxl while loading
        try:
            moment = from_excel(float(raw), self._book.epoch, timedelta=as_duration)
        except (OverflowError, ValueError):
            return Cell("", "QTY-CELL", f"{raw} as a date")
        text = moment_text(moment, code)
        return Cell(text, "SKU-EXCEL", text) if identifier else Cell(text)

    def _format(self, style: int) -> str:
        if style not in self._formats:
            from openpyxl.styles.numbers import BUILTIN_FORMATS

            number = self._book._cell_styles[style].numFmtId if style else 0  # noqa: SLF001 - as openpyxl's own cells do
            custom = self._book._number_formats  # noqa: SLF001 - the same
            builtin = BUILTIN_FORMATS.get(number, "General")
            self._formats[style] = builtin if number < _FIRST_CUSTOM_FORMAT else custom[number - _FIRST_CUSTOM_FORMAT]
        return self._formats[style]


def _inline(element: Element) -> str:
    """Return the text of an inline string: its plain text, or its formatted runs; not the phonetic guide."""
    inline = element.find(_INLINE)
    if inline is None:
        return ""
    runs = [run.findtext(_TEXT) or "" for run in inline.findall(_RUN)]
    return (inline.findtext(_TEXT) or "") + "".join(runs)
