"""What the publish gate holds and lets pass, the canary, approval, pause, resume and rollback."""

import pytest

from schemas.errors import ConfigError
from stockfeed.pipeline.channel_acts import (
    approve_channel,
    pause_channel,
    release_publish_hold,
    resume_channel,
    rollback_channel,
)
from stockfeed.pipeline.preview import channel_preview
from tests.integration.publish.conftest import WHO, Desk
from tests.integration.publish.memory_shop import MemoryShop

SKUS = [f"S{n:03}" for n in range(100)]


@pytest.fixture
def gated(desk: Desk) -> tuple[Desk, MemoryShop]:
    """100 SKUs with 10 units each from one feed and X from another, published through a gate with the defaults."""
    desk.add_feed("acme.stock")
    desk.add_feed("globex.stock")
    shop = desk.add_channel(gate={})
    shop.list_skus(*SKUS, "X")
    desk.deliver("acme.stock", dict.fromkeys(SKUS, 10))
    desk.deliver("globex.stock", {"X": 10})
    desk.publish()
    desk.clock.advance(days=2)
    return desk, shop


def test_a_delivery_that_zeroes_many_listings_is_held_and_the_rest_goes_on(gated):
    desk, shop = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    desk.deliver("globex.stock", {"X": 12})
    result = desk.publish()
    assert (result.held, result.confirmed, result.pending) == (30, 1, 0)
    assert result.hold_id is not None
    assert (shop.shows("S000"), shop.shows("X")) == (10, 12)
    (row,) = desk.query("SELECT findings FROM hold WHERE kind = 'publish' AND state = 'open'")
    assert "30 of 101 listings go to 0" in str(row.findings)


def test_a_released_hold_goes_out_and_is_not_held_again(gated):
    desk, shop = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    held = desk.publish().hold_id
    assert desk.publish().held == 30
    assert release_publish_hold(desk.app, held, **WHO) == 30
    assert desk.publish().confirmed == 30
    assert shop.shows("S000") == 0
    with pytest.raises(ConfigError):
        release_publish_hold(desk.app, held, **WHO)


def test_changes_of_a_released_delivery_pass_without_a_second_approval(gated):
    desk, shop = gated
    delivery = desk.deliver("acme.stock", dict.fromkeys(SKUS, 0))
    desk.add_released_hold(delivery)
    result = desk.publish()
    assert (result.held, result.confirmed, shop.shows("S099")) == (0, 100, 0)


def test_staleness_zeros_pass_and_so_does_the_way_back(gated):
    desk, shop = gated
    desk.set_feed("acme.stock", is_stale=True)
    assert desk.publish().held == 0
    assert (shop.shows("S000"), desk.ats("S000").reason_code) == (0, "stale")
    desk.clock.advance(days=3)
    desk.set_feed("acme.stock", is_stale=False)
    assert desk.publish().held == 0
    assert shop.shows("S000") == 10


def test_few_zeros_of_a_held_cause_pass(gated):
    desk, shop = gated
    desk.deliver("acme.stock", {**dict.fromkeys(SKUS[:40], 100), "S099": 0})
    result = desk.publish()
    assert (result.held, result.confirmed) == (40, 1)
    assert (shop.shows("S099"), shop.shows("S000")) == (0, 10)


def test_small_steps_are_summed_over_a_day(gated):
    desk, _ = gated
    for start in (0, 9, 18):
        desk.clock.advance(hours=1)
        desk.deliver("acme.stock", dict.fromkeys(SKUS[start : start + 9], 0))
        result = desk.publish()
    assert (result.held, result.confirmed) == (9, 0)


def test_a_good_new_value_replaces_a_held_one(gated):
    desk, shop = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    desk.publish()
    desk.clock.advance(hours=1)
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 11))
    result = desk.publish()
    assert (result.held, result.confirmed, shop.shows("S000")) == (0, 30, 11)


def test_recomputing_for_another_reason_does_not_get_a_held_value_past_the_gate(gated):
    desk, shop = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:40], 100))
    assert desk.publish().held == 40
    shop.sell("S000", 2)
    desk.reconcile()
    assert desk.ats("S000").quantity == 98
    assert desk.publish().held == 40
    assert shop.shows("S000") == 8


def test_many_sales_are_not_held(gated):
    desk, shop = gated
    for sku in SKUS:
        shop.sell(sku, 10)
    desk.reconcile()
    assert desk.publish().held == 0
    assert set(desk.offered().values()) == {0, 10}


