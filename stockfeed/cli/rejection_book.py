"""A workbook of rejected rows that can be mailed to the supplier as it is: what is wrong how often, then row by row.

Never holds a formula: every text is a text cell, whatever it begins with. Says nothing about our own feeds and deliveries.
"""

import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from schemas.supplier_requests import REQUESTS
from stockfeed.cli.export import into_place, text_cell

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

Rows = Sequence[Mapping[str, Any]]

_EXAMPLES = 8
_CODE = ("code", "code", 16)
#: Key, title, width in characters.
_SUMMARY = (("message", "what is wrong", 48), ("rows", "rows", 8), ("ask", "what to send instead", 52), ("effect", "effect", 20),
            ("examples", "for example in rows", 26), _CODE)  # fmt: skip
_DETAIL = (("file", "file", 26), ("row", "row", 8), ("line", "line", 8), ("column", "column", 18), ("value", "value", 26),
           ("message", "what is wrong", 42), ("ask", "what to send instead", 46), ("effect", "effect", 20), _CODE)  # fmt: skip
_LINE_POINTS = 15
_USED = "used, please check"
_OF_WHOLE_FILE = ("FILE-", "HEADER-", "ALL-REJECTED")
_NUMBERING = "Rows are counted as a spreadsheet shows them: the first row of the file is row 1."


def write_rejection_book(rows: Rows, output: Path) -> None:
    """Write `rows` (as `reports.rejections` gives them) to `output`. Raises ConfigError when it cannot be written.

    Two sheets: "Summary" with one line for each kind of problem, most frequent first, and "Rejections" with every row, grouped in
    the same order.
    """
    into_place(output, "wb", lambda file: _write(rows, file))


def _write(rows: Rows, file: IO[bytes]) -> None:
    from openpyxl.workbook import Workbook

    workbook = Workbook(write_only=True)
    workbook.properties.creator = "stockfeed"
    files = list(dict.fromkeys(str(row.get("file") or "") for row in rows))
    workbook.properties.title = "Rows that need correction"
    groups = _grouped([{**row, "effect": _effect(row), "ask": _ask(row)} for row in rows])
    title = f"Rows that need correction in {', '.join(filter(None, files)) or 'the delivered file'}"
    _sheet(workbook, "Summary", _SUMMARY, [_summary(group) for group in groups], [title, _NUMBERING])
    kept = {"file": len(files) > 1, "line": any(row.get("line") is not None for row in rows)}
    columns = tuple(column for column in _DETAIL if kept.get(column[0], True))
    _sheet(workbook, "Rejections", columns, [row for group in groups for row in group], [])
    whole = io.BytesIO()  # a ZIP archive that meets a full disk complains a second time when it is thrown away
    workbook.save(whole)
    file.write(whole.getbuffer())


def _effect(row: Mapping[str, Any]) -> str:
    if row.get("severity") == "note":
        return _USED
    return "file not used" if str(row["code"]).startswith(_OF_WHOLE_FILE) else "row not used"


def _ask(row: Mapping[str, Any]) -> str:
    return REQUESTS.get(str(row["code"])) or str(row.get("remedy") or "")


def _grouped(rows: Rows) -> list[list[Mapping[str, Any]]]:
    """Return the rows by code, what was not used before what was, most frequent first; within a code in the order of the file."""
    counts = Counter((str(row["effect"]), str(row["code"])) for row in rows)
    order = sorted(counts, key=lambda key: (key[0] == _USED, -counts[key], key[1]))
    placed = sorted(rows, key=lambda row: (str(row.get("file") or ""), row.get("row") or 0, row.get("line") or 0))
    return [[row for row in placed if (row["effect"], str(row["code"])) == key] for key in order]


def _summary(group: Rows) -> dict[str, Any]:
    numbers = list(dict.fromkeys(row["row"] for row in group if row.get("row") is not None))
    more = " …" if len(numbers) > _EXAMPLES else ""
    messages = Counter(str(row.get("message") or "") for row in group)
    return {
        **group[0],
        "message": messages.most_common(1)[0][0] + (f" (and {len(messages) - 1} similar)" if len(messages) > 1 else ""),
        "rows": len(numbers) or len(group),
        "examples": ", ".join(map(str, numbers[:_EXAMPLES])) + more,
    }


def _sheet(workbook: "Workbook", name: str, columns: Sequence[tuple[str, str, int]], rows: Rows, above: Sequence[str]) -> None:
    """Add a sheet with a frozen header below the sentences `above`; it prints on as many pages as it is long, one wide."""
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    sheet = workbook.create_sheet(name)
    header = len(above) + (2 if above else 1)
    sheet.freeze_panes = f"A{header + 1}"
    sheet.auto_filter.ref = f"A{header}:{get_column_letter(len(columns))}{header + len(rows)}"
    sheet.print_title_rows = f"{header}:{header}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    for position, (_, _, width) in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(position)].width = width
    for number, sentence in enumerate(above):
        cell = text_cell(sheet, sentence)
        cell.font = Font(bold=number == 0, size=14 if number == 0 else 11)
        sheet.append([cell])
    if above:
        sheet.append([])
    titles = [text_cell(sheet, title) for _, title, _ in columns]
    for cell in titles:
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", fgColor="DDE5EE")
    sheet.append(titles)
    wrapped = Alignment(wrap_text=True, vertical="top", horizontal="left")
    for number, row in enumerate(rows, start=header + 1):
        cells = [_cell(sheet, row.get(key)) for key, _, _ in columns]
        for cell in cells:
            cell.alignment = wrapped
        tallest = max(_lines(str(cell.value or ""), width) for cell, (_, _, width) in zip(cells, columns, strict=True))
        sheet.row_dimensions[number].height = _LINE_POINTS * tallest  # not every program measures wrapped texts itself
        sheet.append(cells)


def _lines(text: str, width: int) -> int:
    return max(1, len(textwrap.wrap(text, width)))


def _cell(sheet: Any, value: Any) -> Any:
    from openpyxl.cell import WriteOnlyCell

    return WriteOnlyCell(sheet, value=value) if isinstance(value, int) else text_cell(sheet, "" if value is None else str(value))
