"""A BigCommerce store as a supplier: what its source gives or how it fails, and a store with stock in it."""

import json
from contextlib import ExitStack

import pytest

from connectors.registry import load_source
from schemas.errors import StockfeedError
from tests.servers import bigcommerce_store, web_server
from tests.servers.bigcommerce_store import STORE
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import Clock, feed, fetch


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


LISTS = ("inventory/items", "catalog/variants", "catalog/products")


def fill(store, count: int = 5) -> None:
    for n in range(count):
        store.add(f"SKU-{n}", n)
