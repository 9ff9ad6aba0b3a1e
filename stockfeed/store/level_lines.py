"""A feed's known levels as lines of text, and records in the same form: equal lines have the same key and the same values.

A database writes its line far sooner than it hands out twelve values. Each way of writing is one to one; where a record is not
written as the database would (a byte that one of them escapes in another way), it is only taken as different.
"""

import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import Connection, Text, and_, cast, func, select, text

from schemas.columns import KEY_COLUMNS
from schemas.records import KEY_SCHEMA
from schemas.tables import inventory
from stockfeed.store.comparison import VALUE_COLUMNS, count_levels, is_known

_NAMES = (*KEY_COLUMNS, *VALUE_COLUMNS)
_COLUMNS = [inventory.c[name] for name in _NAMES]
_PAGE = 20_000  # levels that are one text at a time
_SEPARATOR = "\x1e"
_CACHE_KIB = 2_000  # SQLite's own default: each page is read once
#: PostgreSQL quotes these parts of a row (record_out), and a part without a letter.
_PART_OF_A_ROW = re.compile(r'"((?:[^"\\]|""|\\.)*)"|([^,)]*)', re.DOTALL)
_ESCAPED = re.compile(r'""|\\.', re.DOTALL)
_QUOTED = r'^$|["\\(), \t\n\x0b\x0c\r]'


class LinesUnclear(Exception):  # noqa: N818 (no error: all records are compared by the database instead)
    """A level has a text that lines cannot be told apart with. Never leaves the pipeline."""


class Page(NamedTuple):
    """Levels that follow each other: the lines of the known ones as one text (`split` takes it apart), and how many others."""

    lines: str
    others: int


def level_pages(connection: Connection, feed_id: int) -> Generator[Page]:
    """Yield all levels of a feed, several thousand at a time.

    Raises LinesUnclear. To be closed by whoever does not take all of them.
    """
    if connection.dialect.name == "sqlite":
        connection.detach()  # closed instead of used again: nobody else needs the pages that it has seen
        connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
        lines: Any = func.group_concat(func.json_array(*_COLUMNS), _SEPARATOR)
    else:
        lines = func.string_agg(cast(func.row(*_COLUMNS), Text), _SEPARATOR)
    seen = 0
    with _by_index(connection):
        for content, known, levels in _pages(connection, feed_id, lines.filter(is_known())):
            if known and content.count(_SEPARATOR) != known - 1:  # JSON writes the separator in another way, should a value have it
                raise LinesUnclear
            seen += levels
            yield Page(content, levels - known)
    if connection.dialect.name == "postgresql" and count_levels(connection, feed_id) != seen:
        raise LinesUnclear  # an index from before the system's order of texts changed skips some


@contextmanager
def _by_index(connection: Connection) -> Iterator[None]:
    """Let PostgreSQL find each page by its keys: of a table that is not analysed yet, it would read all rows for each."""
    ways = ("seqscan", "bitmapscan", "sort") if connection.dialect.name == "postgresql" else ()
    for way in ways:
        connection.execute(text(f"SET LOCAL enable_{way} = off"))
    yield
    for way in ways:  # not after an error: the transaction ends then
        connection.execute(text(f"SET LOCAL enable_{way} = DEFAULT"))


def _pages(connection: Connection, feed_id: int, lines: Any) -> Iterator[tuple[str, int, int]]:
    """Yield texts that the database makes, so that no other thread is held up by a million rows that are handed out.

    With each, how many levels are in it, and how many there are.
    """
    sku = inventory.c.supplier_sku
    after: str | None = None
    while True:
        rest = inventory.c.feed_id == feed_id if after is None else and_(inventory.c.feed_id == feed_id, sku > after)
        # all levels of a SKU are on one page; the last one has no end
        upto = connection.execute(select(sku).where(rest).order_by(sku).offset(_PAGE - 1).limit(1)).scalar()
        within = rest if upto is None else and_(rest, sku <= upto)
        counts = func.count().filter(is_known()), func.count()
        content, known, levels = connection.execute(select(lines, *counts).where(within)).one()
        yield content or "", known, levels
        if upto is None:
            return
        after = upto


def split(lines: str) -> pl.Series:
    """Return the lines of one page's text."""
    return pl.Series("line", [lines] if lines else [], dtype=pl.String).str.split(_SEPARATOR).explode()


def keys_of(lines: pl.Series, dialect: str) -> pl.DataFrame:
    """Return the keys (KEY_SCHEMA) of levels' lines."""
    parts = map(json.loads if dialect == "sqlite" else _fields, lines)
    return pl.DataFrame([part[: len(KEY_COLUMNS)] for part in parts], schema=dict(KEY_SCHEMA), orient="row")


def _fields(line: str) -> list[str]:
    """Return the key's parts of PostgreSQL's text of a row; a key has no null."""
    found, at = list[str](), 1
    for _ in KEY_COLUMNS:
        part = _PART_OF_A_ROW.match(line, at)
        assert part is not None
        found.append(part[2] if part[1] is None else _ESCAPED.sub(lambda pair: pair[0][1], part[1]))
        at = part.end() + 1
    return found


def as_lines(records: pl.DataFrame, dialect: str) -> pl.Series:
    """Return the lines that levels with the values of these records (RECORD_SCHEMA) would have."""
    if not records.height:
        return pl.Series("line", [], dtype=pl.String)  # of constants alone, a select would be one row
    write = _in_json if dialect == "sqlite" else _in_a_row
    begin, end = "[]" if dialect == "sqlite" else "()"
    parts: list[pl.Expr | str] = [begin]
    for name in _NAMES:
        parts += [*write(records[name]), ","]
    parts[-1] = end
    texts = (list(group) for _, group in groupby(parts, key=lambda part: isinstance(part, str) or id(part)))
    joined = [pl.lit("".join(text)) if isinstance(text[0], str) else text[0] for text in texts]  # type: ignore[arg-type]  # of texts
    return records.select(line=pl.concat_str(*joined)).to_series()


def _in_json(column: pl.Series) -> list[pl.Expr | str]:
    """Return what stands in a JSON array for each value: parts that are to be joined."""
    if column.null_count() == column.len():
        return ["null"]
    value = pl.col(column.name)
    if column.dtype.is_integer():
        return [value.cast(pl.String).fill_null("null") if column.null_count() else value]
    value = _escaped(column, "\\")
    if column.null_count():
        return [pl.concat_str(pl.lit('"'), value, pl.lit('"')).fill_null("null")]
    return ['"', value, '"']


def _in_a_row(column: pl.Series) -> list[pl.Expr | str]:
    """Return what stands in PostgreSQL's text of a row for each value."""
    if column.null_count() == column.len():
        return [""]
    value = pl.col(column.name).cast(pl.String)
    if column.dtype == pl.String and (is_quoted := column.str.contains(_QUOTED)).any():
        quoted = pl.concat_str(pl.lit('"'), _escaped(column, '"'), pl.lit('"'))
        value = pl.when(pl.lit(is_quoted)).then(quoted).otherwise(value)
    return [value.fill_null("") if column.null_count() else value]


def _escaped(column: pl.Series, quote_escape: str) -> pl.Expr:
    """Return the texts with each backslash doubled and each quote behind `quote_escape`; most columns have neither."""
    value = pl.col(column.name).cast(pl.String)
    if column.dtype != pl.String or not column.str.contains(r'["\\]').any():
        return value
    return value.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', quote_escape + '"', literal=True)
