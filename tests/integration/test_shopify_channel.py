import time
from dataclasses import replace

import pytest

from schemas.errors import ConfigError, TransientError
from schemas.publishing import Listing
from stockfeed.demo.shop import DEFAULT_LOCATION, Shop, ShopLocation, ShopRules
from tests.servers.shop import SleepClock, item, publish_items, shop_channel, statuses

HARD_SKUS = ["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", " é", " e\u0301", "O'Brien", 'x"y', "a\\b", "a:b (c) *", "None"]


@pytest.fixture
def shop():
    with Shop({"A": 5, "B": 6, "C": 7}) as running:
        yield running


def test_each_sku_is_found_letter_for_letter(shop):
    for sku in [*HARD_SKUS, "na", "none"]:
        shop.stock.add(sku)
    shop.stock.add(None)
    listings = list(shop_channel(shop).resolve([*HARD_SKUS, "a"]))
    assert [listing.sku for listing in listings] == [*HARD_SKUS, "a"]
    assert [listing.status for listing in listings] == ["active"] * len(HARD_SKUS) + ["missing"]
    for listing in listings[:-1]:
        assert shop.stock.items[listing.ids["inventory_item"]].sku == listing.sku


def test_what_cannot_be_written_says_why(shop):
    shop.stock.add("twice")
    shop.stock.add("twice")
    shop.stock.add("untracked", tracked=False)
    found = {listing.sku: listing for listing in shop_channel(shop).resolve(["twice", "untracked", "gone", "  "])}
    assert {sku: listing.status for sku, listing in found.items()} == {
        "twice": "ambiguous",
        "untracked": "untracked",
        "gone": "missing",
        "  ": "missing",
    }
    assert "2 inventory items" in found["twice"].message
    assert all(listing.message for listing in found.values())


def test_an_item_without_sku_is_never_taken_for_the_sku_none(shop):
    nodes = [{"id": "gid://shopify/InventoryItem/8", "sku": None, "tracked": True}]
    page = {"nodes": nodes, "pageInfo": {"hasNextPage": False, "endCursor": None}}
    shop.fail_next("answer", "ItemsBySku", body={"data": {"inventoryItems": page}})
    assert [listing.status for listing in shop_channel(shop).resolve(["None"])] == ["missing"]


def test_a_sku_asked_for_twice_is_listed_once_for_each_owned_location():
    places = [ShopLocation("loc-1", "One"), ShopLocation("loc-2", "Two")]
    with Shop(["A"], locations=places) as shop:
        listings = list(shop_channel(shop, locations=["loc-1", "loc-2"]).resolve(["A", "A"]))
    assert [(listing.sku, listing.location) for listing in listings] == [("A", "loc-1"), ("A", "loc-2")]


def test_many_skus_are_found_over_many_pages_and_searches():
    skus = [f"SKU-{n}" for n in range(130)]
    with Shop(skus) as shop:
        found = list(shop_channel(shop, chunk=20, page=7).resolve(skus))
        assert shop.requests["ItemsBySku"] > 7
    assert [listing.sku for listing in found] == skus
    assert {listing.status for listing in found} == {"active"}


def test_a_location_that_is_not_the_shops_names_those_that_are():
    places = [ShopLocation("loc-1", "Shop floor"), ShopLocation("loc-2", "Old store", active=False)]
    with Shop(["A"], locations=places) as shop:
        for wrong in ("loc-9", "loc-2"):
            with pytest.raises(ConfigError) as caught:
                list(shop_channel(shop, locations=[wrong]).resolve(["A"]))
            assert wrong in caught.value.message
            assert "loc-1 = Shop floor; loc-2 = Old store (inactive)" in caught.value.hint


