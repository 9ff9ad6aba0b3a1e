"""A BigCommerce store as a source: the whole stock or none of it, and one clear outcome for each fault."""

import json
import logging
from contextlib import ExitStack
from dataclasses import replace

import pytest

from connectors.registry import load_source
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, StockfeedError, TransientError
from tests.servers import bigcommerce_store, web_server
from tests.servers.bigcommerce_store import STORE, location, problem
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.web_server import reply


class Supplier:
    def __init__(self, tmp_path, stack: ExitStack) -> None:
        self.clock = Clock()
        self.store = bigcommerce_store.BigStore(now=lambda: self.clock().timestamp())
        authority = Authority(tmp_path)
        self.server = stack.enter_context(web_server.running(self.answer, server_context(authority.issue("127.0.0.1"))))
        self.connection = self.server.connection(authority, login=None)
        self.spool = tmp_path / "spool"

    def answer(self, request, line) -> None:
        self.store.answer(request, line)

    def fetch(self, **options):
        source = {"type": "bigcommerce", "connection": "store", "url": self.server.url(f"/stores/{STORE}/v3"), "private_host": True}
        of = feed(source | {"page_size": 2, "items_size": 2, "reads": 1} | options)
        return fetch(load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of, self.spool)

    def lines(self, **options) -> list[dict]:
        [got] = self.fetch(**options)
        return [json.loads(line) for line in got.path.read_bytes().splitlines()]

    def fails(self, error: type[StockfeedError], words: str, **options) -> StockfeedError:
        with pytest.raises(error, match=words) as caught:
            self.fetch(**options)
        assert not self.spool.exists() or list(self.spool.iterdir()) == []
        return caught.value

    def instead(self, path: str, answer: bytes, page: int = 1, times: int = 1) -> None:
        """Answer the next requests for a page of a list so."""
        left = [answer] * times

        def before(_number: int, asked: str, number: int) -> bytes | None:
            return left.pop() if left and (asked, number) == (path, page) else None

        self.store.before = before


@pytest.fixture
def supplier(tmp_path):
    with ExitStack() as stack:
        yield Supplier(tmp_path, stack)


@pytest.fixture
def store(supplier):
    return supplier.store


LISTS = ("inventory/items", "catalog/variants", "catalog/products")


def fill(store, count: int = 5) -> None:
    for n in range(count):
        store.add(f"SKU-{n}", n)


def test_each_variant_and_location_is_a_line_with_all_that_the_store_says(supplier, store):
    item = store.add("A-1", 10)
    store.stock(item, store.locations[0], 10, safety=1)
    assert supplier.lines() == [
        {
            "sku": "A-1", "gtin": "4006381333931", "location": "Location 1", "tracked": True,
            "quantities": {"available_to_sell": 10, "safety_stock": 1, "total_inventory_onhand": 11},
            "updated_at": "2026-10-01T08:00:00+00:00", "item": "500", "location_id": "1", "inventory_tracking": "product",
            "is_in_stock": True, "location_code": "BC-LOCATION-1", "product_id": 100,
        }
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 250])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_all_pages_come_each_once(supplier, store, size, count):
    fill(store, count)
    assert [line["sku"] for line in supplier.lines(page_size=size, items_size=size)] == [f"SKU-{n}" for n in range(count)]


def test_the_same_stock_gives_the_same_bytes_in_whatever_order_it_comes(supplier, store):
    fill(store)
    first, second = supplier.fetch()[0], supplier.fetch(page_size=1, items_size=3)[0]
    for records in (store.items, store.variants, store.products):
        records.reverse()
    third = supplier.fetch()[0]
    assert len({first.sha256, second.sha256, third.sha256}) == 1
    store.stock(store.items[0], store.locations[0], 99)
    assert supplier.fetch()[0].sha256 != first.sha256


def test_the_same_stock_at_another_time_is_another_arrival(supplier, store):
    fill(store)
    [first] = supplier.fetch()
    supplier.clock.sleep(60)
    [second] = supplier.fetch()
    assert (first.sha256, first.name) == (second.sha256, "127.0.0.1.jsonl")
    assert first.identity != second.identity
    assert second.source_time == supplier.clock()


