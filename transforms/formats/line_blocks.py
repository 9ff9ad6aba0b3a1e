"""A text stream cut into blocks of whole lines, so that a file of any length takes the same memory.

Never looks inside a line; quoted line breaks are handed back by the caller (`carry`) and come first in the next block.
"""

from dataclasses import dataclass

from transforms.formats.limits import Limits, exceeded
from transforms.formats.text_encoding import TextStream


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines as bytes; `last` when the file ends with this block."""

    data: bytes
    last: bool

    @property
    def terminated(self) -> bool:
        """Return whether the block ends with a line end."""
        return self.data.endswith((b"\n", b"\r"))


class BlockReader:
    """Reads a TextStream block by block and keeps the limit on line size."""

    def __init__(self, stream: TextStream, size: int, limits: Limits) -> None:
        self._stream = stream
        self._size = size
        self._limits = limits
        self._tail = b""
        self._ended = False

    def next(self, carry: bytes = b"", *, line: int) -> Block:
        """Return the next block, beginning with `carry`; `line` is its first line's number, for messages.

        Raises DeliveryError FILE-LIMIT when a line has no end within the limit.
        """
        parts = [carry, self._tail]
        self._tail = b""
        while not self._ended:
            chunk = self._stream.read(self._size)
            self._ended = not chunk
            parts.append(chunk)
            end = _line_end(chunk)
            if end:
                self._tail = chunk[end:]
                parts[-1] = chunk[:end]
                return Block(b"".join(parts), last=False)
            unfinished = sum(map(len, parts)) - len(carry)
            if unfinished > self._limits.line_bytes:
                at = line + len(carry.splitlines())
                raise exceeded(f"line {at}: {unfinished} bytes without an end", self._limits.line_bytes, "line_bytes", line=at)
        return Block(b"".join(parts), last=True)


def _line_end(chunk: bytes) -> int:
    """Return the length of `chunk` up to its last line end; a final CR may be half of a CRLF and does not count."""
    end = chunk.rfind(b"\n") + 1
    if end:
        return end
    return chunk.rfind(b"\r", 0, len(chunk) - 1) + 1 if chunk else 0