def test_quantities_arrive_and_zero_is_zero(shop):
    channel = shop_channel(shop)
    results = list(channel.publish(publish_items(channel, {"A": 0, "B": 12})))
    assert statuses(results) == {"A": "confirmed", "B": "confirmed"}
    assert (shop.available("A"), shop.available("B"), shop.available("C")) == (0, 12, 7)
    assert [(seen.listing.sku, seen.quantity) for seen in channel.read_back(list(channel.resolve(["A", "B", "C"])))] == [
        ("A", 0),
        ("B", 12),
        ("C", 7),
    ]


def test_a_sale_between_reading_and_writing_makes_only_its_own_item_stale(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 50, "B": 60, "C": 70}, expected={"A": 5, "B": 6, "C": 7})
    shop.sell("B", 2)
    results = {result.item.listing.sku: result for result in channel.publish(items)}
    assert {sku: result.status for sku, result in results.items()} == {"A": "confirmed", "B": "stale", "C": "confirmed"}
    assert results["B"].observed == 4
    assert results["B"].retryable
    assert (shop.available("A"), shop.available("B"), shop.available("C")) == (50, 4, 70)
    assert len({entry.key for entry in shop.log}) == 1  # the rest went as one request of its own


def test_a_sale_in_the_moment_of_writing_is_not_given_back(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9}, expected={"A": 5})
    shop.fail_next("sale_first", "SetAvailable")
    [result] = channel.publish(items)
    assert (result.status, result.observed) == ("stale", 4)
    assert shop.available("A") == 4
    [again] = channel.publish([replace(items[0], quantity=8, expected=4, version=2)])
    assert again.status == "confirmed"


def test_a_refused_row_keeps_its_reason_and_the_others_are_sent(shop):
    bundle = shop.stock.add("bundle", bundle=True)
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 1, "B": 1_000_000_001, "bundle": 3, "C": 2})
    deleted = item(Listing("deleted", DEFAULT_LOCATION, {"inventory_item": "gid://shopify/InventoryItem/999"}), 1)
    results = {result.item.listing.sku: result for result in channel.publish([*items, deleted])}
    assert {sku: (result.status, result.code) for sku, result in results.items()} == {
        "A": ("confirmed", ""),
        "B": ("failed", "INVALID_QUANTITY_TOO_HIGH"),
        "bundle": ("failed", "NON_MUTABLE_INVENTORY_ITEM"),
        "C": ("confirmed", ""),
        "deleted": ("failed", "INVALID_INVENTORY_ITEM"),
    }
    assert "publish its components" in results["bundle"].message
    assert not results["bundle"].retryable
    assert (shop.available("A"), shop.available("C"), bundle.available[DEFAULT_LOCATION]) == (1, 2, 0)


def test_a_wrong_reason_fails_every_item_with_the_shops_list(shop):
    channel = shop_channel(shop, reason="mood")
    results = list(channel.publish(publish_items(channel, {"A": 1, "B": 2})))
    assert {(result.status, result.code) for result in results} == {("failed", "INVALID_REASON")}
    assert "cycle_count_available" in results[0].message


def test_the_same_batch_twice_acts_once(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9, "B": 9}, expected={"A": 5, "B": 6})
    first, second = list(channel.publish(items)), list(shop_channel(shop).publish(items[::-1]))
    assert statuses(first) == statuses(second) == {"A": "confirmed", "B": "confirmed"}
    assert len(shop.log) == 2


def test_a_key_whose_first_attempt_failed_is_replaced(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9}, expected={"A": 1})
    [first] = channel.publish(items)
    shop.stock.edit("A", 1)
    [second] = channel.publish(items)
    assert (first.status, second.status, shop.available("A")) == ("stale", "confirmed", 9)


@pytest.mark.parametrize("fault", ["reset_after_accept", "cut_after_accept"])
def test_an_answer_lost_after_acceptance_is_fetched_with_the_same_key(shop, fault):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9, "B": 8}, expected={"A": 5, "B": 6})
    shop.fail_next(fault, "SetAvailable")
    assert statuses(channel.publish(items)) == {"A": "confirmed", "B": "confirmed"}
    assert len(shop.log) == 2
    assert shop.requests["SetAvailable"] == 2


