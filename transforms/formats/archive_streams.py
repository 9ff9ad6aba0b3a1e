"""Compressed streams (gz, bz2, xz, zst, and the raw deflate of zip members) as bounded pieces of bytes.

Stricter than the standard library's file objects, which end without an error at garbage after a stream. Never keeps more
than one piece, and never takes a stream without its end for a whole one.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Literal, Protocol

from schemas.errors import DeliveryError

Codec = Literal["gz", "bz2", "xz", "zst", "deflate"]

_PIECE = 1 << 18
_READ = 1 << 16
_ZSTD_READ = 1 << 10  # its decompressor takes no output limit: 4 bytes can become 128 kB, so this many become 32 MB
_WINDOW = 1 << 27  # 128 MB: what the zstd program accepts by default
_XZ_MEMORY = 200_000_000  # xz -9 needs 65 MB


class _Machine(Protocol):
    """One stream being decompressed: `feed` returns bytes and the input it has not used yet."""

    @property
    def eof(self) -> bool:
        """Whether the stream's end was seen."""

    @property
    def holds_more(self) -> bool:
        """Whether there is output without more input."""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return some output, and the rest of `data`."""


class _Zlib:
    holds_more = False  # unused input comes back as the rest

    def __init__(self, window: int) -> None:
        self._object = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self._object.eof

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        piece = self._object.decompress(data, _PIECE)
        return piece, self._object.unused_data if self._object.eof else self._object.unconsumed_tail


class _Buffering:
    """bz2 and lzma keep unused input to themselves until the end."""

    def __init__(self, machine: "bz2.BZ2Decompressor | lzma.LZMADecompressor") -> None:
        self._object = machine

    @property
    def eof(self) -> bool:
        return self._object.eof

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        piece = self._object.decompress(data, _PIECE)
        return piece, self._object.unused_data if self._object.eof else b""

    @property
    def holds_more(self) -> bool:
        return not self._object.eof and not self._object.needs_input


class _Zstd:
    holds_more = False

    def __init__(self) -> None:
        import zstandard

        self._object = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()

    @property
    def eof(self) -> bool:
        return self._object.eof

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        import zstandard

        try:
            piece = self._object.decompress(data[:_ZSTD_READ])
        except zstandard.ZstdError as error:  # derives from Exception only
            raise ValueError(str(error)) from error
        return piece, (self._object.unused_data if self._object.eof else b"") + data[_ZSTD_READ:]


_MACHINES: Mapping[Codec, Callable[[], _Machine]] = {
    "gz": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(-15),
    "bz2": lambda: _Buffering(bz2.BZ2Decompressor()),
    "xz": lambda: _Buffering(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
    "zst": _Zstd,
}


def decompressed(stream: IO[bytes], codec: Codec, place: str) -> Iterator[bytes]:
    """Yield the content of `stream` in pieces (about 256 kB; zstd up to 32 MB); several streams one after the other are one.

    `place` is how messages name it. Raises DeliveryError FILE-TRUNCATED (no end of stream) or FILE-UNREADABLE (damaged, or
    something else follows the end).
    """
    machine: _Machine | None = None
    rest = b""
    streams = 0
    while data := rest or stream.read(_READ):
        if machine is None:
            if streams and _is_padding(data, codec):
                rest = b""
                continue
            machine, streams = _MACHINES[codec](), streams + 1
        piece, rest = _fed(machine, data, place, first=streams == 1)
        if piece:
            yield piece
        while machine.holds_more:
            piece, rest = _fed(machine, b"", place, first=streams == 1)
            yield piece
        if machine.eof:
            machine = None
            _refuse_rest(rest, codec, place)
    if machine is not None or not streams:
        raise DeliveryError(
            f"{place}: the {codec} data is cut short before its end of stream", "Send the whole file again.", code="FILE-TRUNCATED"
        )


def _fed(machine: _Machine, data: bytes, place: str, *, first: bool) -> tuple[bytes, bytes]:
    try:
        return machine.feed(data)
    except (zlib.error, OSError, lzma.LZMAError, ValueError) as error:
        where = "damaged" if first else "damaged, or something else follows its end of stream"
        raise DeliveryError(
            f"{place}: the compressed data is {where}",
            "Send the file again; compress it with the usual settings.",
            f"{type(error).__name__}: {error}",
            code="FILE-UNREADABLE",
        ) from error


def _is_padding(data: bytes, codec: Codec) -> bool:
    """Tapes and some servers fill up a gz or xz file with zero bytes."""
    return codec in ("gz", "xz") and not data.strip(b"\0")


def _refuse_rest(rest: bytes, codec: Codec, place: str) -> None:
    """A zip member is exactly one stream: its recorded size must not hold more."""
    if rest and codec == "deflate":
        raise DeliveryError(f"{place}: something else follows its end of stream", "Make the archive again.", code="FILE-UNREADABLE")
