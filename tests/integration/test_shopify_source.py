"""A Shopify shop as a source: the whole stock or none of it, and one clear outcome for each fault."""

import json
import logging
import socket
from datetime import timedelta

import pytest

from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, StockfeedError, TransientError
from schemas.feed_config import TypedSection
from stockfeed.demo.shop import Shop, ShopRules
from stockfeed.reading import read_batches
from tests.servers.feeds import CANARY, Clock
from tests.servers.shop_supplier import BACK, CLOSED, MAIN, PLACES, Supplier, fill


@pytest.fixture
def shop():
    with Shop(token=CANARY, locations=PLACES) as running:
        yield running


@pytest.fixture
def supplier(shop, tmp_path):
    return Supplier(shop, tmp_path / "spool")


@pytest.fixture(params=["bulk", "paged"])
def read(request):
    return request.param


def test_each_item_and_location_is_a_line_with_all_that_the_shop_says(shop, supplier, read):
    item = shop.stock.add("A-1", 5)
    item.barcodes, item.others = ["4006381333931"], {MAIN: {"committed": 2, "incoming": 30}}
    [line] = supplier.lines(read=read)
    assert line.pop("updated_at") == f"{item.changed[MAIN]:%Y-%m-%dT%H:%M:%SZ}"
    assert line.pop("quantities") == {
        "available": 5, "on_hand": 7, "committed": 2, "incoming": 30,
        "reserved": 0, "damaged": 0, "safety_stock": 0, "quality_control": 0,
    }  # fmt: skip
    assert line == {
        "sku": "A-1", "gtin": "4006381333931", "location": "Main warehouse", "tracked": True, "item": item.id, "location_id": MAIN,
    }  # fmt: skip


def test_both_ways_of_reading_give_the_same_bytes_and_do_so_again(shop, supplier):
    fill(shop, 40)
    hashes = {supplier.fetch(read="bulk")[0].sha256, supplier.fetch(read="bulk")[0].sha256}
    for page, levels in ((1, 1), (7, 1), (250, 20)):
        hashes.add(supplier.fetch(read="paged", page=page, levels=levels)[0].sha256)
    assert len(hashes) == 1
    shop.stock.edit("SKU-3", 4)
    assert supplier.fetch()[0].sha256 not in hashes


def test_the_order_in_which_the_shop_gives_its_items_does_not_matter(shop, supplier, read):
    fill(shop)
    before = supplier.fetch(read=read)[0].sha256
    shop.stock.items = dict(reversed(shop.stock.items.items()))
    assert supplier.fetch(read=read)[0].sha256 == before


def test_the_same_stock_at_another_time_is_another_arrival(shop, supplier):
    fill(shop)
    [first] = supplier.fetch()
    supplier.clock.sleep(60)
    [second] = supplier.fetch()
    assert (first.sha256, first.name) == (second.sha256, "127.0.0.1.jsonl")
    assert first.identity != second.identity
    assert first.source_time is not None
    assert second.source_time > first.source_time


def test_what_is_not_tracked_is_unknown_and_said_so(shop, supplier, read):
    shop.stock.add("A", 5)
    shop.stock.add("B", 0, tracked=False)
    shop.stock.add(None, 0, tracked=False)
    [got] = supplier.fetch(read=read)
    lines = {line["sku"]: line for line in map(json.loads, got.path.read_bytes().splitlines())}
    assert set(lines["B"]["quantities"].values()) == {"untracked"}
    assert lines["A"]["quantities"]["available"] == 5
    [found] = got.findings
    assert (found.code, found.severity, found.measured) == ("STOCK-UNTRACKED", "warn", "2")
    assert found.message.startswith("the shop does not track 2 of 3 items (B, gid://shopify/InventoryItem/3)")


def test_an_inactive_location_and_a_level_that_is_switched_off_are_absent(shop, supplier, read):
    item = shop.stock.add("A", 5)
    shop.stock.put(item, BACK, 6)
    shop.stock.put(item, CLOSED, 7)
    item.inactive.add(BACK)
    assert [line["location_id"] for line in supplier.lines(read=read)] == [MAIN]


