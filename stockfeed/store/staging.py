"""Temporary tables that one delivery is read into before it is compared with the current levels.

Staging writes only temporary tables, so nothing is locked and nothing is visible while a delivery is parsed.
PostgreSQL gets COPY of CSV text, SQLite executemany, both on the SQLAlchemy connection.
"""

from typing import Any

import polars as pl
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    MetaData,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from schemas.records import KEY_SCHEMA, RECORD_SCHEMA

_temporary = MetaData()
_KINDS: dict[Any, Any] = {pl.Int64: BigInteger, pl.String: Text, pl.Date: Date}

#: One row per StockRecord; `n` numbers them 1, 2, 3 … in file order.
staged = Table(
    "staged",
    _temporary,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, _KINDS[kind]) for name, kind in RECORD_SCHEMA.items()),
    prefixes=["TEMPORARY"],
)

#: Keys of rejected rows whose key could be read: "unconfirmed".
rejected_key = Table(
    "rejected_key", _temporary, *(Column(name, _KINDS[kind]) for name, kind in KEY_SCHEMA.items()), prefixes=["TEMPORARY"]
)

#: Numbers of staged rows, for set operations on a few of them.
picked = Table("picked", _temporary, Column("n", BigInteger, primary_key=True, autoincrement=False), prefixes=["TEMPORARY"])

_FETCHED = 20_000  # rows that are Python objects at a time; as columns they take a tenth of the memory
_COLUMN_NAMES = [column.name for column in staged.columns]


def create(connection: Connection) -> None:
    """Make the temporary tables, empty; what an earlier delivery left on this connection is dropped."""
    drop(connection)
    _temporary.create_all(connection, checkfirst=False)


def drop(connection: Connection) -> None:
    """Drop the temporary tables of this connection, also those made later by the merge."""
    schema = "temp." if connection.dialect.name == "sqlite" else "pg_temp."
    for name in ("staged", "rejected_key", "picked", "difference", "absent"):
        connection.execute(text(f"DROP TABLE IF EXISTS {schema}{name}"))


def load_records(connection: Connection, records: pl.DataFrame, first: int) -> None:
    """Append StockRecords (RECORD_SCHEMA), numbered from `first` on."""
    numbered = records.with_columns(pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("n")).select(_COLUMN_NAMES)
    _load(connection, staged, numbered)


def load_rejected_keys(connection: Connection, keys: pl.DataFrame) -> None:
    """Append keys (KEY_SCHEMA) of rejected rows."""
    if keys.height:
        _load(connection, rejected_key, keys.select(list(KEY_SCHEMA)))


def _load(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    if connection.dialect.name == "sqlite":
        columns = [pl.col(pl.Date).cast(pl.String)] if pl.Date in frame.schema.values() else []
        marks = ", ".join("?" * frame.width)
        driver.executemany(f"INSERT INTO temp.{table.name} VALUES ({marks})", frame.with_columns(columns).rows())  # noqa: S608 (our name)
        return
    # Every text is quoted and only null is not: a SKU spelled \N stays a SKU.
    body = frame.write_csv(include_header=False, null_value="\\N", quote_style="non_numeric")
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} FROM STDIN (FORMAT csv, NULL '\\N')") as copy:
        copy.write(body)


def analyze(connection: Connection) -> None:
    """Let PostgreSQL know how many rows were staged, so that it plans hash joins."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE staged"))


def index_keys(connection: Connection) -> None:
    """Make staged keys quick to look up (SQLite has no hash join)."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("CREATE INDEX temp.ix_staged_key ON staged (supplier_sku, location, condition)"))


def pick(connection: Connection, numbers: pl.Series) -> None:
    """Replace the picked numbers by these."""
    connection.execute(delete(picked))
    if numbers.len():
        _load(connection, picked, numbers.cast(pl.Int64).to_frame("n"))


def picked_records(connection: Connection) -> pl.DataFrame:
    """Return the staged rows whose numbers are picked, with `n`, in file order."""
    return _frame(connection, select(staged).where(staged.c.n.in_(select(picked.c.n))))


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
    return _frame(connection, select(staged))


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


def effective(table: Any) -> ColumnElement[int]:
    """Return the quantity that counts: available, else on hand (thousandths; null when both are unknown)."""
    return func.coalesce(table.c.available, table.c.on_hand)


def totals(connection: Connection) -> dict[str, int]:
    """Return records, units (thousandths), zeros and unknowns of what is staged."""
    quantity = effective(staged)
    row = connection.execute(
        select(
            func.count().label("records"),
            func.coalesce(func.sum(quantity), 0).label("units"),
            func.count().filter(quantity == 0).label("zeros"),
            func.count().filter(quantity.is_(None)).label("unknown"),
        ).select_from(staged)
    ).one()
    return {name: int(value) for name, value in row._mapping.items()}  # noqa: SLF001 (SQLAlchemy's public way)


def records(connection: Connection, size: int = 10_000) -> Any:
    """Yield staged rows as mappings, in file order, a bounded number at a time."""
    result = connection.execution_options(yield_per=size).execute(select(staged).order_by(staged.c.n))
    yield from result.mappings()
