"""A supplier's shop through collect and ingest, to the inventory: what is unknown stays unknown, what is the same is unchanged."""

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.connections import Connection, Secret
from schemas.errors import StockfeedError
from stockfeed.demo.shop import Shop, ShopLocation
from stockfeed.pipeline.collect import collect
from tests.conftest import REPOSITORY
from tests.integration.hostile_world import HostileWorld, HourClock, database_template, toml
from tests.servers import web_server
from tests.servers.bigcommerce_store import STORE, BigStore, location
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY

HOUR = timedelta(hours=1)
MAIN, BACK = "gid://shopify/Location/1", "gid://shopify/Location/2"


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return database_template(tmp_path_factory.mktemp("database"))


def config(source: dict) -> str:
    """A supplier whose format, columns and words are those of `feeds template`."""
    written = (REPOSITORY / f"stockfeed/cli/source_templates/{source['type']}.toml").read_text("utf-8")
    tables = tomllib.loads(written)["feed"]
    feed = {"code": "stock", "timezone": "UTC", "quantities": "net", "stale_after": "24h", "trust_first": True}
    feed |= {name: tables[name] for name in ("format", "columns", "words")} | {"source": source}
    return '[supplier]\ncode = "acme"\nname = "Acme"\n\n[[feed]]\n' + "".join(
        f"{key} = {toml(value)}\n" for key, value in feed.items()
    )


@pytest.fixture
def shop():
    places = (ShopLocation(MAIN, "Main"), ShopLocation(BACK, "Back"))
    with Shop(token=CANARY, locations=places) as running:
        running.bulk.running = 0  # done at the first look
        yield running


@pytest.fixture
def world(tmp_path, template, shop):
    world = HostileWorld(tmp_path, config({"type": "shopify", "connection": "shop"}), HourClock(), template)
    connection = Connection("shop", password=Secret(CANARY), extra={"base_url": shop.url})
    object.__setattr__(world.app, "resolve", lambda _name: connection)
    yield world
    world.close()


def levels(world) -> dict:
    rows = world.query("SELECT supplier_sku, location, available, on_hand FROM inventory_v1")
    return {(r.supplier_sku, r.location): (r.available, r.on_hand) for r in rows}


def test_a_shops_stock_becomes_inventory_and_the_unknown_stays_unknown(world, shop):
    shop.stock.put(shop.stock.add("A", 5), BACK, 0)
    shop.stock.item("A").others = {MAIN: {"committed": 2}}
    shop.stock.add("B", 0, tracked=False)
    [outcome] = world.sync()
    assert (outcome.state, outcome.rows_read, outcome.rows_rejected) == ("applied", 3, 0)
    assert [f["code"] for f in outcome.findings] == ["STOCK-UNTRACKED"]
    assert levels(world) == {("A", "Main"): (5, 7), ("A", "Back"): (0, 0), ("B", "Main"): (None, None)}


def test_the_same_stock_again_is_unchanged_and_a_sale_is_applied(world, shop):
    shop.stock.add("A", 5)
    assert [one.state for one in world.sync()] == ["applied"]
    world.clock.now += HOUR
    assert [one.state for one in world.sync()] == ["unchanged"]
    world.clock.now += HOUR
    shop.sell("A", 1)
    assert [one.state for one in world.sync()] == ["applied"]
    assert levels(world) == {("A", "Main"): (4, 4)}


def test_items_that_share_a_sku_are_kept_aside_and_the_last_good_value_stays(world, shop):
    shop.stock.add("A", 5)
    shop.stock.add("B", 6)
    world.sync()
    world.clock.now += HOUR
    shop.stock.add("A", 9)
    shop.stock.edit("B", 7)
    [outcome] = world.sync()
    assert {p["code"] for p in outcome.problems} == {"SKU-DUPLICATE"}
    assert levels(world) == {("A", "Main"): (5, 5), ("B", "Main"): (7, 7)}


def test_a_negative_quantity_is_judged_as_everywhere(world, shop):
    shop.stock.add("A", -2)
    shop.stock.add("B", 1)
    [outcome] = world.sync()
    assert {p["code"] for p in outcome.problems} == {"QTY-NEGATIVE"}
    assert ("A", "Main") not in levels(world)


def test_a_read_that_is_not_whole_records_nothing(world, shop):
    shop.stock.add("A", 5)
    world.sync()
    world.clock.now += HOUR
    shop.bulk.told = {"objectCount": "999"}
    shop.stock.edit("A", 0)
    with pytest.raises(StockfeedError, match="the shop counts 999"):
        collect(world.app, "acme.stock")
    assert world.query("SELECT count(*) FROM delivery")[0][0] == 1
    assert levels(world) == {("A", "Main"): (5, 5)}
    assert list(world.app.settings.spool_dir.iterdir()) == []


def test_a_bigcommerce_stores_stock_becomes_inventory_and_the_unknown_stays_unknown(tmp_path, template):
    authority, store = Authority(tmp_path), BigStore(locations=[location(1), location(2)])
    store.stock(store.add("A", 5), store.locations[1], 0, safety=3)
    store.add("B", 9, tracking="none")
    store.add("C", None)
    with web_server.running(store.answer, server_context(authority.issue("127.0.0.1"))) as server:
        url = server.url(f"/stores/{STORE}/v3")
        source = {"type": "bigcommerce", "connection": "store", "url": url, "private_host": True}
        world = HostileWorld(tmp_path, config(source), HourClock(), template)
        object.__setattr__(world.app, "resolve", lambda _name: server.connection(authority))
        [outcome] = world.sync()
        assert (outcome.state, outcome.rows_read, outcome.rows_rejected) == ("applied", 4, 1)
        assert {p["code"] for p in outcome.problems} == {"QTY-BLANK"}
        assert [f["code"] for f in outcome.findings] == ["STOCK-UNTRACKED"]
        here, there = "BC-LOCATION-1", "BC-LOCATION-2"
        assert levels(world) == {("A", here): (5, 5), ("A", there): (0, 3), ("B", here): (None, None)}
        world.clock.now += HOUR
        assert [one.state for one in world.sync()] == ["unchanged"]
        store.pagination = {"total": 99}
        with pytest.raises(StockfeedError, match="there are 99"):
            collect(world.app, "acme.stock")
        world.close()


def test_no_secret_is_in_what_is_stored_or_logged(world, shop, capsys, caplog, tmp_path):
    shop.stock.add("A", 5)
    world.sync()
    shop.fail_next("answer", status=403, body={"errors": f"no {CANARY}"})
    with pytest.raises(StockfeedError):
        collect(world.app, "acme.stock")
    out = capsys.readouterr()
    secrets = [CANARY, *(operation.key for operation in shop.bulk.operations.values())]
    for secret in secrets:
        assert secret not in out.out + out.err + caplog.text
        assert not any(secret.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
