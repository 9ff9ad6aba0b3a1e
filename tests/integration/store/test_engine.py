"""The database connection on both kinds of database."""

import socket
import struct
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, Executable, bindparam, event, insert, make_url, select, text, update
from sqlalchemy.exc import IntegrityError

from schemas.errors import ConfigError, PermanentError, TransientError
from schemas.tables import check_run, clock, metadata
from stockfeed.store.engine import copying, current_change_id, make_engine, next_change_ids, read, translated, with_all, write
from stockfeed.store.upgrade import current_revision, newest_revision, upgrade
from tests.servers.deaf_line import deaf_line


def test_the_migrations_make_exactly_the_declared_tables(engine: Engine):
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    assert current_revision(engine) == newest_revision()


def test_upgrading_twice_changes_nothing(engine: Engine):
    assert upgrade(engine) == upgrade(engine)


def test_instants_come_back_aware_and_in_utc(engine: Engine):
    at = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    with write(engine) as connection:
        connection.execute(insert(check_run).values(name="sweep", ran_at=at, outcome="fine"))
    with read(engine) as connection:
        found = connection.execute(select(check_run.c.ran_at)).scalar_one()
    assert found == at
    assert found.tzinfo == UTC


def test_a_naive_instant_is_refused(engine: Engine):
    with pytest.raises(Exception, match="naive datetime"), write(engine) as connection:
        connection.execute(insert(check_run).values(name="sweep", ran_at=datetime(2026, 1, 1), outcome="fine"))  # noqa: DTZ001


