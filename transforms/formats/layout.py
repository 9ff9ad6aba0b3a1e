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
from transforms.formats.header import check_header, combine_header, find_header_row
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
    header_rows: int = 1
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Return the number of fields every row must have."""
        return len(self.header)

    @property
    def preamble_rows(self) -> int:
        """Return the number of rows above the first record that are not the header."""
        return self.rows_before - (self.header_rows if self.header_row else 0)


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
    stated = stated_delimiter(lines[0]) if lines else None
    if stated:
        notes = ("the first line (sep=) states the delimiter and is not counted as a row, as in Excel",)
        declared = stated
        lines = lines[1:]
    if declared == "auto":
        declared = choose_delimiter(lines, options)
    layout = _place_header(lines, options, Dialect(declared, options.quote), whole=whole)
    return replace(layout, lines_before=layout.lines_before + (1 if stated else 0), notes=notes)


def stated_delimiter(line: str) -> str | None:
    """Return the delimiter that a file's first line states as Excel's `sep=;` does, None when it is another line."""
    stated = _SEP_LINE.fullmatch(line)
    return stated["delimiter"] if stated else None


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
        return _headerless(lines if whole else lines[:-1] or lines, options, dialect)
    if options.header_row == "auto":
        sampled = [r.split.fields for r in _sample(lines, options, dialect)]
        whole_headers = [combine_header(sampled[i : i + options.header_rows]) for i in range(len(sampled))]
        row = find_header_row(whole_headers, options.expected_columns) + 1
    else:
        row = options.header_row
    found = _records_at(lines, options, dialect, row)
    names = check_header(combine_header([record.split.fields for record in found]), row, options.limits)
    after = found[-1].first_line + found[-1].split.lines
    layout = Layout(dialect, names, after, found[-1].row, row, options.header_rows)
    return _from_first_row(layout, lines, options)


def _headerless(lines: Sequence[str], options: DelimitedOptions, dialect: Dialect) -> Layout:
    """Return the layout of a file without a header: its columns are named by position, and are as many as most rows have."""
    layout = _from_first_row(Layout(dialect, (), 0, 0, None), lines, options)
    records = _sample(lines[layout.lines_before :], options, dialect)
    filled = [len(r.split.fields) for r in records if any(f.strip() for f in r.split.fields)]
    width = Counter(filled).most_common(1)[0][0] if filled else 1
    return replace(layout, header=check_header([f"#{i}" for i in range(1, width + 1)], 1, options.limits))


def _from_first_row(layout: Layout, lines: Sequence[str], options: DelimitedOptions) -> Layout:
    """Return `layout` with the records beginning at the declared `first_row`. Raises DeliveryError FILE-EMPTY."""
    wanted = options.first_row
    if wanted is None or wanted <= layout.rows_before + 1:
        return layout
    records = _records(lines[layout.lines_before :], options, layout.dialect)
    first = next(islice(records, wanted - layout.rows_before - 1, None), None)
    if first is None:
        raise DeliveryError(
            f"row {wanted}: the first record is declared there, but the file has fewer rows",
            "Correct format.first_row, or send the whole file.",
            code="FILE-EMPTY",
            row=wanted,
        )
    return replace(layout, lines_before=layout.lines_before + first.first_line, rows_before=wanted - 1)


def _records_at(lines: Sequence[str], options: DelimitedOptions, dialect: Dialect, row: int) -> list[_Record]:
    """Return the header's records. Raises DeliveryError HEADER-MISSING, FILE-UNREADABLE (a quote)."""
    found = list(islice(_records(lines, options, dialect), row - 1, row - 1 + options.header_rows))
    if len(found) < options.header_rows:
        raise DeliveryError(
            f"row {row}: the header is declared there, but the file has fewer rows",
            "Correct format.header_row, or send the whole file.",
            code="HEADER-MISSING",
            row=row,
        )
    for record in found:
        if record.split.unclosed or record.split.bare:
            raise DeliveryError(
                f"row {record.row}: a quote in the header is not closed or not doubled",
                "Correct the header row, or declare another format.quote or format.header_row.",
                code="FILE-UNREADABLE",
                row=record.row,
                line=record.first_line + 1,
            )
    return found
