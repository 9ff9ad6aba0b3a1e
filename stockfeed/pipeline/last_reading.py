"""What a line difference has to know of the last applied delivery beside its bytes, its levels and its row in the ledger.

Compressed JSON, written in the applying transaction. Nothing is kept of a delivery from which no difference can be told.
"""

import hashlib
import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

import schemas
import stockfeed
import transforms
from schemas.feed_config import Feed
from schemas.rejections import Rejection
from stockfeed.settings import feed_config_version
from transforms.contract import Tally

if TYPE_CHECKING:
    from stockfeed.pipeline.stage import Gathered

_AGAIN_AT_MOST = 50_000  # rows that are read again each time
_AGAIN_SHARE = 0.1  # of all rows: with more, a difference would cost nearly as much as reading everything
_FEW = 200  # rows that cost nothing, whatever their share


@dataclass(frozen=True, slots=True)
class LastReading:
    """What is known of a delivery, all of its lines taken together.

    `again` are the rows that gave anything but one accepted record without a note, or were looked at beside other rows;
    `last_row` is the last row that gave a record. `tallies` are the contract's, `quantities` how often each quantity occurs,
    `smallest` the quantity of each of the smallest key hashes.
    """

    again: list[int]
    last_row: int
    tallies: list[tuple[int, int, int]]
    quantities: list[tuple[int | None, int]]
    smallest: list[tuple[int, int | None]]
    smallest_upto: int | None  # these are all hashes up to this one; null: all there are
    others: int = 0  # levels of the feed that it did not confirm

    def to_bytes(self, *, others: int) -> bytes:
        """Return it as `from_bytes` reads it; `others` are the levels of the feed that the delivery does not confirm."""
        content = {name: getattr(self, name) for name in self.__slots__} | {"others": others}
        return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)

    def tally(self, number: int) -> Tally:
        """Return what one expectation counted."""
        return Tally(*self.tallies[number])


def from_bytes(content: bytes) -> LastReading:
    """Return what `LastReading.to_bytes` wrote."""
    values: dict[str, Any] = json.loads(zlib.decompress(content))
    return LastReading(**values)


def summed_up(again: pl.Series, last_row: int, read: "Gathered") -> LastReading:
    """Return what is kept of a reading, as plain values."""
    tallies = [(tally.rows, tally.considered, tally.unexpected) for tally in read.tallies]
    smallest = read.smallest
    return LastReading(again.sort().to_list(), last_row, tallies, read.counts.rows(), smallest.keys.rows(), smallest.upto)


def is_small(rows: int, of: int) -> bool:
    """Return whether so many of a delivery's rows may be read a second time."""
    return rows <= max(_FEW, min(_AGAIN_AT_MOST, int(_AGAIN_SHARE * of)))


def told_rows(rejections: Sequence[Rejection]) -> pl.Series:
    """Return the rows that a rejection or note is about."""
    return pl.Series("row", [r.row for r in rejections], dtype=pl.Int64).drop_nulls()


def meaning(feed: Feed) -> str:
    """Return the SHA-256 (hex) of everything that decides what a line means: the feed's configuration and the code."""
    return hashlib.sha256(f"{_code()}\0{feed_config_version(feed)}".encode()).hexdigest()


@cache
def _code() -> str:
    """Return a digest of the sources that read lines: the same program after an upgrade is another one."""
    digest = hashlib.sha256(f"{sys.version}\0{pl.__version__}".encode())
    pipeline, store = (Path(*stockfeed.__path__) / part for part in ("pipeline", "store"))
    for folder in (*map(Path, schemas.__path__), *map(Path, transforms.__path__), pipeline, store):
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()
