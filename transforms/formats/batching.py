"""A frame cut into parts of bounded height.

Never copies cells: parts are views of the frame.
"""

from collections.abc import Iterator

import polars as pl


def slices(frame: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    """Yield `frame` in parts of nearly equal height, at most `size` rows each; one empty part for an empty frame."""
    parts = max(1, -(-frame.height // size))
    height = max(1, -(-frame.height // parts))
    for number in range(parts):
        yield frame.slice(number * height, height)
