"""Loads what was read of a delivery into the temporary tables, and gets some of it back as frames.

PostgreSQL gets COPY of CSV text, SQLite executemany, both on the SQLAlchemy connection.
"""

import io
from collections.abc import Iterator
from itertools import chain
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, Table, bindparam, delete, select, text, update

from schemas.records import KEY_SCHEMA, RECORD_SCHEMA
from stockfeed.store.engine import copying, driver
from stockfeed.store.staged import DEFAULTS, create, drop, index_numbers, picked, rejected_key, staged, touched_key

__all__ = [
    "all_records",
    "create",
    "delete_picked",
    "drop",
    "load_numbered",
    "load_records",
    "load_rejected_keys",
    "load_touched_keys",
    "locations",
    "numbered",
    "pick",
    "picked_records",
    "records",
    "rows_left",
    "set_quantities",
]

_FETCHED = 20_000  # rows that are Python objects at a time; as columns they take a tenth of the memory
_ROWS_A_STATEMENT = 100  # SQLite: a third of the time of one row a statement
_COLUMN_NAMES = [column.name for column in staged.columns]
#: The columns of a record as it was read, with its number.
_RECORD = [
    (staged.c.row + staged.c.line_offset).label("line") if column.name == "line_offset" else column for column in staged.columns
]


def load_records(connection: Connection, records: pl.DataFrame, first: int) -> None:
    """Append StockRecords (RECORD_SCHEMA), numbered from `first` on."""
    load_numbered(connection, numbered(records, first))


def numbered(records: pl.DataFrame, first: int) -> pl.DataFrame:
    """Return records with their numbers `n`, from `first` on."""
    return records.with_columns(pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("n"))


def load_numbered(connection: Connection, records: pl.DataFrame) -> None:
    """Append StockRecords (RECORD_SCHEMA) that have their numbers `n`."""
    _load(connection, staged, records.with_columns(line_offset=pl.col("line") - pl.col("row")).select(_COLUMN_NAMES))


def load_rejected_keys(connection: Connection, keys: pl.DataFrame) -> None:
    """Append keys (KEY_SCHEMA) of rejected rows."""
    if keys.height:
        _load(connection, rejected_key, keys.select(list(KEY_SCHEMA)))


def load_touched_keys(connection: Connection, keys: pl.DataFrame) -> None:
    """Replace the touched keys by these (KEY_SCHEMA)."""
    connection.execute(delete(touched_key))
    _load(connection, touched_key, keys.select(list(KEY_SCHEMA)))


def _load(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Append a frame with the table's columns; a column that is as it will be by itself is not sent."""
    if not frame.height:
        return
    given = frame.select(column for column in frame if not _is_default(column, table))
    if connection.dialect.name == "sqlite":
        _insert(connection, table.name, given)
    else:
        _copy(connection, table.name, given)


def _is_default(column: pl.Series, table: Table) -> bool:
    if table is not staged or column.name not in DEFAULTS:
        return column.null_count() == column.len()
    return column.null_count() == 0 and bool((column == DEFAULTS[column.name]).all())


def _copy(connection: Connection, table: str, given: pl.DataFrame) -> None:
    """Copy into a temporary table of PostgreSQL."""
    # Every text is quoted and only null is not: a SKU spelled \N stays a SKU.
    body = io.BytesIO()
    given.write_csv(body, include_header=False, null_value="\\N", quote_style="non_numeric")
    columns = ", ".join(f'"{name}"' for name in given.columns)
    with copying(connection, f"COPY {table} ({columns}) FROM STDIN (FORMAT csv, NULL '\\N')") as copy:
        copy.write(body.getvalue())


def _insert(connection: Connection, table: str, frame: pl.DataFrame) -> None:
    """Insert into a temporary table of SQLite, many rows a statement."""
    texts = frame.with_columns(pl.col(pl.Date).cast(pl.String)) if pl.Date in frame.schema.values() else frame
    columns = ", ".join(f'"{name}"' for name in texts.columns)
    one = f"({', '.join('?' * texts.width)})"
    into = f"INSERT INTO temp.{table} ({columns}) VALUES "  # noqa: S608 (our names)
    many = ", ".join([one] * _ROWS_A_STATEMENT)
    for page in texts.iter_slices(_FETCHED):
        values = list(chain.from_iterable(zip(*(column.to_list() for column in page), strict=True)))
        whole = page.height // _ROWS_A_STATEMENT * _ROWS_A_STATEMENT * page.width
        with driver(connection) as direct:
            direct.executemany(into + many, _portions(values, 0, whole, _ROWS_A_STATEMENT * page.width))
            direct.executemany(into + one, _portions(values, whole, len(values), page.width))


def _portions(values: list[Any], start: int, end: int, size: int) -> Iterator[list[Any]]:
    return (values[at : at + size] for at in range(start, end, size))


def pick(connection: Connection, numbers: pl.Series) -> None:
    """Replace the picked numbers by these."""
    connection.execute(delete(picked))
    if numbers.len():
        _load(connection, picked, numbers.cast(pl.Int64).to_frame("n"))
        index_numbers(connection)
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE picked"))  # how few they are: else every staged row is read to find them


def picked_records(connection: Connection) -> pl.DataFrame:
    """Return the staged rows whose numbers are picked, with `n`, in file order."""
    return _frame(connection, select(*_RECORD).where(staged.c.n.in_(select(picked.c.n))))


def rows_left(connection: Connection, rows: pl.Series) -> pl.Series:
    """Return which of these rows of the file still have a staged record."""
    pick(connection, rows)
    left = select(staged.c.row).distinct().where(staged.c.row.in_(select(picked.c.n)))
    return pl.Series("row", connection.execute(left).scalars().all(), dtype=pl.Int64)


def locations(connection: Connection) -> list[str]:
    """Return the locations that occur in the delivery, also in rejected rows, sorted."""
    either = select(staged.c.location).union(select(rejected_key.c.location))
    return sorted(connection.execute(either).scalars())


def all_records(connection: Connection) -> pl.DataFrame:
    """Return every staged row, with `n`, in file order: as large as the delivery."""
    return _frame(connection, select(*_RECORD))


def _frame(connection: Connection, query: Select[Any]) -> pl.DataFrame:
    schema = {"n": pl.Int64, **RECORD_SCHEMA}
    rows = connection.execute(query.order_by(staged.c.n), execution_options={"yield_per": _FETCHED})
    pages = [pl.DataFrame([tuple(row) for row in page], schema=schema, orient="row") for page in rows.partitions()]
    return pl.concat(pages) if pages else pl.DataFrame(schema=schema)


def delete_picked(connection: Connection) -> int:
    """Delete the staged rows whose numbers are picked and return how many there were."""
    return connection.execute(delete(staged).where(staged.c.n.in_(select(picked.c.n)))).rowcount


def set_quantities(connection: Connection, changed: pl.DataFrame) -> None:
    """Overwrite quantities of staged rows; `changed` has n, on_hand, available, on_order."""
    new: dict[str, Any] = {"on_hand": bindparam("h"), "available": bindparam("a"), "on_order": bindparam("o")}
    statement = update(staged).where(staged.c.n == bindparam("number")).values(new)
    for page in changed.iter_slices(_FETCHED):
        connection.execute(statement, [{"number": n, "h": h, "a": a, "o": o} for n, h, a, o in page.iter_rows()])


def records(connection: Connection, size: int = 10_000) -> Any:
    """Yield staged rows as mappings, in file order, a bounded number at a time."""
    result = connection.execution_options(yield_per=size).execute(select(*_RECORD).order_by(staged.c.n))
    yield from result.mappings()
