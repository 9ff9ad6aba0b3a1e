"""A delta that arrives after a newer one: in whatever order deltas come, the stock ends the same, on both databases."""

import itertools
import os

import pytest

from stockfeed.pipeline.acts import release_delivery, undo_delivery
from tests.integration.pipeline.conftest import csv

WHO = {"actor": "ann", "reason": "checked with the supplier"}
DELTA = 'trust_first = true\nmode = "delta"\norder_by = "source_time"'
DELTAS = [{"A": 1, "B": 1}, {"B": 2, "C": 2}, {"C": 3, "A": "lots", "D": 3}, {"D": 4, "E": 4}]


def arrive(world, rows: dict[str, object], hour: int, *, name: str | None = None):
    """Deliver a delta of the given hour of 1 November, now."""
    world.clock.advance(minutes=1)
    path = world.put(csv(rows), name=name)
    instant = world.clock.now.replace(day=1, hour=hour, minute=0).timestamp()
    os.utime(path, (instant, instant))
    (result,) = world.sync()
    return result


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[1::4], ids=str)
def test_any_order_of_four_deltas_ends_the_same(world, order):
    world.configure(DELTA)
    for n in order:
        arrive(world, DELTAS[n], n + 1)
    assert world.stock() == {"A": 1, "B": 2, "C": 3, "D": 4, "E": 4}
    assert world.query("SELECT as_of FROM feed")[0].as_of == world.query("SELECT MAX(as_of) AS n FROM delivery")[0].n


def test_rows_that_newer_deltas_overtook_are_counted_as_skipped(world):
    world.configure(DELTA)
    arrive(world, {"A": 5, "B": 5}, 5)
    late = arrive(world, {"A": 1, "C": 1, "X": "lots"}, 1)
    assert (late.state, late.rows_read, late.rows_accepted, late.rows_rejected, late.rows_skipped) == ("applied", 3, 1, 1, 1)
    assert late.findings[0]["code"] == "LATE-DELTA"
    assert world.stock() == {"A": 5, "B": 5, "C": 1}


def test_a_delta_of_which_nothing_is_left_is_superseded(world):
    world.configure(DELTA)
    arrive(world, {"A": 5, "B": 5}, 5)
    assert arrive(world, {"A": 1}, 1).state == "superseded"


def test_a_value_that_a_newer_delta_only_confirmed_is_not_changed_by_an_older_one(world):
    world.configure(DELTA)
    arrive(world, {"A": 5}, 1)
    arrive(world, {"A": 5, "B": 1}, 5)
    late = arrive(world, {"A": 3, "C": 2}, 3)
    assert late.state == "applied"
    assert world.stock() == {"A": 5, "B": 1, "C": 2}


def test_a_late_delta_leaves_age_and_order_of_the_feed_alone_and_can_be_undone(world):
    world.configure(DELTA)
    arrive(world, {"A": 5}, 5)
    standing = "SELECT as_of, stale_at, order_key, content_since, last_applied_id FROM feed"
    before = world.query(standing)
    late = arrive(world, {"A": 1, "C": 1}, 1)
    assert [r[:4] for r in world.query(standing)] == [r[:4] for r in before]
    undo_delivery(world.app, late.delivery_id, **WHO)
    assert world.query(standing) == before
    assert world.stock() == {"A": 5}


def test_the_content_of_a_late_delta_that_comes_again_as_the_newest_is_applied_as_a_whole(world):
    world.configure(DELTA)
    arrive(world, {"A": 5}, 5)
    arrive(world, {"A": 1, "C": 1}, 1)
    assert arrive(world, {"A": 1, "C": 1}, 7).state == "applied"
    assert world.stock() == {"A": 1, "C": 1}


def test_the_same_content_is_unchanged_however_often_it_comes(world):
    world.configure(DELTA)
    ends = [arrive(world, {"A": 5}, hour).state for hour in (5, 6, 7, 8)]
    assert ends == ["applied", "unchanged", "unchanged", "unchanged"]


def test_a_late_delta_is_superseded_by_a_full_snapshot(world):
    world.configure(DELTA.replace("delta", "snapshot"))
    arrive(world, {"A": 5, "B": 5}, 5)
    world.edit('mode = "snapshot"', 'mode = "delta"')
    assert arrive(world, {"C": 1}, 1).state == "superseded"


def test_a_late_delta_is_held_when_a_newer_one_can_no_longer_be_read(world):
    world.is_damaged = True
    world.configure(DELTA)
    arrive(world, {"A": 5}, 5)
    (row,) = world.query("SELECT sha256 FROM delivery")
    world.app.archive.path(row.sha256).unlink()
    late = arrive(world, {"C": 1}, 1)
    assert (late.state, late.findings[0]["code"]) == ("held", "LATE-DELTA")
    assert release_delivery(world.app, late.delivery_id, **WHO).state == "superseded"
    assert world.stock() == {"A": 5}
    assert arrive(world, {"B": 6}, 6).state == "applied"


def test_a_late_delta_with_bad_rows_only_is_no_lost_delivery(world):
    world.configure(DELTA)
    arrive(world, {"A": 5}, 5)
    late = arrive(world, {"C": "lots", "D": "many"}, 1)
    assert (late.state, late.rows_rejected) == ("held", 2)
    mixed = arrive(world, {"A": 4, "D": "many"}, 6)
    assert mixed.state == "received", "it waits for the held one"


def test_what_was_left_out_of_a_late_delta_does_not_hide_its_bad_rows(world):
    world.configure(DELTA)
    arrive(world, {"A": 5}, 5)
    late = arrive(world, {"A": 4, "D": "many"}, 1)
    assert (late.state, late.rows_accepted, late.rows_rejected, late.rows_skipped) == ("applied", 0, 1, 1)
    assert world.stock() == {"A": 5}


def test_too_many_newer_deliveries_of_other_locations_do_not_hide_one_of_this_location(world, monkeypatch):
    import importlib

    monkeypatch.setattr(importlib.import_module("stockfeed.pipeline.late_deltas"), "_MOST", 1)
    world.configure(DELTA + '\nscope = "location"').edit('on_hand = "qty"', 'on_hand = "qty"\nlocation = "place"')

    def at(hour: int, place: str, quantity: int):
        world.clock.advance(minutes=1)
        path = world.put(f"sku,qty,place\nA,{quantity},{place}\n")
        instant = world.clock.now.replace(day=1, hour=hour, minute=0).timestamp()
        os.utime(path, (instant, instant))
        (result,) = world.sync()
        return result

    at(5, "L1", 5)
    at(6, "L2", 6)
    at(7, "L2", 7)
    late = at(1, "L1", 1)
    assert (late.state, late.findings[0]["code"]) == ("held", "LATE-DELTA")
