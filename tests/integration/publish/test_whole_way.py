"""From a supplier's folder to a shop that speaks the Shopify contract over HTTP, and to a file: files in, quantities out."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from schemas.errors import TransientError
from stockfeed.bootstrap import App, open_app
from stockfeed.demo.shop import DEFAULT_LOCATION, Shop
from stockfeed.pipeline.channel_acts import approve_channel
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from stockfeed.pipeline.publish import publish
from stockfeed.pipeline.reconcile import reconcile
from stockfeed.settings import load_settings
from stockfeed.store.engine import read
from tests.integration.publish.conftest import WHO
from tests.servers.shop import shop_channel, shop_connection

SUPPLIER = """
[supplier]
code = "acme"
name = "Acme"

[[feed]]
code = "stock"
source = {{ type = "folder", path = "{inbox}", select = "all_new", pattern = "*.csv", settle = "0s" }}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "72h"
trust_first = true
[feed.columns]
supplier_sku = "sku"
on_hand = "qty"
"""

SHOP = """
[channel]
code = "web"
name = "Web shop"
kind = "shopify"
connection = "shop"
locations = ["{place}"]
"""

FILE = """
[channel]
code = "partner"
name = "Partner's file"
kind = "feed_file"
path = "{outbox}"
locations = ["main"]
buffer = 1
"""


class World:
    """One supplier's folder, one shop over HTTP, one partner's file."""

    def __init__(self, root: Path, app: App, shop: Shop, clock) -> None:
        self.root, self.app, self.shop, self.clock = root, app, shop, clock
        self.door = shop_channel(shop)

    def deliver(self, content: str, *, hours: float = 1) -> str:
        """Let time pass, drop a file, sync it, and return the delivery's state."""
        self.clock.advance(hours=hours)
        path = self.root / "inbox" / f"{self.clock.now:%Y%m%d%H%M}.csv"
        path.write_text("sku,qty\n" + content)
        os.utime(path, (self.clock.now.timestamp(), self.clock.now.timestamp()))
        (delivery_id,) = collect(self.app, "acme.stock").delivery_ids
        return ingest(self.app, delivery_id).state

    def publish(self):
        return publish(self.app, "web", door=self.door)

    def file(self) -> str:
        return (self.root / "outbox" / "stock.csv").read_text()


@pytest.fixture
def world(tmp_path: Path, database_url: str, clock) -> Iterator[World]:
    for folder in ("inbox", "outbox", "config/suppliers", "config/channels"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "config/suppliers/acme.toml").write_text(SUPPLIER.format(inbox=tmp_path / "inbox"))
    (tmp_path / "config/channels/web.toml").write_text(SHOP.format(place=DEFAULT_LOCATION))
    (tmp_path / "config/channels/partner.toml").write_text(FILE.format(outbox=tmp_path / "outbox"))
    environ = {"STOCKFEED_CONFIG": str(tmp_path / "config"), "STOCKFEED_STATE": str(tmp_path / "state")}
    settings = load_settings({**environ, "STOCKFEED_DATABASE_URL": database_url}, tmp_path)
    with (
        Shop({"A": 1, "B": 1, "NA": 1}) as shop,
        open_app(settings, clock=clock, resolver=lambda _name: shop_connection(shop)) as app,
    ):
        made = World(tmp_path, app, shop, clock)
        for code in ("web", "partner"):
            approve_channel(app, code, **WHO)
        yield made


def test_a_sale_between_two_deliveries_is_given_back_only_by_the_snapshot_that_contains_it(world):
    assert world.deliver("A,10\nB,20\nNA,5\n") == "applied"
    assert publish(world.app, "web").confirmed == 3  # through the configured connector
    assert [world.shop.available(sku) for sku in ("A", "B", "NA")] == [10, 20, 5]
    world.shop.sell("A", 3)
    assert world.deliver("A,10\nB,20\nNA,5\n") == "unchanged"
    world.publish()
    assert world.shop.available("A") == 7
    assert world.deliver("A,10\nB,21\nNA,5\n") == "applied"
    world.publish()
    assert (world.shop.available("A"), world.shop.available("B")) == (7, 21)
    assert world.deliver("A,12\nB,21\nNA,5\n") == "applied"
    result = world.publish()
    assert (result.stale, result.sales_seen) == (1, 3)
    assert world.shop.available("A") == 9
    assert world.deliver("A,12\nB,21\nNA,5\n", hours=30) == "unchanged"
    world.publish()
    assert world.shop.available("A") == 9
    assert world.deliver("A,7\nB,21\nNA,5\n") == "applied"
    world.publish()
    assert world.shop.available("A") == 7


def test_a_sale_at_the_shop_lowers_the_partners_file(world):
    world.deliver("A,10\nB,20\nNA,5\n")
    world.publish()
    publish(world.app, "partner")
    assert "A,main,9" in world.file()
    world.shop.sell("A", 4)
    assert reconcile(world.app, "web", door=world.door).sales_seen == 4
    publish(world.app, "partner")
    assert "A,main,5" in world.file()


@pytest.mark.parametrize("fault", ["reset", "reset_after_accept", "cut_after_accept"])
def test_an_answer_that_never_comes_converges_without_a_wrong_value(world, fault):
    world.deliver("A,10\nB,20\nNA,5\n")
    world.publish()
    world.shop.fail_next(fault, "SetAvailable", times=3)
    world.deliver("A,11\nB,20\nNA,5\n")
    for _ in range(3):
        try:
            world.publish()
        except TransientError:
            continue
        break
    assert world.shop.available("A") == 11
    assert [entry.quantity for entry in world.shop.log if entry.sku == "A"] == [10, 11]
    with read(world.app.engine) as connection:
        assert connection.execute(text("SELECT COUNT(*) FROM reservation")).scalar_one() == 0


def test_a_customer_who_buys_during_the_write_keeps_what_he_bought(world):
    world.deliver("A,10\nB,20\nNA,5\n")
    world.publish()
    world.shop.fail_next("sale_first", "SetAvailable")
    world.deliver("A,11\nB,20\nNA,5\n")
    result = world.publish()
    sold = world.shop.stock.item("A").sold
    assert sold == result.sales_seen == 1
    assert world.shop.available("A") == 11 - sold
