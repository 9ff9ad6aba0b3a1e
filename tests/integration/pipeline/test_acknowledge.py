"""Acknowledging at the source: to the source that delivered, and one refusal stops no other."""

import pytest

from schemas.errors import PermanentError
from stockfeed.pipeline.acknowledge import acknowledge, acknowledge_all
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from tests.integration.pipeline.conftest import csv


def ended(world, *contents: str) -> list[int]:
    world.configure().edit('settle = "0s"', 'settle = "0s", after = "delete"')
    world.clock.advance(hours=1)
    for content in contents:
        world.put(content)
    return [ingest(world.app, delivery_id).delivery_id for delivery_id in collect(world.app, "acme.stock").delivery_ids]


def states(world) -> list[str]:
    return [r.acknowledgement for r in world.query("SELECT acknowledgement FROM delivery ORDER BY id")]


def test_a_reference_is_not_given_to_a_source_of_another_type(world):
    (delivery_id,) = ended(world, csv({"A": 3}))
    text = (world.root / "config/suppliers/acme.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("source ="))
    world.edit(line, 'source = { type = "web_file", url = "https://acme.example/stock.csv" }')
    assert acknowledge(world.app, delivery_id) is False
    assert states(world) == ["failed"]
    assert len(list(world.inbox.iterdir())) == 1, "the file stays at the old source"
    assert acknowledge_all(world.app, "acme.stock") == 0


def test_a_delivery_that_its_source_refuses_does_not_keep_the_others_waiting(world):
    ended(world, csv({"A": 3}), csv({"A": 4}))
    from sqlalchemy import text

    from stockfeed.store.engine import write

    with write(world.app.engine) as connection:
        connection.execute(text("UPDATE delivery SET reference = replace(CAST(reference AS TEXT), 'stock_001', '../stock_001')"
                                + (" :: json" if connection.dialect.name == "postgresql" else "") + " WHERE id = 1"))  # fmt: skip
    with pytest.raises(PermanentError, match="not a file name"):
        acknowledge_all(world.app, "acme.stock")
    assert states(world) == ["pending", "done"]
