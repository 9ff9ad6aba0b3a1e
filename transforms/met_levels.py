"""Which records of a delivery are in the levels as they are already.

Pure: works on two independent hashes of each record and of each level, over its key and all its values.
"""

import polars as pl

#: Two 64-bit hashes of one line: what is equal in both is the same line, but for once in 10^26 pairs of lines.
HASHES = {"first": pl.UInt64, "second": pl.UInt64}
_PARTS = 16  # looked at one after the other: a table of all hashes would take a hundred bytes a row
_PART = 2**64 // _PARTS


def hashed(lines: pl.Series, seeds: tuple[int, int]) -> pl.DataFrame:
    """Return the two hashes (`first`, `second`) of each line."""
    return pl.DataFrame({name: lines.hash(seed) for name, seed in zip(HASHES, seeds, strict=True)})


def met(records: pl.DataFrame, levels: pl.DataFrame, apart: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return for each record whether a level is the same, and for each level whether a record is, by their hashes.

    The records marked in `apart` (Boolean) are not looked at: they meet nothing.
    """
    looked_at, levels = records.with_row_index("at").filter(~apart), levels.with_row_index("level")
    pairs = [pl.DataFrame(schema={"at": pl.UInt32, "level": pl.UInt32})]
    for part in range(_PARTS):
        low, high = part * _PART, (part + 1) * _PART - 1
        here = [frame.filter(pl.col("first").is_between(low, high)) for frame in (looked_at, levels)]
        pairs.append(here[0].join(here[1], on=list(HASHES), how="inner").select("at", "level"))
    found = pl.concat(pairs)
    return _marks(records.height, found["at"]), _marks(levels.height, found["level"])


def _marks(height: int, at: pl.Series) -> pl.Series:
    return pl.repeat(value=False, n=height, eager=True, dtype=pl.Boolean).scatter(at, values=True)
