"""Delimited text (CSV, TSV, pipe-separated …) as batches of text cells.

Never infers a type, never turns a word into null, never lets a malformed row pass or take another row with it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from schemas.errors import DeliveryError
from schemas.records import OpenBinary, RawBatch
from schemas.rejections import Rejection
from transforms.formats.batching import slices
from transforms.formats.block_lines import block_lines
from transforms.formats.content import archive_kind, not_a_table, not_text, or_unpack
from transforms.formats.delimited_block import BlockPlace, Piece, parse_block
from transforms.formats.layout import Layout, find_layout
from transforms.formats.limits import exceeded
from transforms.formats.line_blocks import Block, BlockReader
from transforms.formats.options import DelimitedOptions
from transforms.formats.row_selection import RowSelection
from transforms.formats.text_encoding import TextStream, detect

_HEAD_BYTES = 65_536
_HEAD_LINES = 4_000
NO_LINE_END = "the last row has no line end"
_END_OF_FILE_MARK = b"\x1a"  # Ctrl-Z, as DOS programs end a text
_TOLERATED_UNDECODABLE = 100  # one row in so many
_COUNTED_UNDECODABLE = 20  # fractions say nothing about fewer rows


def read(open_binary: OpenBinary, options: DelimitedOptions) -> Iterator[RawBatch]:
    """Yield the rows of a delimited file in batches of at most `options.batch_rows`; at least one batch, maybe without rows.

    Raises DeliveryError FILE-EMPTY, FILE-NOT-TABLE, FILE-ENCODING, FILE-TRUNCATED, FILE-LIMIT, FILE-UNREADABLE,
    HEADER-MISSING, HEADER-DUPLICATE; some only after good batches were yielded.
    """
    with open_binary() as stream:
        table = open_table(stream, options)
        selection = RowSelection(options, table.layout.header)
        reading = _Reading(table.blocks, table.layout, options, table.encoding, table.codec, table.crlf, selection)
        yield from reading.batches(table.rest)


@dataclass(frozen=True, slots=True)
class Table:
    """An open file up to its header: `rest` is the first block without those lines, `blocks` gives the ones after it."""

    blocks: BlockReader
    layout: Layout
    rest: Block
    encoding: str
    codec: str
    crlf: bool  # the header ends with CRLF, or there is none


def open_table(stream: IO[bytes], options: DelimitedOptions) -> Table:
    """Return where the table of an open file is and how to read it. Raises DeliveryError as `read` does."""
    size = stream.seek(0, 2)
    if size > options.limits.file_bytes:
        raise exceeded(f"file: {size} bytes", options.limits.file_bytes, "file_bytes")
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    _refuse_other_content(not_text(head) or ("a tar archive" if archive_kind(head) else None), or_unpack(head))
    encoding, mark = detect(head, options.encoding)
    text = TextStream(stream, encoding, mark)
    blocks = BlockReader(text, options.block_bytes, options.limits)
    first = _first_block(blocks)
    if not first.data:
        raise DeliveryError("the file is empty (0 bytes)", "Send the file again.", code="FILE-EMPTY")
    layout, rest = _find_table(first, text.codec, options)
    crlf = first.data.removesuffix(rest.data).endswith(b"\r\n") if layout.lines_before else True
    return Table(blocks, layout, rest, encoding, text.codec, crlf)


def _refuse_other_content(found: str | None, unpack: str = "") -> None:
    if found is not None:
        raise DeliveryError(
            f"line 1: the file is not delimited text but {found}",
            f"Check what the address or folder delivers, or declare the right format{unpack}.",
            code="FILE-NOT-TABLE",
            line=1,
        )


def _first_block(blocks: BlockReader) -> Block:
    """Return a first block that is long enough to find the table in it."""
    block = blocks.next(line=1)
    while not block.last and len(block.data) < _HEAD_BYTES:
        block = blocks.next(block.data, line=1)
    return block


def _find_table(first: Block, codec: str, options: DelimitedOptions) -> tuple[Layout, Block]:
    """Return the layout, and the first block without the lines up to the header."""
    _refuse_other_content(not_a_table(first.data[:_HEAD_BYTES]))
    wanted = _HEAD_LINES + (options.first_row or (options.header_row if isinstance(options.header_row, int) else 0))
    every = first.data.splitlines(keepends=True)
    raw = every[:wanted]
    whole = first.last and len(raw) == len(every)
    layout = find_layout([line.decode(codec, errors="backslashreplace") for line in raw], options, whole=whole)
    for line in raw[: layout.lines_before]:
        try:
            line.decode(codec)
        except UnicodeDecodeError as error:
            raise DeliveryError(
                f"line 1 to {layout.lines_before}: the header cannot be read as {codec}",
                "Declare the file's encoding as format.encoding, or ask for UTF-8.",
                code="FILE-ENCODING",
                row=layout.header_row,
                line=layout.lines_before,
            ) from error
    return layout, Block(first.data[sum(map(len, raw[: layout.lines_before])) :], last=first.last)


def described(layout: Layout, encoding: str) -> Mapping[str, Any]:
    """Return how a file is read, as a batch says it."""
    dialect = layout.dialect
    return {"encoding": encoding, "delimiter": dialect.delimiter, "quote": dialect.quote, "header_row": layout.header_row}


@dataclass(slots=True)
class _Reading:
    """One pass over a file after its header: where it is, and what has to be known at the end."""

    blocks: BlockReader
    layout: Layout
    options: DelimitedOptions
    encoding: str
    codec: str
    crlf: bool  # the header ends with CRLF, or there is none
    selection: RowSelection
    data_rows: int = 0
    undecodable: list[Rejection] = field(default_factory=list)
    trailers: list[tuple[int, int | None]] = field(default_factory=list)

    def batches(self, block: Block) -> Iterator[RawBatch]:
        """Yield the batches of the whole file, `block` first."""
        row, line = self.layout.rows_before + 1, self.layout.lines_before + 1
        skipped = Counter(preamble=self.layout.preamble_rows)
        notes = self.layout.notes
        begun, before = False, self.crlf
        while True:
            data = _without_end_mark(block)
            place = BlockPlace(row, line, block.last, not data or data.endswith((b"\n", b"\r")))
            piece = parse_block(block_lines(data, self.codec), self.layout, self.options, place, self.selection)
            row, line = row + piece.rows, line + piece.lines
            self._count(piece, row)
            skipped.update(piece.skipped)
            if block.last and self.crlf and _ends_inside_a_line_end(data, before_crlf=before):
                raise _cut_off(row - 1, line - 1)
            if block.last and not place.terminated:
                notes = (*notes, NO_LINE_END)
            if piece.rows or not begun:
                yield from self._batches(piece, +skipped, notes)
                begun, skipped, notes = True, Counter(), ()
            if block.last:
                break
            carry = b"" if piece.carry_position is None else b"".join(data.splitlines(keepends=True)[piece.carry_position :])
            before = data.removesuffix(carry).endswith(b"\r\n") if len(data) > len(carry) else before
            block = self.blocks.next(carry, line=line)
        self._check_encoding()
        self._check_trailer()

    def _batches(self, piece: Piece, skipped: Mapping[str, int], notes: tuple[str, ...]) -> Iterator[RawBatch]:
        parts = slices(piece.frame, self.options.batch_rows)
        reading = self._reading()
        yield RawBatch(self.selection.header, next(parts), piece.rejections, (), dict(skipped), reading, notes)
        for part in parts:
            yield RawBatch(self.selection.header, part, reading=reading)

    def _reading(self) -> Mapping[str, Any]:
        return described(self.layout, self.encoding)

    def _count(self, piece: Piece, next_row: int) -> None:
        """Add up what the end of the file is judged by; refuse early what can only fail."""
        self.data_rows += piece.frame.height + len(piece.rejections)
        self.trailers.extend(piece.trailers)
        self.undecodable.extend(r for r in piece.rejections if r.code == "ENC-BAD")
        limits = self.options.limits
        if self.data_rows > limits.rows:
            raise exceeded(f"row {next_row - 1}: more than {limits.rows} rows", limits.rows, "rows", row=next_row - 1)
        if len(self.undecodable) > max(_COUNTED_UNDECODABLE, limits.rows // _TOLERATED_UNDECODABLE):
            self._check_encoding()

    def _check_encoding(self) -> None:
        bad = len(self.undecodable)
        if bad < _COUNTED_UNDECODABLE or bad * _TOLERATED_UNDECODABLE <= self.data_rows:
            return
        first = self.undecodable[0]
        raise DeliveryError(
            f"row {first.row} (line {first.line}): not {self.encoding}; {bad} of {self.data_rows} rows cannot be read in it",
            "Declare the file's encoding as format.encoding (for example cp1252), or ask for UTF-8.",
            code="FILE-ENCODING",
            row=first.row,
            line=first.line,
            value=first.value,
        )

    def _check_trailer(self) -> None:
        """Raise DeliveryError FILE-TRUNCATED unless the declared trailer is there once and its row count is right."""
        if self.options.trailer is None:
            return
        if len(self.trailers) != 1:
            raise DeliveryError(
                f"trailer: {len(self.trailers)} rows match format.trailer, exactly one is expected",
                "Send the whole file again, or correct format.trailer.",
                code="FILE-TRUNCATED",
            )
        row, declared = self.trailers[0]
        if declared != self.data_rows:
            said = "no number of rows" if declared is None else f"{declared} rows"
            raise DeliveryError(
                f"row {row}: the trailer says {said}, {self.data_rows} are present",
                "Send the whole file again.",
                code="FILE-TRUNCATED",
                row=row,
            )


def _ends_inside_a_line_end(data: bytes, *, before_crlf: bool) -> bool:
    """Return whether the last line ends with CR alone though the line before it ends with CRLF."""
    earlier = data[:-1]
    at = max(earlier.rfind(b"\n"), earlier.rfind(b"\r"))
    after_crlf = earlier[at - 1 : at + 1] == b"\r\n" if at > 0 else before_crlf and at < 0
    return data.endswith(b"\r") and after_crlf


def _cut_off(row: int, line: int) -> DeliveryError:
    return DeliveryError(
        f"row {row} (line {line}): the file ends in the middle of a line end",
        "Send the whole file again.",
        code="FILE-TRUNCATED",
        row=row,
        line=line,
    )


def _without_end_mark(block: Block) -> bytes:
    """Return the block's bytes without a final Ctrl-Z on a line of its own, which is no row."""
    data = block.data
    if block.last and (data == _END_OF_FILE_MARK or data.endswith((b"\n" + _END_OF_FILE_MARK, b"\r" + _END_OF_FILE_MARK))):
        return data[:-1]
    return data
