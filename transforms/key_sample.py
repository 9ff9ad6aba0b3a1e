"""The smallest key hashes of a delivery with their quantities: a sample that shows whether two deliveries agree.

Pure; memory does not grow with the delivery.
"""

from dataclasses import dataclass

import polars as pl

SAMPLED = 1_000  # keys by which two deliveries are seen to agree
RESERVE = 2 * SAMPLED  # so that a sample can still be drawn when some of its keys are gone
_NO_KEYS = pl.DataFrame(schema={"key": pl.UInt64, "quantity": pl.Int64})


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest key hashes in order, each once, with the quantity of its first record: all up to `upto` (None: all)."""

    keys: pl.DataFrame
    upto: int | None


def no_sample() -> Smallest:
    """Return the sample before the first batch."""
    return Smallest(_NO_KEYS, None)


def with_more(seen: Smallest, keys: pl.DataFrame) -> Smallest:
    """Return the smallest of those `seen` and of the next batch's (`key`, `quantity`), whole deliveries being read."""
    if seen.upto is not None:
        keys = keys.filter(pl.col("key") < seen.upto)
    return smallest_of(pl.concat([seen.keys, keys]), None)


def smallest_of(keys: pl.DataFrame, upto: int | None) -> Smallest:
    """Return the smallest of these hashes (`key`, `quantity`), of which all up to `upto` are there."""
    found = keys.unique("key", keep="first", maintain_order=True).bottom_k(RESERVE, by="key").sort("key")
    return Smallest(found, upto if found.height < RESERVE else found["key"][-1])
