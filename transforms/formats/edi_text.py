"""The bytes of an EDI file as text pieces of bounded size, and the separators they are cut at.

Never holds more of a file than one block and the segment that is cut by its end.
"""

import codecs
from collections.abc import Iterator
from typing import IO

from schemas.errors import DeliveryError
from transforms.formats.content import not_a_table, not_text, or_unpack
from transforms.formats.edi_options import EdiOptions
from transforms.formats.edi_report import unreadable
from transforms.formats.limits import exceeded

_BOM = "\ufeff"
NOISE = " \t\r\n"
_FIRST = 64  # bytes by which other formats are known
_SCANNED = 131_072
_OVERLAP = 100
_NOISE_BYTES = NOISE.encode()


def blocks(stream: IO[bytes], options: EdiOptions, encoding: str) -> Iterator[str]:
    """Yield the text of a file in blocks, without byte-order marks; the first one is long enough for any envelope header.

    Raises DeliveryError FILE-EMPTY, FILE-NOT-TABLE, FILE-ENCODING, FILE-LIMIT.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    total = 0
    is_first = True
    while data := _read(stream, max(options.block_bytes, _FIRST) if is_first else options.block_bytes):
        if is_first and (what := not_text(data) or not_a_table(data)):
            raise unreadable(
                f"line 1: this is {what}, not an EDI interchange",
                f"Check what the source delivers{or_unpack(data)}.",
                code="FILE-NOT-TABLE",
            )
        total += len(data)
        if total > options.limits.file_bytes:
            raise exceeded(f"the file is longer than {options.limits.file_bytes} bytes", options.limits.file_bytes, "file_bytes")
        text = _decoded(decoder, data, encoding, total, final=False)
        if text:  # a block may end inside the only character it holds
            yield text.removeprefix(_BOM) if is_first else text
        is_first = False
    if is_first:
        raise unreadable("the file is empty", "Send the file again.", code="FILE-EMPTY")
    _decoded(decoder, b"", encoding, total, final=True)


def _read(stream: IO[bytes], size: int) -> bytes:
    """Return `size` bytes, fewer only at the end."""
    data = stream.read(size)
    while 0 < len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, encoding: str, total: int, *, final: bool) -> str:
    try:
        return decoder.decode(data, final=final)
    except UnicodeDecodeError as error:
        at = total - len(data) + error.start
        raise DeliveryError(
            f"byte {at}: the file cannot be read as {encoding}",
            "Declare the file's encoding as format.encoding (for example latin-1).",
            code="FILE-ENCODING",
            value=data[error.start : error.start + 4].hex(" ") or None,
        ) from error


def holds_several(stream: IO[bytes], mark: bytes) -> bool:
    """Return whether `mark`, with which each interchange begins, occurs more than once where a segment may begin."""
    found, rest = 0, b""
    while data := stream.read(_SCANNED):
        text = rest + data
        at = text.find(mark)
        while at >= 0:
            before = text[max(0, at - _OVERLAP) : at].rstrip(_NOISE_BYTES)[-1:]
            found += not before.isalnum() and not text[at + len(mark) : at + len(mark) + 1].isalnum()
            at = text.find(mark, at + 1)
        if found > 1:
            return True
        # a mark in what is kept would be counted again: it is cut off behind the last one
        rest = text[max(len(text) - _OVERLAP, text.rfind(mark) + 1) :]
    return False
