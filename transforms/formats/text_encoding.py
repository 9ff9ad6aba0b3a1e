"""Which encoding a text file is in, and its bytes as an ASCII-compatible stream that can be cut at line ends.

Never guesses between single-byte encodings: what is neither marked, nor UTF-16 by its NUL pattern, is read strictly as UTF-8.
"""

import codecs
from typing import IO

from schemas.errors import DeliveryError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with the UTF-16 one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FAMILIES = {"utf-16": ("utf-16-le", "utf-16-be"), "utf-32": ("utf-32-le", "utf-32-be")}
_NUL_SHARE = 0.3  # UTF-16 text in a Latin script has NUL in nearly every second byte


def detect(head: bytes, declared: str) -> tuple[str, int]:
    """Return the encoding of a file that begins with `head`, and the length of its byte-order mark (of all, if it is repeated).

    `declared` is a codec name or "auto". Raises DeliveryError FILE-ENCODING when the mark contradicts the declaration.
    """
    marked = next(((name, marks_at(head, mark)) for mark, name in _MARKS if head.startswith(mark)), None)
    if declared == "auto":
        return marked or (_by_nul_pattern(head) or "utf-8", 0)
    if marked is None:
        return _FAMILIES.get(declared, (declared,))[0], 0
    name, size = marked
    if name != declared and name not in _FAMILIES.get(declared, ()):
        raise DeliveryError(
            f"line 1: the file begins with a byte-order mark of {name}, but {declared} is declared",
            f'Set format.encoding = "auto" (or "{name}"), or ask for the file in {declared}.',
            code="FILE-ENCODING",
            line=1,
        )
    return name, size


def marks_at(head: bytes, mark: bytes) -> int:
    """Return how many bytes of marks `head` begins with: some programs put one before text that has one already."""
    size = 0
    while head.startswith(mark, size):
        size += len(mark)
    return size


def _by_nul_pattern(head: bytes) -> str | None:
    even, odd = head[0:4096:2].count(0), head[1:4096:2].count(0)
    half = len(head[:4096]) // 2
    if half and odd > _NUL_SHARE * half and even < odd // 10:
        return "utf-16-le"
    return "utf-16-be" if half and even > _NUL_SHARE * half and odd < even // 10 else None


class TextStream:
    """Bytes of a text file after its byte-order mark, in an ASCII-compatible encoding named by `codec`.

    UTF-16 and UTF-32 are turned into UTF-8; lone surrogates stay as bytes that strict UTF-8 refuses, so the line that
    holds one can be found.
    """

    def __init__(self, stream: IO[bytes], encoding: str, mark: int) -> None:
        self._stream = stream
        self._stream.seek(mark)
        self.encoding = encoding
        wide = encoding.startswith(("utf-16", "utf-32"))
        self.codec = "utf-8" if wide else encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass") if wide else None

    def read(self, size: int) -> bytes:
        """Return about `size` bytes, b"" only at the end. Raises DeliveryError when the last character is cut off."""
        if self._decoder is None:
            return self._stream.read(size)
        while data := self._stream.read(size):
            if text := self._decode(data, final=False):
                return text.encode("utf-8", "surrogatepass")
        return self._decode(b"", final=True).encode("utf-8", "surrogatepass")

    def _decode(self, data: bytes, *, final: bool) -> str:
        assert self._decoder is not None
        try:
            return self._decoder.decode(data, final=final)
        except UnicodeDecodeError as error:
            if final:
                message, code = f"the file ends in the middle of a {self.encoding} character", "FILE-TRUNCATED"
            else:
                message, code = f"the file cannot be read as {self.encoding}", "FILE-ENCODING"
            raise DeliveryError(message, "Send the whole file again, or correct format.encoding.", code=code) from error
