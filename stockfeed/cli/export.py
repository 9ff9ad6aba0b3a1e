"""Files for people: CSV and Excel in which no supplier's text can become a formula; NDJSON for programs, exact.

Never overwrites half a file: it is written beside its place and moved there when it is whole.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from schemas.errors import ConfigError
from stockfeed.cli.output import emit, plain

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_SHEET_NAME = 31  # Excel's limit
_CELL_TEXT = 32_767  # Excel's limit

Rows = Sequence[Mapping[str, Any]]


def write_export(
    rows: Iterable[Mapping[str, Any]],
    *,
    form: str,
    output: Path | None,
    title: str,
    exact: bool = False,
) -> None:
    """Write rows as "csv", "ndjson" or "xlsx" to `output`, or to stdout without one (not xlsx).

    CSV escapes formulas unless `exact`; NDJSON is always exact. Raises ConfigError when the file cannot be written.
    """
    listed = list(rows)
    if form == "xlsx":
        if output is None:
            raise ConfigError("an Excel file cannot go to the screen", "Give a file name with --output.")
        into_place(output, "wb", lambda file: _write_workbook(listed, file, title))
        return
    text = _ndjson(listed) if form == "ndjson" else _csv(listed, exact=exact)
    if output is None:
        emit(text.rstrip("\n"))
    else:
        into_place(output, "w", lambda file: file.write(text))


def escape_formula(value: object) -> object:
    """Return a cell that no spreadsheet runs: a text that begins like a formula gets a leading '; our own numbers stay."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _ndjson(rows: Rows) -> str:
    return "".join(json.dumps({"v": 1, **row}, ensure_ascii=False, default=plain) + "\n" for row in rows)


def _csv(rows: Rows, *, exact: bool) -> str:
    text = io.StringIO()
    names = _names(rows)
    writer = csv.writer(text, lineterminator="\r\n")  # with another one, Python < 3.13 leaves a CR unquoted
    writer.writerow(names)
    for row in rows:
        cells = [_cell_text(row.get(name)) for name in names]
        writer.writerow(cells if exact else [escape_formula(cell) for cell in cells])
    return text.getvalue()


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _cell_text(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, str)):
        return value
    return json.dumps(value, ensure_ascii=False, default=plain).strip('"')


def _write_workbook(rows: Rows, file: IO[Any], title: str) -> None:
    from openpyxl.workbook import Workbook

    workbook = Workbook(write_only=True)
    _write_sheet(workbook, title, rows)
    whole = io.BytesIO()  # a ZIP archive that meets a full disk complains a second time when it is thrown away
    workbook.save(whole)
    file.write(whole.getbuffer())


def _write_sheet(workbook: "Workbook", title: str, rows: Rows) -> None:
    from openpyxl.styles import Font

    sheet = workbook.create_sheet(title[:_SHEET_NAME])
    names = _names(rows)
    sheet.freeze_panes = "A2"
    for position, name in enumerate(names, start=1):
        widest = max([len(name), *(len(str(row.get(name) or "")) for row in rows[:200])])
        sheet.column_dimensions[_column_letter(position)].width = min(60, widest + 2)
    header = [text_cell(sheet, name.replace("_", " ")) for name in names]
    for cell in header:
        cell.font = Font(bold=True)
    sheet.append(header)
    for row in rows:
        sheet.append([_excel_cell(sheet, row.get(name)) for name in names])


def _excel_cell(sheet: Any, value: Any) -> Any:
    if value is None or (isinstance(value, (bool, int, float)) and abs(value) < 1e15):  # noqa: PLR2004 - Excel keeps 15 digits
        return value
    return text_cell(sheet, str(_cell_text(value)))


def text_cell(sheet: Any, text: str) -> Any:
    """Return a cell of a write-only sheet that is text and stays text, whatever it looks like; control characters are shown."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    shown = ILLEGAL_CHARACTERS_RE.sub(lambda m: f"\\x{ord(m.group()):02x}", text)[:_CELL_TEXT]
    cell = WriteOnlyCell(sheet, value=shown)
    cell.data_type = "s"  # openpyxl takes "=…" for a formula and "#N/A" for an error
    cell.number_format = "@"
    return cell


def _column_letter(position: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(position))


def into_place(output: Path, mode: str, write: Callable[[IO[Any]], object]) -> None:
    """Write a file beside `output` and move it there when it is whole. Raises ConfigError when that cannot be."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    text_options: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with part.open(mode, **text_options) as file:
            write(file)
        part.replace(output)
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError) as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}", "Give another file with --output.") from error
    finally:
        part.unlink(missing_ok=True)
