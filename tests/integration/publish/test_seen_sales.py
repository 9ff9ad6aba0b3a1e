"""What a shop sold between two deliveries is never given back by an old file, and is by the snapshot that contains it."""

import pytest

from tests.integration.publish.conftest import Desk, day
from tests.integration.publish.memory_shop import MemoryShop


@pytest.fixture(params=[True, False], ids=["compares", "reads back"])
def sold(request: pytest.FixtureRequest, desk: Desk) -> tuple[Desk, MemoryShop]:
    """A 10 and B 20 published to a shop; then it sold 3 of A."""
    desk.add_feed("acme.stock")
    shop = desk.add_channel(compares=request.param)
    shop.list_skus("A", "B")
    desk.deliver("acme.stock", {"A": 10, "B": 20})
    desk.publish()
    assert (shop.shows("A"), shop.shows("B")) == (10, 20)
    shop.sell("A", 3)
    return desk, shop


def test_an_unchanged_file_does_not_give_a_sale_back(sold):
    desk, shop = sold
    desk.clock.advance(hours=1)
    desk.unchanged("acme.stock")
    desk.publish()
    assert shop.shows("A") == 7


def test_publishing_another_change_does_not_give_a_sale_back(sold):
    desk, shop = sold
    desk.deliver("acme.stock", {"B": 25})
    desk.publish()
    assert (shop.shows("A"), shop.shows("B")) == (7, 25)


def test_a_snapshot_from_before_the_sale_does_not_give_it_back(sold):
    desk, shop = sold
    desk.deliver("acme.stock", {"A": 12})
    result = desk.publish()
    assert result.sales_seen == 3
    assert shop.shows("A") == 9
    assert desk.ats("A").quantity == 9
    assert [a.quantity for a in shop.log if a.sku == "A"] == [10, 9]


def test_a_lowered_number_does_not_give_a_sale_back_either(sold):
    desk, shop = sold
    desk.deliver("acme.stock", {"A": 8})
    desk.publish()
    assert shop.shows("A") == 5


def test_reconcile_sees_the_sale_and_does_not_give_it_back(sold):
    desk, shop = sold
    result = desk.reconcile()
    assert (result.checked, result.equal, result.sales_seen, result.edited) == (2, 1, 3, 0)
    assert desk.ats("A").quantity == 7
    desk.publish()
    assert shop.shows("A") == 7
    assert desk.reconcile().equal == 2


def test_the_next_applied_snapshot_that_contains_the_sale_gives_the_units_back_to_its_number(sold):
    desk, shop = sold
    desk.reconcile()
    desk.clock.advance(days=2)
    desk.deliver("acme.stock", {"A": 7})
    desk.publish()
    assert desk.open_sales() == {}
    assert (desk.ats("A").quantity, shop.shows("A")) == (7, 7)


def test_a_snapshot_within_the_sales_lag_is_not_trusted_to_contain_the_sale(sold):
    desk, shop = sold
    desk.reconcile()
    desk.clock.advance(hours=23)
    desk.deliver("acme.stock", {"A": 10, "B": 21})
    desk.publish()
    assert shop.shows("A") == 7
    desk.clock.advance(hours=1)
    desk.deliver("acme.stock", {"B": 22})
    desk.publish()
    assert shop.shows("A") == 10


def test_an_unchanged_file_after_the_lag_gives_nothing_back(sold):
    desk, shop = sold
    desk.reconcile()
    desk.clock.advance(days=3)
    desk.unchanged("acme.stock")
    desk.deliver("acme.stock", {"B": 21}, as_of=desk.clock.now - day(3))
    desk.publish()
    assert shop.shows("A") == 7


def test_a_sale_during_the_publish_itself_is_not_overwritten(simple):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 50})
    shop.sell("A", 2)
    result = simple.publish()
    assert (result.stale, result.sales_seen) == (1, 2)
    assert shop.shows("A") == 48
    keys = [a.key for a in shop.log]
    assert len(keys) == len(set(keys))


def test_a_sale_at_one_channel_lowers_the_other_that_shares_the_source(desk):
    desk.add_feed("acme.stock")
    desk.add_feed("globex.stock")
    for code, sources in (("one", ["acme.*"]), ("two", ["acme.stock"]), ("three", ["globex.*"])):
        desk.add_channel(code, sources=sources).list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.deliver("globex.stock", {"A": 10})
    for code in ("one", "two", "three"):
        desk.publish(code)
    desk.shops["one"].sell("A", 4)
    desk.reconcile("one")
    for code in ("one", "two", "three"):
        desk.publish(code)
    assert {code: shop.shows("A") for code, shop in desk.shops.items()} == {"one": 6, "two": 6, "three": 10}


def test_a_sale_at_one_location_does_not_lower_another_with_its_own_stock(desk):
    desk.add_feed("acme.stock")
    places = [{"id": "east", "from": ["E"]}, {"id": "west", "from": ["W"]}]
    shop = desk.add_channel(locations=places)
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10}, location="E")
    desk.deliver("acme.stock", {"A": 20}, location="W")
    desk.publish()
    assert (shop.shows("A", "east"), shop.shows("A", "west")) == (10, 20)
    shop.sell("A", 1, "east")
    desk.reconcile()
    desk.publish()
    assert (desk.ats("A", location="east").quantity, desk.ats("A", location="west").quantity) == (9, 20)


def test_a_rise_at_the_channel_is_an_edit_and_is_put_right_by_comparing_with_it(simple):
    shop = simple.shops["shop"]
    shop.stock["A", "main"] = 99
    result = simple.reconcile()
    assert (result.edited, result.sales_seen, result.repaired) == (1, 0, 1)
    simple.publish()
    assert shop.shows("A") == 10
    assert shop.log[-1].before == 99
    assert simple.open_sales() == {}


def test_every_usable_source_must_have_applied_a_snapshot_that_contains_the_sale(desk):
    for code in ("acme.stock", "globex.stock"):
        desk.add_feed(code)
    desk.add_channel().list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.deliver("globex.stock", {"A": 5})
    desk.publish()
    desk.shops["shop"].sell("A", 3)
    desk.reconcile()
    desk.clock.advance(days=2)
    desk.deliver("acme.stock", {"A": 7})
    desk.publish()
    assert desk.ats("A").quantity == 7 + 5 - 3
    desk.deliver("globex.stock", {"A": 6})
    desk.publish()
    assert desk.ats("A").quantity == 7 + 6


def test_a_stale_source_does_not_block_the_others_and_gives_nothing_back_when_it_returns_unchanged(desk):
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
    desk.set_feed("globex.stock", is_stale=True)
    desk.deliver("acme.stock", {"A": 8})
    desk.publish()
    assert shop.shows("A") == 8
    desk.unchanged("globex.stock")
    desk.set_feed("globex.stock", is_stale=False)
    desk.publish()
    assert shop.shows("A") == 8 + 5 - 3
    desk.deliver("globex.stock", {"A": 6})
    desk.publish()
    assert shop.shows("A") == 8 + 6
