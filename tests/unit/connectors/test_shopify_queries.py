import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from connectors.shopify import ShopifyOptions
from connectors.shopify_budget import CostBudget
from connectors.shopify_publish import screen
from connectors.shopify_queries import activate_variables, search_chunks, set_variables, sku_search
from schemas.errors import TransientError
from schemas.publishing import Listing
from stockfeed.demo.shop_schema import searched_skus
from tests.servers.shop import SleepClock, item

ODD_SKUS = ["A", "O'Brien", 'say "hi"', "back\\slash", "\\'", "' OR sku:'*", "a:b (c) *", "NA", "001", " é", "e\u0301", "日本"]


def listing(number: int, **parts) -> Listing:
    return Listing(f"S{number}", "loc", {"inventory_item": f"gid://shopify/InventoryItem/{number}"}, **parts)


def test_every_sku_is_quoted_so_that_the_search_finds_it_and_nothing_else():
    assert sku_search(["A", "O'Brien\\"]) == "sku:'A' OR sku:'O\\'Brien\\\\'"
    assert searched_skus(sku_search(ODD_SKUS)) == ODD_SKUS


def test_searches_are_cut_by_number_and_by_length():
    assert [len(chunk) for chunk in search_chunks([str(n) for n in range(120)], 50)] == [50, 50, 20]
    chunks = list(search_chunks(["x" * 2500] * 5, 50))
    assert [len(chunk) for chunk in chunks] == [2, 2, 1]
    assert list(search_chunks([], 50)) == []


def test_the_same_batch_has_the_same_key_and_any_difference_another():
    items = [item(listing(n), n, expected=n) for n in range(3)]
    same = set_variables(items, "correction", 0)
    assert set_variables(list(items), "correction", 0) == same
    others = [
        set_variables(items[:2], "correction", 0),
        set_variables([replace(items[0], expected=None), *items[1:]], "correction", 0),
        set_variables([replace(items[0], quantity=9), *items[1:]], "correction", 0),
        set_variables([replace(items[0], idempotency_key="other"), *items[1:]], "correction", 0),
        set_variables(items, "restock", 0),
        set_variables(items, "correction", 1),
    ]
    assert len({same["key"], *(other["key"] for other in others)}) == 7


def test_the_order_of_the_items_does_not_change_what_is_sent():
    items = [item(listing(n), n) for n in range(5)]
    forward, _ = screen(items, frozenset({"loc"}))
    backward, _ = screen(items[::-1], frozenset({"loc"}))
    assert set_variables(forward, "correction", 0) == set_variables(backward, "correction", 0)


def test_change_from_quantity_is_always_sent_and_null_when_nothing_is_expected():
    rows = set_variables([item(listing(1), 0), item(listing(2), 0, expected=0)], "correction", 0)["input"]["quantities"]
    assert [row["changeFromQuantity"] for row in rows] == [None, 0]
    assert '"changeFromQuantity": null' in json.dumps(rows)


def test_activation_has_a_key_of_its_own():
    one = item(listing(1), 4)
    assert activate_variables(one)["key"] == activate_variables(one)["key"] != set_variables([one], "correction", 0)["key"]
    assert activate_variables(one)["available"] == 4


def test_what_must_never_be_sent_gets_its_own_failure():
    good, negative = item(listing(1), 0), item(listing(2), -1)
    foreign = item(replace(listing(3), location="elsewhere"), 1)
    untracked = item(listing(4, status="untracked", message="not tracked"), 1)
    old, new = item(listing(5), 1, version=1), item(listing(5), 2, version=2)
    sendable, refused = screen([good, negative, foreign, untracked, new, old], frozenset({"loc"}))
    assert sendable == [good, new]
    assert [(result.item, result.code) for result in refused] == [
        (negative, "NEGATIVE"),
        (foreign, "LOCATION-NOT-OWNED"),
        (untracked, "LISTING-NOT-ACTIVE"),
        (old, "DUPLICATE-ITEM"),
    ]
    assert {result.status for result in refused} == {"failed"}


@pytest.mark.parametrize("wrong", [{"batch": 251}, {"batch": 0}, {"api_version": "latest"}, {"colour": "red"}, {"reason": "a b"}])
def test_options_that_cannot_be_right_are_refused(wrong):
    with pytest.raises(ValidationError):
        ShopifyOptions(**wrong)


def test_a_request_waits_until_the_bucket_holds_what_it_cost_last_time():
    clock = SleepClock()
    budget = CostBudget(clock.sleep, clock, 60)
    budget.reserve("Read")
    budget.learn("Read", {"requestedQueryCost": 100, "throttleStatus": {"currentlyAvailable": 150, "restoreRate": 50}})
    budget.reserve("Read")
    assert clock.slept == []
    budget.reserve("Read")
    assert clock.slept == [1.0]


def test_a_wait_beyond_the_limit_is_handed_to_the_caller_with_its_length():
    clock = SleepClock()
    budget = CostBudget(clock.sleep, clock, 60)
    with pytest.raises(TransientError) as caught:
        budget.wait_after_throttling({"requestedQueryCost": 900, "throttleStatus": {"currentlyAvailable": 0, "restoreRate": 10}}, 0)
    assert caught.value.retry_after == 90
    assert clock.slept == []


@pytest.mark.parametrize("cost", [None, {}, {"throttleStatus": "soon"}, {"throttleStatus": {"currentlyAvailable": None}}])
def test_an_unreadable_cost_is_ignored(cost):
    clock = SleepClock()
    budget = CostBudget(clock.sleep, clock, 60)
    budget.learn("Read", cost)
    budget.reserve("Read")
    assert clock.slept == []
