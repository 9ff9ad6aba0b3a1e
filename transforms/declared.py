"""Which columns of a file a feed's configuration names, before any file is open.

Loads no frame library, so that a reading process can be started while this one loads it.
"""

import re

from schemas.columns import QUANTITY_COLUMNS
from schemas.feed_config import Column, Feed

_NUMBERS = (*QUANTITY_COLUMNS, "unit_cost", "price")


def declared_columns(feed: Feed) -> tuple[str, ...]:
    """Return every header column that a feed's configuration names, each alternative too; for finding the header row."""
    declared = [getattr(feed.columns, name) for name in type(feed.columns).model_fields]
    names = [name for field in (*declared, feed.as_of) if field is not None for name in _names(field)]
    if feed.wide:
        names += feed.wide.columns.values()
        enabled = feed.wide.enabled.column if feed.wide.enabled else ()
        names += [name.replace("{location}", location) for location in feed.wide.columns for name in enabled]
    return tuple(dict.fromkeys(name for name in names if not re.fullmatch(r"#\d+", name)))


def identifier_columns(feed: Feed) -> tuple[str, ...]:
    """Return the header columns that hold identifiers (SKU, GTIN, MPN), whose cells must be shown digit for digit."""
    fields = (feed.columns.supplier_sku, feed.columns.gtin, feed.columns.mpn)
    return tuple(dict.fromkeys(name for field in fields if field is not None for name in (*field.column, *field.join)))


def decimal_commas(feed: Feed) -> tuple[str, ...]:
    """Return the header columns whose numbers this feed writes with a decimal comma.

    A number that is no text (of a workbook, of JSON) has to be written so, too, before it is read as these columns are.
    """
    fields = [field for name in _NUMBERS if (field := getattr(feed.columns, name)) is not None]
    names = [name for field in fields if _has_comma(feed, field) for name in _names(field)]
    if feed.wide and _has_comma(feed, None):
        names += feed.wide.columns.values()
    return tuple(dict.fromkeys(names))


def _has_comma(feed: Feed, field: Column | None) -> bool:
    decimal = (field.decimal if field else None) or feed.decimal
    thousands = (field.thousands if field else None) or feed.thousands
    return decimal == "," or (decimal is None and thousands == ".")


def _names(field: Column) -> tuple[str, ...]:
    return (*field.column, *field.join, *re.findall(r"\[([^\]]+)\]", field.expression or ""))
