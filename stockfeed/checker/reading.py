"""Opens a database for reading only: nothing the checker runs could change it, whatever its SQL says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from schemas.errors import TransientError


@contextmanager
def snapshot(url: URL) -> Iterator[Connection]:
    """Yield a connection that sees one consistent state of the database and may not write.

    Raises TransientError when the database cannot be opened.
    """
    engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        name = url.render_as_string(hide_password=True)
        raise TransientError(
            f"the database {name} cannot be read", "Check its address, then try again.", str(error.orig)
        ) from error
    finally:
        engine.dispose()


def _sqlite(url: URL) -> Any:
    # mode=ro also makes no file where there is none; the folder must be writable while nobody has the database open
    address = f"sqlite:///file:{quote(url.database or '')}?mode=ro&uri=true"
    engine = create_engine(address, poolclass=NullPool, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -65536")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN DEFERRED")

    return engine


def _postgresql(url: URL) -> Any:
    options = "-c default_transaction_read_only=on -c jit=off -c work_mem=64MB"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        connect_args={"connect_timeout": 10, "options": options},
    )


def as_json(value: Any) -> Any:
    """Return a JSON column's value: SQLite gives text, PostgreSQL the value itself."""
    return json.loads(value) if isinstance(value, str) else value


def instant(value: Any) -> datetime | None:
    """Return a time column's value as an aware UTC instant: SQLite gives ISO text."""
    if value is None:
        return None
    return datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)