def test_an_item_that_is_stocked_nowhere_has_no_line(shop, supplier, read):
    shop.stock.add("A", 5)
    shop.stock.add("B").available.clear()
    assert [line["sku"] for line in supplier.lines(read=read)] == ["A"]


def test_a_negative_quantity_stays_as_it_is(shop, supplier, read):
    shop.stock.add("A", -3)
    assert [line["quantities"]["available"] for line in supplier.lines(read=read)] == [-3]


def test_of_several_barcodes_of_one_item_none_is_its_own(shop, supplier, read):
    shop.stock.add("A", 1).barcodes = ["111", None, "111", ""]
    shop.stock.add("B", 1).barcodes = ["111", "222", "333"]
    shop.stock.add("C", 1).barcodes = [None]
    assert [line["gtin"] for line in supplier.lines(read=read, levels=1)] == ["111", None, None]


def test_items_that_share_a_sku_are_lines_of_their_own(shop, supplier, read):
    shop.stock.add("A", 1)
    shop.stock.add("A", 2)
    assert [(line["sku"], line["quantities"]["available"]) for line in supplier.lines(read=read)] == [("A", 1), ("A", 2)]


def test_a_shop_without_items_is_an_arrival_without_lines(supplier, read):
    assert supplier.lines(read=read) == []


def test_the_lines_are_read_by_json_doc(shop, supplier):
    fill(shop, 3)
    [got] = supplier.fetch()
    section = TypedSection(type="json_doc", lines=True)
    columns = ("sku", "location", "quantities.available", "gtin")
    rows = [row[2:] for batch in read_batches(got.path, section, expected_columns=columns) for row in batch.frame.rows()]
    assert rows[:3] == [
        ("SKU-0", "Main warehouse", "0", "4006381333930"),
        ("SKU-0", "Back room", "0", "4006381333930"),
        ("SKU-1", "Main warehouse", "1", "4006381333931"),
    ]


# throttling


def test_the_query_budget_is_obeyed(tmp_path):
    supplier = None
    clock = Clock()
    rules = ShopRules(maximum_points=60, restore_rate=10)
    with Shop(token=CANARY, locations=PLACES, rules=rules, clock=lambda: clock().timestamp()) as shop:
        fill(shop, 60)
        supplier = Supplier(shop, tmp_path / "spool")
        supplier.clock = clock
        assert len(supplier.lines(read="paged", page=20)) == 120
    assert 0 < sum(clock.slept) < 20


def test_a_page_that_is_too_costly_is_asked_for_in_smaller_ones(shop, supplier):
    fill(shop, 64)
    shop.bucket.largest_query = 20
    assert len(supplier.lines(read="paged", page=250)) == 128


@pytest.mark.parametrize(("headers", "waits"), [({"Retry-After": "7"}, [7.0]), ({}, [1.0])])
def test_429_is_waited_for_as_asked_or_a_little(shop, supplier, read, headers, waits):
    fill(shop)
    shop.fail_next("answer", "StockPage" if read == "paged" else "StartBulk", status=429, headers=headers)
    assert len(supplier.lines(read=read)) == 14
    assert supplier.clock.slept[:1] == waits


def test_429_for_longer_is_left_to_the_next_try(shop, supplier, read):
    shop.fail_next("answer", status=429, headers={"Retry-After": "3600"})
    assert supplier.fails(TransientError, "asks us to slow down", read=read).retry_after == 3600


def test_429_for_ever_ends(shop, supplier, read):
    shop.fail_next("answer", status=429, times=99)
    supplier.fails(TransientError, "asks us to slow down", read=read)
    assert supplier.clock.slept == [1.0, 2.0, 4.0, 8.0]


# refusals and broken answers


@pytest.mark.parametrize("password", ["wrong", CANARY[:-1]])
def test_a_wrong_or_revoked_token_is_one_clear_error(supplier, read, password):
    supplier.connection = Connection("shop", password=Secret(password), extra={"base_url": supplier.shop.url})
    error = supplier.fails(CredentialsError, r"^Shopify \(127\.0\.0\.1:\d+\) refused us \(HTTP 401\)", read=read)
    assert "connection 'shop'" in error.hint


