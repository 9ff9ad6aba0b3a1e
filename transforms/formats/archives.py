"""A table file out of the archive it arrives in: one level, one member, within limits.

Works on open files only; never uses a name from an archive as a path, and never believes a size that an archive states.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, cast

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.archive_members import broken
from transforms.formats.archive_streams import Codec, decompressed
from transforms.formats.archive_tar import read_tar
from transforms.formats.archive_zip import holds_workbook, read_zip
from transforms.formats.content import ARCHIVE_HEAD, archive_kind, not_text, shown
from transforms.formats.limits import exceeded
from transforms.formats.options import ReaderOptions


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What a file was unpacked from: the kind of archive, the member's name as it is shown, and sentences for people."""

    archive: str
    member: str | None
    notes: tuple[str, ...]


def unpack(stream: IO[bytes], target: IO[bytes], scratch: Callable[[], IO[bytes]], options: ReaderOptions) -> Unpacked | None:
    """Write the table file in the archive `stream` to `target` and return where it was; None when there is no archive ("auto").

    `scratch` gives an empty temporary file, for a tar inside a compressed stream. Raises DeliveryError FILE-NOT-TABLE (not
    the declared kind), FILE-UNREADABLE, FILE-TRUNCATED, FILE-LIMIT.
    """
    head = stream.read(ARCHIVE_HEAD)
    size = stream.seek(0, 2)
    stream.seek(0)
    if not head:
        raise DeliveryError("the file is empty (0 bytes)", "Send the file again.", code="FILE-EMPTY")
    if size > options.limits.file_bytes:
        raise exceeded(f"file: {size} bytes", options.limits.file_bytes, "file_bytes")
    kind = archive_kind(head)
    if options.archive == "auto" and (kind is None or (kind == "zip" and holds_workbook(stream))):
        return None
    _check_declared(kind, head, options)
    assert kind is not None
    unpacked = _Unpacking(target, options, size).unpack(kind, stream, scratch)
    _refuse_nesting(target, unpacked)
    return unpacked


def _check_declared(kind: str | None, head: bytes, options: ReaderOptions) -> None:
    if options.archive in ("auto", kind) or options.archive == f"tar.{kind}":
        return
    found = not_text(head) or ("a tar archive" if kind == "tar" else f"something else (magic bytes {shown(head)})")
    raise DeliveryError(
        f'the file is not the declared archive ("{options.archive}") but {found}',
        "Correct format.archive, or send the archive.",
        code="FILE-NOT-TABLE",
    )


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """Where a file of `size` bytes is unpacked to, and as what."""

    target: IO[bytes]
    options: ReaderOptions
    size: int

    def unpack(self, kind: str, stream: IO[bytes], scratch: Callable[[], IO[bytes]]) -> Unpacked:
        """Write the table in `stream` to the target."""
        if kind in ("zip", "tar"):
            return self._take_member(kind, stream)
        pieces = decompressed(stream, cast("Codec", kind), "file")
        if self.options.archive == kind:  # declared: the content is the table, whatever it is
            self._write(pieces, self.target, self.size, "file")
            return self._described(kind, None)
        with scratch() as inner:
            self._write(pieces, inner, self.size, "file")
            inner.seek(0)
            holds_tar = archive_kind(inner.read(ARCHIVE_HEAD)) == "tar"
            inner.seek(0)
            if holds_tar:
                return self._take_member(f"tar.{kind}", inner)
            if self.options.archive != "auto":
                raise broken(f"the {kind} data does not hold the declared tar archive")
            shutil.copyfileobj(inner, self.target)
        return self._described(kind, None)

    def _take_member(self, archive: str, stream: IO[bytes]) -> Unpacked:
        member, packed, pieces = (read_zip if archive == "zip" else read_tar)(stream, self.options)
        self._write(pieces, self.target, packed, member.place)
        return self._described(archive, member.name)

    def _described(self, archive: str, member: str | None) -> Unpacked:
        name = None if member is None else escape_value(member)
        inside = "" if name is None else f', member "{name}"'
        note = f'the file arrived as {archive} data{inside} and was unpacked; declare format.archive = "{archive}" if this is meant'
        return Unpacked(archive, name, (note,) if self.options.archive == "auto" else ())

    def _write(self, pieces: Iterator[bytes], out: IO[bytes], packed: int, place: str) -> None:
        """Write `pieces`, counting: the sizes an archive states are not believed."""
        limits, size = self.options.limits, 0
        for piece in pieces:
            size += len(piece)
            if size > limits.unpacked_bytes:
                found = f"{place}: size after unpacking is over {limits.unpacked_bytes} bytes"
                raise exceeded(found, limits.unpacked_bytes, "unpacked_bytes")
            if size > limits.ratio_from_bytes and size > limits.ratio * packed:
                found = f"{place}: size after unpacking is over {limits.ratio} times the {packed} bytes of the packed data"
                raise exceeded(found, limits.ratio, "ratio")
            out.write(piece)


def _refuse_nesting(target: IO[bytes], unpacked: Unpacked) -> None:
    """Raise DeliveryError when what was unpacked is an archive again; a workbook is none."""
    target.seek(0)
    kind = archive_kind(target.read(ARCHIVE_HEAD))
    target.seek(0)
    if kind is None or (kind == "zip" and holds_workbook(target)):
        return
    what = f'member "{unpacked.member}"' if unpacked.member else "the content"
    raise DeliveryError(
        f"nesting depth: {what} of the {unpacked.archive} archive is {kind} data again, and one level is unpacked",
        "Send the file in one archive only.",
        code="FILE-LIMIT",
    )
