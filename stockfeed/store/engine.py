"""The database connection: SQLite (embedded) and PostgreSQL, one transaction at a time, errors as ours.

Never holds a transaction open across a call to the outside world.
"""

import json
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Insert, Table, Update, create_engine, event, exc, make_url, text

from schemas.errors import ConfigError, PermanentError, StockfeedError, TransientError

_OTHER_LOGIN = "Use the login that may do this: the roles are in docs/runbook.md, `stockfeed db roles` sets their rights."
_BUSY_SECONDS = 30.0  # a second writer waits this long for SQLite's one write lock


def _json_default(value: object) -> object:
    if isinstance(value, (Decimal, Fraction)):
        return str(value)
    msg = f"not JSON: {type(value).__name__}"
    raise TypeError(msg)


#: Writes JSON columns; made once, because making one for each value takes as long as using it.
to_json = json.JSONEncoder(default=_json_default, ensure_ascii=False, sort_keys=True).encode


def make_engine(url: str, *, busy_seconds: float = _BUSY_SECONDS, idle_seconds: float | None = None) -> Engine:
    """Return an engine for `url` (sqlite:///path or postgresql://…); nothing is connected yet.

    `idle_seconds`: PostgreSQL ends a session that is silent for so long, so that a worker that sleeps inside a transaction does
    not keep its locks from all others, and one whose message never left does not wait for the answer for ever. What is sent in
    several messages before the server answers, many rows for one statement or a COPY, we break off after as long ourselves.
    """
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise ConfigError(
            f"the database address is not a URL: {error}", "Use sqlite:///path or postgresql://user@host/name."
        ) from error
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(url, busy_seconds)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(
            parsed, json_serializer=to_json, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_SECONDS, **_TEXTS}
        )
        engine.update_execution_options(**{_PATIENCE: idle_seconds})
        _give_back_clean(engine)
        if idle_seconds is not None:
            _end_silent_sessions(engine, idle_seconds)
        return engine
    raise ConfigError(
        f"unknown kind of database: {parsed.get_backend_name()}", "Use sqlite:///path or postgresql://user@host/name."
    )


_ENDS_IDLE_SESSIONS = 140_000  # PostgreSQL 14
_CONNECT_SECONDS = 10
_PATIENCE = "stockfeed_patience"
_TEXTS = {"client_encoding": "utf8"}  # COPY gets bytes; the server writes them as its database does


def _give_back_clean(engine: Engine) -> None:
    """Let no connection go back to the pool with what the one who had it left behind.

    A commit that is broken off before the database hears of it (by a time-out's signal) leaves its transaction open, and
    SQLAlchemy takes it for ended. And after a `read`, SQLAlchemy leaves BEGIN READ WRITE behind, which writes where an operator
    made it read-only by default.
    """

    @event.listens_for(engine, "checkin")
    def _clean(connection: Any, _record: object) -> None:
        if connection is None:
            return
        if engine.dialect.name == "sqlite":
            with suppress(sqlite3.ProgrammingError):  # closed
                if connection.in_transaction:
                    connection.rollback()
        elif not connection.closed:
            if connection.info.transaction_status:
                connection.rollback()
            if connection.read_only is not None:
                connection.read_only = None


def _end_silent_sessions(engine: Engine, seconds: float) -> None:
    @event.listens_for(engine, "do_connect")  # before SQLAlchemy's own first question to the server
    def _connect(dialect: Any, _record: object, arguments: Any, named: Any) -> Any:
        connection = dialect.connect(*arguments, **named)
        # by statements, not by the `options` of the address: those would replace PGOPTIONS
        with _hanging_up_after(_CONNECT_SECONDS, connection):
            connection.execute(f"SET idle_in_transaction_session_timeout = {int(seconds * 1000)}")
            if connection.info.server_version >= _ENDS_IDLE_SESSIONS:
                # libpq waits for the answer to a message that it could not send: the server's hanging up ends that
                connection.execute(f"SET idle_session_timeout = {int(seconds * 1000)}")
            connection.commit()
        return connection

    @event.listens_for(engine, "do_executemany")
    def _executemany(cursor: Any, statement: str, parameters: Any, _context: object) -> bool:
        with _hanging_up_after(seconds, cursor.connection):  # the rows follow each other without an answer to each
            cursor.executemany(statement, parameters)
        return True


@contextmanager
def copying(connection: Connection, statement: str) -> Iterator[Any]:
    """Yield the driver's COPY of a statement FROM STDIN (PostgreSQL): it takes `write` and `write_row`."""
    seconds = connection.get_execution_options().get(_PATIENCE)
    with (
        driver(connection) as direct,
        _hanging_up_after(seconds, direct),
        direct.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        yield copy


@contextmanager
def _hanging_up_after(seconds: float | None, connection: Any) -> Iterator[None]:
    """End the connection if this takes longer (None: never).

    A server waits for ever until the first statement is answered, and for the rest of what is sent in several messages.
    """
    if seconds is None:
        yield
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        timer = threading.Timer(seconds, _hang_up, [line])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):  # the other end was first
        line.shutdown(socket.SHUT_RDWR)