def test_a_token_that_is_revoked_on_the_way_ends_the_read(shop, supplier):
    fill(shop)
    shop.fail_next("answer", "BulkState", status=401, body={"errors": "[API] Invalid API key or access token"})
    supplier.fails(CredentialsError, "refused us")


def test_a_fetched_token_that_expires_is_renewed(shop, supplier, read):
    fill(shop)
    secret, extra = Secret(shop.client_secret), {"base_url": shop.url, "grant": "client_credentials"}
    supplier.connection = Connection("shop", login=shop.client_id, password=secret, extra=extra)
    assert len(supplier.lines(read=read)) == 14
    shop.expire_tokens()
    assert len(supplier.lines(read=read)) == 14


def test_a_scope_that_is_missing_is_named(shop, supplier, read):
    body = {"errors": [{"message": "Access denied for inventoryItems field.", "extensions": {"code": "ACCESS_DENIED"}}]}
    shop.fail_next("answer", body=body)
    assert (
        "read_inventory, read_products and read_locations"
        in supplier.fails(CredentialsError, "^Shopify .* denies .*: Access denied", read=read).hint
    )


def test_a_web_page_under_200_is_no_stock(shop, supplier, read):
    shop.fail_next("answer", body=b"<html>Shop is locked</html>", headers={"Content-Type": "text/html"})
    supplier.fails(PermanentError, "a web page instead of JSON", read=read)


def test_a_redirect_is_not_followed(shop, supplier, read):
    shop.fail_next("answer", status=302, headers={"Location": "https://elsewhere.invalid/"})
    supplier.fails(PermanentError, "HTTP 302", read=read)


@pytest.mark.parametrize("kind", ["cut_after_accept", "reset_after_accept", "reset"])
def test_a_broken_line_is_worth_another_try(shop, supplier, read, kind):
    fill(shop)
    shop.fail_next(kind, "StockPage" if read == "paged" else "BulkState")
    supplier.fails(TransientError, "cut short|broke off", read=read)


def page(nodes: list, **info) -> dict:
    return {"data": {"inventoryItems": {"nodes": nodes, "pageInfo": info}}}


LEVELS = {"nodes": [], "pageInfo": {"hasNextPage": False}}
ITEM = {"id": "gid://shopify/InventoryItem/1", "sku": "A", "tracked": True, "variants": None, "inventoryLevels": LEVELS}


def level(**changes) -> dict:
    facts = {"id": "L", "isActive": True, "location": {"id": MAIN, "name": "M", "isActive": True}, "quantities": []} | changes
    return ITEM | {"inventoryLevels": {"nodes": [facts], "pageInfo": {"hasNextPage": False}}}


def test_a_page_loop_is_refused(shop, supplier):
    shop.fail_next("answer", "StockPage", body=page([], hasNextPage=True, endCursor="x"), times=3)
    supplier.fails(PermanentError, "the pages go round in a loop", read="paged")


@pytest.mark.parametrize(
    "body",
    [
        page([ITEM]),  # does not say whether it is the last one
        page([ITEM], hasNextPage=True),  # a next page without a cursor
        page([ITEM], hasNextPage=True, endCursor=None),
        page([None], hasNextPage=False),
        {"data": {"inventoryItems": {"pageInfo": {"hasNextPage": False}}}},
        {"data": {"inventoryItems": None}},
        {"data": None},
        [],
        page([{**ITEM, "tracked": None}], hasNextPage=False),
        page([{**ITEM, "id": None}], hasNextPage=False),
        page([{**ITEM, "inventoryLevels": None}], hasNextPage=False),
        page([{**ITEM, "inventoryLevels": {"nodes": []}}], hasNextPage=False),
        page([level(location=None)], hasNextPage=False),
        page([level(isActive=None)], hasNextPage=False),
        page([level(quantities=None)], hasNextPage=False),
        page([level(quantities=[{"name": "available", "quantity": "5"}])], hasNextPage=False),
        page([level(quantities=[{"name": "available", "quantity": None}])], hasNextPage=False),
        page([level(quantities=[{"name": "available", "quantity": True}])], hasNextPage=False),
    ],
)
def test_an_answer_that_lacks_something_is_never_taken_for_less_stock(shop, supplier, body):
    shop.fail_next("answer", "StockPage", body=body)
    supplier.fails(TransientError, "the shop|Shopify", read="paged")


