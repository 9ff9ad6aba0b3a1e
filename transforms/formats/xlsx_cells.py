"""The cells of an .xlsx sheet, as a person sees them, through openpyxl.

Reads workbook, styles and shared strings with openpyxl (read-only, hardened by defusedxml), and the sheet's rows itself,
because openpyxl cannot tell a formula without a result from an empty cell. Never calculates a formula.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError, iterparse
from zipfile import BadZipFile

from defusedxml.common import DefusedXmlException

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.number_text import (
    EXACT_DIGITS,
    NumberFormat,
    cell_number,
    moment_text,
    number_format,
)
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.sheet_choice import Sheet, choose_sheet
from transforms.formats.sheet_rows import CellFault, OpenSheet, SheetRow

if TYPE_CHECKING:
    from openpyxl.reader.excel import ExcelReader

_NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ROW, _COL, _VALUE, _FORMULA, _INLINE, _TEXT, _RUN = (f"{_NS}{t}" for t in ("row", "col", "v", "f", "is", "t", "r"))
_DIMENSION = f"{_NS}dimension"
_STRING = f"{_NS}si"
_FIRST_CUSTOM_FORMAT = 164
_PLAIN = NumberFormat()
_LIBRARY_ERRORS = (
    *(LookupError, ValueError, TypeError, AttributeError, ArithmeticError, OSError),
    *(BadZipFile, ParseError, DefusedXmlException),
)
_DIGITS = "0123456789"
_TRUTHS = {"1": "TRUE", "true": "TRUE", "0": "FALSE", "false": "FALSE"}  # anything else is damage, and never FALSE
_ESCAPED = re.compile("_x(00[01][0-9A-Fa-f]|005[Ff])_")


@contextmanager
def _as_delivery_error() -> Iterator[None]:
    """Turn what openpyxl raises on a damaged workbook into a DeliveryError: it has no error class of its own."""
    try:
        yield
    except _LIBRARY_ERRORS as e:
        raise _damaged(e) from e


def _damaged(error: Exception, *, row: int | None = None, cell: Element | None = None) -> DeliveryError:
    """Return the error for a workbook in which `error` was met; `row` and `cell` say where, as far as it is known."""
    place = "" if row is None else f"row {row}: " if cell is None else f"row {row}, cell {cell.get('r') or 'without a name'}: "
    value = None if cell is None else cell.findtext(_VALUE)
    return DeliveryError(
        f"{escape_value(place)}the workbook cannot be read: its parts are damaged or contradict each other",
        'Open the workbook in its program, save it again and send it; or try format.engine = "calamine", which overlooks more.',
        f"{type(error).__name__}: {error}",
        code="FILE-UNREADABLE",
        row=row,
        value=None if value is None else escape_value(value),
    )


def open_xlsx(stream: IO[bytes], options: SpreadsheetOptions) -> OpenSheet:
    """Return the chosen sheet of the workbook in `stream`, unread. Raises DeliveryError FILE-SHEET, FILE-UNREADABLE."""
    from openpyxl.reader.excel import ExcelReader
    from openpyxl.styles.stylesheet import apply_stylesheet

    # Step by step, because load_workbook reads a sheet without a dimension once to its end before it gives it away.
    with _as_delivery_error(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and extensions, which change no cell
        reader = ExcelReader(stream, read_only=True, data_only=True, keep_links=False)
        reader.read_manifest()
        reader.read_workbook()
        apply_stylesheet(reader.archive, reader.wb)
        found = [(sheet, rel) for sheet, rel in reader.parser.find_sheets() if rel.target in reader.valid_files]
        parts = {sheet.name: rel.target for sheet, rel in found if "chartsheet" not in rel.Type}
        sheets = tuple(Sheet(sheet.name, sheet.state == "visible") for sheet, _ in found if sheet.name in parts)
    opened = OpenSheet(choose_sheet(sheets, options), sheets, "openpyxl")
    strings: list[str] = []
    opened.by_row = lambda: _XlsxRows(reader, parts[opened.name], strings, opened).rows()
    return opened


@dataclass(frozen=True, slots=True)
class _Style:
    """What a cell style does to a number: `moment` and `duration` when its format shows dates or times."""

    code: str
    form: NumberFormat
    moment: bool
    duration: bool


class _XlsxRows:
    """One pass over the rows of the chosen sheet. `strings` are the workbook's shared strings, read by the first pass."""

    def __init__(self, reader: "ExcelReader", part: str, strings: list[str], opened: OpenSheet) -> None:
        self._reader: Any = reader
        self._book: Any = reader.wb
        self._part = part
        self._strings = strings
        self._opened = opened
        self._styles: dict[str, _Style] = {}
        self._columns: dict[str, int] = {}
        self._faults: list[CellFault] = []
        self._formulas = 0
        self._hidden_rows = 0
        self._stated_rows = 0

    def rows(self) -> Iterator[SheetRow]:
        """Yield the rows that are in the file; notes are added at the end.

        The standard parser is safe here and four times faster than the hardened one: `xlsx_package` has refused every part
        with a DTD, so there are no entities, and every part that nests deeply.
        """
        with _as_delivery_error(), self._reader.archive.open(self._part) as part:
            self._strings.extend(self._shared_strings() if not self._strings else ())
            last = 0
            for _, element in iterparse(part):  # noqa: S314 - the docstring says why
                if element.tag == _ROW:
                    row = int(element.get("r") or last + 1)
                    if row <= last:
                        msg = f"row {row} comes after row {last}"
                        raise _damaged(ValueError(msg), row=row)
                    last = row
                    self._hidden_rows += element.get("hidden") in ("1", "true")
                    self._faults = []
                    yield SheetRow(row, self._cells(element, row), self._faults)
                    element.clear()
                elif element.tag == _COL and element.get("hidden") in ("1", "true"):
                    self._note_hidden(int(element.get("min", 1)), int(element.get("max", 1)))
                elif element.tag == _DIMENSION:
                    self._stated_rows = _last_row(element.get("ref", ""))
        if self._stated_rows > last:
            self._opened.notes.append(f"the sheet states that its last row is {self._stated_rows}; the last row found is {last}")
        if self._formulas:
            self._opened.notes.append(f"cells with formulas: {self._formulas}; their last calculated values were read")
        if self._hidden_rows:
            self._opened.notes.append(f"hidden rows were read: {self._hidden_rows}")

    def _shared_strings(self) -> Iterator[str]:
        """Yield the workbook's shared strings in order; `_rows` says why the standard parser may read them."""
        from openpyxl.xml.constants import SHARED_STRINGS

        found = self._reader.package.find(SHARED_STRINGS)
        if found is None:
            return
        with self._reader.archive.open(found.PartName[1:]) as part:
            for _, element in iterparse(part):  # noqa: S314 - as in `rows`
                if element.tag == _STRING:
                    yield _text(element)
                    element.clear()

    def _note_hidden(self, first: int, last: int) -> None:
        from openpyxl.utils import get_column_letter

        letters = get_column_letter(first) if first == last else f"{get_column_letter(first)} to {get_column_letter(last)}"
        self._opened.notes.append(f"hidden columns were read: {letters}")

    def _cells(self, element: Element, row: int) -> list[str]:
        cells: list[str] = []
        for cell in element:
            try:
                column = self._position(cell, len(cells))
                while column > len(cells):
                    cells.append("")
                cells.append(self._cell(cell, column))
            except _LIBRARY_ERRORS as error:
                raise _damaged(error, row=row, cell=cell) from error
        return cells

    def _position(self, cell: Element, following: int) -> int:
        """Return the column of a cell: as its reference says, else `following`, the one after the cell to its left."""
        reference = cell.get("r")
        if not reference:
            return following
        letters = reference.rstrip(_DIGITS)
        column = self._columns[letters] if letters in self._columns else self._column(letters)
        if column < following:
            msg = f"cell {reference} comes after a cell to its right"
            raise ValueError(msg)
        return column

    def _column(self, letters: str) -> int:
        from openpyxl.utils import column_index_from_string

        self._columns[letters] = column_index_from_string(letters) - 1
        return self._columns[letters]

    def _cell(self, element: Element, column: int) -> str:
        """Return a cell's text; what cannot be read is "" and one of the row's faults."""
        kind = element.get("t", "n")
        if kind == "inlineStr":
            inline = element.find(_INLINE)
            return "" if inline is None else _text(inline)
        if len(element) == 1 and element[0].tag == _VALUE:
            raw = element[0].text
        else:
            raw = element.findtext(_VALUE)
            if element.find(_FORMULA) is not None:
                if raw is None or (not raw and kind == "n"):
                    return self._fault(column, "QTY-CELL", f"formula without a result in cell {element.get('r', '')}".rstrip())
                self._formulas += 1
        if not raw:
            return ""
        if kind == "s":
            return self._strings[_index(raw)]
        return _unescaped(raw) if kind == "str" else self._value(kind, raw, element, column)

    def _fault(self, column: int, code: str, shown: str, text: str = "") -> str:
        self._faults.append(CellFault(column, code, shown))
        return text

    def _value(self, kind: str, raw: str, element: Element, column: int) -> str:
        """Return a boolean, ISO date, number or error; in an identifier column only what is sure to mean its text has no fault."""
        if kind == "e":
            return self._fault(column, "QTY-CELL", raw)
        raw = raw.strip()  # white space around a value says nothing (XML Schema part 2, 4.3.6)
        if not raw:
            return ""
        identifier = column in self._opened.identifiers
        if kind in ("b", "d"):
            text = _TRUTHS[raw] if kind == "b" else raw.removesuffix("T00:00:00")
            return self._fault(column, "SKU-EXCEL", text, text) if identifier else text
        style = element.get("s", "0")
        shown = self._styles[style] if style in self._styles else self._style(style)
        if shown.moment:
            return self._moment(raw, shown, column, identifier=identifier)
        if shown.form == _PLAIN and len(raw) <= EXACT_DIGITS and raw.isdigit() and raw.isascii() and (raw[0] != "0" or raw == "0"):
            return raw
        text, sure = cell_number(raw, shown.form, identifier=identifier)
        if column in self._opened.commas:
            text = text.replace(".", ",")
        return text if sure else self._fault(column, "SKU-EXCEL", text, text)

    def _moment(self, raw: str, style: _Style, column: int, *, identifier: bool) -> str:
        from openpyxl.utils.datetime import from_excel

        try:
            moment = from_excel(float(raw), self._book.epoch, timedelta=style.duration)
        except (OverflowError, ValueError):
            return self._fault(column, "QTY-CELL", f"{raw} as a date")
        text = moment_text(moment, style.code)
        return self._fault(column, "SKU-EXCEL", text, text) if identifier else text

    def _style(self, style: str) -> _Style:
        from openpyxl.styles.numbers import BUILTIN_FORMATS

        book, index = self._book, int(style)
        number = book._cell_styles[index].numFmtId if index else 0  # noqa: SLF001 - as openpyxl's own cells do
        custom = book._number_formats  # noqa: SLF001 - the same
        builtin = BUILTIN_FORMATS.get(number, "General")
        code = builtin if number < _FIRST_CUSTOM_FORMAT else custom[number - _FIRST_CUSTOM_FORMAT]
        moment = bool(code) and index in book._date_formats  # noqa: SLF001 - found by openpyxl while loading
        duration = index in book._timedelta_formats  # noqa: SLF001 - the same
        self._styles[style] = _Style(code, number_format(code), moment, duration)
        return self._styles[style]


def _text(element: Element) -> str:
    """Return the text of a string: its plain text, or its formatted runs; not the phonetic guide."""
    if len(element) == 1 and element[0].tag == _TEXT:
        return _unescaped(element[0].text or "")
    runs = [run.findtext(_TEXT) or "" for run in element.findall(_RUN)]
    return _unescaped((element.findtext(_TEXT) or "") + "".join(runs))


def _unescaped(text: str) -> str:
    """Return `text` with what XML cannot hold: _x000D_ stands for a carriage return, _x005F_ for the _ of such a name itself.

    ECMA-376 part 1, 22.9.2.19 (ST_Xstring). Other characters are never written so, and names of them stay as they are.
    """
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x00" in text else text


def _index(raw: str) -> int:
    """Return the index of a shared string. Raises ValueError for a negative one, which would be counted from the end."""
    index = int(raw)
    if index < 0:
        msg = f"shared string {index}"
        raise ValueError(msg)
    return index


def _last_row(reference: str) -> int:
    """Return the last row of a range such as A1:C11; 0 where it names none."""
    digits = reference.rpartition(":")[2].lstrip("$ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return int(digits) if digits.isascii() and digits.isdigit() else 0
