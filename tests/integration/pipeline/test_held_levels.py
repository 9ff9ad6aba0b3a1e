"""while_held = "lower": the smaller of old and held is offered for as long as a delivery is held, on both databases."""

import pytest

from stockfeed.pipeline.acts import reject_delivery, release_delivery, undo_delivery
from stockfeed.pipeline.ingest import ingest
from tests.integration.pipeline.conftest import many
from tests.integration.pipeline.selling import Shop

WHO = {"actor": "ann", "reason": "checked with the supplier"}
LOWER = 'trust_first = true\nwhile_held = "lower"'


def kept(world) -> int:
    return world.query("SELECT COUNT(*) AS n FROM held_level")[0].n


def low(**others: object) -> dict[str, object]:
    """A delivery that the guard holds: 25 of 30 SKUs at 0, one higher, one absent."""
    rows = many(30) | {f"S{n:03}": 0 for n in range(25)} | {"S026": 99} | others
    rows.pop("S027")
    return rows


@pytest.fixture
def held(world):
    world.configure(LOWER).deliver(many(30))
    result = world.deliver(low())
    assert result.state == "held"
    return result


def test_the_smaller_of_old_and_held_is_offered_and_the_explanation_says_so(world, held):
    shop = Shop(world)
    offers = shop.offers()
    assert (offers["S000"], offers["S026"], offers["S027"]) == (0, many(30)["S026"], many(30)["S027"])
    assert "lowered to the 0 of a held delivery" in shop.why("S000")
    assert "lowered" not in shop.why("S026")
    assert world.stock() == many(30), "the levels themselves stay"


def test_keep_is_the_default_and_keeps_nothing(world):
    world.configure().deliver(many(30))
    assert world.deliver(low()).state == "held"
    assert kept(world) == 0
    assert Shop(world).offers() == many(30)


@pytest.mark.parametrize("decide", [reject_delivery, release_delivery])
def test_a_decision_ends_it(world, held, decide):
    shop = Shop(world)
    assert shop.offers()["S000"] == 0
    decide(world.app, held.delivery_id, **WHO)
    assert kept(world) == 0
    assert shop.offers()["S000"] == (0 if decide is release_delivery else 10)
    assert shop.offers()["S026"] == (99 if decide is release_delivery else many(30)["S026"])


def test_a_later_good_snapshot_ends_it(world, held):
    shop = Shop(world)
    shop.offers()
    assert world.deliver(many(30, 11)).state == "applied"
    assert kept(world) == 0
    assert shop.offers() == many(30, 11)


def test_a_newer_held_snapshot_takes_its_place(world, held):
    assert world.deliver(low(S000=3)).state == "held"
    assert {r.delivery_id for r in world.query("SELECT delivery_id FROM held_level")} == {held.delivery_id + 1}
    assert Shop(world).offers()["S000"] == 3


def test_undo_of_what_is_in_force_leaves_the_smaller_of_the_older_levels(world):
    world.configure(LOWER).deliver(many(30, 2))
    second = world.deliver(many(30, 3))
    world.deliver(many(30, 3) | {f"S{n:03}": 0 for n in range(25)} | {"S028": 4})
    undo_delivery(world.app, second.delivery_id, **WHO)
    offers = Shop(world).offers()
    assert (offers["S000"], offers["S028"]) == (0, 2)


def test_old_content_is_read_so_that_its_levels_can_be_offered(world):
    world.configure(LOWER).deliver(many(30, 10))
    world.deliver(many(30, 12))
    again = world.deliver(many(30, 10))
    assert (again.state, again.findings[0]["code"]) == ("held", "OLD-BYTES")
    assert Shop(world).offers() == many(30, 10)
    assert ingest(world.app, again.delivery_id).state == "held"
    assert release_delivery(world.app, again.delivery_id, **WHO).state == "applied"
    assert Shop(world).offers() == many(30, 10)


def test_a_policy_of_keep_ignores_what_was_kept_under_the_other(world, held):
    shop = Shop(world)
    assert shop.offers()["S000"] == 0
    world.edit('while_held = "lower"', 'while_held = "keep"')
    from stockfeed.pipeline.sweep import sweep

    sweep(world.app)
    assert shop.offers() == many(30)


def test_an_unknown_quantity_of_a_held_delivery_lowers_nothing(world):
    world.configure(LOWER, '[feed.words]\n"call" = "unknown"').deliver(many(30))
    assert world.deliver(low(S028="call")).state == "held"
    assert Shop(world).offers()["S028"] == many(30)["S028"]
