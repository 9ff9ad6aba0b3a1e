"""The source magento against a shop that answers as Magento does: all of its stock or none, and unknown where it counts none."""

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest

from connectors.registry import load_source
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, TransientError
from tests.servers import magento_shop, web_server
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.web_server import reply


class Shop:
    def __init__(self, tmp_path, stack: ExitStack) -> None:
        self.state = magento_shop.MagentoShop()
        authority = Authority(tmp_path)
        self.server = stack.enter_context(web_server.running(self.state.answer, server_context(authority.issue("127.0.0.1"))))
        self.connection = self.server.connection(authority)
        self.spool, self.clock = tmp_path / "spool", Clock()

    def fetch(self, **options):
        of = feed({"type": "magento", "url": self.server.url("/rest/all/V1"), "private_host": True, "page_size": 2, **options})
        return fetch(load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of, self.spool)

    def lines(self, **options) -> list[dict]:
        [got] = self.fetch(**options)
        return [json.loads(line) for line in got.path.read_text().splitlines()]

    def stock(self, **options) -> dict[tuple[str, str], object]:
        return {(line["sku"], line["location"]): line["quantities"]["quantity"] for line in self.lines(**options)}


@pytest.fixture
def shop(tmp_path):
    with ExitStack() as stack:
        yield Shop(tmp_path, stack)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_all_pages_come_each_once_and_no_page_behind_the_last_is_asked_for(shop, count):
    for number in range(count):
        shop.state.add(f"A{number}", number)
    assert shop.stock() == {(f"A{number}", "default"): number for number in range(count)}
    pages = max(1, -(-count // 2))
    assert len(shop.state.asked) == 1 + 3 * pages


def test_a_line_says_what_the_shop_knows_of_an_item(shop):
    shop.state.add("A", 5)
    assert shop.lines(gtin_attribute="ean") == [
        {
            "sku": "A",
            "gtin": "4006381333931",
            "location": "default",
            "tracked": True,
            "quantities": {"quantity": 5},
            "updated_at": "2026-10-01 08:00:00",
            "item": "1",
            "location_id": "default",
            "counted": None,
            "product_status": 1,
            "status": 1,
        }
    ]


def test_the_same_stock_gives_the_same_bytes_in_whatever_order_the_shop_lists_it(shop):
    shop.state.sources.append(magento_shop.source("east"))
    for number in range(5):
        shop.state.add(f"a{number}" if number % 2 else f"B{number}", number, 7)
    [first] = shop.fetch()
    shop.clock.sleep(60)
    for records in (shop.state.products, shop.state.items, shop.state.stock):
        records.reverse()
    [second] = shop.fetch()
    assert first.sha256 == second.sha256
    assert first.identity != second.identity
    assert second.source_time == shop.clock()


def test_a_barcode_attribute_that_no_product_has_is_told(shop):
    assert [got.findings for got in shop.fetch(gtin_attribute="barcode")] == [()]
    shop.state.add("A", 5)
    shop.state.add("B", 5)
    [got] = shop.fetch(gtin_attribute="barcode")
    [finding] = got.findings
    assert (finding.code, finding.severity) == ("GTIN-ATTRIBUTE", "warn")
    assert finding.message == "none of 2 products has the attribute 'barcode', which is to hold the barcode"
    shop.state.products[0]["custom_attributes"].append({"attribute_code": "barcode", "value": "1"})
    assert [got.findings for got in shop.fetch(gtin_attribute="barcode")] == [()]


def test_quantities_stay_as_they_are_written(shop):
    shop.state.add("fraction", 2.5)
    shop.state.add("minus", -3)
    shop.state.add("none", 0)
    shop.state.add("null", 1)
    shop.state.items[-1]["quantity"] = None
    assert [value for _, value in sorted(shop.stock().items())] == ["2.5", -3, 0, None]


def test_a_quantity_that_magento_leaves_out_of_its_stock_is_a_word_and_counted(shop):
    shop.state.sources.append(magento_shop.source("closed", enabled=False))
    shop.state.add("good", 5, 4)
    shop.state.add("flagged", 6)
    shop.state.items[-1]["status"] = 0
    shop.state.add("unmanaged", 7, manage_stock=False)
    shop.state.add("set", 8, type_id="bundle")
    shop.state.items.append({"sku": "orphan", "source_code": "default", "quantity": 9, "status": 1})
    [got] = shop.fetch()
    lines = {(one["sku"], one["location"]): one for one in map(json.loads, got.path.read_text().splitlines())}
    assert {key: one["quantities"]["quantity"] for key, one in lines.items()} == {
        ("good", "default"): 5,
        ("good", "closed"): "source_disabled",
        ("flagged", "default"): "out_of_stock",
        ("unmanaged", "default"): "untracked",
        ("set", "default"): "untracked",
        ("orphan", "default"): "no_product",
    }
    assert lines["flagged", "default"]["counted"] == 6
    assert [(f.code, f.severity, f.measured) for f in got.findings] == [
        ("STOCK-UNTRACKED", "warn", "2"),
        ("STOCK-OUT-OF-STOCK", "warn", "1"),
        ("STOCK-SOURCE-DISABLED", "warn", "1"),
        ("STOCK-NO-PRODUCT", "warn", "1"),
    ]
    assert got.findings[1].message.endswith("Magento sells none: 1 item (flagged at default)")


def test_a_product_without_a_stock_item_is_not_known_to_be_tracked(shop):
    shop.state.add("A", 5)
    shop.state.stock.clear()
    assert shop.stock() == {("A", "default"): "untracked"}


def test_products_that_the_list_of_stock_items_leaves_out_are_asked_for_one_by_one(shop):
    shop.state.sources.append(magento_shop.source("east"))
    shop.state.add("A/1 ü%", 5, 6, old_quantity=None)
    shop.state.add("B", 7, old_quantity=None, manage_stock=False)
    shop.state.add("C", 8)
    assert shop.stock() == {
        ("A/1 ü%", "default"): 5,
        ("A/1 ü%", "east"): 6,
        ("B", "default"): "untracked",
        ("C", "default"): 8,
    }
    single = [
        target.partition("/stockItems/")[2] for target in shop.state.asked if "lowStock" not in target and "/stockItems/" in target
    ]
    assert single == ["A%2F1%20%C3%BC%25", "B"]


def test_letter_case_does_not_part_an_item_from_its_product(shop):
    shop.state.add("abc", 5)
    shop.state.items[0]["sku"] = "ABC"
    shop.state.add("x", 1)
    shop.state.add("X", 2)
    assert shop.stock() == {("ABC", "default"): 5, ("x", "default"): 1, ("X", "default"): 2}


def test_only_the_named_sources_are_read_and_an_unknown_one_is_told(shop):
    shop.state.sources.append(magento_shop.source("east"))
    shop.state.add("A", 5, 6)
    assert shop.stock(sources=["east"]) == {("A", "east"): 6}
    with pytest.raises(ConfigError, match="no source 'west'") as caught:
        shop.fetch(sources=["west"])
    assert "default, east" in caught.value.hint


def test_what_changes_while_it_is_read_is_read_again(shop):
    for number in range(5):
        shop.state.add(f"A{number}", number)

    def sold(number, path, page):
        if number == 9:
            shop.state.items.pop(0)

    shop.state.before = sold
    assert len(shop.stock()) == 4


def test_what_changes_each_time_it_is_read_is_left_to_the_next_try(shop):
    for number in range(5):
        shop.state.add(f"A{number}", number)

    def busy(_number, path, page):
        if (path, page) == ("inventory/source-items", 2):
            shop.state.items.append(shop.state.items[0] | {"sku": f"new {len(shop.state.items)}"})

    shop.state.before = busy
    with pytest.raises(TransientError, match=r"source-items: the list changed while it was read: 7 records, then 8; .* 3 times"):
        shop.fetch()
    assert list(shop.spool.iterdir()) == []


def test_records_that_move_over_a_page_break_are_seen(shop):
    for number in range(5):
        shop.state.add(f"A{number}", number)

    def swapped(_number, path, page):
        if (path, page) == ("inventory/source-items", 2):
            shop.state.items[1], shop.state.items[2] = shop.state.items[2], shop.state.items[1]

    shop.state.before = swapped
    with pytest.raises(TransientError, match="came twice"):
        shop.fetch(reads=1)


def test_an_interface_that_gives_the_same_page_for_every_number_is_told(shop):
    for number in range(5):
        shop.state.add(f"A{number}", number)
    page = reply(200, json.dumps({"items": shop.state.items[:2], "total_count": 5, "search_criteria": {}}).encode())
    shop.state.before = lambda _number, path, _page: page if path == "inventory/source-items" else None
    with pytest.raises(PermanentError, match="go round in a loop"):
        shop.fetch()


def test_slowing_down_is_obeyed_with_and_without_a_time(shop):
    shop.state.add("A", 1)
    faults = [reply(429, Retry_After="7"), reply(429), reply(503), reply(503, Retry_After="3")]
    shop.state.before = lambda _number, _path, _page: faults.pop(0) if faults else None
    assert len(shop.stock()) == 1
    assert shop.clock.slept == [7.0, 2.0, 4.0, 3.0]


@pytest.mark.parametrize("status", [429, 503])
def test_slowing_down_for_long_is_left_to_the_next_try(shop, status):
    shop.state.before = lambda _number, _path, _page: reply(status, Retry_After="3600")
    with pytest.raises(TransientError, match="slow down") as caught:
        shop.fetch()
    assert (caught.value.retry_after, shop.clock.slept, len(shop.state.asked)) == (3600.0, [], 1)
    shop.state.before = lambda _number, _path, _page: reply(status)
    with pytest.raises(TransientError, match="slow down"):
        shop.fetch()
    assert shop.clock.slept == [1.0, 2.0, 4.0, 8.0]


LISTS = ("products", "stockItems/lowStock/", "inventory/source-items")
FAULTS = [
    (reply(200, b"<!doctype html><title>Login</title>", Content_Type="text/html"), PermanentError, "web page instead of JSON"),
    (reply(200, b'{"items": [{"sku": "A'), TransientError, "cut short or is not JSON"),
    (reply(200, b'{"items": [], "total_count": NaN}'), TransientError, "cut short or is not JSON"),
    (reply(200, b'{"items": []}', content_length="999"), TransientError, "cut short"),
    (reply(200, b'{"data": []}'), PermanentError, "no list of objects at 'items'; it has data"),
    (reply(401), CredentialsError, "refused the login"),
    (reply(200, b'{"items": ["A"], "total_count": 1}'), PermanentError, "no list of objects"),
    (reply(200, b'{"items": []}'), PermanentError, "does not tell how many"),
    (reply(200, b'{"items": [{"id": 1}], "total_count": 3}'), PermanentError, "has no (sku|product_id)"),
    (reply(302, Location="https://elsewhere.example/rest"), PermanentError, "HTTP 302.; redirects are not followed"),
    (reply(404, b'{"message": "Request does not match any route."}'), PermanentError, "HTTP 404.*: Request does not match"),
    (reply(500, b'{"message": "Internal Error. Details are available in the log file."}'), TransientError, "cannot answer now"),
    (reply(200, b'{"items": [' + b" " * 2_000_000 + b"]}"), DeliveryError, "larger than|more than"),
]


@pytest.mark.parametrize(("fault", "error", "words"), FAULTS, ids=range(len(FAULTS)))
@pytest.mark.parametrize("at", [(path, page) for path in LISTS for page in (1, 2)], ids=str)
def test_each_fault_has_one_outcome_and_leaves_nothing(shop, fault, error, words, at):
    for number in range(3):
        shop.state.add(f"A{number}", 1)
    shop.state.before = lambda _number, path, page: fault if (path, page) == at else None
    with pytest.raises(error, match=words):
        shop.fetch(max_page=1_000_000, reads=1)
    assert list(shop.spool.iterdir()) == []


def test_a_page_larger_than_the_shop_allows_is_told_in_its_words(shop):
    with pytest.raises(PermanentError, match=r"HTTP 400: Maximum SearchCriteria pageSize is 300\) Correct") as told:
        shop.fetch(page_size=500)
    assert told.value.hint.startswith("Correct what the server's words name")


def test_an_integration_signs_its_requests(shop):
    shop.state.add("A B&C=ü", 1)
    shop.state.bearer_is_allowed = False
    with pytest.raises(CredentialsError, match=r"HTTP 401.*isn't authorized to access Magento_InventoryApi::source"):
        shop.fetch()
    extra = {**shop.connection.extra, "consumer_secret": Secret(magento_shop.CONSUMER_SECRET)}
    shop.connection = replace(shop.connection, extra={**extra, "token_secret": Secret(magento_shop.TOKEN_SECRET)})
    assert len(shop.stock(gtin_attribute="ean")) == 1
    shop.connection = replace(shop.connection, extra={**extra, "token_secret": Secret(f"{CANARY}-else")})
    with pytest.raises(CredentialsError, match="refused the login 'acme'"):
        shop.fetch()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": None}, "no access token"),
        ({"password": Secret("")}, "no access token"),
        ({"extra": {"consumer_secret": Secret("x"), "token_secret": Secret("")}}, "all four credentials"),
        ({"extra": {"consumer_secret": Secret("x")}}, "all four credentials"),
        ({"extra": {"consumer_secret": Secret("x"), "token_secret": Secret("y")}, "login": None}, "all four credentials"),
    ],
)
def test_a_login_that_is_not_whole_is_told_before_anything_is_sent(shop, change, words):
    shop.connection = replace(shop.connection, **change)
    with pytest.raises(CredentialsError, match=words):
        shop.fetch()
    assert shop.state.asked == []


