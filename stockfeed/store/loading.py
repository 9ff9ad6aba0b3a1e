"""Hands batches to the database while the next ones are read: a server takes a batch on a processor of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import Connection


@contextmanager
def loading(connection: Connection) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Yield what does one piece of work with the connection after another, and returns before the last of them is done.

    Nothing else may use the connection inside. All is done at the end, also after an error; an error of a piece of work is
    raised where the next one is handed over, or at the end. SQLite works in this process and has nothing to go on beside.
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

        yield load
        if last is not None:
            last.result()
