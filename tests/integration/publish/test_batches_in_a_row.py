"""While a batch is under way, what came of the one before is recorded: what happens then, and what never goes out."""

import pytest
from sqlalchemy import select, update

from schemas.errors import TransientError
from schemas.tables import channel, listing, publication
from stockfeed.pipeline import sending
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


def wait_for_the_batch_before(desk: Desk) -> None:
    """Return when the batch under way is the only one that is not recorded."""
    for _ in range(1000):
        with read(desk.engine) as connection:
            if len(publications.in_flight(connection, "shop")) == 2:
                return
    raise AssertionError("the batch before was not recorded while this one was under way")


def test_a_batch_is_recorded_while_the_next_is_under_way_and_each_listing_is_sent_once(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    during(shop, monkeypatch, lambda: wait_for_the_batch_before(shelf), call=2)
    result = shelf.publish()
    assert (result.sent, result.confirmed, result.pending) == (6, 6, 0)
    assert [[item.listing.sku for item in call] for call in shop.calls] == [SKUS[:2], SKUS[2:4], SKUS[4:]]
    assert states(shelf) == [(sku, "confirmed", 1) for sku in SKUS]


@pytest.mark.parametrize("call", [1, 2])
def test_a_paused_channel_gets_no_further_batch(shelf: Desk, monkeypatch, call):
    shop = shelf.shops["shop"]
    during(shop, monkeypatch, lambda: pause_channel(shelf.app, "shop", **WHO), call)
    result = shelf.publish()
    assert [len(batch) for batch in shop.calls] == [2] * call
    assert (result.confirmed, result.pending) == (2 * call, 6 - 2 * call)
    assert [state for _, state, _ in states(shelf)] == ["confirmed"] * 2 * call + ["pending"] * (6 - 2 * call)


def test_after_an_error_of_the_channel_the_batch_before_is_recorded_and_the_rest_waits(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    during(shop, monkeypatch, lambda: shop.faults.append("unreachable"), call=2)
    with pytest.raises(TransientError):
        shelf.publish()
    assert [state for _, state, _ in states(shelf)] == ["confirmed"] * 2 + ["sent"] * 2 + ["pending"] * 2
    shelf.publish()
    assert [shop.shows(sku) for sku in SKUS] == [20] * 6
    assert {state for _, state, _ in states(shelf)} == {"confirmed"}


def test_a_power_cut_in_the_second_batch_sells_nothing_twice(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    during(shop, monkeypatch, lambda: shop.faults.append("die after"), call=2)
    with pytest.raises(PowerCutError):
        shelf.publish()
    shop.sell("S0", 3)
    shop.sell("S3", 4)
    for _ in range(2):
        shelf.publish()
        assert [shop.shows(sku) for sku in SKUS] == [17, 20, 20, 16, 20, 20]


def test_a_batch_without_an_answer_is_settled_before_the_next_goes_out(shelf: Desk):
    shop = shelf.shops["shop"]
    shop.faults = ["no answer"]
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


def when_read_ahead(monkeypatch, act, times: int = 1) -> None:
    """Let `act` happen each time right after the next batch was read, while the one before is under way."""
    look, left = sending._Queue.look_ahead, [act] * times

    def looking(queue):
        look(queue)
        if left:
            left.pop()()

    monkeypatch.setattr(sending._Queue, "look_ahead", looking)


def test_what_was_read_ahead_is_not_stored_before_it_goes_out(shelf: Desk, monkeypatch):
    stored: list[list[str]] = []
    when_read_ahead(monkeypatch, lambda: stored.append([state for _, state, _ in states(shelf)]), times=2)
    shelf.publish()
    assert stored[0][2:] == ["pending"] * 4  # S2 and S3 were read, and S0 and S1 are under way
    assert stored[1][4:] == ["pending"] * 2


def test_what_no_longer_waits_when_its_turn_comes_is_not_sent(shelf: Desk, monkeypatch):
    shop, p = shelf.shops["shop"], publication.c

    def supersede() -> None:
        with write(shelf.engine) as connection:
            connection.execute(update(publication).where(p.sku == "S2", p.quantity == 20).values(state="superseded"))

    when_read_ahead(monkeypatch, supersede)
    shelf.publish()
    assert [[item.listing.sku for item in call] for call in shop.calls] == [SKUS[:2], ["S3"], SKUS[4:]]
    assert shop.shows("S2") == 10


def test_what_the_channel_is_known_to_show_is_read_again_when_the_turn_comes(shelf: Desk, monkeypatch):
    shop, li = shelf.shops["shop"], listing.c

    def sell_and_notice() -> None:
        shop.sell("S2", 3)
        with write(shelf.engine) as connection:
            connection.execute(update(listing).where(li.sku == "S2").values(confirmed_quantity=7))

    when_read_ahead(monkeypatch, sell_and_notice)
    shelf.publish()
    assert [item.expected for call in shop.calls for item in call] == [10, 10, 7, 10, 10, 10]


def test_what_is_freed_while_the_last_batch_is_under_way_goes_out_too(shelf: Desk, monkeypatch):
    p, looked = publication.c, list[int]()

    def change(state: str) -> None:
        with write(shelf.engine) as connection:
            connection.execute(update(publication).where(p.sku == "S5", p.quantity == 20).values(state=state))

    def take_and_free() -> None:
        looked.append(len(looked))
        if len(looked) == 1:
            change("held")
        if len(looked) == 3:  # nothing waits any more
            change("pending")

    when_read_ahead(monkeypatch, take_and_free, times=4)
    shelf.publish()
    assert [[item.listing.sku for item in call] for call in shelf.shops["shop"].calls] == [SKUS[:2], SKUS[2:4], ["S4"], ["S5"]]


def test_a_pause_after_a_batch_was_read_ahead_keeps_it_from_going_out(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]
    when_read_ahead(monkeypatch, lambda: pause_channel(shelf.app, "shop", **WHO))
    result = shelf.publish()
    assert [len(call) for call in shop.calls] == [2]
    assert (result.confirmed, result.pending) == (2, 4)


def test_under_a_lost_lease_no_further_batch_is_sent(shelf: Desk, monkeypatch):
    shop = shelf.shops["shop"]

    def lose_the_lease() -> None:
        with write(shelf.engine) as connection:
            connection.execute(update(channel).values(fence=channel.c.fence + 1))

    during(shop, monkeypatch, lose_the_lease)
    with pytest.raises(TransientError, match="lost"):
        shelf.publish()
    assert [len(call) for call in shop.calls] == [2]


def test_what_the_channel_answers_is_kept_when_the_batch_before_cannot_be_recorded_at_once(shelf: Desk, monkeypatch):
    shop, note = shelf.shops["shop"], sending._note
    failures = [TransientError("the database is busy", "Try again.")]

    def noting(run, answers, **named):
        if failures and len(shop.calls) > 0:
            raise failures.pop()
        note(run, answers, **named)

    monkeypatch.setattr(sending, "_note", noting)
    with pytest.raises(TransientError, match="busy"):
        shelf.publish()
    assert [state for _, state, _ in states(shelf)] == ["confirmed"] * 4 + ["pending"] * 2
    shelf.publish()
    assert [len(call) for call in shop.calls] == [2, 2, 2]
    assert states(shelf) == [(sku, "confirmed", 1) for sku in SKUS]
