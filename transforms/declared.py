"""Which columns of a file a feed's configuration names, before any file is open.

Loads no frame library, so that a reading process can be started while this one loads it.
"""

import re

from schemas.feed_config import Feed


def declared_columns(feed: Feed) -> tuple[str, ...]:
    """Return every header column that a feed's configuration names, each alternative too; for finding the header row."""
    declared = [getattr(feed.columns, name) for name in type(feed.columns).model_fields]
    names = [column for field in (*declared, feed.as_of) if field is not None for column in (*field.column, *field.join)]
    for field in declared:
        if field is not None and field.expression:
            names += re.findall(r"\[([^\]]+)\]", field.expression)
    if feed.wide:
        names += feed.wide.columns.values()
        enabled = feed.wide.enabled.column if feed.wide.enabled else ()
        names += [name.replace("{location}", location) for location in feed.wide.columns for name in enabled]
    return tuple(dict.fromkeys(name for name in names if not re.fullmatch(r"#\d+", name)))


def identifier_columns(feed: Feed) -> tuple[str, ...]:
    """Return the header columns that hold identifiers (SKU, GTIN, MPN), whose cells must be shown digit for digit."""
    fields = (feed.columns.supplier_sku, feed.columns.gtin, feed.columns.mpn)
    return tuple(dict.fromkeys(name for field in fields if field is not None for name in (*field.column, *field.join)))


def points_group(feed: Feed) -> bool:
    """Return whether points group thousands in this feed's numbers, or in those of one of its columns."""
    columns = (getattr(feed.columns, name) for name in type(feed.columns).model_fields)
    return "." in {feed.thousands, *(column.thousands for column in columns if column is not None)}
