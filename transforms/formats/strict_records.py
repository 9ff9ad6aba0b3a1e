"""The records of a block that are not plainly one line: read one by one, with every quote accounted for.

Never guesses where a swallowed record begins: when a quote runs over other rows the whole file is refused, with its row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.block_lines import BlockLines
from transforms.formats.csv_records import Split, split_record, without_line_end
from transforms.formats.layout import Layout
from transforms.formats.limits import exceeded
from transforms.formats.line_kinds import BOM, RECORD_LINES
from transforms.formats.options import DelimitedOptions

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # quoted line breaks are content
Kind = Literal["ok", "blank", "ENC-BAD", "ROW-CONTROL", "ROW-QUOTE", "BOM", "width"]


@dataclass(frozen=True, slots=True)
class StrictRecord:
    """One record with its place in the block (`position`, 0-based line) and in the file."""

    position: int
    row: int
    line: int
    text: str
    split: Split
    kind: Kind


@dataclass(frozen=True, slots=True)
class StrictRecords:
    """All such records of a block; `carry_position` is the line from which on the block's rest belongs to the next block."""

    records: tuple[StrictRecord, ...] = ()
    carry_position: int | None = None

    def continuation_lines(self) -> list[int]:
        """Return the positions of lines that are inside a record begun on an earlier line."""
        return [i for r in self.records for i in range(r.position + 1, r.position + r.split.lines)]

    def cells(self, width: int) -> pl.DataFrame:
        """Return row, line and the cells of the records that are in order; missing trailing fields are ""."""
        good = [r for r in self.records if r.kind == "ok"]
        columns: dict[str, pl.Series] = {
            "row": pl.Series([r.row for r in good], dtype=pl.Int64),
            "line": pl.Series([r.line for r in good], dtype=pl.Int64),
        }
        for i in range(width):
            cells = [r.split.fields[i] if i < len(r.split.fields) else "" for r in good]
            columns[f"c{i}"] = pl.Series(cells, dtype=pl.String)
        return pl.DataFrame(columns)

    def frame(self) -> pl.DataFrame:
        """Return the records as RECORD_LINES."""
        rows = [(r.row, r.line, r.text, len(r.split.fields), r.kind) for r in self.records]
        return pl.DataFrame(rows, schema=RECORD_LINES, orient="row")


@dataclass(frozen=True, slots=True)
class _Place:
    position: int
    row: int
    line: int


def read_strictly(
    lines: BlockLines, positions: Sequence[int], layout: Layout, options: DelimitedOptions, start: tuple[int, int], *, last: bool
) -> StrictRecords:
    """Return the records that begin at `positions` (lines not proven to be records); `start` is the block's first row and line.

    Raises DeliveryError FILE-UNREADABLE or FILE-TRUNCATED (unclosed quote), FILE-LIMIT (field size).
    """
    records: list[StrictRecord] = []
    undecodable = frozenset(lines.undecodable)
    free = swallowed = 0
    for position in positions:
        if position < free:
            continue
        place = _Place(position, start[0] + position - swallowed, start[1] + position)
        raw = lines.with_ends[position : position + options.limits.record_lines]
        split = split_record(raw, layout.dialect)
        if split.unclosed and len(raw) < options.limits.record_lines and not last:
            return StrictRecords(tuple(records), position)
        _refuse_swallowing(split, raw, place, layout, options)
        text = without_line_end("".join(raw[: split.lines]))
        _check_field_sizes(split, place, layout, options)
        bad = not undecodable.isdisjoint(range(position, position + split.lines))
        kind = "ENC-BAD" if bad else _kind(text, split, layout, options)
        records.append(StrictRecord(position, place.row, place.line, text, split, kind))
        free = position + split.lines
        swallowed += split.lines - 1
    return StrictRecords(tuple(records))


def _kind(text: str, split: Split, layout: Layout, options: DelimitedOptions) -> Kind:
    width = len(split.fields)
    if _CONTROL.search(text):
        return "ROW-CONTROL"
    if text.startswith(BOM):
        return "BOM"
    if split.bare:
        return "ROW-QUOTE"
    if options.skip_blank and not any(field.strip(" \t") for field in split.fields):
        return "blank"
    short = width < layout.width and options.short_rows == "pad"
    return "ok" if short or _fits(split, layout, options) else "width"


def _fits(split: Split, layout: Layout, options: DelimitedOptions) -> bool:
    """Return whether the record has the header's fields, and beyond them at most such as are cut off."""
    beyond = split.fields[layout.width :]
    cut = options.long_rows == "cut_blank" and not any(field.strip(" \t") for field in beyond)
    return len(split.fields) >= layout.width and (cut or not beyond)


def _refuse_swallowing(split: Split, raw: Sequence[str], place: _Place, layout: Layout, options: DelimitedOptions) -> None:
    """Raise DeliveryError when the record's quote is not closed, or closes where another row has begun."""
    if split.unclosed and len(raw) == 1 and not raw[0].endswith(("\n", "\r")):
        why, code = "the file ends inside a quoted field", "FILE-TRUNCATED"
    elif split.unclosed and len(raw) >= options.limits.record_lines:
        why, code = f"a quote is opened and not closed within {len(raw)} lines", "FILE-UNREADABLE"
    elif split.unclosed:
        why, code = "a quote is opened and not closed before the end of the file", "FILE-UNREADABLE"
    elif split.bare and split.bare_line:
        why, code = f"a quote is opened that meets another quote {split.bare_line} lines below", "FILE-UNREADABLE"
    elif split.lines > 1 and not _fits(split, layout, options) and _holds_a_whole_row(raw[: split.lines], layout):
        why, code = f"a quote is opened that swallows the next {split.lines - 1} rows", "FILE-UNREADABLE"
    else:
        return
    raise DeliveryError(
        f"row {place.row} (line {place.line}): {why}",
        'Close or double the quote in that row (""), or set format.quote = "" if the file does not quote.',
        code=code,
        row=place.row,
        line=place.line,
        value=escape_value(without_line_end(raw[0])),
    )


def _holds_a_whole_row(raw: Sequence[str], layout: Layout) -> bool:
    return layout.width > 1 and any(line.count(layout.dialect.delimiter) >= layout.width - 1 for line in raw)


def _check_field_sizes(split: Split, place: _Place, layout: Layout, options: DelimitedOptions) -> None:
    limit = options.limits.field_bytes
    for position, text in enumerate(split.fields):
        if len(text) * 4 > limit and len(text.encode()) > limit:
            name = layout.header[position] if position < layout.width else f"#{position + 1}"
            found = f'row {place.row}, column "{escape_value(name)}": a field of {len(text.encode())} bytes'
            raise exceeded(found, limit, "field_bytes", row=place.row, line=place.line, column=escape_value(name))
