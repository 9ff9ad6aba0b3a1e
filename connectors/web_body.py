"""The body of a web answer as the bytes of the file: content-encoding undone, size limited on the wire and after it.

Never unpacks an archive: a .gz file that is served as a file stays one.
"""

import zlib
from collections.abc import Callable, Iterator

from connectors.spool import PIECE
from schemas.errors import DeliveryError, PermanentError, TransientError

_GZIP = zlib.MAX_WBITS | 16  # with gzip's header and trailer
_GZIP_NAMES = frozenset({"gzip", "x-gzip"})


_RAISE_SIZE = "Raise `max_size` for this source if the file is right."


def body_reader(pieces: Iterator[bytes], encoding: str, place: str, most: int, remedy: str = _RAISE_SIZE) -> Callable[[int], bytes]:
    """Return the function to read the file with, b"" at the end, for a body in the given Content-Encoding.

    Reading raises DeliveryError (FILE-LIMIT, with `remedy`) above `most` bytes on the wire, TransientError for gzip that is
    broken or cut short. Raises PermanentError for an encoding that was not asked for.
    """
    wire = _limited(pieces, place, most, remedy)
    names = [name.strip().lower() for name in encoding.split(",") if name.strip().lower() not in {"", "identity"}]
    if names and (len(names) > 1 or names[0] not in _GZIP_NAMES):
        raise PermanentError(
            f"{place} answers in the encoding {','.join(names)[:40]!r}, which was not asked for", "Ask the supplier."
        )
    content = _unpacked(wire, place) if names else wire
    return lambda _most: next(content, b"")


def _limited(pieces: Iterator[bytes], place: str, most: int, remedy: str) -> Iterator[bytes]:
    received = 0
    for piece in pieces:
        received += len(piece)
        if received > most:
            raise DeliveryError(f"{place}: larger than {most} bytes", remedy, code="FILE-LIMIT")
        if piece:
            yield piece


def _unpacked(wire: Iterator[bytes], place: str) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP)
    for piece in wire:
        data = piece
        while data:
            if unpacker.eof:  # gzip files may be several, one after the other (RFC 1952 §2.2)
                unpacker = zlib.decompressobj(_GZIP)
            try:
                content = unpacker.decompress(data, PIECE)  # at most so much at a time: a bomb is met by the limit of the spool
            except zlib.error as error:
                raise _broken(place, "is damaged") from error
            if content:
                yield content
            data = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    if not unpacker.eof:  # also where nothing came at all: an empty file in gzip is twenty bytes
        raise _broken(place, "was cut short")


def _broken(place: str, what: str) -> TransientError:
    return TransientError(f"{place}: the compressed answer {what}", "Nothing was recorded; it is tried again.")
