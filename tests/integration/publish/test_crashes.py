"""A process that dies, or an answer that is lost, between sending and recording: the next run resumes and converges."""

import contextlib

import pytest

from schemas.errors import TransientError
from tests.integration.publish.conftest import Desk
from tests.integration.publish.memory_shop import PowerCutError


def _never_falls(desk: Desk) -> None:
    """I8: per listing, the versions a shop took never fall. I7: every quantity it took was offered in that version."""
    for code, shop in desk.shops.items():
        newest: dict[str, int] = {}
        rows = desk.query("SELECT sku, version, after FROM ats_change WHERE channel = :code", code=code)
        true = {(row.sku, row.version): row.after for row in rows}
        for taken in shop.log:
            assert taken.version >= newest.get(taken.sku, 0)
            assert taken.quantity == true[taken.sku, taken.version]
            newest[taken.sku] = taken.version


@pytest.mark.parametrize("fault", ["die before", "die after"])
@pytest.mark.parametrize("after", [40, 4], ids=["raise", "fall"])
def test_a_crash_between_send_and_record_converges(simple, fault, after):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": after, "B": 21})
    shop.faults = [fault]
    with pytest.raises(PowerCutError):
        simple.publish()
    assert ("A", after, "sent") in simple.outbox()
    simple.publish()
    assert (shop.shows("A"), shop.shows("B")) == (after, 21)
    assert simple.open_sales() == {}
    assert [entry.quantity for entry in shop.log if entry.sku == "A"] == [10, after]
    assert simple.query("SELECT * FROM publication WHERE state = 'sent'") == []
    _never_falls(simple)


@pytest.mark.parametrize("fault", ["die before", "die after"])
def test_a_crash_of_a_channel_that_cannot_compare_converges(desk, fault):
    desk.add_feed("acme.stock")
    shop = desk.add_channel(compares=False)
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    shop.faults = [fault]
    with pytest.raises(PowerCutError):
        desk.publish()
    desk.publish()
    assert shop.shows("A") == 10
    assert desk.open_sales() == {}


@pytest.mark.parametrize("fault", ["die before", "die after"])
def test_a_raise_that_crashed_is_not_repeated_once_the_stock_has_fallen(simple, fault):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40})
    shop.faults = [fault]
    with pytest.raises(PowerCutError):
        simple.publish()
    simple.deliver("acme.stock", {"A": 5})
    before = len(shop.log)
    simple.publish()
    assert shop.shows("A") == 5
    assert [entry.quantity for entry in shop.log[before:]] == [5]
    assert simple.open_sales() == {}
    _never_falls(simple)


@pytest.mark.parametrize("fault", ["die after", "answer lost", "no answer"])
def test_a_sale_after_a_lost_answer_is_not_given_back(simple, fault):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40})
    shop.faults = [fault]
    with contextlib.suppress(PowerCutError, TransientError):
        simple.publish()
    shop.sell("A", 6)
    simple.deliver("acme.stock", {"A": 45})
    simple.publish()
    assert shop.shows("A") == 45 - 6
    _never_falls(simple)


def test_no_answer_is_asked_again_with_the_same_key_once(simple):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40})
    shop.faults = ["no answer"]
    result = simple.publish()
    first, second = shop.calls[-2:]
    assert [item.idempotency_key for item in first] == [item.idempotency_key for item in second]
    assert (result.confirmed, shop.shows("A")) == (1, 40)


def test_two_missing_answers_are_settled_by_reading_back(simple):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40})
    shop.faults = ["no answer", "no answer"]
    assert simple.publish().confirmed == 1
    assert len([entry for entry in shop.log if entry.sku == "A"]) == 2


def test_an_unreachable_shop_is_a_transient_error_that_stays_visible_until_it_answers(simple):
    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40})
    shop.faults = ["unreachable"]
    with pytest.raises(TransientError):
        simple.publish()
    (row,) = simple.query("SELECT last_error FROM channel")
    assert "does not answer" in row.last_error
    simple.publish()
    (row,) = simple.query("SELECT last_error FROM channel")
    assert (row.last_error, shop.shows("A")) == (None, 40)


def test_a_refused_item_keeps_its_reason_and_the_others_go_on(simple):
    shop = simple.shops["shop"]
    shop.refused = {"A": ("INVALID_QUANTITY", False)}
    simple.deliver("acme.stock", {"A": 40, "B": 50})
    result = simple.publish()
    assert (result.confirmed, result.failed) == (1, 1)
    assert shop.shows("B") == 50
    (row,) = simple.query("SELECT answer_code, answer FROM publication WHERE state = 'failed'")
    assert tuple(row) == ("INVALID_QUANTITY", "the shop refuses this item")
    calls = len(shop.calls)
    simple.publish()
    assert len(shop.calls) == calls
    shop.refused = {}
    simple.reconcile()
    simple.publish()
    assert shop.shows("A") == 40


def test_an_item_that_may_be_tried_again_is_tried_once_a_run(simple):
    shop = simple.shops["shop"]
    shop.refused = {"A": ("BUSY", True)}
    simple.deliver("acme.stock", {"A": 40})
    calls = len(shop.calls)
    result = simple.publish()
    assert (result.failed, result.pending, len(shop.calls)) == (1, 1, calls + 1)
    shop.refused = {}
    assert simple.publish().confirmed == 1
    assert shop.shows("A") == 40


def test_an_unlisted_item_fails_with_the_shops_sentence_and_is_asked_for_again_the_next_day(simple):
    shop = simple.shops["shop"]
    shop.unlisted = {"C"}
    shop.list_skus("C")
    simple.deliver("acme.stock", {"C": 3})
    assert simple.publish().failed == 1
    (row,) = simple.query("SELECT answer FROM publication WHERE state = 'failed'")
    assert row.answer == "the shop has no item C"
    shop.unlisted = set()
    asked = len(shop.resolved)
    simple.clock.advance(minutes=1)
    simple.publish()
    assert len(shop.resolved) == asked
    simple.clock.advance(days=1)
    simple.publish()
    assert shop.shows("C") == 3


def test_a_worker_that_lost_the_channel_writes_nothing(simple):
    from sqlalchemy import update

    from schemas.tables import channel
    from stockfeed.store.engine import write

    shop = simple.shops["shop"]
    simple.deliver("acme.stock", {"A": 40})
    publish_to_shop = shop.publish

    def overtaken(items):
        with write(simple.engine) as connection:
            connection.execute(update(channel).values(fence=channel.c.fence + 1))
        yield from publish_to_shop(items)

    shop.publish = overtaken
    with pytest.raises(TransientError, match="lost"):
        simple.publish()
    assert ("A", 40, "sent") in simple.outbox()
    shop.publish = publish_to_shop
    simple.clock.advance(hours=1)
    simple.publish()
    assert (shop.shows("A"), len([e for e in shop.log if e.sku == "A"])) == (40, 2)


def test_a_second_publisher_waits_for_the_first(simple):
    from stockfeed.pipeline.channel_work import channel_lease

    with channel_lease(simple.app, "shop"), pytest.raises(TransientError, match="worked on"):
        simple.publish()
