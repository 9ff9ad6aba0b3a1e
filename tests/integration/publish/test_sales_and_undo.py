"""Seen sales when a delivery is undone, states only some SKUs, or covers only one place: counted once, and never given back."""

import pytest
from sqlalchemy import delete

from schemas.tables import inventory
from stockfeed.store.engine import write
from tests.integration.publish.conftest import Desk, day
from tests.integration.publish.memory_shop import MemoryShop


@pytest.fixture
def two(desk: Desk) -> tuple[Desk, MemoryShop]:
    """A 10 from acme and 5 from globex, published; then the shop sold 3, seen by reconcile, and two days went by."""
    for code in ("acme.stock", "globex.stock"):
        desk.add_feed(code)
    shop = desk.add_channel()
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.deliver("globex.stock", {"A": 5})
    desk.publish()
    shop.sell("A", 3)
    desk.reconcile()
    desk.clock.advance(days=2)
    return desk, shop


def shown(desk: Desk, shop: MemoryShop) -> int:
    desk.publish()
    assert shop.shows("A") == desk.ats("A").quantity
    return shop.shows("A")


def test_undo_after_a_carried_over_sale_reserves_the_units_once(two):
    desk, shop = two
    desk.set_feed("globex.stock", is_stale=True)
    desk.deliver("acme.stock", {"A": 8})
    assert shown(desk, shop) == 8
    desk.set_feed("globex.stock", is_stale=False)
    assert shown(desk, shop) == 8 + 5 - 3
    desk.undo("acme.stock")
    assert shown(desk, shop) == 10 + 5 - 3
    assert desk.open_sales() == {"A": 3}


def test_undoing_both_deliveries_in_either_order_reserves_the_units_once(two):
    desk, shop = two
    desk.set_feed("globex.stock", is_stale=True)
    desk.deliver("acme.stock", {"A": 8})
    desk.set_feed("globex.stock", is_stale=False)
    desk.deliver("globex.stock", {"A": 6})
    assert shown(desk, shop) == 8 + 6
    desk.undo("acme.stock")
    assert shown(desk, shop) == 10 + 6 - 3
    desk.undo("globex.stock")
    assert shown(desk, shop) == 10 + 5 - 3


def test_undo_of_the_carrier_first_and_then_of_the_other(two):
    desk, shop = two
    desk.set_feed("globex.stock", is_stale=True)
    desk.deliver("acme.stock", {"A": 8})
    desk.set_feed("globex.stock", is_stale=False)
    desk.deliver("globex.stock", {"A": 6})
    desk.undo("globex.stock")
    assert shown(desk, shop) == 8 + 5 - 3
    desk.undo("acme.stock")
    assert shown(desk, shop) == 10 + 5 - 3
    desk.deliver("acme.stock", {"A": 9})
    desk.deliver("globex.stock", {"A": 4})
    assert shown(desk, shop) == 9 + 4
    assert desk.open_sales() == {}


def test_undo_of_a_source_that_another_delivery_relied_on_does_not_give_the_sale_back(two):
    desk, shop = two
    desk.deliver("globex.stock", {"A": 4})  # contains the sale; acme does not yet
    desk.clock.advance(hours=1)
    desk.deliver("acme.stock", {"A": 8})
    assert shown(desk, shop) == 8 + 4
    desk.undo("globex.stock")
    assert shown(desk, shop) == 8 + 5 - 3, "globex's old number came back"
    desk.deliver("globex.stock", {"A": 4})
    assert shown(desk, shop) == 8 + 4


def test_a_carried_over_sale_is_taken_off_after_the_trust_in_its_source(desk):
    desk.add_feed("acme.stock")
    desk.add_feed("globex.stock", trust="1/2")
    shop = desk.add_channel()
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.deliver("globex.stock", {"A": 20})
    desk.publish()
    shop.sell("A", 4)
    desk.reconcile()
    desk.clock.advance(days=2)
    desk.set_feed("globex.stock", is_stale=True)
    desk.deliver("acme.stock", {"A": 11})
    desk.set_feed("globex.stock", is_stale=False)
    assert shown(desk, shop) == 11 + 10 - 4


def test_a_carried_over_sale_of_one_place_does_not_lower_another(desk):
    for code in ("acme.stock", "globex.stock"):
        desk.add_feed(code)
    shop = desk.add_channel(locations=[{"id": "east", "from": ["E"]}, {"id": "west", "from": ["W"]}])
    shop.list_skus("A")
    for place in ("E", "W"):
        desk.deliver("acme.stock", {"A": 10}, location=place)
        desk.deliver("globex.stock", {"A": 10}, location=place)
    desk.publish()
    shop.sell("A", 3, "east")
    desk.reconcile()
    desk.clock.advance(days=2)
    desk.set_feed("globex.stock", is_stale=True)
    desk.deliver("acme.stock", {"A": 11}, location="E")
    desk.set_feed("globex.stock", is_stale=False)
    desk.publish()
    assert (shop.shows("A", "east"), shop.shows("A", "west")) == (11 + 10 - 3, 20)


