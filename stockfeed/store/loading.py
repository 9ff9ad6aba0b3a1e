"""Hands batches to the database while the next ones are read: a server takes a batch on a processor of its own."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress

from sqlalchemy import Connection

_PATIENCE = 5.0  # seconds that a server is given to end what it is told to end


@contextmanager
def loading(connection: Connection) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Yield what does one piece of work with the connection after another, and returns before the last of them is done.

    Nothing else may use the connection inside. All is done at the end, also after an error; an error of a piece of work is
    raised where the next one is handed over, or at the end. An interrupt, or a time-out of whoever runs us, does not wait for a
    server: the work under way is cancelled. SQLite works in this process and has nothing to go on beside.
    """
    if connection.dialect.name == "sqlite":
        yield lambda work: work()
        return
    with ThreadPoolExecutor(1, "loading") as beside:
        last: Future[None] | None = None

        def load(work: Callable[[], None]) -> None:
            nonlocal last
            if last is not None:
                last.result()  # one at a time: what waits takes memory
            last = beside.submit(work)

        try:
            yield load
        except Exception:
            raise
        except BaseException:
            if last is not None and not last.done():
                _cancel(connection, last)
            raise
        if last is not None:
            last.result()


def _cancel(connection: Connection, work: "Future[None]") -> None:
    """End the work that waits for the server: by asking it to, and where it does not answer by hanging up."""
    from psycopg import Error

    direct = connection.connection.driver_connection
    assert direct is not None
    with suppress(Error):
        direct.cancel_safe(timeout=_PATIENCE)
    if not wait([work], _PATIENCE).done:
        with socket.socket(fileno=os.dup(direct.fileno())) as line, suppress(OSError):  # the other end was first
            line.shutdown(socket.SHUT_RDWR)