def test_the_repeat_carries_the_same_key_so_that_an_unconditional_write_acts_once(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9})
    shop.fail_next("reset_after_accept", "SetAvailable")
    assert statuses(channel.publish(items)) == {"A": "confirmed"}
    assert shop.requests["SetAvailable"] == 2
    assert len(shop.log) == 1


def test_a_time_out_after_acceptance_is_fetched_with_the_same_key(shop):
    channel = shop_channel(shop, timeout="0.2s")
    items = publish_items(channel, {"A": 9}, expected={"A": 5})
    shop.fail_next("silent_after_accept", "SetAvailable")
    assert statuses(channel.publish(items)) == {"A": "confirmed"}
    assert len(shop.log) == 1


def test_a_shop_that_forgets_keys_is_read_back_instead(shop):
    shop.stock.remembers_keys = False
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9}, expected={"A": 5})
    shop.fail_next("reset_after_accept", "SetAvailable")
    [result] = channel.publish(items)
    assert result.status == "confirmed"
    assert "reading back" in result.message
    assert len(shop.log) == 1


def test_two_lost_answers_leave_the_items_unknown(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9, "B": 8})
    shop.fail_next("reset_after_accept", "SetAvailable", times=2)
    results = list(channel.publish(items))
    assert statuses(results) == {"A": "unknown", "B": "unknown"}
    assert all(result.retryable for result in results)


def test_a_refusal_after_a_lost_answer_still_means_unknown(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9})
    shop.fail_next("reset_after_accept", "SetAvailable")
    shop.fail_next("answer", "SetAvailable", status=429, headers={"Retry-After": "7"})
    assert statuses(channel.publish(items)) == {"A": "unknown"}


def test_a_connection_broken_before_acceptance_is_repeated(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9})
    shop.fail_next("reset", "SetAvailable")
    assert statuses(channel.publish(items)) == {"A": "confirmed"}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_once_is_repeated_and_twice_is_unknown(shop, status):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9})
    shop.fail_next("answer", "SetAvailable", status=status)
    assert statuses(channel.publish(items)) == {"A": "confirmed"}
    shop.fail_next("answer", "SetAvailable", times=2, status=status)
    assert statuses(channel.publish([replace(items[0], quantity=3, version=2)])) == {"A": "unknown"}


@pytest.mark.parametrize("status", [429, 503])
def test_a_full_shop_says_when_to_come_back(shop, status):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9})
    shop.fail_next("answer", "SetAvailable", status=status, headers={"Retry-After": "17"})
    with pytest.raises(TransientError) as caught:
        list(channel.publish(items))
    assert caught.value.retry_after == 17
    assert shop.log == []


def test_known_results_survive_when_the_rest_cannot_be_sent(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9, "B": 8}, expected={"A": 1, "B": 6})
    refusal = {
        "code": "CHANGE_FROM_QUANTITY_STALE",
        "field": ["input", "quantities", "0", "changeFromQuantity"],
        "message": "stale",
    }
    body = {"data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": [refusal]}}}
    shop.fail_next("answer", "SetAvailable", body=body)
    shop.fail_next("answer", "SetAvailable", status=429, headers={"Retry-After": "5"})
    results = {result.item.listing.sku: result for result in channel.publish(items)}
    assert (results["A"].status, results["A"].observed) == ("stale", 5)
    assert (results["B"].status, results["B"].code, results["B"].retryable) == ("failed", "NOT-SENT", True)


def test_a_request_already_running_under_our_key_is_asked_again(shop):
    clock = SleepClock()
    channel = shop_channel(shop, clock=clock)
    items = publish_items(channel, {"A": 9})
    running = {"code": "IDEMPOTENCY_CONCURRENT_REQUEST", "field": None, "message": "still running"}
    body = {"data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": [running]}}}
    shop.fail_next("answer", "SetAvailable", body=body)
    assert statuses(channel.publish(items)) == {"A": "confirmed"}
    assert clock.slept == [1.0]


