"""What becomes of records while a file is read: all are staged at once, or only those that differ from the feed's levels.

Of a later snapshot most records are in the levels as they are. They are kept aside in a file until the whole delivery is
read; then those that differ are staged, with all that share a key or a look, so that the result is that of staging everything.
"""

import errno
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

import polars as pl
from sqlalchemy import Connection, Engine

from schemas.errors import TransientError
from schemas.records import KEY_SCHEMA, RECORD_SCHEMA
from stockfeed.store import comparison, level_lines, staging
from stockfeed.store.engine import read
from transforms.met_levels import HASHES, hashed, met

_AT_MOST = 0.5  # with more records that differ, or levels that none has, the database compares all of them sooner
_SEED_BITS = 63
_A_WHILE = 3.0  # seconds between two beats: the shortest lease has ten


@dataclass(frozen=True, slots=True)
class Touched:
    """How many levels the delivery before confirmed, and how many others the feed has."""

    known: int
    others: int


class Taker(Protocol):
    """Takes the accepted records of a delivery, batch by batch."""

    touched: Touched | None

    def take(self, records: pl.DataFrame, first: int, /) -> None:
        """Take records (RECORD_SCHEMA), numbered from `first` on."""

    def end(self, together: pl.Series, beat: Callable[[], None], /) -> None:
        """Leave staged what has to be, the records `together` (numbers) in any case. Calls `beat` every few seconds."""


class AtOnce:
    """Stages every record when it comes."""

    touched: Touched | None = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def take(self, records: pl.DataFrame, first: int, /) -> None:
        """Stage these records."""
        staging.load_records(self._connection, records, first)

    def end(self, _together: pl.Series, _beat: Callable[[], None], /) -> None:
        """Do nothing: everything is staged."""


@contextmanager
def beside_levels(connection: Connection, feed_id: int, folder: Path) -> Iterator[Taker]:
    """Yield what takes the records of a snapshot; `folder` has room for the delivery and the levels, as files without names.

    For a feed whose levels change under its lease only, which the caller holds.
    """
    engine = connection.engine
    with read(engine) as other:
        is_first = not comparison.has_levels(other, feed_id)
    if is_first:
        yield AtOnce(connection)
        return
    seeds = secrets.randbits(_SEED_BITS), secrets.randbits(_SEED_BITS)
    stopped = threading.Event()
    with _pages(folder) as lines, _pages(folder) as records, ThreadPoolExecutor(1, "levels") as beside:
        coming = beside.submit(_scan, engine, feed_id, seeds, lines, stopped)
        try:
            yield _BesideLevels(connection, coming, seeds, records)
        finally:
            stopped.set()


class _Pages:
    """Contents in a file without a name, which come back in their order."""

    def __init__(self, file: FileIO, folder: Path) -> None:
        self._file, self._folder = file, folder
        self._lengths: list[int] = []

    def add(self, content: bytes | memoryview) -> None:
        """Write one more. Raises TransientError when the disk does not take it."""
        rest = memoryview(content)
        with _usable(self._folder):
            while rest:
                rest = rest[self._file.write(rest) :]
        self._lengths.append(len(content))

    def __iter__(self) -> Iterator[bytes]:
        with _usable(self._folder):
            self._file.seek(0)
        for length in self._lengths:
            with _usable(self._folder):
                content = self._file.read(length)
            yield content