def test_what_is_not_tracked_is_unknown_and_said_so(supplier, store):
    store.locations.append(location(2))
    store.add("A", 5)
    item = store.add("B", 7, tracking="none")
    store.stock(item, store.locations[1], 8)
    [got] = supplier.fetch()
    lines = [json.loads(line) for line in got.path.read_bytes().splitlines()]
    assert [set(line["quantities"].values()) for line in lines if line["sku"] == "B"] == [{"untracked"}] * 2
    [found] = got.findings
    assert (found.code, found.measured) == ("STOCK-UNTRACKED", "1")
    assert found.message == "the shop does not track 1 of 2 items (B): their quantity is unknown"


def test_a_new_item_that_was_never_counted_has_no_number(supplier, store):
    store.add("A", None)
    assert supplier.lines()[0]["quantities"] == {"available_to_sell": None, "safety_stock": 0, "total_inventory_onhand": None}


def test_a_location_that_is_switched_off_is_absent(supplier, store):
    store.locations += [location(2), location(3, enabled=False)]
    item = store.add("A", 5)
    store.stock(item, store.locations[1], 6)
    store.stock(item, store.locations[2], 7)
    assert [line["location_id"] for line in supplier.lines()] == ["1", "2"]


def test_a_negative_quantity_stays_as_it_is(supplier, store):
    store.add("A", -3)
    assert supplier.lines()[0]["quantities"]["available_to_sell"] == -3


def test_a_barcode_is_the_variants_and_of_a_product_without_options_the_products(supplier, store):
    store.add("SIMPLE", gtin="", upc="012345678905")
    store.add("SHIRT", base_variant_id=None, inventory_tracking="variant")
    store.vary(store.products[-1], "SHIRT-S", upc="4006381333931")
    store.variants[1]["upc"] = ""
    found = {line["sku"]: line["gtin"] for line in supplier.lines()}
    assert found == {"SIMPLE": "012345678905", "SHIRT": None, "SHIRT-S": "4006381333931"}


def test_variants_that_share_a_sku_are_lines_of_their_own(supplier, store):
    store.add("A", 1)
    store.add("A", 2)
    assert [(line["sku"], line["quantities"]["available_to_sell"]) for line in supplier.lines()] == [("A", 1), ("A", 2)]


def test_an_item_without_a_sku_has_none(supplier, store):
    store.add("", 1)
    assert supplier.lines()[0]["sku"] is None


def test_stock_that_is_kept_for_the_product_as_a_whole_is_its_own_item(supplier, store):
    store.add("A", 1)["identity"]["variant_id"] = None
    assert [(line["item"], line["gtin"]) for line in supplier.lines()] == [("product 100", "4006381333931")]


# proof that all came


@pytest.mark.parametrize(
    ("pagination", "words", "error"),
    [
        ({"total": 6}, "records came, and there are 6", TransientError),
        ({"total": 4}, "4 records came in 2 pages, and there are 3 pages", TransientError),
        ({"total": 3}, "4 records came, and there are 3", TransientError),
        ({"total": None}, "does not tell how many", PermanentError),
        ({"total": "5"}, "does not tell how many", PermanentError),
        ({"count": 1}, "page 1 has 2 records and tells of 1: it was cut short", TransientError),
        ({"current_page": 1}, "asked for page 2, and page 1 came", PermanentError),
        ({"total_pages": 2}, "4 records came, and there are 5", TransientError),
    ],
)
def test_a_list_that_is_not_proven_to_be_whole_is_refused(supplier, store, pagination, words, error):
    fill(store)
    store.pagination = pagination
    supplier.fails(error, words)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_that_changes_while_it_is_read_is_told(supplier, store, path):
    fill(store)

    def grow(_number: int, asked: str, page: int) -> None:
        if (asked, page) == (path, 2):
            {"inventory/items": store.items, "catalog/variants": store.variants, "catalog/products": store.products}[path].append(
                {"id": 999, "product_id": 999, "inventory_tracking": "none", "identity": {"product_id": 100}, "locations": []}
            )

    store.before = grow
    supplier.fails(TransientError, f"{path}: the list changed while it was read: 5 records, then 6")


