"""An allocation that stops anywhere tells the channel of every change all the same, on both databases."""

import pytest
from sqlalchemy import event


class Stop(Exception):  # noqa: N818 (it is no error of ours)
    """The worker stops here."""


def stop_at(engine, number: int):
    """Make the n-th writing statement of this engine raise; returns how to end that."""
    left = [number]

    def count(_connection, _cursor, statement: str, *_rest: object) -> None:
        left[0] -= not statement.lstrip().startswith("SELECT")
        if left[0] == 0:
            raise Stop

    event.listen(engine, "before_cursor_execute", count)
    return lambda: event.remove(engine, "before_cursor_execute", count)


def test_an_allocation_that_fails_at_any_write_is_finished_by_the_next(simple):
    shop = simple.shops["shop"]
    for number in range(1, 200):
        simple.clock.advance(hours=1)
        simple.deliver("acme.stock", {"A": 10 + number})
        listen_no_more = stop_at(simple.engine, number)
        try:
            simple.allocate()
        except Stop:
            stopped = True
        else:
            stopped = False
        listen_no_more()
        simple.clock.advance(hours=1)  # where giving back the lease failed, it ends by itself
        simple.publish()
        assert shop.shows("A") == 10 + number, f"stopped at write {number}, the channel was never told"
        if not stopped:
            return
    pytest.fail("an allocation has more writes than were tried")