@contextmanager
def _pages(folder: Path) -> Iterator[_Pages]:
    with ExitStack() as life:
        with _usable(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = life.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
        yield _Pages(file, folder)


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Say of a fault of the disk that it is ours, and no fault of the delivery."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            remedy = "Free some space, or move the spool folder (STOCKFEED_STATE) to a larger disk, then try again."
            raise TransientError(f"the disk of {folder} is full", remedy, str(error)) from error
        remedy = "Check the rights of this folder and its disk (STOCKFEED_STATE), then try again."
        raise TransientError(f"the spool folder {folder} cannot be used: {error.strerror}", remedy, str(error)) from error


@dataclass(frozen=True, slots=True)
class _Known:
    """The known levels of a feed: the hashes of their lines, and the lines in a file. `others` counts the levels that are not."""

    hashes: pl.DataFrame
    lines: _Pages
    others: int


def _scan(engine: Engine, feed_id: int, seeds: tuple[int, int], pages: _Pages, stopped: threading.Event) -> _Known | None:
    """Return a feed's known levels; None when their lines are of no use, or nobody waits for them any more."""
    hashes = [pl.DataFrame(schema=HASHES)]
    others = 0
    with read(engine) as connection, closing(level_lines.level_pages(connection, feed_id)) as found:
        try:
            for page in found:
                if stopped.is_set():
                    return None
                hashes.append(hashed(level_lines.split(page.lines), seeds))
                pages.add(page.lines.encode())
                others += page.others
        except level_lines.LinesUnclear:
            return None
    return _Known(pl.concat(hashes), pages, others)


class _BesideLevels:
    """Keeps the records in a file, and their hashes, until it is known which of them differ from the levels."""

    def __init__(self, connection: Connection, coming: "Future[_Known | None]", seeds: tuple[int, int], records: _Pages) -> None:
        self._connection, self._coming, self._seeds = connection, coming, seeds
        self._dialect = connection.dialect.name
        self._records, self._taken = records, 0
        self._hashes = [pl.DataFrame(schema=HASHES)]
        self.touched: Touched | None = None

    def take(self, records: pl.DataFrame, first: int, /) -> None:
        """Keep these records aside."""
        self._still_here()
        self._taken += records.height
        if not records.height:
            return
        self._hashes.append(hashed(level_lines.as_lines(records, self._dialect), self._seeds))
        given = [column for column in records if column.null_count() < records.height]
        numbered = staging.numbered(pl.DataFrame(given) if given else records, first)
        content = numbered.write_ipc_stream(None, compat_level=pl.CompatLevel.oldest())  # half the time and less room for texts
        self._records.add(content.getbuffer())

    def end(self, together: pl.Series, beat: Callable[[], None], /) -> None:
        """Stage the records that differ, and those `together`; note the keys of the known levels that none of the rest has."""
        hashes = pl.concat(self._hashes)
        if hashes.height != self._taken:  # whose hash is whose would be unknown
            msg = f"{self._taken} records have {hashes.height} hashes"
            raise RuntimeError(msg)
        known = self._scanned(beat)
        apart = pl.repeat(value=False, n=hashes.height, eager=True, dtype=pl.Boolean).scatter(together - 1, values=True)
        if known is not None:
            same, confirmed = met(hashes, known.hashes, apart)
            if same.sum() >= (1 - _AT_MOST) * max(hashes.height, known.hashes.height):
                staging.load_touched_keys(self._connection, self._touched_keys(known, confirmed))
                self.touched = Touched(known.hashes.height, known.others)
                self._stage(same, beat)
                return
        self._stage(apart & False, beat)

    def _scanned(self, beat: Callable[[], None]) -> _Known | None:
        """Return the levels, when all are read."""
        while not wait([self._coming], _A_WHILE).done:
            self._still_here()
            beat()
        return self._coming.result()

    def _still_here(self) -> None:
        self._connection.exec_driver_sql("SELECT 1")  # a server ends a session that is silent for too long

    def _stage(self, same: pl.Series, beat: Callable[[], None]) -> None:
        """Stage the records that are not the same as a level."""
        for records in self._kept():
            staging.load_numbered(self._connection, records.filter(~same.gather(records["n"] - 1)))
            beat()

    def _kept(self) -> Iterator[pl.DataFrame]:
        empty = pl.DataFrame(schema={"n": pl.Int64, **RECORD_SCHEMA})
        for content in self._records:
            yield pl.concat([empty, pl.read_ipc_stream(content)], how="diagonal")

    def _touched_keys(self, known: _Known, confirmed: pl.Series) -> pl.DataFrame:
        """Return the keys of the known levels that no record confirms."""
        keys, at = [pl.DataFrame(schema=dict(KEY_SCHEMA))], 0
        for page in known.lines:
            here = level_lines.split(page.decode())
            keys.append(level_lines.keys_of(here.filter(~confirmed.slice(at, here.len())), self._dialect))
            at += here.len()
        return pl.concat(keys)
