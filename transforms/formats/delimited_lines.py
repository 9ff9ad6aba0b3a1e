"""A delimited file line by line: a hash of each line below the header, and the rows of some of its lines only.

The rows are read by the same code that reads the whole file, and get the row and line that they have in it. Never reads a
file in which a record takes more than one line, or a line is not what the whole file's reader would make of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from schemas.records import OpenBinary, RawBatch
from schemas.rejections import Rejection
from transforms.formats.block_lines import BlockLines, block_lines
from transforms.formats.delimited import NO_LINE_END, Table, described, open_table
from transforms.formats.delimited_block import BlockPlace, Piece, parse_block
from transforms.formats.layout import Layout
from transforms.formats.line_blocks import Block
from transforms.formats.options import DelimitedOptions
from transforms.formats.row_selection import RowSelection
from transforms.line_difference import NotByLine


@dataclass(frozen=True, slots=True)
class TableLines:
    """A table seen as lines: where it begins, how it is read, and a hash (UInt64) of each line below the header."""

    layout: Layout
    encoding: str
    hashes: pl.Series

    def positions(self, rows: pl.Series) -> pl.Series:
        """Return where these rows stand among the lines, from 0, without those that are above or below them."""
        at = rows - (self.layout.rows_before + 1)
        return at.filter((at >= 0) & (at < self.hashes.len()))

    def rows(self, marks: pl.Series) -> pl.Series:
        """Return the rows of the marked lines."""
        return marks.arg_true().cast(pl.Int64) + (self.layout.rows_before + 1)


def hash_lines(open_binary: OpenBinary, options: DelimitedOptions, seed: int) -> TableLines:
    """Return the hashes of a file's lines. Raises DeliveryError as reading does, NotByLine where lines are not records."""
    with open_binary() as stream:
        table = open_table(stream, options)
        hashes = [lines.text.hash(seed) for lines in _lines(table)]
    every = pl.concat(hashes)
    if every.len() > options.limits.rows:
        raise NotByLine("more lines than rows are allowed")
    return TableLines(table.layout, table.encoding, every)


def read_lines(open_binary: OpenBinary, options: DelimitedOptions, wanted: pl.Series) -> Iterator[RawBatch]:
    """Yield the rows of the lines marked in `wanted` (one mark a line below the header), in batches, one at the least.

    What belongs to no row (rows above the header, notes) is in them too; the last line must be marked. Only for a file whose
    lines could be hashed. Raises DeliveryError, and NotByLine when one of these lines is not one record.
    """
    at = 0
    texts: list[str] = []
    places: list[int] = []
    with open_binary() as stream:
        table = open_table(stream, options)
        rows = _Rows(table, options, RowSelection(options, table.layout.header))
        for block in _raw_blocks(table):
            lines = block.data.split(b"\n")
            count = len(lines) - block.data.endswith(b"\n") if block.data else 0
            picked = wanted.slice(at, count).arg_true().to_list()
            texts += [lines[i].removesuffix(b"\r").decode(table.codec) for i in picked]
            places += [at + i for i in picked]
            at += count
            if block.last or len(texts) >= options.batch_rows:
                cut_off = block.last and bool(block.data) and not block.terminated
                yield rows.batch(pl.Series("text", texts, dtype=pl.String), pl.Series(places, dtype=pl.Int64), cut_off=cut_off)
                texts, places = [], []


def _raw_blocks(table: Table) -> Iterator[Block]:
    block = table.rest
    while True:
        yield block
        if block.last:
            return
        block = table.blocks.next(line=1)


def _lines(table: Table) -> Iterator[BlockLines]:
    """Yield the lines of each block. Raises NotByLine where they are not what is between two line feeds."""
    for block in _raw_blocks(table):
        lines = block_lines(block.data, table.codec)
        if not lines.plain:
            raise NotByLine("a line cannot be decoded, or ends with CR alone")
        if block.last and block.data.endswith(b"\x1a"):
            raise NotByLine("the file ends with an end-of-file mark")
        yield lines


@dataclass(slots=True)
class _Rows:
    """Makes batches of lines picked from one table; `begun` when what stands above the header was told."""

    table: Table
    options: DelimitedOptions
    selection: RowSelection
    begun: bool = False

    def batch(self, text: pl.Series, places: pl.Series, *, cut_off: bool) -> RawBatch:
        """Return the rows of these lines, which stand at these `places` below the header, from 0.

        `cut_off`: the file ends with the last of them, without a line end.
        """
        layout = self.table.layout
        piece = self._parse(text, terminated=not cut_off)
        at = places.gather(piece.frame["row"] - 1)
        frame = piece.frame.with_columns(row=at + (layout.rows_before + 1), line=at + (layout.lines_before + 1))
        notes = (*(() if self.begun else layout.notes), *((NO_LINE_END,) if cut_off else ()))
        skipped = piece.skipped.copy()
        skipped["preamble"] += 0 if self.begun else layout.preamble_rows
        self.begun = True
        rejections = tuple(self._placed(problem, places) for problem in piece.rejections)
        reading = described(layout, self.table.encoding)
        return RawBatch(self.selection.header, frame, rejections, (), dict(+skipped), reading, notes)

    def _parse(self, text: pl.Series, *, terminated: bool) -> Piece:
        """Return the records of these lines, numbered from row and line 1."""
        utf8 = "".join(f"{line}\n" for line in text).encode()
        lines, place = BlockLines(text, (), utf8, plain=True), BlockPlace(1, 1, last=True, terminated=terminated)
        piece = parse_block(lines, self.table.layout, self.options, place, self.selection)
        if piece.carry_position is not None or piece.rows != text.len() or piece.lines != text.len():
            raise NotByLine("a record takes more than one line")
        return piece

    def _placed(self, problem: Rejection, places: pl.Series) -> Rejection:
        assert problem.row is not None
        place, layout = int(places[problem.row - 1]), self.table.layout
        return replace(problem, row=layout.rows_before + 1 + place, line=layout.lines_before + 1 + place)