def test_an_item_on_two_pages_is_told(shop, supplier):
    fill(shop)
    shop.fail_next("answer", "StockPage", body=page([ITEM], hasNextPage=True, endCursor="0"))
    supplier.fails(TransientError, "came twice", read="paged")


def test_an_item_that_goes_away_while_its_locations_are_read_fails_the_read(shop, supplier):
    fill(shop)
    shop.fail_next("answer", "MoreLevels", body={"data": {"inventoryItem": None}})
    supplier.fails(TransientError, "without a result", read="paged", levels=1)


def test_a_read_by_pages_ends_at_its_deadline(shop, supplier):
    fill(shop)
    shop.fail_next("answer", "StockPage", status=429, headers={"Retry-After": "50"})
    supplier.fails(TransientError, "took longer than 40 s", read="paged", deadline="40s")


# limits and secrets


def test_more_than_the_limit_is_refused(shop, supplier, read):
    fill(shop, 30)
    error = supplier.fails(DeliveryError, "bytes", read=read, max_size=5000)
    assert error.code == "FILE-LIMIT"


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (Connection("shop", password=Secret("x")), "names no shop"),
        (Connection("shop", host="https://x.example/", password=Secret("x")), "bare name"),
        (Connection("shop", host="nordwind", password=Secret("x")), "bare name"),
        (Connection("shop", host="my shop", password=Secret("x")), "connection 'shop'"),
        (Connection("shop", host="x.example"), "has no access token"),
        (Connection("shop", host="x.example", password=Secret("")), "has no access token"),
    ],
)
def test_a_connection_that_cannot_work_is_a_mistake_of_the_configuration(supplier, connection, words):
    supplier.connection = connection
    with pytest.raises(ConfigError, match=words):
        supplier.fetch()


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"quantities": []}, "quantities"),
        ({"quantities": ['available"] }']}, "quantities"),
        ({"read": "all"}, "read"),
        ({"download_hosts": ["https://x"]}, "download_hosts"),
        ({"page": 251}, "page"),
        ({"api_version": "latest"}, "api_version"),
    ],
)
def test_wrong_options_are_named(supplier, options, key):
    with pytest.raises(ConfigError, match=key):
        supplier.fetch(**options)


def test_no_secret_is_in_a_log_or_an_error(shop, supplier, caplog, read):
    fill(shop)
    texts = []
    with caplog.at_level(logging.DEBUG):
        texts.append(repr(supplier.fetch(read=read)))
        for fault in ({"status": 401}, {"status": 403, "body": {"errors": f"no {CANARY}"}}, {"status": 500, "body": {"e": CANARY}}):
            shop.fail_next("answer", **fault)
            with pytest.raises(StockfeedError) as caught:
                supplier.fetch(read=read)
            texts += [str(caught.value), str(caught.value.detail), str(caught.value.hint), repr(caught.value.__cause__)]
    keys = [operation.key for operation in shop.bulk.operations.values()]
    texts += [record.getMessage() for record in caplog.records]
    assert not [text for text in texts if CANARY in text or any(key in text for key in keys)]


def test_a_dead_shop_is_worth_another_try(supplier, read):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    supplier.connection = Connection("shop", password=Secret(CANARY), extra={"base_url": f"http://127.0.0.1:{port}"})
    (supplier.spool).mkdir(exist_ok=True)
    supplier.fails(TransientError, f"127.0.0.1:{port}.*cannot be reached", read=read)


def test_the_source_is_as_old_as_the_moment_it_was_asked(shop, supplier):
    fill(shop)
    shop.bulk.running = 30
    [got] = supplier.fetch()
    assert got.source_time == supplier.clock() - timedelta(seconds=sum(supplier.clock.slept))
