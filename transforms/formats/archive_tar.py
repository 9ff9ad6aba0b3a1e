"""The chosen member of a tar archive as pieces of bytes.

Never extracts, never follows a link; an archive without its closing block is cut short, which the standard library ignores.
"""

import tarfile
from collections.abc import Iterator
from typing import IO

from transforms.formats.archive_members import Member, broken, check_count, check_members, choose_member
from transforms.formats.options import ReaderOptions

_BLOCK = 512
_READ = 1 << 18
_ERRORS = (tarfile.TarError, OSError, ValueError, OverflowError, EOFError)


def read_tar(stream: IO[bytes], options: ReaderOptions) -> tuple[Member, int, Iterator[bytes]]:
    """Return the chosen member, its size and its content in pieces.

    Raises DeliveryError FILE-UNREADABLE (cut short, damaged, links, unsafe names …) or FILE-LIMIT (members).
    """
    entries = list(_entries(stream, options))
    members = [Member(e.name, n, e.isdir(), _kind(e)) for n, e in enumerate(entries)]
    check_members(members, options.limits)
    _check_end(stream, entries)
    member = choose_member(members, options.member)
    entry = entries[member.number]
    return member, entry.size, _content(stream, entry.offset_data, entry.size)


def _entries(stream: IO[bytes], options: ReaderOptions) -> Iterator[tarfile.TarInfo]:
    """Yield the entries one by one, so that a count over the limit is seen before all are read."""
    try:
        with tarfile.TarFile(fileobj=stream, mode="r") as archive:
            for count, entry in enumerate(archive, 1):
                check_count(count, options.limits)
                yield entry
    except _ERRORS as error:
        raise broken("tar archive: a header is damaged, or the file is cut short", f"{type(error).__name__}: {error}") from error


def _kind(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "a symbolic link" if entry.issym() else "a link to another member"
    if entry.issparse():
        return "a sparse file"
    return "" if entry.isfile() or entry.isdir() else "not a regular file"


def _check_end(stream: IO[bytes], entries: list[tarfile.TarInfo]) -> None:
    """Raise DeliveryError unless the block after the last entry is the closing one: all zero."""
    last = entries[-1] if entries else None
    stream.seek(last.offset_data + -(-last.size // _BLOCK) * _BLOCK if last else 0)
    if stream.read(_BLOCK) != bytes(_BLOCK):
        raise broken("tar archive: cut short or damaged before its end of archive")


def _content(stream: IO[bytes], start: int, size: int) -> Iterator[bytes]:
    stream.seek(start)
    while size and (piece := stream.read(min(size, _READ))):
        size -= len(piece)
        yield piece
