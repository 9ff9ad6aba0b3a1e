"""The examples of docs/sources/magento.md and woocommerce.md are run, so that the pages stay true."""

import json
import re
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pytest

from connectors.registry import load_source
from schemas.connections import Connection, Secret
from schemas.feed_config import Feed
from stockfeed.reading import read_batches
from stockfeed.secrets import find_connection
from tests.conftest import REPOSITORY
from tests.integration.test_ftp_guide import blocks, connections
from tests.servers import magento_shop, web_server, woo_shop
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, fetch

PAGES = ("magento", "woocommerce")


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_finding(page):
    text = (REPOSITORY / f"docs/sources/{page}.md").read_text("utf-8")
    words = tomllib.loads(blocks(page, "toml")[0])["feed"][0]["words"]
    assert [word for word in words if f"STOCK-{word.upper().replace('_', '-')}" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_page_and_code_declare_the_same_words(page):
    from connectors import magento_items, woocommerce_items

    sentences = {"magento": magento_items.SENTENCES, "woocommerce": woocommerce_items.SENTENCES}[page]
    assert tomllib.loads(blocks(page, "toml")[0])["feed"][0]["words"] == dict.fromkeys(["untracked", *sentences], "unknown")


def columns_of(table: dict) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else one["column"] for one in table["columns"].values())


def run_example(page: str, answer: Callable, tmp_path, login: Callable[[Connection], Connection]) -> tuple[dict, list]:
    """Fetch with the page's own feed and connection, led to our server; give the one line, and what is read of it."""
    table = tomllib.loads(blocks(page, "toml")[0])["feed"][0]
    authority = Authority(tmp_path)
    with ExitStack() as stack:
        server = stack.enter_context(web_server.running(answer, server_context(authority.issue("127.0.0.1"))))
        path = table["source"]["url"].removeprefix("https://shop.nordwind.example")
        of = Feed.model_validate(table | {"source": table["source"] | {"url": server.url(path), "private_host": True}})
        there = login(replace(server.connection(authority), login=None, password=None))
        [got] = fetch(load_source(of, there, now=Clock()), of, tmp_path / "spool")
    batches = list(read_batches(got.path, of.format, expected_columns=columns_of(table)))
    return json.loads(got.path.read_text()), [row[2:] for batch in batches for row in batch.frame.rows()]


def test_the_example_of_magento_fetches_the_line_that_the_page_shows(tmp_path):
    as_json, line = blocks("magento", "json")
    shown = find_connection("nordwind", {"AIRFLOW_CONN_NORDWIND": as_json})
    assert (shown.host, shown.login) == ("shop.nordwind.example", "consumer key")
    assert "…" not in repr(shown.extra)
    shop = magento_shop.MagentoShop(bearer_is_allowed=False)
    shop.add("A-1", 5)
    keys = {"consumer_secret": Secret(magento_shop.CONSUMER_SECRET), "token_secret": Secret(magento_shop.TOKEN_SECRET)}
    assert keys.keys() == shown.extra.keys()

    def signing(connection: Connection) -> Connection:
        return replace(connection, login="acme", password=Secret(CANARY), extra=connection.extra | keys)

    found, rows = run_example("magento", shop.answer, tmp_path, signing)
    assert found == json.loads(line)
    assert rows == [("A-1", "default", "5", "4006381333931")]


def test_the_example_of_magento_fetches_with_the_token_alone(tmp_path):
    [shown] = connections("magento")
    assert (shown.host, shown.login) == ("shop.nordwind.example", "")
    shop = magento_shop.MagentoShop()
    shop.add("A-1", 5)
    _, rows = run_example("magento", shop.answer, tmp_path, lambda one: replace(one, login=shown.login, password=Secret(CANARY)))
    assert len(rows) == 1


def test_the_example_of_woocommerce_fetches_the_line_that_the_page_shows(tmp_path):
    [shown] = connections("woocommerce")
    assert (shown.host, shown.login) == ("shop.nordwind.example", "ck_…")
    shop = woo_shop.WooShop()
    shop.add("A-1", 5)
    found, rows = run_example("woocommerce", shop.answer, tmp_path, lambda one: replace(one, login="acme", password=Secret(CANARY)))
    assert found == json.loads(blocks("woocommerce", "json")[0])
    assert rows == [("A-1", "5", "4006381333931")]


def test_items_without_a_sku_are_left_out_where_the_page_says_so(tmp_path):
    [pattern] = set(re.findall(r"skip_rows = (\{.*?\})", (REPOSITORY / "docs/sources/woocommerce.md").read_text("utf-8")))
    path = tmp_path / "lines"
    lines = [{"sku": sku, "gtin": None, "quantities": {"stock_quantity": 1}} for sku in ("A", None, "")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = tomllib.loads(blocks("woocommerce", "toml")[0])["feed"][0]
    form = Feed.model_validate(table | {"format": table["format"] | tomllib.loads(f"skip_rows = {pattern}")}).format
    [batch] = read_batches(path, form, expected_columns=columns_of(table))
    assert ([row[2] for row in batch.frame.rows()], batch.skipped) == (["A"], {"no_sku": 2})
