"""Records of a document (JSON, XML) as batches of text cells: the part that does not depend on how the document is written.

The columns are the paths that the feed's configuration names. A path that no record of the file has is no column of it, so a
renamed member is a missing column, never a blank one. `row` is the number of the record in the document, from 1.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import IO, Any

import polars as pl

from schemas.errors import ConfigError, DeliveryError
from schemas.records import CellProblem, RawBatch
from schemas.rejections import Rejection, escape_value, rejection
from transforms.formats.document_options import DocumentOptions
from transforms.formats.limits import Limits, exceeded
from transforms.formats.row_selection import RowSelection, joined

MOST_MEMBERS = 30  # that people are shown of a record
_LONGEST_MEMBER = 200  # characters
_HEAD_BYTES = 4_096
_NO_OTHERS = pl.DataFrame(schema={"row": pl.Int64, "kind": pl.String, "text": pl.String})
_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F]"  # line breaks and tabs inside a value are content


def first_look(stream: IO[bytes], limits: Limits) -> bytes:
    """Return the first bytes of a document. Raises DeliveryError FILE-EMPTY, and FILE-LIMIT for one that is too large."""
    head = stream.read(_HEAD_BYTES)
    if not head.strip():
        raise DeliveryError("the file is empty", "Send the file again.", code="FILE-EMPTY")
    size = stream.seek(0, 2)
    if size > limits.file_bytes:
        raise exceeded(f"file: {size} bytes", limits.file_bytes, "file_bytes")
    return head


@dataclass(slots=True)
class Record:
    """One record: its cells in the order of the asked paths ("" where there is nothing), and which of those it has at all.

    `faults` are cells that hold what no cell can (position, code, value); `refused` is why the whole record is kept aside.
    """

    row: int
    line: int | None
    cells: list[str]
    present: int = 0  # one bit for each path
    faults: list[tuple[int, str, str]] = field(default_factory=list)
    refused: Rejection | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document to read: `records` gives all its records anew at each call, `reading` and `notes` say how it is read.

    `members` gives the paths that the first record has, for people who look for one that it has not.
    """

    records: Callable[[], Iterator[Record]]
    members: Callable[[], list[str]]
    reading: dict[str, Any]
    notes: list[str]


def columns_of(options: DocumentOptions) -> tuple[str, ...]:
    """Return the paths of the columns that are asked for. Raises ConfigError when none is."""
    columns = tuple(dict.fromkeys(name.strip() for name in options.expected_columns))
    if not columns:
        raise ConfigError(
            "a document's columns are the paths that [feed.columns] names, and it names none",
            'Map them by their path, for example supplier_sku = "sku".',
        )
    return columns


def batches(document: Document, options: DocumentOptions) -> Iterator[RawBatch]:
    """Yield the records in batches; at least one batch, maybe without rows. Raises DeliveryError as the reader does, FILE-LIMIT."""
    columns = columns_of(options)
    running = document.records()
    head = list(islice(running, options.batch_rows))
    optional = sum(1 << at for at, name in enumerate(columns) if name in {one.strip() for one in options.optional})
    kept = _columns_there(document, head, optional, (1 << len(columns)) - 1, options.batch_rows)
    header = tuple(columns[i] for i in kept)
    members = [path[:_LONGEST_MEMBER] for path in document.members()] if len(kept) < len(columns) else []
    maker = _Maker(header, kept, options, document, RowSelection(options, header), members)
    later = iter(lambda: list(islice(running, options.batch_rows)), [])
    waiting = head
    for part in later:
        yield maker.batch(waiting)
        waiting = part
    yield maker.batch(waiting, last=True)


def _columns_there(document: Document, head: Sequence[Record], seen: int, every: int, size: int) -> list[int]:
    """Return the positions of the paths that any record has, or that are in `seen` already (bits).

    The whole document is read for those that the head does not have.
    """
    for record in head:
        seen |= record.present
    if head and len(head) == size and seen != every:
        for record in document.records():
            seen |= record.present
            if seen == every:
                break
    if not head:
        seen = every  # an empty list says nothing about its columns
    return [at for at in range(every.bit_length()) if seen >> at & 1]


