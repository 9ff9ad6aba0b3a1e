"""The lines of one block as text, decoded strictly, with the lines that cannot be decoded named.

Never replaces a byte in a row that is used: an undecodable line is shown escaped and rejected by the caller.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from transforms.formats.csv_records import without_line_end

#: RFC 1950, section 2.2: the first byte of a zlib stream with the usual window; the others that Polars knows are no UTF-8.
ZLIB = b"x"


@dataclass(frozen=True)
class BlockLines:
    """Lines of a block: `text` without line ends (Polars String), `undecodable` positions, `plain` when all of `utf8` is in
    `text` line by line and may be handed to a vectorised parser as it is.
    """

    text: pl.Series
    undecodable: Sequence[int]
    utf8: bytes
    plain: bool

    @cached_property
    def with_ends(self) -> list[str]:
        """Return the lines with their own line ends, for records that span lines."""
        return [line.decode("utf-8") for line in self.utf8.splitlines(keepends=True)]


def block_lines(data: bytes, codec: str) -> BlockLines:
    """Return the lines of `data`; a line ends with LF, CRLF or CR."""
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        decoded = [_decode(line, codec) for line in data.splitlines(keepends=True)]
        undecodable = [i for i, (_, fine) in enumerate(decoded) if not fine]
        return _by_line([line for line, _ in decoded], undecodable)
    utf8 = data if codec == "utf-8" else text.encode()
    if b"\r" in utf8 and utf8.count(b"\r") != utf8.count(b"\r\n"):
        return _by_line([line.decode("utf-8") for line in utf8.splitlines(keepends=True)], ())
    return BlockLines(text_lines(utf8), (), utf8, plain=True)


def text_lines(utf8: bytes) -> pl.Series:
    """Return the lines of UTF-8 text that ends them with LF or CRLF. Raises pl.exceptions.ComputeError for other bytes.

    Polars unpacks what begins as a zlib stream does, and a line may: "x^2 bolt". Such a line is never given to it as the first.
    """
    if not utf8:
        return pl.Series("text", [], dtype=pl.String)
    lines = pl.read_lines(io.BytesIO(b"\n" + utf8 if utf8.startswith(ZLIB) else utf8)).to_series().alias("text")
    return lines.slice(1) if utf8.startswith(ZLIB) else lines


def _by_line(lines: list[str], undecodable: Sequence[int]) -> BlockLines:
    text = pl.Series("text", [without_line_end(line) for line in lines], dtype=pl.String)
    return BlockLines(text, undecodable, "".join(lines).encode(), plain=False)


def _decode(line: bytes, codec: str) -> tuple[str, bool]:
    try:
        return line.decode(codec), True
    except UnicodeDecodeError:
        return line.decode(codec, errors="backslashreplace"), False
