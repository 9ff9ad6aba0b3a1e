"""A supplier's Magento or WooCommerce shop through collect and ingest, to the inventory: unknown stays unknown, nothing is lost."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.connections import Secret
from schemas.errors import StockfeedError, TransientError
from stockfeed.pipeline.collect import collect
from tests.integration.hostile_world import HostileWorld, HourClock, database_template
from tests.integration.test_storefront_whole_way import config
from tests.servers import magento_shop, web_server, woo_shop
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY
from tests.servers.web_server import reply

HOUR = timedelta(hours=1)
KEYS = {"consumer_secret": Secret(magento_shop.CONSUMER_SECRET), "token_secret": Secret(magento_shop.TOKEN_SECRET)}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return database_template(tmp_path_factory.mktemp("database"))


class ShopWorld(HostileWorld):
    """One feed that reads one shop, with the format, columns and words of `feeds template`."""

    def levels(self, quantity: str) -> dict:
        rows = self.query(f"SELECT supplier_sku, location, {quantity} FROM inventory_v1")
        return {(sku, place): None if amount is None else float(amount) for sku, place, amount in rows}


def running(root: Path, template: Path, shop, source: dict, **extra):
    authority = Authority(root)
    with web_server.running(shop.answer, server_context(authority.issue("127.0.0.1"))) as server:
        source = source | {"connection": "shop", "url": server.url(source["url"]), "private_host": True, "page_size": 2}
        world = ShopWorld(root, config(source), HourClock(), template)
        connection = server.connection(authority)
        object.__setattr__(world.app, "resolve", lambda _name: replace(connection, extra=connection.extra | extra))
        world.shop = shop
        yield world
        world.close()


@pytest.fixture
def magento(tmp_path, template):
    shop = magento_shop.MagentoShop(bearer_is_allowed=False, sources=[magento_shop.source("main"), magento_shop.source("east")])
    yield from running(tmp_path, template, shop, {"type": "magento", "url": "/rest/all/V1", "gtin_attribute": "ean"}, **KEYS)


@pytest.fixture
def woo(tmp_path, template):
    yield from running(tmp_path, template, woo_shop.WooShop(), {"type": "woocommerce", "url": "/wp-json/wc/v3"})


@pytest.fixture(params=["magento", "woo"])
def world(request):
    return request.getfixturevalue(request.param)


def test_a_magento_shops_stock_becomes_inventory_and_the_unknown_stays_unknown(magento):
    magento.shop.add("A", 5, 1.125)
    magento.shop.add("B", 7, manage_stock=False)
    magento.shop.add("C", 8)
    magento.shop.items[-1]["status"] = 0
    magento.shop.add("D", -1)
    [outcome] = magento.sync()
    assert (outcome.state, outcome.rows_read, outcome.rows_accepted) == ("applied", 5, 4)
    assert [finding["code"] for finding in outcome.findings if finding["code"].startswith("STOCK")] == [
        "STOCK-UNTRACKED",
        "STOCK-OUT-OF-STOCK",
    ]
    assert [problem["code"] for problem in outcome.problems] == ["QTY-NEGATIVE"]
    assert magento.levels("on_hand") == {("A", "main"): 5, ("A", "east"): 1.125, ("B", "main"): None, ("C", "main"): None}
    assert {gtin for [gtin] in magento.query("SELECT gtin FROM inventory")} == {"04006381333931"}


def test_a_woocommerce_shops_stock_becomes_inventory_and_shared_stock_counts_once(woo):
    shirt = woo.shop.add("SHIRT", 10)
    woo.shop.vary(shirt, "SHIRT-S")
    woo.shop.vary(shirt, "SHIRT-M")
    woo.shop.vary(shirt, "SHIRT-L", 3)
    woo.shop.add("OFF")
    woo.shop.vary(woo.shop.add("CAP", 4), "")
    [outcome] = woo.sync()
    assert (outcome.state, outcome.rows_read, outcome.rows_rejected) == ("applied", 6, 0)
    assert woo.levels("available") == {
        ("SHIRT", ""): 10,
        ("SHIRT-S", ""): None,
        ("SHIRT-M", ""): None,
        ("SHIRT-L", ""): 3,
        ("OFF", ""): None,
        ("CAP", ""): 4,
    }


def test_variations_that_show_one_sku_are_kept_aside(woo):
    cap = woo.shop.add("CAP")
    woo.shop.vary(cap, "", 3)
    woo.shop.vary(cap, "", 4)
    woo.shop.add("A", 1)
    [outcome] = woo.sync()
    assert {problem["code"] for problem in outcome.problems} == {"SKU-DUPLICATE"}
    assert woo.levels("available") == {("A", ""): 1}


def test_a_product_without_a_sku_is_told(woo):
    woo.shop.add("", 3)
    woo.shop.add("A", 1)
    [outcome] = woo.sync()
    assert {problem["code"] for problem in outcome.problems} == {"SKU-BLANK"}
    assert woo.levels("available") == {("A", ""): 1}


def test_what_is_switched_off_after_it_was_known_becomes_unknown_and_never_0(magento):
    for number in range(30):
        magento.shop.add(f"A{number}", 5)
    magento.sync()
    magento.clock.now += HOUR
    magento.shop.stock[3]["manage_stock"] = False
    assert [one.state for one in magento.sync()] == ["applied"]
    assert {magento.levels("on_hand")[f"A{number}", "main"] for number in (2, 3)} == {5, None}


def test_the_same_stock_again_is_unchanged_and_a_change_is_applied(world):
    product = world.shop.add("A", 5)
    world.shop.add("B", 6)
    assert [one.state for one in world.sync()] == ["applied"]
    world.clock.now += HOUR
    world.shop.products.reverse()
    assert [one.state for one in world.sync()] == ["unchanged"]
    world.clock.now += HOUR
    if isinstance(world.shop, woo_shop.WooShop):
        product["stock_quantity"] = 4
    else:
        world.shop.items[0]["quantity"] = 4
    assert [one.state for one in world.sync()] == ["applied"]
    quantity = "available" if isinstance(world.shop, woo_shop.WooShop) else "on_hand"
    assert sorted(world.levels(quantity).values()) == [4, 6]


def test_a_read_that_is_not_whole_records_nothing(world):
    for number in range(5):
        world.shop.add(f"A{number}", 5)
    world.sync()
    world.clock.now += HOUR
    for fault in (reply(200, b"<html>"), reply(500), reply(401), reply(200, b'{"it'), reply(429, Retry_After="99")):
        third = len(world.shop.asked) + 3
        world.shop.before = lambda number, _path, _page, third=third, fault=fault: fault if number == third else None
        with pytest.raises(StockfeedError):
            collect(world.app, "acme.stock")
        assert len(world.shop.asked) == third
        assert world.query("SELECT count(*) FROM delivery") == [(1,)]
        assert list(world.app.settings.spool_dir.iterdir()) == []
    assert [one.state for one in world.sync()] == ["unchanged"]


def test_a_catalogue_that_never_stands_still_records_nothing(world):
    for number in range(3):
        world.shop.add(f"A{number}", 5)

    def busy(_number, _path, page):
        if page == 2:
            world.shop.add(f"N{len(world.shop.products)}", 1)

    world.shop.before = busy
    with pytest.raises(TransientError, match="changed while it was read"):
        collect(world.app, "acme.stock")
    assert world.query("SELECT count(*) FROM delivery") == [(0,)]


def test_no_secret_is_in_what_is_stored_or_logged(world, capsys, caplog, tmp_path):
    caplog.set_level("DEBUG")
    world.shop.add("A", 5)
    world.sync()
    world.shop.before = lambda _number, _path, _page: reply(403, b'{"message": "no ' + CANARY.encode() + b'"}')
    with pytest.raises(StockfeedError):
        collect(world.app, "acme.stock")
    out = capsys.readouterr()
    assert CANARY not in out.out + out.err + caplog.text
    assert not any(CANARY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