def test_a_delta_gives_back_only_what_it_states(desk):
    desk.add_feed("acme.stock", mode="delta")
    shop = desk.add_channel()
    shop.list_skus("A", "B")
    desk.deliver("acme.stock", {"A": 10, "B": 10})
    desk.publish()
    shop.sell("A", 3)
    shop.sell("B", 2)
    desk.reconcile()
    desk.clock.advance(days=2)
    desk.deliver("acme.stock", {"B": 9})
    desk.publish()
    assert (shop.shows("A"), shop.shows("B")) == (7, 9), "the delta does not speak of A"
    desk.deliver("acme.stock", {"A": 8})
    desk.publish()
    assert shop.shows("A") == 8


def test_a_delta_within_the_lag_gives_back_once_the_lag_is_over(desk):
    desk.add_feed("acme.stock", mode="delta")
    shop = desk.add_channel()
    shop.list_skus("A", "B")
    desk.deliver("acme.stock", {"A": 10, "B": 10})
    desk.publish()
    shop.sell("A", 3)
    desk.reconcile()
    desk.clock.advance(hours=2)
    desk.deliver("acme.stock", {"A": 7})
    desk.publish()
    assert shop.shows("A") == 4, "it may not contain the sale yet"
    desk.clock.advance(hours=23)
    desk.deliver("acme.stock", {"B": 9})
    desk.publish()
    assert shop.shows("A") == 7, "had it changed since, a delta would say so"


def test_a_delivery_of_one_place_does_not_give_back_what_another_place_may_have_sold(desk):
    desk.add_feed("acme.stock")
    shop = desk.add_channel()
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10}, location="E", covers=["E"])
    desk.deliver("acme.stock", {"A": 10}, location="W", covers=["W"])
    desk.publish()
    shop.sell("A", 3)
    desk.reconcile()
    desk.clock.advance(days=2)
    desk.deliver("acme.stock", {"A": 9}, location="E", covers=["E"])
    assert shown(desk, shop) == 9 + 10 - 3
    desk.deliver("acme.stock", {"A": 8}, location="W", covers=["W"])
    assert shown(desk, shop) == 9 + 8


@pytest.fixture
def one_is_empty(desk: Desk) -> tuple[Desk, MemoryShop]:
    """A 10 from acme and 0 from globex; the shop sold 3, and two days went by."""
    for code in ("acme.stock", "globex.stock"):
        desk.add_feed(code)
    shop = desk.add_channel()
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.deliver("globex.stock", {"A": 0})
    desk.publish()
    shop.sell("A", 3)
    desk.reconcile()
    desk.clock.advance(days=2)
    return desk, shop


def test_a_source_that_had_nothing_to_sell_does_not_hold_the_sale_up(one_is_empty):
    desk, shop = one_is_empty
    desk.deliver("acme.stock", {"A": 8})
    assert shown(desk, shop) == 8
    assert desk.open_sales() == {}


def test_a_source_that_fell_to_zero_after_the_sale_still_has_to_report_it(two):
    desk, shop = two
    desk.deliver("globex.stock", {"A": 0}, as_of=desk.clock.now - day(1.5))
    desk.deliver("acme.stock", {"A": 8})
    assert shown(desk, shop) == 8 - 3, "globex may have sold units that it does not have"
    desk.deliver("globex.stock", {"A": 1})
    assert shown(desk, shop) == 8 + 1


def test_a_source_that_had_nothing_to_sell_does_not_end_a_sale_whose_source_is_gone(two):
    desk, shop = two
    with write(desk.engine) as connection:  # the only other source's delivery was undone: it has no level of A now
        connection.execute(delete(inventory).where(inventory.c.feed_id == desk.feeds["acme.stock"]))
    desk.levels.pop(("acme.stock", "A", ""))
    before = desk.clock.now - day(3)
    desk.deliver("globex.stock", {"A": 0}, as_of=before)
    assert desk.open_sales() == {"A": 3}, "nobody has reported it"
    desk.deliver("acme.stock", {"A": 10}, as_of=before)
    assert shown(desk, shop) == 10 - 3
    desk.deliver("acme.stock", {"A": 9})
    assert shown(desk, shop) == 9
