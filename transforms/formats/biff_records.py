"""The worksheet streams of Excel 2, 3 and 4 (BIFF2 to BIFF4), record by record: cells, number formats, what is hidden.

Layouts as in the OpenOffice.org documentation of the Excel file format. Never calculates a formula.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Literal

#: How such a stream begins: a BOF record of a worksheet.
BIFF = re.compile(rb"\x09[\x00\x02\x04][\x04\x06]\x00..\x10\x00", re.DOTALL)

_HEADER = struct.Struct("<HH")
_EOF, _PASSWORD, _CODE_PAGE, _DATE_MODE, _COLUMN = 0x0A, 0x2F, 0x42, 0x22, 0x7D
_FORMATS = frozenset({0x1E, 0x41E})
_STYLES = frozenset({0x43, 0x243, 0x443})
_ROWS = frozenset({0x08, 0x208})
_STRINGS = frozenset({0x07, 0x207})
_CELLS = {
    0x02: "integer", 0x03: "number", 0x04: "label", 0x05: "truth", 0x06: "formula", 0x203: "number", 0x204: "label",
    0x205: "truth", 0x206: "formula", 0x406: "formula", 0x27E: "packed",
}  # fmt: skip
_ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_NOT_A_NUMBER = b"\xff\xff"
_EMPTY_RESULT = 3
_CODE_PAGES = {0x8000: "mac_roman", 0x8001: "cp1252", 10_000: "mac_roman", 367: "ascii"}


@dataclass(frozen=True, slots=True)
class BiffCell:
    """A cell as stored: `value` is a number, a text, a truth, or an error's name (`kind` says which); `style` its format."""

    column: int
    kind: Literal["number", "text", "truth", "error"]
    value: float | bytes | bool | str
    style: int


@dataclass(slots=True)
class BiffSheet:
    """What a stream holds: its rows (0-based) in the order of the sheet, and what its records say about reading them."""

    version: int
    rows: dict[int, list[BiffCell]] = field(default_factory=dict)
    formats: list[bytes] = field(default_factory=list)
    styles: list[int] = field(default_factory=list)  # style → number format
    code_page: str | None = None
    from_1904: bool = False
    protected: bool = False
    formulas: int = 0
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    hidden_rows: int = 0

    def number_format(self, style: int) -> bytes:
        """Return the number format code of a style, b"" for none."""
        if self.version > 2:  # noqa: PLR2004 - BIFF2 cells name their format themselves
            style = self.styles[style] if style < len(self.styles) else 0
        return self.formats[style] if style < len(self.formats) else b""


def read_stream(stream: IO[bytes]) -> BiffSheet:
    """Return the sheet in `stream`. Raises ValueError and struct.error for records that are cut off or no records."""
    sheet = BiffSheet(2)
    text_of: tuple[int, int, int] | None = None  # the formula whose text result the next STRING record holds
    for kind, data in _records(stream):
        if kind & 0xFF == 0x09 and len(data) >= 4:  # noqa: PLR2004 - BOF
            sheet.version = 2 + (kind >> 9)
        elif kind in _CELLS:
            text_of = _add_cell(sheet, _CELLS[kind], data)
        elif kind in _STRINGS and text_of is not None:
            row, column, style = text_of
            sheet.rows.setdefault(row, []).append(BiffCell(column, "text", _string(data, sheet.version), style))
            text_of = None
        else:
            _add_setting(sheet, kind, data)
    sheet.rows = {row: sorted(sheet.rows[row], key=lambda cell: cell.column) for row in sorted(sheet.rows)}
    return sheet


def _records(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    while True:
        head = stream.read(_HEADER.size)
        if len(head) < _HEADER.size:
            msg = "the stream ends without an end record"
            raise ValueError(msg)
        kind, size = _HEADER.unpack(head)
        data = stream.read(size)
        if len(data) < size:
            msg = f"record {kind:#06x} is cut off after {len(data)} of {size} bytes"
            raise ValueError(msg)
        if kind == _EOF:
            return
        yield kind, data


def _add_cell(sheet: BiffSheet, kind: str, data: bytes) -> tuple[int, int, int] | None:
    """Add a cell; return the place of a formula whose text comes in a record of its own."""
    row, column = struct.unpack_from("<HH", data)
    if sheet.version == 2:  # noqa: PLR2004 - BIFF2
        style, body = data[5] & 0x3F, data[7:]
    else:
        style, body = struct.unpack_from("<H", data, 4)[0], data[6:]
    if kind == "label":
        value: BiffCell | None = BiffCell(column, "text", _string(body, sheet.version), style)
    elif kind == "truth":
        value = _truth_or_error(column, body[0], style, is_error=bool(body[1]))
    elif kind == "formula":
        sheet.formulas += 1
        if body[6:8] == _NOT_A_NUMBER and body[0] == 0:
            return row, column, style
        value = _result(column, body, style)
    else:
        number = {"integer": _integer, "number": _number, "packed": _packed}[kind](body)
        value = BiffCell(column, "number", number, style)
    if value is not None:
        sheet.rows.setdefault(row, []).append(value)
    return None


def _result(column: int, body: bytes, style: int) -> BiffCell | None:
    if body[6:8] != _NOT_A_NUMBER:
        return BiffCell(column, "number", _number(body), style)
    return None if body[0] == _EMPTY_RESULT else _truth_or_error(column, body[2], style, is_error=body[0] != 1)


def _truth_or_error(column: int, value: int, style: int, *, is_error: bool) -> BiffCell:
    if is_error:
        return BiffCell(column, "error", _ERRORS.get(value, f"error {value}"), style)
    return BiffCell(column, "truth", bool(value), style)


def _integer(body: bytes) -> float:
    return float(struct.unpack_from("<H", body)[0])


def _number(body: bytes) -> float:
    return float(struct.unpack_from("<d", body)[0])


def _packed(body: bytes) -> float:
    """Return an RK value: 30 bits of a double or a signed integer, maybe times 100."""
    packed: int = struct.unpack_from("<i", body)[0]
    whole = float(packed >> 2) if packed & 2 else struct.unpack("<d", struct.pack("<q", (packed & ~3) << 32))[0]
    return float(whole) / 100 if packed & 1 else float(whole)


def _string(data: bytes, version: int) -> bytes:
    if version == 2:  # noqa: PLR2004 - BIFF2 texts have a length of one byte
        return data[1 : 1 + data[0]]
    (size,) = struct.unpack_from("<H", data)
    return data[2 : 2 + size]


def _add_setting(sheet: BiffSheet, kind: int, data: bytes) -> None:
    if kind in _FORMATS:
        sheet.formats.append(data[3 : 3 + data[2]] if kind == 0x41E else data[1 : 1 + data[0]])  # noqa: PLR2004 - BIFF4
    elif kind in _STYLES:
        sheet.styles.append(data[1])
    elif kind == _CODE_PAGE:
        (number,) = struct.unpack_from("<H", data)
        sheet.code_page = _CODE_PAGES.get(number, f"cp{number}")
    elif kind == _DATE_MODE:
        sheet.from_1904 = data[0] == 1
    elif kind == _PASSWORD:
        sheet.protected = True
    elif kind == _COLUMN and data[8] & 1:
        sheet.hidden_columns.append(struct.unpack_from("<HH", data))
    elif kind in _ROWS and kind > 0xFF and data[12] & 0x20:  # noqa: PLR2004 - BIFF2 rows cannot be hidden by a flag
        sheet.hidden_rows += 1