@dataclass(slots=True)
class _Maker:
    """Makes batches; `rows` is how many records were seen. The first batch tells `members`, where a column is missing."""

    header: tuple[str, ...]
    kept: list[int]
    options: DocumentOptions
    document: Document
    selection: RowSelection
    members: list[str]
    rows: int = 0

    def batch(self, records: Sequence[Record], *, last: bool = False) -> RawBatch:
        """Return `records` as a batch; the last one carries the notes."""
        width = len(self.header)
        self._check_rows(records)
        good = [record for record in records if record.refused is None]
        rejections = [record.refused for record in records if record.refused is not None]
        frame = self._frame(good)
        self._check_fields(frame)
        skipped: Counter[str] = Counter()
        if self.selection.selects:
            frame, left_out = self.selection.apply(frame, joined(frame, width), _NO_OTHERS)
            skipped.update(left_out["kind"])
        blank = pl.all_horizontal([pl.col(f"c{i}").str.strip_chars() == "" for i in range(width)]) if width else pl.lit(value=False)
        faulty = pl.col("row").is_in([record.row for record in good if record.faults])
        if self.options.skip_blank and frame.height and (empty := frame.filter(blank & ~faulty)).height:
            skipped["blank"] += empty.height
            frame = frame.filter(~blank | faulty)
        controls = frame.filter(
            pl.any_horizontal([pl.col(f"c{i}").str.contains(_CONTROL) for i in range(width)]) if width else False
        )
        if controls.height:
            frame = frame.join(controls.select("row"), on="row", how="anti", maintain_order="left")
            rejections += [rejection("ROW-CONTROL", row=row, value=text)
                           for row, text in zip(controls["row"], joined(controls, width), strict=True)]  # fmt: skip
        problems = tuple(self._problems(good, set(frame["row"])))
        notes = tuple(self.document.notes) if last else ()
        header, reading = self.selection.header, dict(self.document.reading)
        members, self.members = tuple(self.members), []
        return RawBatch(header, frame, tuple(rejections), problems, dict(+skipped), reading, notes, members)

    def _check_rows(self, records: Sequence[Record]) -> None:
        self.rows += len(records)
        limit = self.options.limits.rows
        if self.rows > limit:
            raise exceeded(f"record {limit + 1}: more than {limit} records", limit, "rows", row=limit + 1)

    def _frame(self, records: Sequence[Record]) -> pl.DataFrame:
        places: Mapping[str, pl.Series] = {
            "row": pl.Series([record.row for record in records], dtype=pl.Int64),
            "line": pl.Series([record.line for record in records], dtype=pl.Int64),
        }
        cells = {f"c{n}": pl.Series([record.cells[i] for record in records], dtype=pl.String) for n, i in enumerate(self.kept)}
        return pl.DataFrame({**places, **cells})

    def _check_fields(self, frame: pl.DataFrame) -> None:
        limit = self.options.limits.field_bytes
        for position, name in enumerate(self.header):
            sizes = frame[f"c{position}"].str.len_bytes()
            longest = sizes.arg_max()
            if longest is not None and sizes[longest] > limit:
                row = frame["row"][longest]
                found = f'record {row}, "{escape_value(name)}": a value of {sizes[longest]} bytes'
                raise exceeded(found, limit, "field_bytes", row=row, column=escape_value(name))

    def _problems(self, records: Sequence[Record], rows: set[int]) -> Iterator[CellProblem]:
        at = {position: n for n, position in enumerate(self.kept)}
        for record, (position, code, value) in chain.from_iterable([(r, f) for f in r.faults] for r in records):
            if record.row in rows:
                yield CellProblem(record.row, record.line, at[position], code, escape_value(value))
