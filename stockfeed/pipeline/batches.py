"""The raw batches of a delivery, read as its feed declares."""

from collections.abc import Iterator
from pathlib import Path

from schemas.feed_config import Feed
from schemas.records import RawBatch
from stockfeed.reading import checked_options, read_batches
from transforms.columns import declared_columns, identifier_columns
from transforms.formats.options import ReaderOptions


def raw_batches(feed: Feed, path: Path) -> Iterator[RawBatch]:
    """Yield what the feed's reader finds in the file. Raises DeliveryError, also after good batches (truncation, trailer)."""
    return read_batches(path, feed.format, expected_columns=declared_columns(feed), identifier_columns=identifier_columns(feed))


def reader_options(feed: Feed) -> ReaderOptions:
    """Return the options that the feed's files are read with. Raises ConfigError that lists every mistake."""
    expected, identifiers = declared_columns(feed), identifier_columns(feed)
    return checked_options(feed.format, expected_columns=expected, identifier_columns=identifiers)
