"""What the tables of a feed say that only a reader would find else: columns that no file can have, faults never tolerated.

Never reads a file: EDI files have the same columns always, lines of fixed width those of `fields`, and a document's are paths.
What a format's options say is loaded for feeds of that format alone: most commands only want to start.
"""

from collections.abc import Iterator
from typing import Any, get_args

from schemas.rejections import escape_value
from stockfeed.config_document import Document
from stockfeed.config_mistakes import suggestion

_SYNTAXES = ("edi_x12", "edifact")


def check_columns(document: Document, index: int) -> None:
    """Note a mistake for each mapped column that files of this format cannot have: it is not declared, or no path."""
    form = document.table("feed", index, "format")
    known, files = _known_columns(form)
    for field, said in document.table("feed", index, "columns").items():
        names = list(_names(said))
        is_needed = not isinstance(said, dict) or said.get("required", True)
        path = ("feed", index, "columns", field)
        if known and names and is_needed and not any(name.strip() in known or name.startswith("#") for name in names):
            document.note(path, f"{files} have no column {escape_value(repr(names[0]))}; {suggestion(names[0], known)}")
        for name in names if form.get("type") in {"json_doc", "xml_doc"} else ():
            if why := _no_path(name, form):
                document.note(path, why)


def _known_columns(form: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return the columns of every file of this format table, and what such files are called; none where a file says them."""
    fields = form.get("fields")
    if form.get("type") in _SYNTAXES:
        from transforms.formats.edi_options import HEADER

        return HEADER, "EDI files"
    return (tuple(fields), "`fields`") if form.get("type") == "fixed_width" and isinstance(fields, dict) else ((), "")


def check_tolerated(document: Document, index: int, table: dict[str, Any]) -> None:
    """Note a mistake for each fault that cannot be tolerated."""
    tolerate = table.get("tolerate")
    if not isinstance(tolerate, list) or not tolerate:
        return
    from transforms.formats.edi_options import Tolerated

    for at, code in enumerate(tolerate):
        path = ("feed", index, "tolerate", at)
        shown = escape_value(repr(code))
        if document.value("feed", index, "format", "type") != "edi_x12":
            document.note(path, f"{shown}: only faults of edi_x12 can be tolerated; remove it")
        elif code not in get_args(Tolerated):
            hint = suggestion(str(code), get_args(Tolerated))
            document.note(path, f"{shown} is not one of {', '.join(get_args(Tolerated))}" + (f"; {hint}" if "did" in hint else ""))


def _names(said: object) -> Iterator[str]:
    """Yield the columns that one field names: a text, alternatives, or `column` or `join` of a table."""
    if isinstance(said, dict):
        yield from _names(said.get("column") or said.get("join"))
    elif isinstance(said, str):
        yield said
    elif isinstance(said, list):
        yield from (name for name in said if isinstance(name, str))


def _no_path(name: str, form: dict[str, Any]) -> str:
    """Return why a column is no path in the documents of this format table, "" when it is one."""
    from transforms.formats import json_paths, xml_paths
    from transforms.formats.document_options import alternatives

    try:
        for path in alternatives(name):
            if form["type"] == "json_doc":
                json_paths.cell_path(path)
            elif isinstance(form.get("rows"), str):
                xml_paths.row_path(form["rows"]).up(xml_paths.cell_path(path).up)
    except ValueError as error:
        words = str(error)
        return "" if isinstance(form.get("rows"), str) and "the path of records" in words else words
    return ""
