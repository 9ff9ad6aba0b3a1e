"""The keys that newer deliveries speak of, in a temporary table: what an older delta may no longer change."""

from sqlalchemy import Column, Connection, MetaData, Table, Text, delete, distinct, exists, func, insert, select, text

from schemas.columns import KEY_COLUMNS
from stockfeed.store.comparison import same_key
from stockfeed.store.staged import staged

_temporary = MetaData()
newer_key = Table("newer_key", _temporary, *(Column(name, Text) for name in KEY_COLUMNS), prefixes=["TEMPORARY"])


def create(connection: Connection) -> None:
    """Make the table, empty."""
    drop(connection)
    _temporary.create_all(connection, checkfirst=False)


def drop(connection: Connection) -> None:
    """Drop the table, if it is there."""
    schema = "temp" if connection.dialect.name == "sqlite" else "pg_temp"
    connection.execute(text(f"DROP TABLE IF EXISTS {schema}.newer_key"))


def note(connection: Connection) -> None:
    """Add the keys of the records that are staged now."""
    keys = [staged.c[name] for name in KEY_COLUMNS]
    connection.execute(insert(newer_key).from_select(list(KEY_COLUMNS), select(*keys)))


def leave_out(connection: Connection) -> tuple[int, int]:
    """Delete the staged records whose key was noted; return how many records are left, and how many rows lost all of theirs."""
    index = "temp.ix_newer_key ON newer_key" if connection.dialect.name == "sqlite" else "ix_newer_key ON pg_temp.newer_key"
    connection.execute(text(f"CREATE INDEX {index} ({', '.join(KEY_COLUMNS)})"))
    rows = select(func.count(distinct(staged.c.row)))
    before = connection.execute(rows).scalar_one()
    connection.execute(delete(staged).where(exists().where(same_key(newer_key, staged))))
    left = connection.execute(select(func.count()).select_from(staged)).scalar_one()
    return int(left), int(before - connection.execute(rows).scalar_one())