def test_the_preview_shows_what_would_be_sent_and_held_without_doing_it(gated):
    desk, shop = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    desk.deliver("globex.stock", {"X": 12})
    desk.allocate()
    calls = len(shop.calls)
    seen = channel_preview(desk.app, "shop", limit=50)
    assert (seen["waiting"], seen["held"], len(seen["items"])) == (31, 0, 31)
    assert {item["sku"]: item["held"] for item in seen["items"]}["X"] is False
    assert sum(item["held"] for item in seen["items"]) == 30
    assert seen["items"][0]["shown"] == 10
    assert "TO-ZERO" in {finding["code"] for finding in seen["findings"]}
    assert len(shop.calls) == calls
    assert desk.query("SELECT * FROM hold") == []


def test_nothing_is_sent_before_a_channel_is_approved(desk):
    desk.add_feed("acme.stock")
    shop = desk.add_channel(approved=False)
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.allocate()
    result = desk.publish()
    assert (result.state, result.pending, shop.calls) == ("held", 1, [])
    assert "channels approve shop" in result.reason
    approve_channel(desk.app, "shop", **WHO)
    assert desk.publish().confirmed == 1
    (row,) = desk.query("SELECT actor, act, subject, reason FROM audit")
    assert tuple(row) == ("ann", "approve_channel", "channel shop", "looked at it")


def test_a_paused_channel_gets_nothing_until_it_is_resumed(simple):
    shop = simple.shops["shop"]
    pause_channel(simple.app, "shop", **WHO)
    simple.deliver("acme.stock", {"A": 3})
    result = simple.publish()
    assert (result.state, shop.shows("A")) == ("held", 10)
    resume_channel(simple.app, "shop", **WHO)
    simple.publish()
    assert shop.shows("A") == 3


def test_a_large_publish_sends_a_canary_first_and_zeros_before_it(desk):
    desk.add_feed("acme.stock")
    shop = desk.add_channel(gate={"canary_above": 50, "canary_size": 5})
    shop.list_skus(*SKUS, quantity=1)
    desk.deliver("acme.stock", {**dict.fromkeys(SKUS, 10), "S099": 0})
    assert desk.publish().confirmed == 100
    assert [len(call) for call in shop.calls] == [1, 5, 94]
    assert shop.calls[0][0].listing.sku == "S099"


def test_a_canary_that_shows_something_else_holds_the_rest(desk):
    desk.add_feed("acme.stock")
    shop = desk.add_channel(gate={"canary_above": 50, "canary_size": 5})
    shop.list_skus(*SKUS, quantity=1)
    shop.frozen = True
    desk.deliver("acme.stock", dict.fromkeys(SKUS, 10))
    result = desk.publish()
    assert (result.confirmed, result.held, len(shop.calls)) == (5, 95, 1)
    assert desk.open_sales() == {}
    (row,) = desk.query("SELECT findings FROM hold WHERE state = 'open'")
    assert "the old value" in str(row.findings)


def test_a_rollback_pauses_and_sends_the_smaller_of_then_and_now(simple):
    shop = simple.shops["shop"]
    then = simple.clock.now
    simple.clock.advance(hours=1)
    simple.deliver("acme.stock", {"A": 40, "B": 5})
    simple.publish()
    assert (shop.shows("A"), shop.shows("B")) == (40, 5)
    result = rollback_channel(simple.app, "shop", at=then, door=shop, **WHO)
    assert result.confirmed == 2
    assert (shop.shows("A"), shop.shows("B")) == (10, 5)
    assert simple.publish().state == "held"
    resume_channel(simple.app, "shop", **WHO)
    simple.publish()
    assert (shop.shows("A"), shop.shows("B")) == (40, 5)
    assert [e.version for e in shop.log if e.sku == "A"] == [1, 2, 2, 2]
    assert len({e.key for e in shop.log}) == len(shop.log)


def test_a_rollback_to_versions_sends_those(simple):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40, "B": 50})
    simple.publish()
    rollback_channel(simple.app, "shop", versions={("A", "main"): 1}, door=shop, **WHO)
    assert (shop.shows("A"), shop.shows("B")) == (10, 50)


def test_a_rollback_and_resume_do_not_let_a_held_change_out(gated):
    desk, shop = gated
    then = desk.clock.now
    desk.clock.advance(hours=1)
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:40], 100))
    desk.publish()
    rollback_channel(desk.app, "shop", at=then, door=shop, **WHO)
    resume_channel(desk.app, "shop", **WHO)
    assert desk.publish().held == 40
    assert shop.shows("S000") == 10


def test_a_rollback_needs_one_goal(simple):
    with pytest.raises(ConfigError):
        rollback_channel(simple.app, "shop", **WHO)


def test_an_unknown_channel_is_a_config_error(simple):
    with pytest.raises(ConfigError):
        approve_channel(simple.app, "shp", **WHO)
