"""Which lines of two deliveries are the same, and which rows of a delivery say something that a repeated line would not.

Pure: works on one hash per line. Never reads a file, and never guesses: what is not certainly the same is different.
"""

import polars as pl


class NotByLine(Exception):  # noqa: N818 (no error: everything is read instead)
    """The difference of two deliveries cannot be told line by line; the text says why. Never leaves the pipeline."""


def same_lines(old: pl.Series, new: pl.Series, old_again: pl.Series, new_again: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return for each line of `old` and of `new` whether it has a partner with the same hash in the other: one to one.

    Lines marked in `old_again` and `new_again` have none. Nor has a line of which `new` has another copy without a partner,
    so that whatever a repetition means is found by reading all of them.
    """
    length = min(old.len(), new.len())
    found_old, found_new = _none(old), _none(new)
    for aligned in (_from_the_start, _from_the_end):
        pairs = aligned(old, length) == aligned(new, length)
        pairs &= ~aligned(old_again | found_old, length) & ~aligned(new_again | found_new, length)
        found_old |= _spread(pairs, old.len(), aligned)
        found_new |= _spread(pairs, new.len(), aligned)
        if old.len() == new.len():
            break
    left_old, left_new = _left(old, found_old | old_again), _left(new, found_new | new_again)
    if left_old.height and left_new.height:
        pairs_at = left_old.filter(pl.col("hash").is_unique()).join(left_new.filter(pl.col("hash").is_unique()), on="hash")
        found_old = found_old.scatter(pairs_at["at"], values=True)
        found_new = found_new.scatter(pairs_at["at_right"], values=True)
    repeated = new.filter(~found_new).unique().implode()
    return found_old & ~old.is_in(repeated), found_new & ~new.is_in(repeated)


def rows_between(rows: pl.Series) -> pl.Series:
    """Return the rows, counted from 1, that lie before or between these (sorted, Int64) and are none of them."""
    frame = pl.DataFrame({"row": rows}).with_columns(before=pl.col("row").shift(1).fill_null(0))
    gaps = frame.filter(pl.col("row") - pl.col("before") > 1)
    return gaps.select(pl.int_ranges(pl.col("before") + 1, pl.col("row")).explode().alias("row")).to_series()


def _none(of: pl.Series) -> pl.Series:
    return pl.repeat(value=False, n=of.len(), eager=True, dtype=pl.Boolean)


def _from_the_start(series: pl.Series, length: int) -> pl.Series:
    return series.head(length)


def _from_the_end(series: pl.Series, length: int) -> pl.Series:
    return series.tail(length)


def _spread(pairs: pl.Series, length: int, aligned: object) -> pl.Series:
    """Return the marks as long as the whole file, where they are aligned with its start or its end."""
    rest = pl.repeat(value=False, n=length - pairs.len(), eager=True, dtype=pl.Boolean)
    return pl.concat([pairs, rest] if aligned is _from_the_start else [rest, pairs])


def _left(hashes: pl.Series, found: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"hash": hashes}).with_row_index("at").filter(~found)
