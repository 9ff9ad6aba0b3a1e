"""Which rows a feed leaves out on purpose: totals rows and the trailer, found by declared patterns.

Never drops a row without a reason that can be counted.
"""

import re
from collections.abc import Sequence

import polars as pl

from schemas.errors import ConfigError


def joined(frame: pl.DataFrame, width: int) -> pl.Series:
    """Return each row's cells `c0 … c<width-1>` joined by tabs, the text that `footer` and `trailer` patterns are searched in."""
    return frame.select(pl.concat_str([f"c{i}" for i in range(width)], separator="\t").alias("joined")).to_series()


def reasons(texts: pl.Series, footer: Sequence[str], trailer: str | None) -> pl.Series:
    """Return "trailer", "footer" or "" for each text, by the pattern found in it. Raises ConfigError for an unusable pattern."""
    result = pl.repeat("", len(texts), eager=True, dtype=pl.String)
    patterns = [(p, "footer") for p in footer] + ([(trailer, "trailer")] if trailer else [])
    for pattern, reason in patterns:
        try:
            found = texts.str.contains(pattern)
        except pl.exceptions.ComputeError as error:
            raise ConfigError(
                f"format.{reason}: the pattern {pattern!r} is not supported.",
                "Look-around and back-references do not work here; write the pattern without them.",
                str(error),
            ) from error
        result = result.set(found, reason)
    return result


def declared_rows(text: str, pattern: str) -> int | None:
    """Return the row count that a trailer row declares, or None when it is not a number."""
    match = re.search(pattern, text)
    number = (match["rows"] or "").strip() if match else ""
    return int(number) if number.isascii() and number.isdigit() else None
