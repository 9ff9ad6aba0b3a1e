"""A BigCommerce store as a source: the whole stock or none of it, and one clear outcome for each fault."""

import json
from contextlib import ExitStack

import pytest

from schemas.errors import PermanentError, TransientError
from tests.servers.bigcommerce_store import location
from tests.servers.bigcommerce_supplier import LISTS, Supplier, fill
from tests.servers.web_server import reply


@pytest.fixture
def supplier(tmp_path):
    with ExitStack() as stack:
        yield Supplier(tmp_path, stack)


@pytest.fixture
def store(supplier):
    return supplier.store


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
