"""Attempts without an answer, pauses and rollbacks in the worst moments: nothing is written blindly, nothing is given back."""

import contextlib

import pytest

from schemas.errors import TransientError
from schemas.publishing import Observed
from stockfeed.pipeline.channel_acts import pause_channel, rollback_channel
from tests.integration.publish.conftest import WHO, Desk
from tests.integration.publish.memory_shop import PLACE, MemoryShop, PowerCutError


class UnstockedShop(MemoryShop):
    """Shows nothing for an item until its first quantity, forgets keys, and sells right after the write."""

    def read_back(self, listings):
        for one in listings:
            quantity = self.stock[one.sku, one.location]
            yield Observed(one, None if quantity < 0 else quantity)


@pytest.mark.parametrize("fault", ["die after", "answer lost"])
def test_a_first_write_whose_answer_is_lost_is_not_written_again_over_a_sale(desk, fault):
    desk.add_feed("acme.stock")
    desk.add_channel()
    shop = desk.shops["shop"] = UnstockedShop()
    shop.list_skus("A", quantity=-1)
    desk.deliver("acme.stock", {"A": 10})
    shop.faults = [fault]
    with contextlib.suppress(PowerCutError, TransientError):
        desk.publish()
    assert shop.shows("A") == 10
    shop.sell("A", 3)
    shop.answered.clear()
    for _ in range(2):
        desk.publish()
        assert shop.shows("A") == 7
    assert desk.ats("A").quantity == 7


def test_reconcile_writes_nothing_to_a_paused_channel(simple: Desk):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40})
    shop.faults = ["die before"]
    with pytest.raises(PowerCutError):
        simple.publish()
    pause_channel(simple.app, "shop", **WHO)
    calls = len(shop.calls)
    simple.reconcile()
    assert (len(shop.calls), shop.shows("A")) == (calls, 10)


def test_a_pause_stops_a_publish_that_is_under_way(simple: Desk, monkeypatch):
    shop = simple.shops["shop"]
    shop.max_batch = 1
    simple.deliver("acme.stock", {"A": 40, "B": 50})
    publish_one = shop.publish

    def then_pause(items):
        pause_channel(simple.app, "shop", **WHO)
        return publish_one(items)

    monkeypatch.setattr(shop, "publish", then_pause)
    result = simple.publish()
    assert (result.sent, result.pending) == (1, 1)
    assert (shop.shows("A"), shop.shows("B")) == (40, 20)


def test_a_rollback_reaches_a_listing_that_sold_meanwhile(simple: Desk):
    shop = simple.shops["shop"]
    then = simple.clock.now
    simple.clock.advance(hours=1)
    simple.deliver("acme.stock", {"A": 100})
    simple.publish()
    shop.sell("A", 2)
    rollback_channel(simple.app, "shop", at=then, door=shop, **WHO)
    assert shop.shows("A") == 10


class SlowShop(MemoryShop):
    """Accepts values and shows them later; `become_visible` is that moment."""

    waiting: dict

    def publish(self, items):
        from schemas.publishing import ItemResult

        self.calls.append(list(items))
        self.waiting = {(i.listing.sku, i.listing.location): i.quantity for i in items}
        for item in items:
            yield ItemResult(item, "accepted")

    def become_visible(self) -> None:
        self.stock |= self.waiting


def test_a_sale_on_top_of_an_accepted_value_is_not_given_back_by_reconcile(desk: Desk):
    desk.add_feed("acme.stock")
    desk.add_channel(compares=False, lag="1h")
    shop = desk.shops["shop"] = SlowShop(compares=False)
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.publish()
    shop.become_visible()
    shop.sell("A", 2)
    desk.clock.advance(minutes=1)
    desk.reconcile()
    desk.clock.advance(hours=2)
    desk.publish()
    assert desk.ats("A").quantity == 8
    assert (shop.shows("A", PLACE), desk.open_sales()) == (8, {"A": 2})


def test_an_outage_of_ours_zeroes_nothing_whatever_is_computed_meanwhile(desk: Desk):
    for n in range(3):
        desk.add_feed(f"s{n}.stock")
    shop = desk.add_channel()
    shop.list_skus("A", "B", "C")
    for n, sku in enumerate("ABC"):
        desk.deliver(f"s{n}.stock", {sku: 10})
    desk.publish()
    for n in range(3):
        desk.set_feed(f"s{n}.stock", stale_at=desk.clock.now)
    desk.clock.advance(hours=1)
    desk.publish()
    assert desk.offered() == {"A": 10, "B": 10, "C": 10}
    desk.set_feed("s0.stock", is_stale=True)
    desk.publish()
    assert desk.offered()["A"] == 0
