"""How answers look: tidy tables for people, one JSON object per line for programs, progress only on a terminal.

Never changes a value: a program gets it as stored, a person sees at most a shortened cell.
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stockfeed.redaction import one_line

if TYPE_CHECKING:  # loaded where a person is answered: programs do not wait for it
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

Columns = Sequence[tuple[str, str]]  # key of the row, title of the column

_WIDTH = 80
_NOTHING = "–"
_QUANTITIES = {"on_hand", "available", "on_order", "unit_cost"}  # exact decimals, shown as text
_STATES = {
    "applied": "green", "confirmed": "green", "unchanged": "green", "held": "yellow", "pending": "yellow", "sent": "yellow",
    "rejected": "red", "failed": "red", "undone": "red", "stale": "red", "unknown": "red",
}  # fmt: skip


def emit(text: str) -> None:
    """Write one line to stdout; a reader that has gone away (`| head`) ends the output, not the work."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def emit_json(values: Mapping[str, Any]) -> None:
    """Write one JSON object that begins with "v": 1 as one line to stdout."""
    emit(json.dumps({"v": 1, **values}, ensure_ascii=False, default=plain))


def plain(value: object) -> object:
    """Return a value that JSON has no word for as text: exact decimals, ISO-8601 instants and dates."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (Decimal, Fraction, Path)):
        return str(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    msg = f"no JSON form for {type(value).__name__}"
    raise TypeError(msg)


def as_row(result: Any) -> dict[str, Any]:
    """Return a result of the pipeline as a mapping: dataclasses become their fields."""
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else dict(result)


def show_rows(rows: Iterable[Mapping[str, Any]], columns: Columns, *, as_json: bool, nothing: str) -> None:
    """Write rows as NDJSON, or as a table of those `columns` that have a value; `nothing` is said when there are no rows."""
    if as_json:
        for row in rows:
            emit_json(row)
        return
    listed = list(rows)
    if not listed:
        emit(nothing)
        return
    emit(render(_table(listed, [column for column in columns if any(row.get(column[0]) not in (None, "") for row in listed)])))


def show_record(record: Mapping[str, Any], *, as_json: bool, tables: Mapping[str, Columns] | None = None) -> None:
    """Write one record as JSON, or as names and values; a value that is a list of records becomes a table below.

    `tables` names the columns to show of such a list, all of them without.
    """
    if as_json:
        emit_json(record)
        return
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, collapse_padding=True)  # a sha256 beside the names: 80 columns
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in record.items():
        if not _is_table(value):
            table.add_row(name.replace("_", " "), _cell(name, value, full=True))
    emit(render(table))
    for name, value in record.items():
        if _is_table(value):
            emit(f"\n{name.replace('_', ' ')}")
            emit(render(_table(value, (tables or {}).get(name) or [(key, key.replace("_", " ")) for key in value[0]])))


def render(*parts: "RenderableType") -> str:
    """Return renderables as text for stdout: in colour and as wide as the terminal, else plain and 80 columns wide."""
    from rich.console import Console

    on_terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), force_terminal=on_terminal, width=None if on_terminal else _WIDTH, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def render_table(rows: Sequence[Mapping[str, Any]], columns: Columns) -> str:
    """Return rows as the text of a table with these columns."""
    return render(_table(rows, columns))


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that names the next step; a bar on stderr shows it when stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        started = False

        def advance(step: str) -> None:
            nonlocal started
            bar.update(task, description=f"{label} {step}", advance=1 if started else 0)
            started = True

        yield advance


def _table(rows: Sequence[Mapping[str, Any]], columns: Columns) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
    for key, title in columns:
        numeric = key in _QUANTITIES or all(type(row.get(key)) in {int, float, type(None)} for row in rows)
        table.add_column(title, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(_cell(key, row.get(key)) for key, _ in columns))
    return table


def _cell(key: str, value: object, *, full: bool = False) -> "Text":
    from rich.text import Text

    if value is None or value in ("", [], {}):
        return Text(_NOTHING, style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(str(value) if key == "id" or key.endswith(("_id", "row", "line", "version")) else f"{value:,}")
    if isinstance(value, (list, tuple, Mapping)):
        return Text(one_line(json.dumps(value, ensure_ascii=False, default=plain)))
    text = one_line(str(value))
    if key.endswith(("_at", "as_of", "source_time")) and not full:
        text = text[:16].replace("T", " ")
    return Text(text, style=_STATES.get(text, "") if key in {"state", "status", "outcome"} else "")


def _is_table(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, Mapping) for item in value)
