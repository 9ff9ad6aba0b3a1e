"""The order of deliveries (I3): whatever order they arrive in, the newest stock stands, on both databases."""

import itertools
import os

import pytest

from stockfeed.pipeline.acts import release_delivery
from tests.integration.pipeline.conftest import csv, many

WHO = {"actor": "ann", "reason": "checked with the supplier"}
OWN = 'trust_first = true\norder_by = "own"\nas_of = { column = "at", formats = ["%Y-%m-%d %H:%M"] }'
BY_TIME = 'trust_first = true\norder_by = "source_time"'
ORDERS = list(itertools.permutations(range(4)))


def own(n: int, at: str | None = None) -> str:
    return "sku,qty,at\n" + "".join(f"S{k:03},{10 + n + k % 7},{at or f'2026-11-02 0{n}:00'}\n" for k in range(30))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_any_order_of_four_deliveries_with_their_own_time_ends_the_same(world, order):
    world.configure(OWN)
    for n in (*order, order[0]):
        world.deliver(own(n), minutes=1)
    assert world.stock()["S000"] == 13
    (feed,) = world.query("SELECT last_applied_id, order_key FROM feed")
    (newest,) = world.query(f"SELECT order_key, state FROM delivery WHERE id = {feed.last_applied_id}")
    assert (newest.order_key, newest.state) == (feed.order_key, "applied")


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_any_order_of_four_deliveries_with_a_source_time_ends_the_same(world, order):
    world.configure(BY_TIME)
    start = world.clock.now
    for step, n in enumerate(order):
        path = world.put(csv(many(30, 10 + n)), name=f"step{step}_{n}.csv")
        instant = start.timestamp() - 3600 * (4 - n)
        os.utime(path, (instant, instant))
        world.clock.advance(minutes=1)
        assert [r.state for r in world.sync()] in (["applied"], ["superseded"])
    assert world.stock()["S000"] == 13


def late(world, rows: dict[str, object], hours: float):
    """Deliver a file that is `hours` old at its source."""
    world.clock.advance(hours=-hours)
    world.put(csv(rows))
    world.clock.advance(hours=hours)
    (result,) = world.sync()
    return result


def test_a_held_delivery_that_became_older_is_superseded_when_released(world):
    world.configure(BY_TIME).deliver(many(30))
    held = late(world, many(30, 0), -0.1)
    assert held.state == "held"
    world.deliver(many(30, 12))
    states = world.query(f"SELECT state FROM delivery WHERE id = {held.delivery_id}")
    assert states[0].state == "superseded"


def test_an_older_suspicious_delivery_does_not_replace_a_newer_held_one(world):
    world.configure(BY_TIME).deliver(many(30))
    world.clock.advance(hours=5)
    newer = world.deliver(many(30, 0))
    older = late(world, many(30, 0, S000=1), 2)
    assert (newer.state, older.state) == ("held", "superseded")
    assert [r.delivery_id for r in world.query("SELECT delivery_id FROM hold WHERE state = 'open'")] == [newer.delivery_id]


@pytest.mark.parametrize("before", ['order_by = "source_time"', 'order_by = "own"'])
def test_a_feed_whose_order_becomes_the_arrival_goes_on(world, before):
    at = 'as_of = { column = "at", formats = ["%Y-%m-%d %H:%M"] }'
    world.configure(f"trust_first = true\n{before}\n{at}")

    def deliver(n: int) -> str:
        return world.deliver(own(n, f"{world.clock.now:%Y-%m-%d %H:%M}")).state

    assert deliver(1) == "applied"
    world.edit(before, 'order_by = "arrival"')
    assert (deliver(2), deliver(3)) == ("applied", "applied")
    world.edit('order_by = "arrival"', before)
    world.clock.advance(hours=2)
    assert (deliver(4), deliver(5)) == ("applied", "applied")
    assert world.stock()["S000"] == 15


def test_a_delivery_collected_before_the_order_changed_is_placed_in_the_new_order(world):
    from stockfeed.pipeline.collect import collect
    from stockfeed.pipeline.ingest import ingest

    world.configure().deliver(many(30))
    world.clock.advance(hours=1)
    world.put(csv(many(30, 11)))
    (waiting,) = collect(world.app, "acme.stock").delivery_ids
    world.edit("trust_first = true", BY_TIME)
    assert ingest(world.app, waiting).state == "applied"
    assert late(world, many(30, 12), 0.5).state == "superseded"


def test_a_person_who_releases_an_overtaken_delivery_is_on_record(world):
    world.configure(BY_TIME).deliver(many(30))
    held = world.deliver(many(30, 0))
    world.edit('order_by = "source_time"', 'order_by = "source_time"\nmax_quantity = 5')
    result = release_delivery(world.app, held.delivery_id, **WHO)
    assert result.state == "applied"
    assert [r.act for r in world.query("SELECT act FROM audit")] == ["release_delivery"]


def test_releasing_a_delivery_that_can_no_longer_be_read_rejects_it_and_closes_its_hold(world):
    world.configure().deliver(many(30))
    held = world.deliver(many(30, 0))
    world.edit('on_hand = "qty"', 'on_hand = "units"')
    assert release_delivery(world.app, held.delivery_id, **WHO).state == "rejected"
    assert world.query("SELECT * FROM hold WHERE state = 'open'") == []
    assert [r.act for r in world.query("SELECT act FROM audit")] == ["release_delivery"]


def test_a_snapshot_that_cannot_prove_it_is_complete_counts_nothing_missing_again(world):
    world.configure().deliver({"A": 1, "B": 2, "C": 3})
    world.deliver({"A": 2, "B": 2})
    broken = "sku,qty\nA,3\n,9\n"
    assert world.deliver(broken).state == "applied"
    assert world.deliver(broken).state == "unchanged"
    assert world.stock() == {"A": 3, "B": 2, "C": 3}


def test_an_incomplete_snapshot_without_many_known_skus_is_held(world):
    world.configure().deliver(many(100))
    result = world.deliver(csv(many(75)) + ",9\n")
    assert "KNOWN-MISSING" in {f["code"] for f in result.findings}
    assert result.state == "held"


def test_a_key_in_a_bad_row_of_an_incomplete_snapshot_is_unconfirmed(world):
    world.configure().deliver({"A": 1, "B": 2, "C": 3})
    world.deliver("sku,qty\nA,3\n,9\nB,lots\n")
    rows = world.query("SELECT supplier_sku, missing_count, unconfirmed_count FROM inventory ORDER BY 1")
    assert rows == [("A", 0, 0), ("B", 0, 1), ("C", 0, 0)]
