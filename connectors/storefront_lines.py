"""A storefront's stock as lines: one JSON object for each item and location, in an order of its own, each of them once.

What every storefront source shares: bringing together on disk what comes in several lists, the proof that a list was read
whole, and the lines that are handed on. The same stock gives the same bytes, in whatever order it came. Never sends anything,
and never holds more than `memory` bytes of a catalogue.
"""

import hashlib
import heapq
import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.spool import PIECE, Limits, Spooled, put, spool_stream
from schemas.errors import DeliveryError, PermanentError, TransientError
from schemas.findings import Finding
from schemas.rejections import escape_value

#: Stands where a quantity would, when the shop does not count the item: [feed.words] untracked = "unknown".
UNTRACKED = "untracked"

_MEMORY = 16 << 20  # bytes of facts that wait in memory
_RUNS = 32  # sorted files at most; more are made into one
_OBJECT = 60  # bytes that Python takes for a line beside its content
_TOLD = 3


@dataclass(frozen=True, slots=True)
class StockLine:
    """What a shop says about one item at one location. `item` and `location_id` are the shop's own ids.

    `quantities` are by the shop's own names; None where it tells none. With `tracked` False each of them is UNTRACKED, whatever
    the shop says. `more` holds further members (codes, product ids). A decimal is written as the text of its plain digits.
    """

    item: str
    location_id: str
    sku: str | None
    gtin: str | None
    tracked: bool
    location: str | None
    quantities: Mapping[str, int | Decimal | str | None]
    updated_at: str | None = None
    more: Mapping[str, str | int | None] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """Return the line with its line end; equal facts give equal bytes."""
        told = {name: self.quantities[name] if self.tracked else UNTRACKED for name in sorted(self.quantities)}
        shown: dict[str, Any] = {"sku": self.sku, "gtin": self.gtin, "location": self.location, "tracked": self.tracked}
        shown |= {"quantities": {name: format(n, "f") if isinstance(n, Decimal) else n for name, n in told.items()}}
        shown |= {"updated_at": self.updated_at, "item": self.item, "location_id": self.location_id}
        shown |= {name: self.more[name] for name in sorted(self.more)}
        return json.dumps(shown, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def spool_lines(lines: Iterable[StockLine], spool: Path, place: str, limits: Limits) -> Spooled:
    """Return the lines as a spooled file. Raises as `spool_stream`, and whatever `lines` raises; then no file is left."""
    pieces = _pieces(lines)
    return spool_stream(lambda _most: next(pieces, b""), spool, place, limits=limits)


def _pieces(lines: Iterable[StockLine]) -> Iterator[bytes]:
    piece = bytearray()
    for line in lines:
        piece += line.as_bytes()
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


class SortedFacts:
    """Facts (JSON objects), each under a key of texts, given back in the order of the keys: a sort on disk.

    Facts with the same first parts of their keys come one after the other: what belongs together is brought together by giving
    it the same beginning (product, variant, "stock"). Its files have no names: nothing is left behind, whatever happens.
    """

    def __init__(self, folder: Path, place: str, *, memory: int = _MEMORY, most: int = 1 << 30) -> None:
        self._folder, self._place, self._memory, self._most = folder, place, memory, most
        self._waiting: list[bytes] = []
        self._held = self._size = 0
        self._runs: list[io.FileIO] = []
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for run in self._runs:
            run.close()

    def add(self, key: Sequence[str], fact: Mapping[str, Any]) -> None:
        """Keep one fact. Raises DeliveryError (FILE-LIMIT) above `most` bytes of all, TransientError when the disk is full."""
        line = json.dumps([*key, fact], ensure_ascii=True, separators=(",", ":"), default=str).encode() + b"\n"
        self._size += len(line)
        if self._size > self._most:
            raise DeliveryError(
                f"{self._place}: more than {self._most} bytes of stock",
                "Raise `max_size` if the shop is so large.",
                code="FILE-LIMIT",
            )
        self._waiting.append(line)
        self._held += len(line) + _OBJECT
        if self._held > self._memory:
            self._write(sorted(self._waiting))
            self._waiting.clear()
            self._held = 0

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
        """Yield (key, fact) of all facts. Raises TransientError when a key came twice: pages overlapped."""
        before: tuple[str, ...] | None = None
        for line in heapq.merge(*map(_lines_of, self._runs), sorted(self._waiting)):
            *parts, fact = json.loads(line)
            key = tuple(parts)
            if key == before:
                raise TransientError(
                    f"{self._place}: {escape_value(' '.join(key))!r} came twice: pages overlap, or the list changed meanwhile",
                    "Nothing was recorded; it is tried again.",
                )
            before = key
            yield key, fact

    def _write(self, lines: Iterable[bytes]) -> None:
        if len(self._runs) >= _RUNS:
            merged, old = self._file(), self._runs
            self._fill(merged, heapq.merge(*map(_lines_of, old)))
            self._runs = [merged]
            for run in old:
                run.close()
        run = self._file()
        self._runs.append(run)
        self._fill(run, lines)

    def _file(self) -> io.FileIO:
        return tempfile.TemporaryFile(dir=self._folder, buffering=0)

    def _fill(self, run: io.FileIO, lines: Iterable[bytes]) -> None:
        piece = bytearray()
        for line in lines:
            piece += line
            if len(piece) >= PIECE:
                put(run, bytes(piece), self._folder)
                piece.clear()
        put(run, bytes(piece), self._folder)


def _lines_of(run: io.FileIO) -> Iterator[bytes]:
    run.seek(0)
    with open(run.fileno(), "rb", closefd=False) as lines:
        yield from lines


@dataclass(slots=True)
class CountedList:
    """The proof that a list of pages was read whole: each page tells the same total, and as many records came.

    `place` names the list in messages.
    """

    place: str
    most_pages: int = 100_000
    pages: int = 0
    rows: int = 0
    total: int | None = None
    _last: bytes = b""

    def page(self, rows: Sequence[Any], total: object) -> None:
        """Count a page.

        Raises TransientError when the list changed while it was read or a page is missing, PermanentError for a page that comes
        again and for a total that is no number.
        """
        if isinstance(total, bool) or not isinstance(total, int) or total < 0:
            raise PermanentError(
                f"{self.place}: page {self.pages + 1} does not tell how many records there are",
                "Check the host and version of the interface: without it, nothing proves that all came.",
            )
        digest = hashlib.sha256(json.dumps(rows, default=str).encode()).digest()
        if rows and digest == self._last:
            raise PermanentError(
                f"{self.place}: page {self.pages + 1} is the one before again: the pages go round in a loop",
                "Something before the interface does not pass the page's number on: ask the shop.",
            )
        if self.pages >= self.most_pages:
            raise PermanentError(f"{self.place}: more than {self.most_pages} pages", "Raise `max_pages` if that is right.")
        if self.total not in (None, total):
            raise TransientError(
                f"{self.place}: the list changed while it was read: {self.total} records, then {total}",
                "Nothing was recorded; it is tried again.",
            )
        self.total, self._last = total, digest
        self.pages += 1
        self.rows += len(rows)
        if self.rows > total or not (rows or self.has_all):
            raise self._incomplete()

    @property
    def has_all(self) -> bool:
        """Return whether as many records were read as there are."""
        return self.total is not None and self.rows >= self.total

    def check(self) -> None:
        """Raise TransientError when not exactly as many records were read as there are."""
        if self.rows != self.total:
            raise self._incomplete()

    def _incomplete(self) -> TransientError:
        return TransientError(
            f"{self.place}: {self.rows} records came, and there are {self.total}: pages are missing or overlap",
            "Nothing was recorded; it is tried again.",
        )


@dataclass(slots=True)
class TrackedCount:
    """How many items the shop has, and how many of them it does not count."""

    items: int = 0
    untracked: int = 0
    _examples: list[str] = field(default_factory=list)

    def add(self, name: str | None, *, tracked: bool) -> None:
        """Count one item; `name` is its SKU or id."""
        self.items += 1
        if not tracked:
            self.untracked += 1
            if len(self._examples) < _TOLD:
                self._examples.append(escape_value(name or "no SKU"))

    def findings(self, remedy: str) -> tuple[Finding, ...]:
        """Return the finding STOCK-UNTRACKED when there is any such item, else nothing. `remedy` says where it is switched on."""
        if not self.untracked:
            return ()
        some = ", ".join(self._examples) + (", …" if self.untracked > len(self._examples) else "")
        words = f"the shop does not track {self.untracked} of {self.items} items ({some}): their quantity is unknown"
        return (Finding("STOCK-UNTRACKED", "warn", words, remedy, measured=str(self.untracked)),)
