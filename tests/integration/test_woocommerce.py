"""The source woocommerce against a shop that answers as WooCommerce does: all of its stock or none, none of it twice."""

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest

from connectors.registry import load_source
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, TransientError
from tests.servers import web_server, woo_shop
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.web_server import reply


class Shop:
    def __init__(self, tmp_path, stack: ExitStack) -> None:
        self.state = woo_shop.WooShop()
        authority = Authority(tmp_path)
        self.server = stack.enter_context(web_server.running(self.state.answer, server_context(authority.issue("127.0.0.1"))))
        self.connection = self.server.connection(authority)
        self.spool, self.clock = tmp_path / "spool", Clock()

    def fetch(self, **options):
        url = self.server.url("/wp-json/wc/v3")
        of = feed({"type": "woocommerce", "url": url, "private_host": True, "page_size": 2, **options})
        return fetch(load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of, self.spool)

    def lines(self, **options) -> list[dict]:
        [got] = self.fetch(**options)
        return [json.loads(line) for line in got.path.read_text().splitlines()]

    def stock(self, **options) -> list[tuple[str, object]]:
        return [(line["sku"], line["quantities"]["stock_quantity"]) for line in self.lines(**options)]


@pytest.fixture
def shop(tmp_path):
    with ExitStack() as stack:
        yield Shop(tmp_path, stack)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_all_pages_come_each_once(shop, count):
    for number in range(count):
        shop.state.add(f"A{number}", number)
    assert shop.stock() == [(f"A{number}", number) for number in range(count)]
    assert len(shop.state.asked) == max(1, -(-count // 2))


def test_a_line_says_what_the_shop_knows_of_an_item(shop):
    shop.state.add("A", 5)
    assert shop.lines() == [
        {
            "sku": "A",
            "gtin": "4006381333931",
            "location": None,
            "tracked": True,
            "quantities": {"stock_quantity": 5},
            "updated_at": "2026-10-01T08:00:00",
            "item": "1",
            "location_id": "",
            "counted": None,
            "product": "1",
            "product_sku": "A",
            "status": "publish",
            "stock_status": "instock",
        }
    ]


@pytest.mark.parametrize("keeps_order", [True, False])
def test_the_same_stock_gives_the_same_bytes_in_whatever_order_the_shop_lists_it(shop, keeps_order):
    shop.state.keeps_order = keeps_order
    product = shop.state.add("P")
    for number in range(5):
        shop.state.add(f"A{number}", number)
        shop.state.vary(product, f"P{number}", number)
    [first] = shop.fetch()
    shop.clock.sleep(60)
    shop.state.products.reverse()
    shop.state.variations[product["id"]].reverse()
    [second] = shop.fetch()
    assert first.sha256 == second.sha256
    assert first.identity != second.identity
    assert second.source_time == shop.clock()


def test_what_is_not_tracked_is_unknown_whatever_number_the_shop_shows(shop):
    shop.state.add("off")
    shop.state.add("off but counted", 7, manage_stock=False)
    shop.state.add("on without a number", 0, stock_quantity=None)
    shop.state.add("elsewhere", 5, type="external")
    shop.state.add("set", 5, type="grouped")
    product = shop.state.add("P")
    assert shop.state.vary(product, "P-off")["stock_quantity"] == 0
    shop.state.vary(product, "P-on", 3)
    shop.state.add("counted", 2)
    [got] = shop.fetch()
    lines = [json.loads(line) for line in got.path.read_text().splitlines()]
    assert {line["sku"]: line["quantities"]["stock_quantity"] for line in lines} == {
        "off": "untracked",
        "off but counted": "untracked",
        "on without a number": "untracked",
        "elsewhere": "untracked",
        "set": "untracked",
        "P-off": "untracked",
        "P-on": 3,
        "counted": 2,
    }
    [finding] = got.findings
    assert (finding.code, finding.severity, finding.measured) == ("STOCK-UNTRACKED", "warn", "6")


def test_stock_that_variations_share_is_told_once(shop):
    shirt = shop.state.add("SHIRT", 10)
    shop.state.vary(shirt, "SHIRT-S")
    shop.state.vary(shirt, "SHIRT-M")
    shop.state.vary(shirt, "SHIRT-L", 4)
    plain = shop.state.add("CAP", 6)
    shop.state.vary(plain, "")
    shop.state.vary(plain, "")
    [got] = shop.fetch()
    lines = [json.loads(line) for line in got.path.read_text().splitlines()]
    assert [(one["sku"], one["quantities"]["stock_quantity"], one["product_sku"]) for one in lines] == [
        ("SHIRT", 10, "SHIRT"),
        ("SHIRT-S", "shared", "SHIRT"),
        ("SHIRT-M", "shared", "SHIRT"),
        ("SHIRT-L", 4, "SHIRT"),
        ("CAP", 6, "CAP"),
    ]
    [finding] = got.findings
    assert (finding.code, finding.measured) == ("STOCK-SHARED", "2")
    assert finding.message.endswith("with the product: 2 items (SHIRT-S, SHIRT-M)")


def test_a_product_whose_variations_have_all_the_stock_is_no_item_itself(shop):
    product = shop.state.add("P", 99)
    shop.state.vary(product, "P-1", 3)
    unbought = shop.state.add("EMPTY", 5)
    unbought["type"] = "variable"
    assert shop.stock() == [("P-1", 3)]


def test_variations_without_a_sku_of_their_own_are_told_as_the_shop_shows_them(shop):
    product = shop.state.add("P")
    shop.state.vary(product, "", 3)
    shop.state.vary(product, "", 4)
    assert shop.stock() == [("P", 3), ("P", 4)]  # which the rules find to be one SKU with two values


def test_numbers_stay_as_they_are_written_and_the_shops_threshold_counts(shop):
    shop.state.add("minus", -2, stock_status="onbackorder")
    shop.state.add("none", 0, stock_status="outofstock")
    shop.state.add("half", 2.5)
    shop.state.add("last ones", 3, stock_status="outofstock")
    assert shop.stock() == [("minus", -2), ("none", 0), ("half", "2.5"), ("last ones", "out_of_stock")]


def test_products_and_variations_that_are_not_published_are_left_out_unless_asked_for(shop):
    shop.state.add("draft", 1, status="draft")
    product = shop.state.add("P")
    shop.state.vary(product, "P-on", 2)
    shop.state.vary(product, "P-off", 3, status="private")
    assert shop.stock() == [("P-on", 2)]
    assert shop.stock(status="any") == [("draft", 1), ("P-on", 2), ("P-off", 3)]
    assert shop.stock(status="draft") == [("draft", 1)]


def test_what_changes_while_it_is_read_is_read_again(shop):
    product = shop.state.add("P")
    for number in range(5):
        shop.state.add(f"A{number}", number)
        shop.state.vary(product, f"P{number}", number)

    def changes(number, _path, _page):
        if number == 2:
            shop.state.products.pop(1)
        elif number == 6:
            shop.state.variations[product["id"]].pop(0)

    shop.state.before = changes
    assert len(shop.stock()) == 8


def test_a_product_that_vanishes_before_its_variations_are_read_is_a_change(shop):
    shop.state.vary(shop.state.add("P"), "P1", 1)
    shop.state.add("A", 2)
    shop.state.before = lambda number, _path, _page: shop.state.products.pop(0) and None if number == 2 else None
    assert shop.stock() == [("A", 2)]


def test_what_changes_each_time_it_is_read_is_left_to_the_next_try(shop):
    for number in range(3):
        shop.state.add(f"A{number}", number)

    def busy(_number, _path, page):
        if page == 2:
            shop.state.add(f"new {shop.state.last_id}", 1)

    shop.state.before = busy
    with pytest.raises(TransientError, match=r"products: the list changed while it was read: 5 records, then 6; .* 3 times"):
        shop.fetch()
    assert list(shop.spool.iterdir()) == []


@pytest.mark.parametrize("path", ["products", "products/1/variations"])
def test_records_that_move_over_a_page_break_are_seen(shop, path):
    product = shop.state.add("P")
    for number in range(4):
        shop.state.vary(product, f"P{number}", number)
        shop.state.add(f"A{number}", number)
    shop.state.keeps_order = False

    def swapped(_number, asked, page):
        if (asked, page) == (path, 2):
            records = shop.state.products if path == "products" else shop.state.variations[product["id"]]
            records[1], records[2] = records[2], records[1]

    shop.state.before = swapped
    with pytest.raises(TransientError, match="came twice"):
        shop.fetch(reads=1)


def test_products_that_the_key_may_not_see_are_missed(shop):
    for number in range(5):
        shop.state.add(f"A{number}", number)
    shop.state.hidden = {2}
    with pytest.raises(TransientError, match="4 records came, and there are 5"):
        shop.fetch()


@pytest.mark.parametrize(
    ("headers", "error", "words"),
    [
        ({"X_WP_Total": ""}, PermanentError, "does not tell how many"),
        ({"X_WP_Total": "-3"}, PermanentError, "does not tell how many"),
        ({"X_WP_TotalPages": ""}, PermanentError, "does not tell how many pages"),
        ({"X_WP_Total": "4"}, TransientError, "3 records came, and there are 4"),
        ({"X_WP_TotalPages": "1"}, TransientError, "1 pages of 2 for 3 records"),
        ({"X_WP_TotalPages": "3"}, TransientError, "3 pages of 2 for 3 records"),
    ],
)
def test_counts_that_are_absent_or_do_not_fit_are_told(shop, headers, error, words):
    for number in range(3):
        shop.state.add(f"A{number}", number)
    shop.state.headers = headers
    with pytest.raises(error, match=words):
        shop.fetch()


def test_a_link_to_another_host_is_not_followed(shop):
    for number in range(3):
        shop.state.add(f"A{number}", number)
    shop.state.headers = {"Link": '<https://elsewhere.example/wp-json/wc/v3/products?page=2>; rel="next"'}
    assert len(shop.stock()) == 3


def test_an_interface_that_gives_the_same_page_for_every_number_is_told(shop):
    for number in range(5):
        shop.state.add(f"A{number}", number)
    page = reply(200, json.dumps(shop.state.products[:2]).encode(), X_WP_Total="5", X_WP_TotalPages="3")
    shop.state.before = lambda _number, _path, _page: page
    with pytest.raises(PermanentError, match="go round in a loop"):
        shop.fetch()


def test_slowing_down_is_obeyed_with_and_without_a_time(shop):
    shop.state.add("A", 1)
    faults = [reply(429, Retry_After="7"), reply(429), reply(503), reply(503, Retry_After="3")]
    shop.state.before = lambda _number, _path, _page: faults.pop(0) if faults else None
    assert len(shop.stock()) == 1
    assert shop.clock.slept == [7.0, 2.0, 4.0, 3.0]


FAULTS = [
    (
        reply(200, b"<br />\n<b>Warning</b>: Undefined array key", Content_Type="text/html"),
        PermanentError,
        "web page instead of JSON",
    ),
    (reply(200, b'[{"id": 1, "sku": "A'), TransientError, "cut short or is not JSON"),
    (reply(200, b"[]", content_length="999"), TransientError, "cut short"),
    (reply(200, b'{"code": "rest_error"}'), PermanentError, "no list of objects; it has code"),
    (reply(200, b"[1]"), PermanentError, "no list of objects"),
    (reply(200, b'[{"sku": "A"}]', X_WP_Total="3", X_WP_TotalPages="2"), PermanentError, "has no id"),
    (reply(301, Location="https://www.shop.example/"), PermanentError, "redirects are not followed"),
    (reply(403, b"<html>firewall"), CredentialsError, "HTTP 403"),
    (reply(400, b'{"code": "rest_invalid_param", "message": "Invalid parameter(s): status"}'), PermanentError, "Invalid parameter"),
    (reply(502), TransientError, "cannot answer now"),
    (reply(200, b"[" + b" " * 2_000_000 + b"]"), DeliveryError, "larger than|more than"),
]


@pytest.mark.parametrize(("fault", "error", "words"), FAULTS, ids=range(len(FAULTS)))
@pytest.mark.parametrize("at", [(path, page) for path in ("products", "products/1/variations") for page in (1, 2)], ids=str)
def test_each_fault_has_one_outcome_and_leaves_nothing(shop, fault, error, words, at):
    product = shop.state.add("P")
    for number in range(3):
        shop.state.vary(product, f"P{number}", 1)
        if number:
            shop.state.add(f"A{number}", number)
    shop.state.before = lambda _number, path, page: fault if (path, page) == at else None
    with pytest.raises(error, match=words):
        shop.fetch(max_page=1_000_000, reads=1)
    assert list(shop.spool.iterdir()) == []


def test_a_key_that_is_withdrawn_on_the_way_leaves_nothing_and_shows_nothing(shop, caplog):
    caplog.set_level("DEBUG")
    for number in range(3):
        shop.state.add(f"A{number}", 1)
    echo = json.dumps({"code": "woocommerce_rest_authentication_error", "message": f"Secret {CANARY} is invalid."}).encode()
    shop.state.before = lambda number, _path, _page: reply(401, echo) if number == 2 else None
    with pytest.raises(CredentialsError, match=r"refused the login 'acme' \(HTTP 401\): Secret \*\*\* is invalid") as caught:
        shop.fetch()
    shown = [str(caught.value), caught.value.detail, repr(caught.value), *(record.getMessage() for record in caplog.records)]
    assert not any(CANARY in text for text in shown)
    assert list(shop.spool.iterdir()) == []


@pytest.mark.parametrize("change", [{"login": None}, {"password": None}, {"password": Secret("")}])
def test_a_login_that_is_not_whole_is_told_before_anything_is_sent(shop, change):
    shop.connection = replace(shop.connection, **change)
    with pytest.raises(CredentialsError, match="no consumer key and secret"):
        shop.fetch()
    assert shop.state.asked == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://shop.example/wp-json/wc/v3"}, "not encrypted"),
        ({"url": "https://shop.example/wp-json"}, "ends in /wc/v3"),
        ({"url": "https://elsewhere.example/wp-json/wc/v3"}, "not the host of the connection"),
        ({"page_size": 101}, "page_size"),
        ({"status": "trash"}, "status"),
    ],
)
def test_a_wrong_option_is_named(shop, options, words):
    with pytest.raises(ConfigError, match=words):
        shop.fetch(**options)
    assert shop.state.asked == []
