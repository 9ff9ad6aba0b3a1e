"""While a batch is under way the next one is stored as sent: what happens then, and what never goes out."""

import pytest
from sqlalchemy import select, update

from schemas.errors import TransientError
from schemas.tables import channel, publication
from stockfeed.pipeline.channel_acts import pause_channel
from stockfeed.store import publications
from stockfeed.store.engine import read, write
from tests.integration.publish.conftest import WHO, Desk
from tests.integration.publish.memory_shop import MemoryShop, PowerCutError

SKUS = [f"S{n}" for n in range(6)]


@pytest.fixture
def shelf(desk: Desk) -> Desk:
    """Return a desk with a channel that shows 10 of each SKU, two listings to a batch, and 20 of each that wait."""
    desk.add_feed("acme.stock")
    shop = desk.add_channel()
    shop.list_skus(*SKUS)
    desk.deliver("acme.stock", dict.fromkeys(SKUS, 10))
    desk.publish()
    shop.max_batch = 2
    shop.calls.clear()
    desk.deliver("acme.stock", dict.fromkeys(SKUS, 20))
    return desk


def states(desk: Desk) -> list[tuple[str, str, int]]:
    p = publication.c
    with read(desk.engine) as connection:
        return [tuple(row) for row in connection.execute(select(p.sku, p.state, p.attempts).where(p.quantity == 20).order_by(p.id))]


def during(shop: MemoryShop, monkeypatch, act, call: int = 1) -> None:
    """Let `act` happen inside a publish call, before the shop looks at the items."""
    publish = shop.publish

    def acting(items):
        if len(shop.calls) + 1 == call:
            act()
        return publish(items)

    monkeypatch.setattr(shop, "publish", acting)


def wait_for_the_next_batch(desk: Desk) -> None:
    """Return when two batches are stored as sent: this one, and the one after it."""
    for _ in range(1000):
        with read(desk.engine) as connection:
            if len(publications.in_flight(connection, "shop")) == 4:
                return
    raise AssertionError("the next batch was not stored while this one was under way")


def test_the_next_batch_is_stored_while_one_is_under_way_and_each_listing_is_sent_once(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    during(shop, monkeypatch, lambda: wait_for_the_next_batch(shelf))
    result = shelf.publish()
    assert (result.sent, result.confirmed, result.pending) == (6, 6, 0)
    assert [[item.listing.sku for item in call] for call in shop.calls] == [SKUS[:2], SKUS[2:4], SKUS[4:]]
    assert states(shelf) == [(sku, "confirmed", 1) for sku in SKUS]


def test_a_pause_keeps_back_the_batch_that_was_stored_already(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]

    def pause() -> None:
        wait_for_the_next_batch(shelf)
        pause_channel(shelf.app, "shop", **WHO)

    during(shop, monkeypatch, pause)
    result = shelf.publish()
    assert [len(call) for call in shop.calls] == [2]
    assert (result.confirmed, result.pending) == (2, 4)
    assert [state for _, state, _ in states(shelf)] == ["confirmed"] * 2 + ["pending"] * 4


def test_after_an_error_of_the_channel_the_stored_batch_waits_again_and_is_sent_by_the_next_run(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    shop.faults = ["unreachable"]
    during(shop, monkeypatch, lambda: wait_for_the_next_batch(shelf))
    with pytest.raises(TransientError):
        shelf.publish()
    assert [len(call) for call in shop.calls] == [2]
    assert [state for _, state, _ in states(shelf)] == ["sent"] * 2 + ["pending"] * 4
    shelf.publish()
    assert [shop.shows(sku) for sku in SKUS] == [20] * 6
    assert {state for _, state, _ in states(shelf)} == {"confirmed"}


def test_a_power_cut_with_two_batches_stored_sells_nothing_twice(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    shop.faults = ["die after"]
    during(shop, monkeypatch, lambda: wait_for_the_next_batch(shelf))
    with pytest.raises(PowerCutError):
        shelf.publish()
    shop.sell("S0", 3)
    shop.sell("S3", 4)
    for _ in range(2):
        shelf.publish()
        assert [shop.shows(sku) for sku in SKUS] == [17, 20, 20, 16, 20, 20]


def test_a_batch_without_an_answer_is_settled_before_the_stored_one_goes_out(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    shop.faults = ["no answer"]
    during(shop, monkeypatch, lambda: wait_for_the_next_batch(shelf))
    result = shelf.publish()
    sent = [[item.listing.sku for item in call] for call in shop.calls]
    assert sent == [SKUS[:2], SKUS[:2], SKUS[2:4], SKUS[4:]]
    assert (result.confirmed, result.pending) == (6, 0)
    assert len({item.idempotency_key for item in (*shop.calls[0], *shop.calls[1])}) == 2


def test_a_sale_met_in_one_batch_is_kept_while_the_next_is_under_way(shelf: Desk):
    shop = shelf.shops["shop"]
    shop.sell("S1", 4)
    shop.sell("S4", 1)
    shelf.publish()
    assert [shop.shows(sku) for sku in SKUS] == [20, 16, 20, 20, 19, 20]


def test_a_batch_that_was_stored_under_a_lost_lease_is_not_sent(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]

    def lose_the_lease() -> None:
        wait_for_the_next_batch(shelf)
        with write(shelf.engine) as connection:
            connection.execute(update(channel).values(fence=channel.c.fence + 1))

    during(shop, monkeypatch, lose_the_lease)
    with pytest.raises(TransientError, match="lost"):
        shelf.publish()
    assert [len(call) for call in shop.calls] == [2]
