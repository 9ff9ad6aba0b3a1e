"""A folder as what a bucket holds: keys, pages of a listing, pieces of content; the fake stores have this in common."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import fsdecode, fsencode
from pathlib import Path

from tests.servers.web_server import Answer, Line, Request


@dataclass
class BucketFolder:
    """The objects of one folder, and how a test disturbs them.

    `page`: entries in one listing; `end_at`: answers with content stop after so many bytes; `before`: may answer a request in
    place of the store; `unknown`: what was asked that the store's reference does not have, or no client of ours should ask.
    """

    root: Path
    page: int = 1000
    end_at: int | None = None
    before: Callable[[Request], bytes | None] = lambda _request: None
    unknown: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # one word for each request that was answered
    _versions: dict[Path, tuple] = field(default_factory=dict)  # what each file was when it got which number
    _last: int = 0

    def answer(self) -> Answer:
        return self._answer

    def _answer(self, request: Request, line: Line) -> None:
        early = self.before(request)
        for part in [early] if early is not None else self.served(request):
            line.send(part)

    def served(self, request: Request) -> Iterator[bytes]:
        """Give the whole answer in one or more parts."""
        raise NotImplementedError

    def all_keys(self) -> list[str]:
        files = (p for p in self.root.rglob("*") if p.is_file() and not p.is_symlink())
        return sorted(fsencode(p.relative_to(self.root)).decode("utf-8", "replace") for p in files)

    def path(self, key: str | bytes) -> Path:
        return self.root / fsdecode(key)

    def listing(self, prefix: str, delimiter: str, after: str, most: int) -> tuple[list[tuple[str, bool]], bool]:
        """Return (name, whether it stands for all keys that begin so) of the entries behind `after`, and whether more follow."""
        keys = [key for key in self.all_keys() if key.startswith(prefix)]
        entries = dict.fromkeys(_rolled_up(key, prefix, delimiter) for key in keys)
        rest = [entry for entry in entries if entry > after]
        page = rest[: min(self.page, most)]
        return [(entry, entry not in keys) for entry in page], len(rest) > len(page)

    def version(self, path: Path) -> int:
        """Return a number that no other content has had, be it of the same size and time, or of another file."""
        now = (md5(path), path.stat().st_mtime_ns)
        if self._versions.get(path, ())[:2] != now:
            self._last += 1
            self._versions[path] = (*now, 1_700_000_000_000_000 + self._last)
        return self._versions[path][2]

    def cut(self, head: bytes, content: Iterator[bytes]) -> Iterator[bytes]:
        """Give an answer with content, up to `end_at`."""
        yield head
        left = self.end_at
        for piece in content:
            yield piece if left is None else piece[:left]
            left = None if left is None else max(0, left - len(piece))


def content(path: Path, first: int = 0, last: int | None = None) -> Iterator[bytes]:
    """Give the bytes from `first` up to and with `last`, in small pieces."""
    with path.open("rb") as file:
        file.seek(first)
        left = path.stat().st_size - first if last is None else last + 1 - first
        while left > 0 and (piece := file.read(min(left, 1 << 16))):
            left -= len(piece)
            yield piece


def asked_range(value: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte of "bytes=first-last"."""
    first, _, last = value.removeprefix("bytes=").partition("-")
    return int(first), min(int(last), size - 1) if last else size - 1


def md5(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").digest()


def _rolled_up(key: str, prefix: str, delimiter: str) -> str:
    below = key[len(prefix) :]
    return prefix + below.partition(delimiter)[0] + delimiter if delimiter and delimiter in below else key
