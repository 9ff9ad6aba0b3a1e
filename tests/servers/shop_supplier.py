"""A Shopify shop as a supplier: what its source gives or how it fails, and a shop with stock in it."""

import json

import pytest

from connectors.registry import load_source
from schemas.connections import Connection, Secret
from schemas.errors import StockfeedError
from stockfeed.demo.shop import Shop, ShopLocation
from tests.servers.feeds import Clock, feed, fetch

MAIN, BACK, CLOSED = (f"gid://shopify/Location/{n}" for n in (1, 2, 3))
PLACES = (ShopLocation(MAIN, "Main warehouse"), ShopLocation(BACK, "Back room"), ShopLocation(CLOSED, "Old shop", active=False))


class Supplier:
    def __init__(self, shop: Shop, spool) -> None:
        self.shop, self.spool, self.clock = shop, spool, Clock()
        self.connection = Connection("shop", host="shop.example", password=Secret(shop.token), extra={"base_url": shop.url})

    def fetch(self, **options):
        of = feed({"type": "shopify", "connection": "shop", "timeout": "5s", **options})
        return fetch(load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of, self.spool)

    def lines(self, **options) -> list[dict]:
        [got] = self.fetch(**options)
        return [json.loads(line) for line in got.path.read_bytes().splitlines()]

    def fails(self, error: type[StockfeedError], words: str, **options) -> StockfeedError:
        with pytest.raises(error, match=words) as caught:
            self.fetch(**options)
        assert list(self.spool.iterdir()) == []
        return caught.value


def fill(shop: Shop, count: int = 7) -> None:
    for n in range(count):
        item = shop.stock.add(f"SKU-{n}", n)
        item.barcodes = [f"400638133393{n}"]
        shop.stock.put(item, BACK, 10 * n)
        item.others[MAIN] = {"committed": 2, "incoming": 30}
