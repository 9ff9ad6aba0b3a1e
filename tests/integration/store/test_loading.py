"""Work that is handed to the database while its caller goes on, on both databases."""

import os
import signal
import threading
import time

import pytest
from sqlalchemy import Connection, Engine, text

from schemas.errors import StockfeedError
from stockfeed.store import loading as module
from stockfeed.store.engine import make_engine, write
from stockfeed.store.loading import loading


def test_work_is_done_in_its_order_one_at_a_time_and_all_of_it_at_the_end(engine: Engine) -> None:
    done: list[int] = []
    with write(engine) as connection:
        with loading(connection) as load:
            for number in range(20):
                load(lambda number=number: done.append(connection.execute(text(f"SELECT {number}")).scalar_one()))
        assert done == list(range(20))


def test_a_server_works_beside_its_caller_and_sqlite_in_place(engine: Engine) -> None:
    went_on, threads = threading.Event(), set[str]()

    def work() -> None:
        threads.add(threading.current_thread().name)
        if connection.dialect.name == "postgresql":
            assert went_on.wait(10)

    with write(engine) as connection, loading(connection) as load:
        load(work)
        went_on.set()
    mine = threading.current_thread().name
    assert (threads == {mine}) == (engine.dialect.name == "sqlite")


@pytest.mark.parametrize("more", [0, 1])
def test_an_error_of_the_work_is_the_callers_and_nothing_is_done_after_it(engine: Engine, more: int) -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("of the work")

    def hand_over(connection: Connection) -> None:
        with loading(connection) as load:
            load(fail)
            for _ in range(more):
                load(lambda: done.append(1))

    with write(engine) as connection, pytest.raises(ValueError, match="of the work"):
        hand_over(connection)
    assert done == []


def test_an_error_of_the_caller_waits_for_the_work_under_way(engine: Engine) -> None:
    done: list[int] = []

    def hand_over(connection: Connection) -> None:
        with loading(connection) as load:
            load(lambda: done.append(connection.execute(text("SELECT 1")).scalar_one()))
            raise KeyError("of the caller")

    with write(engine) as connection:
        with pytest.raises(KeyError, match="of the caller"):
            hand_over(connection)
        assert done == [1]
        assert connection.execute(text("SELECT 2")).scalar_one() == 2


@pytest.mark.parametrize("server", ["that answers", "that does not"])
def test_an_interrupt_does_not_wait_for_a_server(postgres_url: str, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 1.0)
    engine, began = make_engine(postgres_url), threading.Event()

    def work(connection: Connection) -> None:
        began.set()
        connection.execute(text("SELECT pg_sleep(60)"))

    def interrupted(connection: Connection) -> None:
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        try:
            with loading(connection) as load:
                load(lambda: work(connection))
                assert began.wait(10)
                time.sleep(0.3)  # until the server has the statement
                if server == "that does not":
                    os.kill(process, signal.SIGSTOP)
                raise KeyboardInterrupt
        finally:
            os.kill(process, signal.SIGCONT)

    start = time.monotonic()
    with pytest.raises((KeyboardInterrupt, StockfeedError)), write(engine) as connection:
        interrupted(connection)
    assert time.monotonic() - start < 20
    engine.dispose()