def test_an_error_rolls_the_transaction_back(engine: Engine):
    def write_and_fail() -> None:
        with write(engine) as connection:
            connection.execute(insert(check_run).values(name="sweep", ran_at=datetime.now(UTC), outcome="fine"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    with read(engine) as connection:
        assert connection.execute(select(check_run)).all() == []


def test_a_statement_that_takes_all_with_it_leaves_nothing_of_its_transaction(engine: Engine):
    row = {"name": "sweep", "ran_at": datetime.now(UTC), "outcome": "fine"}

    def write_before(statement: Executable) -> None:
        with write(engine) as connection:
            connection.execute(insert(check_run).values(row | {"name": "before"}))
            connection.execute(statement)

    with write(engine) as connection:
        connection.execute(with_all(insert(check_run)).values(row))
    for statement in (with_all(insert(check_run)).values(row), with_all(update(check_run)).values(name="sweep")):
        with pytest.raises(IntegrityError):
            write_before(statement)
        with write(engine) as connection:  # the connection is as good as new
            assert connection.execute(select(check_run.c.name)).scalars().all() == ["sweep"]


def test_what_the_operator_made_read_only_stays_so_after_a_read(postgres_url: str, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    engine = make_engine(postgres_url)
    with read(engine) as connection:
        connection.execute(text("SELECT 1"))
    with pytest.raises(PermanentError, match="read-only"), write(engine) as connection:
        connection.execute(text("CREATE TABLE written (id int)"))
    engine.dispose()


def test_change_ids_are_reserved_in_blocks(engine: Engine):
    with write(engine) as connection:
        assert next_change_ids(connection, 3) == 0
    with write(engine) as connection:
        assert next_change_ids(connection, 1) == 3
        assert current_change_id(connection) == 4


def test_a_database_without_tables_says_what_to_do(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path / 'new.sqlite3'}")
    with pytest.raises(ConfigError, match="stockfeed db upgrade"), read(engine) as connection:
        connection.execute(text("SELECT * FROM delivery"))
    engine.dispose()


def test_a_locked_database_is_a_transient_error(tmp_path):
    url = f"sqlite:///{tmp_path / 'busy.sqlite3'}"
    first, second = make_engine(url), make_engine(url, busy_seconds=0.01)
    upgrade(first)
    with write(first), pytest.raises(TransientError, match="locked"), write(second):
        pass
    first.dispose()
    second.dispose()


@pytest.mark.parametrize("url", ["nonsense", "mysql://localhost/x"])
def test_an_unusable_address_is_a_config_error(url: str):
    with pytest.raises(ConfigError):
        make_engine(url)


def test_a_database_of_the_first_revision_is_brought_up_to_date_with_its_rows(tmp_path):
    from alembic import command

    from stockfeed.store import upgrade as module

    engine = make_engine(f"sqlite:///{tmp_path / 'old.sqlite3'}")
    config = module._alembic()
    with write(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("INSERT INTO clock VALUES ('kept', 7)"))
    assert module.upgrade(engine) == module.newest_revision()
    with read(engine) as connection:
        assert connection.execute(text("SELECT value FROM clock WHERE name = 'kept'")).scalar() == 7
        assert connection.execute(text("SELECT arrival_findings, locations FROM delivery")).all() == []
    engine.dispose()


def test_a_process_that_is_silent_inside_a_transaction_loses_it_and_its_locks(postgres_url: str, postgres_template: str):
    url = make_url(postgres_url).set(database=postgres_template).render_as_string(hide_password=False)
    sleeper, other = make_engine(url, idle_seconds=0.2), make_engine(url)
    alive, lock = (
        "SELECT COUNT(*) FROM pg_stat_activity WHERE pid = :pid",
        "SELECT value FROM clock WHERE name = 'change' FOR UPDATE",
    )

    def sleep_in_a_transaction() -> None:
        with write(sleeper) as connection:
            next_change_ids(connection, 5)
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with other.connect() as watching:
                while watching.execute(text(alive), {"pid": pid}).scalar_one():
                    watching.rollback()  # a new snapshot of who is there
            with write(other) as free:
                assert free.execute(text(lock)).scalar_one() == 0
            connection.execute(text("SELECT 1"))

    try:
        with pytest.raises(TransientError):
            sleep_in_a_transaction()
    finally:
        sleeper.dispose()
        other.dispose()


def test_the_server_ends_a_session_that_says_nothing_and_the_next_use_connects_again(postgres_url: str, postgres_template: str):
    url = make_url(postgres_url).set(database=postgres_template).render_as_string(hide_password=False)
    silent, other = make_engine(url, idle_seconds=0.2), make_engine(url)

    def wait_for_the_end_of(pid: int) -> None:
        with other.connect() as watching:
            while watching.execute(text("SELECT COUNT(*) FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid}).scalar_one():
                watching.rollback()  # a new snapshot of who is there

    def say_nothing_between_two_transactions() -> None:
        with translated(silent), silent.connect() as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            connection.rollback()
            wait_for_the_end_of(pid)
            connection.execute(text("SELECT 1"))

    try:
        with read(silent) as connection:
            pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        wait_for_the_end_of(pid)
        with read(silent) as connection:
            assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != pid
        with pytest.raises(TransientError):
            say_nothing_between_two_transactions()
    finally:
        silent.dispose()
        other.dispose()


def test_a_server_that_never_answers_the_first_statement_is_given_up(monkeypatch):
    monkeypatch.setattr("stockfeed.store.engine._CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as lines:

        def log_in_and_fall_silent() -> None:
            line = lines.enter_context(listener.accept()[0])
            size, code = struct.unpack("!II", line.recv(8, socket.MSG_WAITALL))
            if code == 80877103:  # SSLRequest, https://www.postgresql.org/docs/current/protocol-message-formats.html
                line.sendall(b"N")
                size, code = struct.unpack("!II", line.recv(8, socket.MSG_WAITALL))
            line.recv(size - 8, socket.MSG_WAITALL)
            line.sendall(b"R" + struct.pack("!II", 8, 0) + b"Z" + struct.pack("!I", 5) + b"I")

        server = threading.Thread(target=log_in_and_fall_silent)
        server.start()
        engine = make_engine(f"postgresql://acme@127.0.0.1:{listener.getsockname()[1]}/stock", idle_seconds=60)
        with pytest.raises(TransientError), read(engine):
            pass
        server.join()
        engine.dispose()


def _many_updates(connection: Connection) -> None:
    renamed = update(clock).where(clock.c.name == bindparam("was")).values(value=5)
    connection.execute(renamed, [{"was": "change"}, {"was": "other"}])


def _copy_rows(connection: Connection) -> None:
    with copying(connection, "COPY clock (name, value) FROM STDIN") as copy:
        copy.write_row(("one", 1))


@pytest.mark.parametrize(("work", "begins", "lost"), [(_many_updates, b"UPDATE clock", b"B"), (_copy_rows, b"COPY clock", b"d")])
def test_what_never_reached_the_server_is_not_waited_for_for_ever(work, begins, lost, postgres_url: str, postgres_template: str):
    """The server waits for the rest of what it got, and says nothing; psycopg waits for its answer."""
    url = make_url(postgres_url).set(database=postgres_template).render_as_string(hide_password=False)
    with deaf_line(url, begins, lost) as line:
        engine = make_engine(line, idle_seconds=1)
        told: list[BaseException] = []

        def go() -> None:
            try:
                with write(engine) as connection:
                    work(connection)
            except TransientError as error:
                told.append(error)

        worker = threading.Thread(target=go, daemon=True)  # one that waits for ever does not hold up the tests
        worker.start()
        worker.join(30)
        assert not worker.is_alive()
        assert len(told) == 1
        engine.dispose()


@pytest.mark.parametrize("at", ["execute", "commit"])
def test_a_connection_that_was_broken_off_takes_its_transaction_to_nobody(engine, at):
    """As by a time-out's signal, before the server heard of a commit: the next one who asked got its open transaction."""

    def stop(*_):
        raise KeyboardInterrupt

    name = {"execute": "before_cursor_execute", "commit": "commit"}[at]
    with engine.connect() as connection:
        connection.execute(text("UPDATE clock SET value = value + 1"))
        event.listen(engine, name, stop)
        with pytest.raises(KeyboardInterrupt):
            connection.execute(text("SELECT 1")) if at == "execute" else connection.commit()
        event.remove(engine, name, stop)
    with write(engine) as connection:
        assert connection.execute(text("SELECT value FROM clock WHERE name = 'change'")).scalar_one() == 0
