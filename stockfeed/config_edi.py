"""What the tables of a feed say about EDI files that only their reader would find: columns that no such file has, and faults.

Never reads a file: the columns of an EDI file are the same in each.
"""

from typing import Any, get_args

from schemas.rejections import escape_value
from stockfeed.config_document import Document
from stockfeed.config_mistakes import suggestion
from transforms.formats.edi_options import HEADER, Tolerated

_SYNTAXES = ("edi_x12", "edifact")


def check_edi(document: Document, index: int, table: dict[str, Any]) -> None:
    """Note a mistake for each mapped column that EDI files do not have, and each fault that cannot be tolerated."""
    form = document.table("feed", index, "format").get("type")
    if form in _SYNTAXES:
        _check_columns(document, index)
    tolerate = table.get("tolerate")
    for at, code in enumerate(tolerate if isinstance(tolerate, list) else []):
        path = ("feed", index, "tolerate", at)
        shown = escape_value(repr(code))
        if form != "edi_x12":
            document.note(path, f"{shown}: only faults of edi_x12 can be tolerated; remove it")
        elif code not in get_args(Tolerated):
            hint = suggestion(str(code), get_args(Tolerated))
            document.note(path, f"{shown} is not one of {', '.join(get_args(Tolerated))}" + (f"; {hint}" if "did" in hint else ""))


def _check_columns(document: Document, index: int) -> None:
    columns = document.table("feed", index, "columns")
    for field, said in columns.items():
        column = said.get("column") if isinstance(said, dict) else said
        names = [column] if isinstance(column, str) else column if isinstance(column, list) else []
        texts = [name for name in names if isinstance(name, str)]
        is_needed = not isinstance(said, dict) or said.get("required", True)
        if texts and is_needed and not any(name in HEADER or name.startswith("#") for name in texts):
            path = ("feed", index, "columns", field)
            document.note(path, f"EDI files have no column {escape_value(repr(texts[0]))}; {suggestion(texts[0], HEADER)}")
