"""How the problem of a row looks to a person: place, value, sentence and remedy on lines that fit a terminal of 80 columns.

Never shortens a value: it was escaped and cut when it was stored.
"""

import textwrap
from collections.abc import Mapping
from typing import Any

from stockfeed.cli.output import emit

WIDTH = 80


def tell_problem(problem: Mapping[str, Any]) -> None:
    """Write one problem: `row 5, column "Qty", value "ca. 5": sentence [CODE]`, and its remedy below."""
    note = "note: " if problem.get("severity") == "note" else ""
    emit(wrapped(f"{_place(problem)}: {note}{_sentence(problem)}"))
    if problem.get("remedy"):
        emit(wrapped(f"→ {problem['remedy']}", indent="    "))


def wrapped(text: str, indent: str = "  ") -> str:
    """Return text in lines of at most 80 characters, all but the first indented; an arrow is indented too."""
    first = indent if text.startswith("→") else ""
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=indent + "  ", break_on_hyphens=False)


def _place(problem: Mapping[str, Any]) -> str:
    parts = [f"row {problem['row']}" if problem.get("row") is not None else "whole file"]
    if problem.get("column"):
        parts.append(f'column "{problem["column"]}"')
    if problem.get("value") is not None:
        parts.append(f'value "{problem["value"]}"')
    return ", ".join(parts)


def _sentence(problem: Mapping[str, Any]) -> str:
    code = f"[{problem['code']}]" if problem.get("code") else ""
    return f"{problem.get('message', '')} {code}".strip()