def test_a_list_that_changed_once_is_read_again(supplier, store):
    fill(store)
    changed = []

    def grow(_number: int, asked: str, page: int) -> None:
        if (asked, page) == ("inventory/items", 2) and not changed:
            changed.append(store.add("NEW", 9))

    store.before = grow
    assert [line["sku"] for line in supplier.lines(reads=2)] == [*(f"SKU-{n}" for n in range(5)), "NEW"]


@pytest.mark.parametrize("path", LISTS)
def test_an_item_on_two_pages_is_told(supplier, store, path):
    fill(store)
    lists = {"inventory/items": store.items, "catalog/variants": store.variants, "catalog/products": store.products}
    lists[path][3] = lists[path][1]
    supplier.fails(TransientError, "came twice")


def test_a_page_that_comes_again_is_a_loop(supplier, store):
    store.items = [store.add("A", 1)] * 4
    store.pagination = {"current_page": 2}
    supplier.instead("inventory/items", b"")
    supplier.fails(PermanentError, "asked for page 1, and page 2 came")
    store.pagination = {}
    supplier.fails(PermanentError, "the pages go round in a loop")


def test_stock_of_a_product_that_the_catalogue_does_not_have_is_no_whole_read(supplier, store):
    fill(store)
    del store.products[2]
    supplier.fails(TransientError, "there is stock of product 102, which the catalogue does not have")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"data":[', ("cut short or is not JSON", TransientError)),
        (b"", ("cut short or is not JSON", TransientError)),
        (b"<html>Maintenance</html>", ("a web page instead of JSON", PermanentError)),
        (b"[]", ("no list of records", PermanentError)),
        (b"{}", ("no list of records", PermanentError)),
        (b'{"data":{}}', ("no list of records", PermanentError)),
        (b'{"data":[1],"meta":{"pagination":{"total":1}}}', ("no list of records", PermanentError)),
        (b'{"data":[]}', ("no meta.pagination", PermanentError)),
        (b'{"data":[{}],"meta":{"pagination":{"total":1}}}', ("lacks", TransientError)),
    ],
)
def test_an_answer_that_lacks_something_is_never_taken_for_less_stock(supplier, store, path, body, told):
    fill(store, 1)
    supplier.instead(path, reply(200, body, Content_Type="application/json"))
    words, error = told
    supplier.fails(error, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"location_enabled": None}, "lacks a location's location_enabled"),
        ({"location_id": None}, "lacks location_id"),
        ({"location_id": True}, "lacks location_id"),
    ],
)
def test_a_location_that_lacks_something_is_told(supplier, store, change, words):
    store.add("A", 1)["locations"][0] |= change
    supplier.fails(TransientError, words)


def test_a_product_whose_tracking_is_of_an_unknown_kind_is_told(supplier, store):
    store.add("A", 1, tracking="bundle")
    supplier.fails(TransientError, "a product 100 of the store's answer lacks inventory_tracking")


def test_the_links_of_an_answer_are_not_followed(supplier, store):
    fill(store)
    store.pagination = {"links": {"next": "https://elsewhere.example/?page=2"}}
    assert len(supplier.lines()) == 5


# throttling and refusals


def test_the_quota_is_obeyed_without_ever_being_refused(supplier, store):
    fill(store, 20)
    store.quota = 7
    assert len(supplier.lines()) == 20
    assert store.refused == 0
    assert len(store.asked) == 30
    assert len(supplier.clock.slept) == 4
    assert set(supplier.clock.slept) == {30.0}


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"X_Rate_Limit_Time_Reset_Ms": "15000", "X_Rate_Limit_Requests_Left": "0"}, [15.0]),
        ({"X_Rate_Limit_Time_Reset_Ms": "15000", "X_Retry_After": "20"}, [20.0]),
        ({"Retry_After": "7"}, [7.0]),
        ({"X_Rate_Limit_Time_Reset_Ms": "soon"}, [1.0]),
        ({}, [1.0]),
    ],
)
def test_429_is_waited_for_as_asked_or_a_little(supplier, store, headers, waits):
    fill(store)
    supplier.instead("catalog/products", problem(429, "Too many requests", headers), page=2)
    assert len(supplier.lines()) == 5
    assert supplier.clock.slept == waits


def test_429_for_longer_is_left_to_the_next_try(supplier, store):
    supplier.instead("inventory/items", problem(429, "Too many requests", {"X_Retry_After": "3600"}))
    assert supplier.fails(TransientError, "asks us to slow down").retry_after == 3600


