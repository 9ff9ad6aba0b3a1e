"""Deltas keep their order: held, rejected and not yet read ones, on both databases."""

import pytest

from schemas.errors import TransientError
from stockfeed.pipeline.acts import reject_delivery, release_delivery, replay_delivery, undo_delivery
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from tests.integration.pipeline.conftest import csv, many

WHO = {"actor": "ann", "reason": "checked with the supplier"}
DELTA = 'trust_first = true\nmode = "delta"'


def two_waiting(world) -> tuple[int, ...]:
    for quantity in (5, 7):
        world.clock.advance(hours=1)
        world.put(csv({"A": quantity, f"ONLY{quantity}": 1}))
    return collect(world.app, "acme.stock").delivery_ids


def test_a_delta_waits_for_an_earlier_one_that_was_not_read_yet(world):
    world.configure(DELTA).deliver(many(30))
    first, second = two_waiting(world)
    assert ingest(world.app, second).state == "received"
    assert ingest(world.app, first).state == "applied"
    assert ingest(world.app, second).state == "applied"
    assert world.stock()["A"] == 7
    assert world.stock()["ONLY5"] == 1


def test_several_deltas_behind_a_held_one_are_applied_in_order_after_its_release(world):
    world.configure(DELTA).deliver(many(30, 10))
    held = world.deliver(many(30, 0))
    assert world.deliver({"S000": 7}).state == "received"
    world.clock.advance(hours=1)
    world.put(csv({"S000": 8}))
    assert {r.state for r in world.sync()} == {"received"}
    assert release_delivery(world.app, held.delivery_id, **WHO).state == "applied"
    assert [r.state for r in world.sync()] == ["applied", "applied"]
    assert world.stock()["S000"] == 8


def test_a_rejected_delta_blocks_until_it_is_read_again(world):
    world.configure(DELTA).deliver({"A": 1})
    bad = world.deliver("sku,units\nB,4\n")
    assert bad.state == "rejected"
    assert world.deliver({"B": 5}).state == "received"
    world.edit('on_hand = "qty"', 'on_hand = ["qty", "units"]')
    assert replay_delivery(world.app, bad.delivery_id, actor="ann").state == "applied"
    assert [r.state for r in world.sync()] == ["applied"]
    assert world.stock() == {"A": 1, "B": 5}


def test_a_rejected_delta_that_a_person_gives_up_blocks_no_longer(world):
    world.configure(DELTA).deliver({"A": 1})
    bad = world.deliver("sku,units\nB,4\n")
    assert world.deliver({"B": 5}).state == "received"
    reject_delivery(world.app, bad.delivery_id, **WHO)
    assert [r.state for r in world.sync()] == ["applied"]


def test_a_full_snapshot_overtakes_rejected_and_held_deltas(world):
    world.configure(DELTA).deliver(many(30))
    world.deliver("sku,units\nB,4\n")
    world.edit('mode = "delta"', 'mode = "snapshot"')
    assert world.deliver(many(30, 11)).state == "applied"
    assert world.query("SELECT * FROM hold WHERE state = 'open'") == []


def test_a_delta_that_waits_is_not_counted_as_an_attempt(world):
    world.configure(DELTA).deliver(many(30, 10))
    held = world.deliver(many(30, 0))
    waiting = world.deliver({"S000": 7})
    for _ in range(5):
        world.sync()
    release_delivery(world.app, held.delivery_id, **WHO)
    assert ingest(world.app, waiting.delivery_id).state == "applied"


def test_absence_means_nothing_and_a_bad_row_keeps_the_last_level(world):
    world.configure(DELTA).deliver(many(30))
    for quantity in (1, 2, 3):
        world.deliver(f"sku,qty\nS000,{quantity}\nS001,lots\n")
    assert world.stock()["S001"] == 11
    assert world.query("SELECT COUNT(*) AS n FROM inventory WHERE missing_count > 0")[0].n == 0


def test_a_database_that_is_busy_three_times_does_not_get_a_delivery_rejected(world, monkeypatch):
    import importlib

    module = importlib.import_module("stockfeed.pipeline.by_line")

    world.configure().deliver({"A": 1})
    world.clock.advance(hours=1)
    world.put(csv({"A": 2}))
    (delivery_id,) = collect(world.app, "acme.stock").delivery_ids

    def busy(*_args, **_named):
        raise TransientError("the database is locked by another process", "Try again.")

    with monkeypatch.context() as patched:
        patched.setattr(module, "stage_delivery", busy)
        for _ in range(4):
            with pytest.raises(TransientError):
                ingest(world.app, delivery_id)
    assert ingest(world.app, delivery_id).state == "applied"


def test_a_delivery_that_stops_the_worker_three_times_is_parked(world, monkeypatch):
    import importlib

    module = importlib.import_module("stockfeed.pipeline.by_line")

    world.configure().deliver({"A": 1})
    world.clock.advance(hours=1)
    world.put(csv({"A": 2}))
    (delivery_id,) = collect(world.app, "acme.stock").delivery_ids

    def crash(*_args, **_named):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(module, "stage_delivery", crash)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                ingest(world.app, delivery_id)
    assert ingest(world.app, delivery_id).state == "rejected"
    assert replay_delivery(world.app, delivery_id, actor="ann").state == "applied"


def test_an_undone_delta_gives_back_what_the_one_before_said(world):
    world.configure(DELTA).deliver(many(30))
    world.deliver({"A": 1})
    second = world.deliver({"A": 2, "S000": 99})
    undo_delivery(world.app, second.delivery_id, **WHO)
    assert (world.stock()["A"], world.stock()["S000"]) == (1, 10)
    assert world.deliver({"A": 2, "S000": 99}).findings[0]["code"] == "UNDONE-BYTES"
