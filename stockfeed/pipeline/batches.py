"""The raw batches of a delivery, read as its feed declares.

Loads no frame library before the first batch: a workbook's reading process starts while this one loads it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.feed_config import Feed, TypedSection
from stockfeed.reading import checked_options, opened_batches, plain_file
from transforms.declared import decimal_commas, declared_columns, identifier_columns

if TYPE_CHECKING:
    from schemas.records import RawBatch
    from transforms.formats.options import ReaderOptions

_WITH_NUMBERS = frozenset({"spreadsheet", "json_doc"})  # formats whose cells may be numbers and no texts


def opened(feed: Feed, path: Path) -> "AbstractContextManager[Iterator[RawBatch]]":
    """Return a context with what the feed's reader finds in the file; on leaving it the reading is over.

    Raises DeliveryError, also after good batches (truncation, trailer).
    """
    return opened_batches(
        path, format_of(feed), expected_columns=declared_columns(feed), identifier_columns=identifier_columns(feed)
    )


def raw_batches(feed: Feed, path: Path) -> "Iterator[RawBatch]":
    """Yield what the feed's reader finds in the file. Raises DeliveryError, also after good batches (truncation, trailer)."""
    with opened(feed, path) as batches:
        yield from batches


def plain(feed: Feed, path: Path) -> "AbstractContextManager[tuple[Path, ReaderOptions]]":
    """Return a context with the feed's file out of the archive it may be packed in, and the options that it is read with."""
    return plain_file(path, feed.format.type, reader_options(feed))


def reader_options(feed: Feed) -> "ReaderOptions":
    """Return the options that the feed's files are read with. Raises ConfigError that lists every mistake."""
    expected, identifiers = declared_columns(feed), identifier_columns(feed)
    return checked_options(format_of(feed), expected_columns=expected, identifier_columns=identifiers)


def format_of(feed: Feed) -> TypedSection:
    """Return the feed's format table, with what its reader has to know of the feed itself.

    That is what an EDI reader may tolerate, and where numbers that are no texts are to be written with a decimal comma.
    """
    kind = feed.format.type
    more: dict[str, object] = {"tolerate": feed.tolerate} if feed.tolerate and kind.startswith("edi") else {}
    if kind in _WITH_NUMBERS and (commas := decimal_commas(feed)):
        more["decimal_commas"] = commas
    return TypedSection.model_validate({"type": kind, **feed.format.options, **more}) if more else feed.format
