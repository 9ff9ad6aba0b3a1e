"""The rows of a feed file as bytes and back: CSV (RFC 4180) or NDJSON with sku, location, quantity, updated_at.

Never changes a value on the way: this is a machine's file, so cells that a spreadsheet would take for formulas are
written as they are. Rows we do not understand are carried along unchanged, never dropped and never read as 0.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.errors import PermanentError

COLUMNS = ("sku", "location", "quantity", "updated_at")
FileFormat = Literal["csv", "ndjson"]
Key = tuple[str, str]  # SKU, location

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_HINT = "Move the file away or restore it; the next publish starts a new one, and a true-up fills it."


@dataclass(slots=True)
class FeedRows:
    """The file's content: key → its rows as (quantity as written, updated_at). A key should have one row; people differ."""

    rows: dict[Key, list[tuple[Any, str]]] = field(default_factory=dict)

    def quantity(self, key: Key) -> tuple[int | None, str]:
        """Return the quantity shown for a key and "", or None and the reason: absent, twice there, or not an integer."""
        entries = self.rows.get(key, [])
        if not entries:
            return None, "the file has no row for it"
        if len(entries) > 1:
            return None, f"the file has {len(entries)} rows for it"
        value = as_integer(entries[0][0])
        return value, "" if value is not None else "the quantity in the file is not an integer"

    def merge(self, values: Mapping[Key, int], updated_at: str) -> bool:
        """Set the given quantities and return whether anything changed; a row that says so already keeps its time."""
        changed = False
        for key, quantity in values.items():
            if self.quantity(key)[0] != quantity:
                self.rows[key] = [(quantity, updated_at)]
                changed = True
        return changed


def as_integer(value: object) -> int | None:
    """Return the integer a cell or JSON value holds, None for anything else (blank, 1.0, true)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def render(content: FeedRows, kind: FileFormat) -> bytes:
    """Return the whole file, sorted by SKU and location: the same content gives the same bytes."""
    rows = [(*key, *entry) for key in sorted(content.rows) for entry in content.rows[key]]
    text = io.StringIO(newline="")
    if kind == "csv":
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    else:
        for row in rows:
            text.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False, separators=(",", ":")) + "\n")
    return text.getvalue().encode()


def parse(data: bytes, kind: FileFormat, name: str) -> FeedRows:
    """Return the content of a file written by `render`, perhaps edited since. Raises PermanentError if it is not of that form."""
    content = FeedRows()
    try:
        text = data.decode("utf-8-sig")
        for sku, location, quantity, updated_at in _csv_rows(text) if kind == "csv" else _json_rows(text):
            content.rows.setdefault((sku, location), []).append((quantity, updated_at))
    except (ValueError, csv.Error) as error:
        msg = f"{name} is not a feed file of ours: {error}"
        raise PermanentError(msg, _HINT) from error
    return content


def _csv_rows(text: str) -> Iterator[tuple[str, str, Any, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, None)
    if header is None or tuple(header) != COLUMNS:
        msg = f"line 1 is not {','.join(COLUMNS)}"
        raise ValueError(msg)
    for row in reader:
        if len(row) != len(COLUMNS):
            msg = f"line {reader.line_num} has {len(row)} cells instead of {len(COLUMNS)}"
            raise ValueError(msg)
        yield row[0], row[1], row[2], row[3]


def _json_rows(text: str) -> Iterator[tuple[str, str, Any, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        row = json.loads(line)
        match row:
            case {"sku": str(sku), "location": str(location)} if row.keys() <= set(COLUMNS):
                yield sku, location, row.get("quantity"), str(row.get("updated_at") or "")
            case _:
                msg = f"line {number} has no sku, no location or other keys than ours"
                raise ValueError(msg)
