"""A delimited file line by line: a hash of each line below the header, and the rows of some of its lines only.

The rows are read by the same code that reads the whole file, and get the row and line that they have in it. Never reads a
file in which a record takes more than one line, or a line is not what the whole file's reader would make of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from schemas.records import OpenBinary, RawBatch
from schemas.rejections import Rejection
from transforms.formats.block_lines import BlockLines, block_lines, text_lines
from transforms.formats.delimited import NO_LINE_END, Table, described, open_table
from transforms.formats.delimited_block import BlockPlace, Piece, parse_block
from transforms.formats.layout import Layout
from transforms.formats.line_blocks import Block
from transforms.formats.options import DelimitedOptions
from transforms.formats.row_selection import RowSelection
from transforms.line_difference import NotByLine

_UNREADABLE = "a line cannot be decoded, or ends with CR alone"


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
        hashes = [text.hash(seed) for _, text in _lines(table)]
    every = pl.concat(hashes)
    if every.len() > options.limits.rows:
        raise NotByLine("more lines than rows are allowed")
    return TableLines(table.layout, table.encoding, every)


def read_lines(open_binary: OpenBinary, options: DelimitedOptions, wanted: pl.Series) -> Iterator[RawBatch]:
    """Yield the rows of the lines marked in `wanted` (one mark a line below the header), in batches, one at the least.

    What belongs to no row (rows above the header, notes) is in them too; the last line must be marked. Only for a file whose
    lines could be hashed. Raises DeliveryError, and NotByLine when one of these lines is not one record.
    """
    at = held = 0
    texts: list[pl.Series] = []
    places: list[pl.Series] = []
    with open_binary() as stream:
        table = open_table(stream, options)
        rows = _Rows(table, options, RowSelection(options, table.layout.header))
        for block, text in _lines(table):
            picked = wanted.slice(at, text.len()).arg_true()
            texts.append(text.gather(picked))
            places.append(picked.cast(pl.Int64) + at)
            at, held = at + text.len(), held + picked.len()
            if block.last or held >= options.batch_rows:
                cut_off = block.last and bool(block.data) and not block.terminated
                yield rows.batch(pl.concat(texts), pl.concat(places), cut_off=cut_off)
                texts, places, held = [], [], 0


def _lines(table: Table) -> Iterator[tuple[Block, pl.Series]]:
    """Yield each block and its lines. Raises NotByLine where a line is not what reading the file makes of it."""
    block = table.rest
    while True:
        if block.last and block.data.endswith(b"\x1a"):
            raise NotByLine("the file ends with an end-of-file mark")
        yield block, _text(block.data, table.codec)
        if block.last:
            return
        block = table.blocks.next(line=1)


def _text(data: bytes, codec: str) -> pl.Series:
    """Return the lines of a block, without their ends; UTF-8 is checked while it is cut, which `block_lines` does before."""
    if codec == "utf-8" and data and (b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")):
        try:
            return text_lines(data)
        except pl.exceptions.ComputeError as error:
            raise NotByLine(_UNREADABLE) from error
    lines = block_lines(data, codec)
    if not lines.plain:
        raise NotByLine(_UNREADABLE)
    return lines.text


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
