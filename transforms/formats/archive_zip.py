"""The chosen member of a zip archive as pieces of bytes.

The directory is parsed by the standard library and then checked here, because the library reads overlapping, doubled and
misdescribed members without complaint. Never extracts to a path, never asks for a password.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from typing import IO

from schemas.errors import DeliveryError
from transforms.formats.archive_members import Member, broken, check_count, check_members, choose_member
from transforms.formats.archive_streams import decompressed
from transforms.formats.options import ReaderOptions

_LOCAL = struct.Struct("<4s2HH2H3L2H")  # APPNOTE.TXT 4.3.7: signature, version, flags, method, …, name and extra length
_NAME_SIZES = struct.Struct("<2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # the member, strongly, its name
_AES = 99
_READ = 1 << 18


def read_zip(stream: IO[bytes], options: ReaderOptions) -> tuple[Member, int, Iterator[bytes]]:
    """Return the chosen member, its packed size and its content in pieces.

    Raises DeliveryError FILE-UNREADABLE (broken, overlapping, encrypted, unsafe names …), FILE-LIMIT; the pieces also raise
    FILE-TRUNCATED, and FILE-UNREADABLE when size or CRC are not as the directory says.
    """
    try:
        with zipfile.ZipFile(stream) as package:
            infos, end = package.infolist(), package.start_dir
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise broken("zip directory: missing or broken, the file seems to be cut short", str(error)) from error
    first = min((info.header_offset for info in infos), default=0)
    if first:
        what = (
            "something stands before the first member, which other programs would read"
            if first > 0
            else "cut short at its beginning"
        )
        raise broken(f"zip directory: {what}")
    _refuse_overlap([(info.header_offset, info.header_offset + _LOCAL.size + info.compress_size) for info in infos], end)
    check_count(len(infos), options.limits)
    members = [Member(info.orig_filename, n, info.filename.endswith("/"), _kind(info)) for n, info in enumerate(infos)]
    check_members(members, options.limits)
    starts = [_data_start(stream, info, member) for info, member in zip(infos, members, strict=True)]
    spans = [(i.header_offset, start + i.compress_size) for i, start in zip(infos, starts, strict=True)]
    _refuse_overlap(spans, end)
    member = choose_member(members, options.member)
    info = infos[member.number]
    return member, info.compress_size, _content(stream, info, member, starts[member.number])


def holds_workbook(stream: IO[bytes]) -> bool:
    """Return whether the zip data in `stream` is a workbook (xlsx, xlsb, ods) and no archive. The position is kept."""
    at = stream.tell()
    try:
        with zipfile.ZipFile(stream) as package:
            names = set(package.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error):
        return False
    finally:
        stream.seek(at)
    return bool(names & {"[Content_Types].xml", "xl/workbook.xml", "xl/workbook.bin", "content.xml"})


def _refuse_overlap(spans: Sequence[tuple[int, int]], end: int) -> None:
    """Raise DeliveryError unless the members lie one after the other, before the directory."""
    ordered = sorted(spans)
    if any(first[1] > second[0] for first, second in pairwise(ordered)) or (ordered and ordered[-1][1] > end):
        raise broken("overlapping members: one piece of the file is claimed more than once")


def _kind(info: zipfile.ZipInfo) -> str:
    """Return what is wrong with a member's kind, "" for a plain file or directory."""
    if info.flag_bits & _ENCRYPTED or info.compress_type == _AES:
        return "encrypted"
    kind = S_IFMT(info.external_attr >> 16)
    if kind == S_IFLNK:
        return "a symbolic link"
    return "" if kind in (0, S_IFREG, S_IFDIR) else "not a regular file"


def _data_start(stream: IO[bytes], info: zipfile.ZipInfo, member: Member) -> int:
    """Return where a member's data begins. Raises DeliveryError when its own header contradicts the directory."""
    stream.seek(info.header_offset)
    raw = stream.read(_LOCAL.size)
    if len(raw) < _LOCAL.size:
        raise broken(f"{member.place}: outside the file")
    signature, _, flags, method = _LOCAL.unpack(raw)[:4]
    name_size: int
    extra_size: int
    name_size, extra_size = _NAME_SIZES.unpack(raw[-_NAME_SIZES.size :])
    name = stream.read(name_size)
    encoding = "utf-8" if flags & 0x800 else "cp437"
    same = name.decode(encoding, "replace").replace("\\", "/") == info.orig_filename.replace("\\", "/")
    if signature != _LOCAL_SIGNATURE or not same or method != info.compress_type or flags & _ENCRYPTED:
        raise broken(f"{member.place}: its own header contradicts the directory of the archive")
    return info.header_offset + _LOCAL.size + name_size + extra_size


def _content(stream: IO[bytes], info: zipfile.ZipInfo, member: Member, start: int) -> Iterator[bytes]:
    stream.seek(start)
    packed = _Window(stream, info.compress_size)
    if info.compress_type == zipfile.ZIP_STORED:
        pieces: Iterator[bytes] = iter(lambda: packed.read(_READ), b"")
    elif info.compress_type == zipfile.ZIP_DEFLATED:
        pieces = decompressed(packed, "deflate", member.place)  # type: ignore[arg-type]  # only read is used
    else:
        raise DeliveryError(
            f"{member.place}: compression method {info.compress_type} is not read",
            "Make the archive with the usual method (deflate).",
            code="FILE-UNREADABLE",
        )
    size = crc = 0
    for piece in pieces:
        size, crc = size + len(piece), zlib.crc32(piece, crc)
        yield piece
    if (size, crc) != (info.file_size, info.CRC):
        raise broken(f"{member.place}: CRC or size is wrong, the file was damaged on its way")


class _Window:
    """The next `size` bytes of a stream."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, b"" at the end of the window."""
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data