def _sqlite_engine(url: str, busy_seconds: float) -> Engine:
    engine = create_engine(url, json_serializer=to_json, connect_args={"timeout": busy_seconds})
    _give_back_clean(engine)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # BEGIN is ours: see _begin
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {int(busy_seconds * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = FILE",
            "cache_size = -65536",
            "temp.cache_size = -16384",  # a delivery of 100,000 rows is staged without a file
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the write lock at once: upgrading a read transaction later fails without waiting.
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """Yield a connection inside one transaction that commits at the end, or rolls back on any error."""
    with translated(engine), engine.begin() as connection:
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that sees one consistent snapshot and writes nothing."""
    with translated(engine):
        if engine.dialect.name == "sqlite":
            with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection, _query_only(connection):
                yield connection
        else:
            options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            with engine.connect().execution_options(**options) as connection:
                yield connection


@contextmanager
def _query_only(connection: Connection) -> Iterator[None]:
    """Have SQLite refuse every write of this connection; it is given back to the pool as it was."""
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        with suppress(sqlite3.ProgrammingError):  # closed meanwhile: nobody gets it back
            driver.execute("PRAGMA query_only = OFF")


@contextmanager
def driver(connection: Connection) -> Iterator[Any]:
    """Yield the database driver's own connection, for what SQLAlchemy would do row by row; its errors become SQLAlchemy's."""
    module: Any = connection.dialect.loaded_dbapi
    try:
        yield connection.connection.driver_connection
    except module.Error as error:
        raise exc.DBAPIError.instance(None, None, error, module.Error, dialect=connection.dialect) from error


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn the database driver's errors into ours, naming the database without its password."""
    name = engine.url.render_as_string(hide_password=True)
    try:
        yield
    except StockfeedError:
        raise
    except exc.OperationalError as error:
        raise _operational(name, error) from error
    except exc.InternalError as error:  # psycopg: a write to a read-only server, or a session that was silent for too long
        if not any(words in str(error.orig) for words in ("read-only", "idle-in-transaction")):
            raise
        raise _operational(name, error) from error
    except exc.InterfaceError as error:
        raise TransientError(f"the connection to the database {name} was lost", "Try again.", str(error.orig)) from error
    except exc.ProgrammingError as error:
        if _is_missing_table(error):
            raise ConfigError(f"the database {name} has no tables yet", "Run `stockfeed db upgrade`.", str(error.orig)) from error
        if "invalid connection option" in str(error.orig):
            message = f"the address of the database {name} has an option that PostgreSQL does not know"
            raise ConfigError(message, "Correct STOCKFEED_DATABASE_URL: what follows its `?`.", str(error.orig)) from error
        if "permission denied" in str(error.orig) or "must be owner" in str(error.orig):
            words = str(error.orig).splitlines()[0]
            raise ConfigError(f"the database {name} refused: {words}", _OTHER_LOGIN, str(error.orig)) from error
        raise


def _is_missing_table(error: exc.DBAPIError) -> bool:
    words = str(error.orig)
    return "no such table" in words or ("relation" in words and "does not exist" in words)


#: What the drivers' words mean for the caller: (words, error class, sentence, remedy). The first match counts.
_MEANINGS: tuple[tuple[tuple[str, ...], type[StockfeedError], str, str], ...] = (
    (("locked", "busy"), TransientError, "is locked by another process", "Try again when the other run has ended."),
    (
        ("is full", "No space left", "could not extend file"),
        TransientError,
        "has no space left on its disk",
        "Free some space, then run the same command again.",
    ),
    (
        ("disk I/O error",),  # SQLite also says so when a full disk stops its shared-memory file
        TransientError,
        "could not be read or written: its disk is full or faulty",
        "Free some space, or check the disk, then run the same command again.",
    ),
    (
        ("idle-in-transaction",),
        TransientError,
        "ended a transaction in which this process was silent for too long",
        "Nothing of it was written; run the same command again.",
    ),
    (("readonly", "read-only"), PermanentError, "is read-only", "Give the process write access to it."),
    (("unable to open",), ConfigError, "cannot be opened", "Check STOCKFEED_DATABASE_URL and the folder's access rights."),
    (("invalid port number", "invalid sslmode value"), ConfigError, "has a wrong address", "Correct STOCKFEED_DATABASE_URL."),
    (("authentication failed",), ConfigError, "refused the login", "Check the user and password in STOCKFEED_DATABASE_URL."),
    (("does not exist",), ConfigError, "does not exist", "Check STOCKFEED_DATABASE_URL, or create the database."),
)


def _operational(name: str, error: exc.DBAPIError) -> StockfeedError:
    words = str(error.orig)
    if _is_missing_table(error):
        return ConfigError(f"the database {name} has no tables yet", "Run `stockfeed db upgrade`.", words)
    for marks, kind, sentence, remedy in _MEANINGS:
        if any(mark in words for mark in marks):
            return kind(f"the database {name} {sentence}", remedy, words)
    return TransientError(f"the database {name} cannot be reached", "Check that it runs, then try again.", words)


Statement = TypeVar("Statement", Insert, Update)


def with_all(statement: Statement) -> Statement:
    """Return the statement as one that takes its whole transaction with it when it fails, as each error of ours does anyway.

    SQLite then keeps no copy of every page the statement changes, which it would need to undo the statement alone.
    """
    return statement.prefix_with("OR ROLLBACK", dialect="sqlite")


def insert_or(connection: Connection, table: Table) -> Any:
    """Return the INSERT of this database's dialect, which knows ON CONFLICT; the other dialect is not even loaded."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert(table)


def next_change_ids(connection: Connection, count: int) -> int:
    """Return the last id before a block of `count` change ids, which is now reserved until commit.

    The row lock on the clock makes later takers wait, so a change id never becomes visible before a smaller one
    (docs/decisions/0005). Take it as late in the transaction as possible.
    """
    row = connection.execute(text("UPDATE clock SET value = value + :n WHERE name = 'change' RETURNING value"), {"n": count})
    return int(row.scalar_one()) - count


def current_change_id(connection: Connection) -> int:
    """Return the greatest change id that is visible to this transaction."""
    return int(connection.execute(text("SELECT value FROM clock WHERE name = 'change'")).scalar_one())


def scalar_or_zero(value: Any) -> int:
    """Return an aggregate as int: SQL gives NULL for the sum of no rows."""
    return int(value) if value is not None else 0
