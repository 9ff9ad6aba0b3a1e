"""Feeds and batches for the tests of the transforms, in the shortest form that says what the test is about."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from schemas.feed_config import Feed
from schemas.records import RawBatch

MakeFeed = Callable[..., Feed]
MakeBatch = Callable[..., RawBatch]


@pytest.fixture
def make_feed() -> MakeFeed:
    """Return a function that makes a feed with the given keys and columns (default: sku and qty)."""

    def make(columns: Mapping[str, Any] | None = None, **keys: Any) -> Feed:
        given = {
            "code": "stock",
            "source": {"type": "folder"},
            "format": {"type": "delimited"},
            "timezone": "Europe/Berlin",
            "quantities": "net",
            "stale_after": "24h",
            "columns": {"supplier_sku": "sku", "on_hand": "qty"} if columns is None else columns,
        }
        return Feed.model_validate(given | keys)

    return make


@pytest.fixture
def make_batch() -> MakeBatch:
    """Return a function that makes a batch of text cells; the first data row is row 2."""

    def make(header: Sequence[str], rows: Sequence[Sequence[str]], **parts: Any) -> RawBatch:
        cells = {f"c{i}": pl.Series([row[i] for row in rows], dtype=pl.String) for i in range(len(header))}
        numbers = pl.Series(range(2, 2 + len(rows)), dtype=pl.Int64)
        return RawBatch(tuple(header), pl.DataFrame({"row": numbers, "line": numbers, **cells}), **parts)

    return make