@pytest.mark.parametrize("payload", [{"inventoryAdjustmentGroup": None}, {"userErrors": None}, [], "ok"])
def test_success_without_a_list_of_errors_is_not_taken_for_success(shop, payload):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9})
    shop.fail_next("answer", "SetAvailable", times=2, body={"data": {"inventorySetQuantities": payload}})
    assert statuses(channel.publish(items)) == {"A": "unknown"}


NOT_STOCKED = {
    "code": "ITEM_NOT_STOCKED_AT_LOCATION",
    "field": ["input", "quantities", "0", "locationId"],
    "message": "The item is not stocked at this location.",
}


def test_an_item_that_is_not_stocked_is_activated_only_when_that_is_allowed(shop):
    body = {"data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": None, "userErrors": [NOT_STOCKED]}}}
    shop.stock.item("A").available.clear()
    careful, active = shop_channel(shop), shop_channel(shop, activate=True)
    items = publish_items(careful, {"A": 9})
    shop.fail_next("answer", "SetAvailable", times=2, body=body)
    [refused] = careful.publish(items)
    assert (refused.status, refused.code) == ("failed", "ITEM_NOT_STOCKED_AT_LOCATION")
    assert "activate = true" in refused.message
    assert statuses(active.publish(items)) == {"A": "confirmed"}
    assert shop.available("A") == 9


def test_an_unstocked_item_shows_nothing_and_takes_a_first_quantity(shop):
    shop.stock.item("A").available.clear()
    shop.stock.item("B").tracked = False
    channel = shop_channel(shop)
    listings = list(channel.resolve(["A"]))
    others = [Listing("B", DEFAULT_LOCATION, {"inventory_item": shop.stock.item("B").id}), Listing("D", DEFAULT_LOCATION)]
    elsewhere = replace(listings[0], location="gid://shopify/Location/77")
    shown = list(channel.read_back([*listings, *others, elsewhere]))
    assert [seen.quantity for seen in shown] == [None] * 4
    assert all(seen.message for seen in shown)
    assert statuses(channel.publish([item(listings[0], 3)])) == {"A": "confirmed"}
    assert next(channel.read_back(listings)).quantity == 3


def test_ten_thousand_listings_reach_a_shop_twenty_milliseconds_away_within_two_seconds():
    skus = [f"S{n}" for n in range(10_000)]
    with Shop(skus, rules=ShopRules(latency=0.02)) as shop:
        channel = shop_channel(shop)
        listings = [Listing(sku, DEFAULT_LOCATION, {"inventory_item": shop.stock.item(sku).id}) for sku in skus]
        items = [item(listing, 5, expected=0) for listing in listings]
        start = time.perf_counter()
        results = list(channel.publish(items))
        elapsed = time.perf_counter() - start
        assert {result.status for result in results} == {"confirmed"}
        assert len(results) == len(shop.log) == 10_000
        assert shop.requests["SetAvailable"] == 40
    assert elapsed < 2


def test_a_stale_item_stays_stale_when_it_cannot_be_read_back(shop):
    channel = shop_channel(shop)
    items = publish_items(channel, {"A": 9, "B": 8}, expected={"A": 1, "B": 6})
    shop.fail_next("answer", "AvailableAt", status=403)
    results = {result.item.listing.sku: result for result in channel.publish(items)}
    assert (results["A"].status, results["A"].observed, results["B"].status) == ("stale", None, "confirmed")


def test_one_failing_batch_of_several_leaves_the_others_results_and_its_own():
    skus = [f"S{n}" for n in range(6)]
    with Shop(skus) as shop:
        channel = shop_channel(shop, batch=2, concurrency=1)
        items = publish_items(channel, dict.fromkeys(skus, 5))
        shop.fail_next("answer", "SetAvailable", status=429, headers={"Retry-After": "3"})
        results = list(channel.publish(items))
    assert sorted(statuses(results).values()) == ["confirmed"] * 4 + ["failed"] * 2
    assert {result.retryable for result in results if result.status == "failed"} == {True}
