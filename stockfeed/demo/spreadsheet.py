"""A spreadsheet as the Sheets API tells it: worksheets of texts, booleans and numbers, the whole of it or ranges.

Source: https://developers.google.com/workspace/sheets/api/reference/rest. Never formats a number: what it shows is given.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sheet_cells import letters

Answer = tuple[int, dict[str, Any]]
_RANGE = re.compile(r"'(.+)'!([A-Z]+)(\d+):([A-Z]+)(\d+)")


@dataclass
class Number:
    """A cell that holds a number and shows it in some format."""

    value: float
    shown: str


@dataclass
class Spreadsheet:
    """`cells` by worksheet: rows of texts, booleans, Numbers. `modified` as the Drive API tells it (RFC 3339)."""

    key: str
    title: str
    modified: str
    cells: dict[str, list[list[object]]] = field(default_factory=dict)

    def answer(self, path: str, query: Mapping[str, str]) -> Answer:
        """Return status and body of the answer to a GET of Drive (the file) or Sheets (its worksheets, a range of one)."""
        if path == f"/drive/v3/files/{self.key}":
            return 200, {"id": self.key, "name": self.title, "modifiedTime": self.modified}
        if path == f"/v4/spreadsheets/{self.key}":
            return 200, {"spreadsheetId": self.key, "properties": {"title": self.title}, "sheets": self._worksheets()}
        wanted = path.removeprefix(f"/v4/spreadsheets/{self.key}/values/")
        if wanted == path:
            return 404, {"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}}
        return self._values(wanted, query.get("valueRenderOption", "FORMATTED_VALUE"))

    def _values(self, wanted: str, rendered: str) -> Answer:
        """Return the answer to a range in A1 notation, `rendered` as the API's ValueRenderOption says."""
        match = _RANGE.fullmatch(wanted)
        title = match[1].replace("''", "'") if match else ""
        if match is None or title not in self.cells:
            return 400, {"error": {"code": 400, "message": "Unable to parse range", "status": "INVALID_ARGUMENT"}}
        left, right = (next(n for n in range(1, 1000) if letters(n) == match[i]) for i in (2, 4))
        rows = [row[left - 1 : right] for row in self.cells[title][int(match[3]) - 1 : int(match[5])]]
        shown = [_trimmed([_render(cell, rendered) for cell in row]) for row in rows]
        while shown and not shown[-1]:
            shown.pop()
        answer: dict[str, Any] = {"range": f"'{match[1]}'!A{match[3]}", "majorDimension": "ROWS"}
        return 200, answer | ({"values": shown} if shown else {})

    def _worksheets(self) -> Sequence[dict[str, Any]]:
        return [
            {
                "properties": {
                    "sheetId": number, "title": title, "index": number, "sheetType": "GRID",
                    "gridProperties": {"rowCount": max(1000, len(rows)), "columnCount": 26},
                }
            }
            for number, (title, rows) in enumerate(self.cells.items())
        ]  # fmt: skip


def _render(cell: object, option: str) -> object:
    if isinstance(cell, Number):
        return cell.shown if option == "FORMATTED_VALUE" else cell.value
    if isinstance(cell, bool):
        return str(cell).upper() if option == "FORMATTED_VALUE" else cell
    return cell


def _trimmed(row: list[object]) -> list[object]:
    while row and row[-1] == "":
        row.pop()
    return row
