"""Where the table is in a delimited file: delimiter, header row, and the first data record.

Never looks past the head of the file, and never renames a column beyond trimming it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from schemas.errors import DeliveryError
from transforms.formats.csv_records import Dialect, Split, split_record, without_line_end
from transforms.formats.header import check_header, find_header_row
from transforms.formats.options import DelimitedOptions

DELIMITERS = (",", ";", "\t", "|", "~", "^")
_SEP_LINE = re.compile(r'"?sep=(?P<delimiter>[^\w\r\n"])"?(?:\r\n|\n|\r)', re.IGNORECASE)
_SAMPLE_RECORDS = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read the rest: dialect, header names, and how many lines and rows come before the first data record."""

    dialect: Dialect
    header: tuple[str, ...]
    lines_before: int
    rows_before: int
    header_row: int | None
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Return the number of fields every row must have."""
        return len(self.header)

    @property
    def preamble_rows(self) -> int:
        """Return the number of rows above the header."""
        return self.rows_before - 1 if self.header_row else 0


@dataclass(frozen=True, slots=True)
class _Record:
    row: int
    first_line: int  # 0-based
    split: Split


def find_layout(lines: Sequence[str], options: DelimitedOptions, *, whole: bool) -> Layout:
    """Return the layout of a file whose first lines (with line ends) are `lines`; `whole` when they are all of it.

    Raises DeliveryError HEADER-MISSING, HEADER-DUPLICATE, FILE-LIMIT or FILE-EMPTY.
    """
    notes: tuple[str, ...] = ()
    declared = options.delimiter
    stated = _SEP_LINE.fullmatch(lines[0]) if lines else None
    if stated:
        notes = ("the first line (sep=) states the delimiter and is not counted as a row, as in Excel",)
        declared = stated["delimiter"]
        lines = lines[1:]
    if declared == "auto":
        declared = choose_delimiter(lines, options)
    layout = _place_header(lines, options, Dialect(declared, options.quote), whole=whole)
    return replace(layout, lines_before=layout.lines_before + (1 if stated else 0), notes=notes)


def choose_delimiter(lines: Sequence[str], options: DelimitedOptions) -> str:
    """Return the delimiter that gives most records of the sample the same number (over 1) of fields; "," if none does."""
    best, best_score = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        dialect = Dialect(delimiter, options.quote)
        widths = [len(r.split.fields) for r in _sample(lines, options, dialect) if any(f.strip() for f in r.split.fields)]
        common = Counter(w for w in widths if w > 1).most_common(1)
        score = (common[0][1] / len(widths), common[0][0]) if common else (0.0, 1)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _sample(lines: Sequence[str], options: DelimitedOptions, dialect: Dialect) -> Iterator[_Record]:
    """Yield the records of the head with their numbers; stops at a record whose quote does not close in the head."""
    return islice(_records(lines, options, dialect), _SAMPLE_RECORDS)


def _records(lines: Sequence[str], options: DelimitedOptions, dialect: Dialect) -> Iterator[_Record]:
    at = 0
    row = 1
    while at < len(lines):
        comment = options.comment is not None and lines[at].startswith(options.comment)
        split = Split(("",), 1) if comment else split_record(lines[at : at + options.limits.record_lines], dialect)
        if split.unclosed or split.bare:
            split = replace(split, lines=1)
        yield _Record(row, at, split)
        at += split.lines
        row += 1


def _place_header(lines: Sequence[str], options: DelimitedOptions, dialect: Dialect, *, whole: bool) -> Layout:
    if not any(without_line_end(line).strip(" \t" + dialect.delimiter) for line in lines):
        raise DeliveryError("the file holds no row with a value", "Send the file again.", code="FILE-EMPTY", row=1, line=1)
    if not options.header:
        records = list(_sample(lines if whole else lines[:-1] or lines, options, dialect))
        filled = [len(r.split.fields) for r in records if any(f.strip() for f in r.split.fields)]
        width = Counter(filled).most_common(1)[0][0]
        return Layout(dialect, check_header([f"#{i}" for i in range(1, width + 1)], 1, options.limits), 0, 0, None)
    if options.header_row == "auto":
        sampled = list(_sample(lines, options, dialect))
        found = sampled[find_header_row([r.split.fields for r in sampled], options.expected_columns)]
    else:
        found = _record_at(lines, options, dialect, options.header_row)
    if found.split.unclosed or found.split.bare:
        raise DeliveryError(
            f"row {found.row}: a quote in the header is not closed or not doubled",
            "Correct the header row, or declare another format.quote or format.header_row.",
            code="FILE-UNREADABLE",
            row=found.row,
            line=found.first_line + 1,
        )
    names = check_header(found.split.fields, found.row, options.limits)
    return Layout(dialect, names, found.first_line + found.split.lines, found.row, found.row)


def _record_at(lines: Sequence[str], options: DelimitedOptions, dialect: Dialect, row: int) -> _Record:
    found = next(islice(_records(lines, options, dialect), row - 1, None), None)
    if found is None:
        raise DeliveryError(
            f"row {row}: the header is declared there, but the file has fewer rows",
            "Correct format.header_row, or send the whole file.",
            code="HEADER-MISSING",
            row=row,
        )
    return found
