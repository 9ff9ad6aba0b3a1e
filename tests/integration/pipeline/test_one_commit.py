"""Levels, history, position and ledger of a delivery move in one commit, on both databases."""

import pytest
from sqlalchemy import event

from stockfeed.pipeline.ingest import ingest
from tests.integration.pipeline.conftest import csv


class Stop(Exception):  # noqa: N818 (it is no error of ours)
    """The worker stops here."""


@pytest.mark.parametrize("words", ["INSERT INTO inventory", "UPDATE inventory", "INSERT INTO level_change"])
def test_a_delivery_is_in_the_ledger_as_applied_only_with_its_levels(world, words):
    world.configure().deliver({"A": 3})
    world.clock.advance(hours=1)
    world.put(csv({"A": 4, "B": 1}))
    stopped = []

    def stop(_connection, _cursor, statement: str, *_rest: object) -> None:
        if statement.startswith(words) and not stopped:
            stopped.append(statement)
            raise Stop

    event.listen(world.app.engine, "before_cursor_execute", stop)
    with pytest.raises(Stop):
        world.sync()
    assert [r.state for r in world.query("SELECT state FROM delivery ORDER BY id")] == ["applied", "received"]
    assert world.stock() == {"A": 3}
    world.clock.advance(hours=1)
    assert ingest(world.app, 2).state == "applied"
    assert world.stock() == {"A": 4, "B": 1}