def test_a_token_that_is_withdrawn_on_the_way_leaves_nothing_and_shows_nothing(shop, caplog):
    caplog.set_level("DEBUG")
    for number in range(3):
        shop.state.add(f"A{number}", 1)
    echo = json.dumps({"message": "Token %token is expired", "parameters": {"token": CANARY}}).encode()
    shop.state.before = lambda number, _path, _page: reply(401, echo) if number == 4 else None
    with pytest.raises(CredentialsError, match=r"Token \*\*\* is expired") as caught:
        shop.fetch()
    shown = [str(caught.value), caught.value.detail, repr(caught.value), *(record.getMessage() for record in caplog.records)]
    assert not any(CANARY in text for text in shown)
    assert list(shop.spool.iterdir()) == []


def test_a_shop_that_says_nothing_is_not_waited_for_without_end(shop):
    shop.state.answer = lambda _request, line: line.silence()
    shop.server.answer = shop.state.answer
    with pytest.raises(TransientError, match=r"no data for 0\.3 s"):
        shop.fetch(idle_timeout="0.3s")
    with pytest.raises(TransientError, match=r"took longer than 0\.3 s"):
        shop.fetch(deadline="0.3s")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://shop.example/rest/all/V1"}, "not encrypted"),
        ({"url": "https://shop.example/"}, "ends in /V1"),
        ({"url": "https://shop.example/rest/all/V1?x=1"}, "no query"),
        ({"url": "https://elsewhere.example/rest/all/V1"}, r"not the host of the connection 'acme_web', which is 127\.0\.0\.1:\d+"),
        ({"page_size": 0}, "page_size"),
        ({"pages": 3}, "pages"),
    ],
)
def test_a_wrong_option_is_named(shop, options, words):
    with pytest.raises(ConfigError, match=words):
        shop.fetch(**options)
    assert shop.state.asked == []
