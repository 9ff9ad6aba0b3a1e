"""Feeds whose deliveries cover one location each (scope = "location"), on both databases."""

import pytest

from stockfeed.pipeline.acts import release_delivery, undo_delivery

WHO = {"actor": "ann", "reason": "checked with the supplier"}
SCOPED = 'trust_first = true\nscope = "location"'


@pytest.fixture
def places(world):
    world.configure(SCOPED)
    return world.edit('on_hand = "qty"', 'on_hand = "qty"\nlocation = "place"')


def at(place: str, rows: dict[str, object]) -> str:
    return "sku,qty,place\n" + "".join(f"{sku},{qty},{place}\n" for sku, qty in rows.items())


def many(count: int, quantity: int = 10) -> dict[str, object]:
    return {f"S{n:03}": quantity + n % 7 for n in range(count)}


def levels(world) -> dict[tuple[str, str], float]:
    return {(r.location, r.supplier_sku): float(r.on_hand) for r in world.query("SELECT * FROM inventory_v1")}


def test_a_small_location_after_a_large_one_is_compared_with_itself(places):
    places.deliver(at("L1", many(200)))
    assert places.deliver(at("L2", many(30))).state == "applied"
    assert places.deliver(at("L1", many(200, 11))).state == "applied"
    assert places.deliver(at("L2", many(30, 11))).state == "applied"


def test_a_location_that_loses_most_of_its_skus_is_held_however_large_the_others_are(places):
    places.deliver(at("L1", many(400)))
    places.deliver(at("L2", many(60)))
    result = places.deliver(at("L2", many(30)))
    assert result.state == "held"
    assert "KNOWN-MISSING" in {f["code"] for f in result.findings}


def test_a_location_that_falls_to_zero_is_held_however_large_the_others_are(places):
    places.deliver(at("L1", many(400)))
    places.deliver(at("L2", many(60)))
    result = places.deliver(at("L2", many(60) | {f"S{n:03}": 0 for n in range(25)}))
    assert "NEWLY-ZERO" in {f["code"] for f in result.findings}
    assert result.state == "held"


def test_an_applied_location_leaves_the_held_delivery_of_another_one_alone(places):
    places.deliver(at("L1", many(60)))
    places.deliver(at("L2", many(60)))
    held = places.deliver(at("L2", dict.fromkeys(many(60), 0)))
    assert held.state == "held"
    assert places.deliver(at("L1", many(60, 12))).state == "applied"
    assert release_delivery(places.app, held.delivery_id, **WHO).state == "applied"
    assert levels(places)["L2", "S000"] == 0


def test_a_held_location_does_not_take_the_place_of_the_held_delivery_of_another_one(places):
    places.deliver(at("L1", many(60)))
    places.deliver(at("L2", many(60)))
    first = places.deliver(at("L1", dict.fromkeys(many(60), 0)))
    places.deliver(at("L2", dict.fromkeys(many(60), 0)))
    states = places.query(f"SELECT state FROM delivery WHERE id = {first.delivery_id}")
    assert states[0].state == "held"


def test_unchanged_content_of_one_location_counts_nothing_missing_in_another(places):
    places.deliver(at("L1", {"A": 1, "B": 2}))
    places.deliver(at("L2", {"C": 3}))
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"C": 4}))
    assert places.deliver(at("L2", {"C": 4})).state == "unchanged"
    assert levels(places)["L1", "B"] == 2, "L1 was missed once only"


def test_a_late_file_of_one_location_is_not_older_than_another_location(places):
    places.edit('scope = "location"', 'scope = "location"\norder_by = "source_time"')
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 2}))
    places.deliver(at("L1", {"A": 3}))
    places.clock.advance(minutes=-30)
    places.put(at("L2", {"A": 4}))
    places.clock.advance(minutes=30)
    assert [r.state for r in places.sync()] == ["applied"]
    places.clock.advance(hours=-2)
    places.put(at("L1", {"A": 9}))
    places.clock.advance(hours=2)
    assert [r.state for r in places.sync()] == ["superseded"]
    assert levels(places) == {("L1", "A"): 3, ("L2", "A"): 4}


def test_a_key_of_a_location_seen_only_in_bad_rows_is_unconfirmed(places):
    places.deliver(at("L1", {"A": 1}) + "B,2,L2\n")
    places.deliver(at("L1", {"A": 2}) + "B,lots,L2\n")
    assert places.query("SELECT missing_count, unconfirmed_count FROM inventory WHERE location = 'L2'") == [(0, 1)]


def test_undo_at_one_location_leaves_the_others_in_force(places):
    places.deliver(at("L1", {"A": 1, "B": 2}))
    places.deliver(at("L2", {"A": 3}))
    wrong = places.deliver(at("L1", {"A": 2}))
    undo_delivery(places.app, wrong.delivery_id, **WHO)
    assert levels(places) == {("L1", "A"): 1, ("L1", "B"): 2, ("L2", "A"): 3}
    assert places.deliver(at("L1", {"A": 2})).findings[0]["code"] == "UNDONE-BYTES"
    assert places.deliver(at("L1", {"A": 1, "B": 2})).state == "unchanged"
    assert places.deliver(at("L2", {"A": 3})).state == "unchanged"


def test_old_content_of_a_location_is_held_when_that_location_has_moved_on(places):
    places.deliver(at("L1", {"A": 1}))
    places.deliver(at("L2", {"A": 3}))
    places.deliver(at("L1", {"A": 2}))
    places.deliver(at("L2", {"A": 4}))
    assert places.deliver(at("L1", {"A": 1})).findings[0]["code"] == "OLD-BYTES"
