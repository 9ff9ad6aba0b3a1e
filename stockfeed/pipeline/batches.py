"""The raw batches of a delivery, read as its feed declares."""

from collections.abc import Iterator
from pathlib import Path

from schemas.feed_config import Feed
from schemas.records import RawBatch
from stockfeed.reading import read_batches
from transforms.columns import declared_columns, identifier_columns


def raw_batches(feed: Feed, path: Path) -> Iterator[RawBatch]:
    """Yield what the feed's reader finds in the file. Raises DeliveryError, also after good batches (truncation, trailer)."""
    return read_batches(path, feed.format, expected_columns=declared_columns(feed), identifier_columns=identifier_columns(feed))
