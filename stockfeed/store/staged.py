"""The temporary tables that one delivery is read into before it is compared with the current levels.

They belong to one connection: nothing is locked and nothing is visible while a delivery is parsed. Loads no frame library,
so that commands that read no file start quickly.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Date, MetaData, PrimaryKeyConstraint, Table, Text, func, text
from sqlalchemy.sql.elements import ColumnElement

from schemas.columns import KEY_COLUMNS, RECORD_COLUMNS
from schemas.tables import BigId

_temporary = MetaData()
_KINDS: dict[str, Any] = {"integer": BigInteger, "text": Text, "date": Date}

#: What stands in a column that is not sent: a million values that are all the same take longer than they look.
DEFAULTS: Mapping[str, str | int] = {"line_offset": 0, "location": "", "condition": ""}


def _column(name: str, kind: str) -> Column[Any]:
    return Column(name, _KINDS[kind], server_default=str(DEFAULTS[name]) if name in DEFAULTS else None)


#: One row per StockRecord; `n` numbers them 1, 2, 3 … in file order. `line_offset` is its line less its row: mostly 0.
#: SQLite keeps its rows by `n` anyway; PostgreSQL makes an index when it is needed, in a third of the time of adding to it.
staged = Table(
    "staged",
    _temporary,
    Column("n", BigId, nullable=False, autoincrement=False),
    PrimaryKeyConstraint("n").ddl_if(dialect="sqlite"),
    *(_column("line_offset" if name == "line" else name, kind) for name, kind in RECORD_COLUMNS.items()),
    prefixes=["TEMPORARY"],
)

#: Keys of rejected rows whose key could be read: "unconfirmed".
rejected_key = Table("rejected_key", _temporary, *(Column(name, Text) for name in KEY_COLUMNS), prefixes=["TEMPORARY"])

#: Keys of records in those lines of the last applied delivery that the new one does not repeat (the line difference).
touched_key = Table("touched_key", _temporary, *(Column(name, Text) for name in KEY_COLUMNS), prefixes=["TEMPORARY"])

#: Numbers of staged rows, for set operations on a few of them.
picked = Table("picked", _temporary, Column("n", BigId, primary_key=True, autoincrement=False), prefixes=["TEMPORARY"])


def create(connection: Connection) -> None:
    """Make the temporary tables, empty; what an earlier delivery left on this connection is dropped."""
    drop(connection)
    _temporary.create_all(connection, checkfirst=False)


def drop(connection: Connection) -> None:
    """Drop the temporary tables of this connection, also those made later by the merge."""
    schema = "temp." if connection.dialect.name == "sqlite" else "pg_temp."
    for name in ("staged", "rejected_key", "touched_key", "picked", "difference", "absent"):
        connection.execute(text(f"DROP TABLE IF EXISTS {schema}{name}"))


def end(connection: Connection) -> None:
    """Leave nothing of what was staged on this connection, whose transaction has ended."""
    if connection.dialect.name == "sqlite":
        connection.detach()  # closed instead of used again: a tenth of the time of dropping a million rows
        return
    drop(connection)
    connection.commit()


def analyze(connection: Connection) -> None:
    """Let PostgreSQL know how many rows were staged, so that it plans hash joins."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE staged"))


def index_numbers(connection: Connection) -> None:
    """Make staged rows quick to find by their numbers, and let PostgreSQL know that each has its own."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("CREATE UNIQUE INDEX IF NOT EXISTS ix_staged_n ON staged (n)"))


def index_keys(connection: Connection) -> None:
    """Make staged keys quick to look up (SQLite has no hash join)."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("CREATE INDEX temp.ix_staged_key ON staged (supplier_sku, location, condition)"))


def index_touched(connection: Connection) -> None:
    """Make touched and rejected keys quick to look up, and let PostgreSQL know how few they are."""
    if connection.dialect.name == "sqlite":
        for name in ("touched_key", "rejected_key"):
            connection.execute(text(f"CREATE INDEX temp.ix_{name} ON {name} (supplier_sku, location, condition)"))
    else:
        connection.execute(text("ANALYZE touched_key"))


def drop_key_index(connection: Connection) -> None:
    """Drop the index on staged keys: with it, SQLite goes through all levels to find the few that are staged."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("DROP INDEX temp.ix_staged_key"))


def effective(table: Any) -> ColumnElement[int]:
    """Return the quantity that counts: available, else on hand (thousandths; null when both are unknown)."""
    return func.coalesce(table.c.available, table.c.on_hand)
