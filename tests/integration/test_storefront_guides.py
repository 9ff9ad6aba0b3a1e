"""The examples of the storefronts' pages are run, so that the pages stay true."""

import json
import re
import tomllib
from dataclasses import replace

import pytest

from connectors.registry import load_source
from schemas.feed_config import Feed
from stockfeed.demo.shop import Shop
from stockfeed.reading import read_batches
from tests.conftest import REPOSITORY
from tests.integration.test_ftp_guide import blocks, connections
from tests.servers import bigcommerce_store, web_server
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import Clock, fetch

PAGES = ("bigcommerce", "shopify")


def test_the_example_of_shopify_fetches_the_line_that_the_page_shows(tmp_path):
    [connection] = connections("shopify")
    assert (connection.host, connection.password.reveal()) == ("nordwind.myshopify.com", "…")
    of = Feed.model_validate(tomllib.loads(blocks("shopify", "toml")[0])["feed"][0])
    with Shop({"A-1": 5}) as shop:
        item = shop.stock.item("A-1")
        item.barcodes, item.others = ["4006381333931"], {place: {"committed": 2, "incoming": 30} for place in item.available}
        ours = replace(connection, password=type(connection.password)(shop.token), extra={"base_url": shop.url})
        clock = Clock()
        [got] = fetch(load_source(of, ours, now=clock, sleep=clock.sleep), of, tmp_path / "spool")
    line, shown = json.loads(got.path.read_text()), json.loads(blocks("shopify", "json")[0])
    assert list(line) == list(shown)
    assert line | {"updated_at": "", "quantities": {}} == shown | {"updated_at": "", "quantities": {}}
    assert shown["quantities"].items() <= line["quantities"].items()


def test_the_example_of_bigcommerce_fetches_the_line_that_the_page_shows(tmp_path):
    [connection] = connections("bigcommerce")
    assert (connection.host, connection.login, connection.password.reveal()) == ("api.bigcommerce.com", "", "token")
    table = tomllib.loads(blocks("bigcommerce", "toml")[0])["feed"][0]
    authority, store = Authority(tmp_path), bigcommerce_store.BigStore()
    store.add("A-1", 5)
    with web_server.running(store.answer, server_context(authority.issue("127.0.0.1"))) as server:
        there = {"url": server.url(f"/stores/{bigcommerce_store.STORE}/v3"), "private_host": True}
        of = Feed.model_validate(table | {"source": table["source"] | there})
        login = server.connection(authority, login=connection.login)
        [got] = fetch(load_source(of, login, now=Clock()), of, tmp_path / "spool")
    assert json.loads(got.path.read_text()) == json.loads(blocks("bigcommerce", "json")[0])


@pytest.mark.parametrize("page", PAGES)
def test_items_without_a_sku_are_left_out_where_the_page_says_so(page, tmp_path):
    [pattern] = set(re.findall(r"skip_rows = (\{.*?\})", (REPOSITORY / f"docs/sources/{page}.md").read_text("utf-8")))
    lines = [{"sku": sku, "location": "Main", "quantities": {"available": 1}} for sku in ("A", None, "")]
    path = tmp_path / "lines"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    form = Feed.model_validate(tomllib.loads(blocks(page, "toml")[0])["feed"][0]).format
    form = form.model_validate(form.model_dump() | tomllib.loads(f"skip_rows = {pattern}"))
    [batch] = read_batches(path, form, expected_columns=("sku", "location", "quantities.available"))
    assert ([row[2] for row in batch.frame.rows()], batch.skipped) == (["A"], {"no_sku": 2})