def test_429_for_ever_ends(supplier, store):
    supplier.instead("inventory/items", problem(429, "Too many requests"), times=99)
    supplier.fails(TransientError, "asks us to slow down")
    assert supplier.clock.slept == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("password", ["wrong", CANARY[:-1]])
def test_a_wrong_or_revoked_token_is_one_clear_error(supplier, password):
    supplier.connection = replace(supplier.connection, password=Secret(password))
    error = supplier.fails(CredentialsError, r"refused us \(HTTP 401\): Unauthorized")
    assert "connection 'acme_web'" in error.hint


def test_a_token_that_is_revoked_on_the_way_ends_the_read(supplier, store):
    fill(store)
    supplier.instead("catalog/variants", problem(401, "Unauthorized"), page=2)
    supplier.fails(CredentialsError, "refused us")


def test_a_scope_that_is_missing_is_told(supplier, store):
    supplier.instead("catalog/variants", problem(403, "You don't have a required scope to access the endpoint"))
    supplier.fails(CredentialsError, "HTTP 403.: You don't have a required scope")


@pytest.mark.parametrize(("status", "error"), [(500, TransientError), (404, PermanentError), (422, PermanentError)])
def test_other_refusals_tell_what_the_store_says(supplier, store, status, error):
    supplier.instead("inventory/items", problem(status, "Some reason"))
    supplier.fails(error, f"HTTP {status}.*Some reason")


def test_a_redirect_is_not_followed(supplier, store):
    supplier.instead("inventory/items", reply(302, Location="https://elsewhere.example/"))
    supplier.fails(PermanentError, "HTTP 302.*redirects are not followed")


def test_a_page_that_is_cut_on_the_wire_is_worth_another_try(supplier, store):
    fill(store)
    supplier.instead("inventory/items", reply(200, b'{"data":', content_length="999"), page=2)
    supplier.fails(TransientError, "cut short")


# limits, configuration, secrets


def test_more_than_the_limit_is_refused(supplier, store):
    fill(store, 30)
    assert supplier.fails(DeliveryError, "more than 2000 bytes", max_size=2000).code == "FILE-LIMIT"
    assert supplier.fails(DeliveryError, "a page of more than 300 bytes|larger than 300", max_page=300).code == "FILE-LIMIT"


def test_more_pages_than_the_limit_are_refused(supplier, store):
    fill(store)
    supplier.fails(PermanentError, "more than 2 pages", max_pages=2)


def test_a_connection_without_a_token_is_told(supplier):
    supplier.connection = replace(supplier.connection, password=None)
    with pytest.raises(CredentialsError, match="connection 'acme_web' has no access token"):
        supplier.fetch()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.bigcommerce.com/stores/abc/v2",
        "https://api.bigcommerce.com/v3",
        "https://api.bigcommerce.com/stores//v3",
        "https://api.bigcommerce.com/shops/abc/v3",
        "http://api.bigcommerce.com/stores/abc/v3",
        "https://user:pw@api.bigcommerce.com/stores/abc/v3",
    ],
)
def test_an_address_that_names_no_store_is_a_mistake_of_the_configuration(supplier, url):
    with pytest.raises(ConfigError, match="url"):
        supplier.fetch(url=url)


def test_the_token_goes_to_the_connections_host_only(supplier):
    with pytest.raises(ConfigError, match="not the host of the connection"):
        supplier.fetch(url="https://elsewhere.example/stores/abc/v3")


def test_no_secret_is_in_a_log_an_address_or_an_error(supplier, store, caplog):
    fill(store)
    texts = []
    with caplog.at_level(logging.DEBUG):
        texts.append(repr(supplier.fetch()))
        for answer in (problem(401, f"no {CANARY}"), problem(403, CANARY), problem(500, CANARY), problem(422, CANARY)):
            supplier.instead("catalog/products", answer)
            with pytest.raises(StockfeedError) as caught:
                supplier.fetch()
            texts += [str(caught.value), str(caught.value.detail), str(caught.value.hint), repr(caught.value.__cause__)]
    texts += [record.getMessage() for record in caplog.records] + store.asked
    assert not [text for text in texts if CANARY in text]
