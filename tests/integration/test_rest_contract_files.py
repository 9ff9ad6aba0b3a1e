"""Every request that the sources magento and woocommerce send, and every answer of the fake shops, against the contract files."""

import json
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import pytest

from connectors.registry import load_source
from schemas.connections import Secret
from tests.servers import magento_shop, web_server, woo_shop
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch

pytestmark = pytest.mark.needs_shared
#: Parameters of every list that neither file declares, and where they are documented.
DOCUMENTED = {
    "fields": "https://developer.adobe.com/commerce/webapi/rest/use-rest/retrieve-filtered-responses/",
    "_fields": "https://developer.wordpress.org/rest-api/using-the-rest-api/global-parameters/",
}


def all_requests(tmp_path, shop, source: dict, **extra) -> list[web_server.Request]:
    """Give what is asked for while a whole shop is read."""
    with ExitStack() as stack:
        authority = Authority(tmp_path)
        server = stack.enter_context(web_server.running(shop.answer, server_context(authority.issue("127.0.0.1"))))
        connection = server.connection(authority, extra={"ca_file": str(authority.ca_file), **extra})
        of = feed({**source, "url": server.url(source["url"]), "private_host": True, "page_size": 2})
        [got] = fetch(load_source(of, connection, now=Clock()), of, tmp_path / "spool")
        assert got.size > 0
        return server.requests


def check_query(declared: list[dict[str, Any]], target: str) -> None:
    """Fail unless every parameter is declared (or documented elsewhere) and of its type, and none that is required is missing."""
    known = {one["name"]: one | one.get("schema", {}) for one in declared if one["in"] == "query"}
    given = dict(parse_qsl(urlsplit(target).query))
    assert {name for name, one in known.items() if one.get("required")} <= given.keys()
    for name, value in given.items():
        if name in DOCUMENTED:
            continue
        expected = known[name]
        if expected["type"] in {"integer", "number"}:
            assert float(value) >= expected.get("minimum", 0), name
            assert float(value) <= expected.get("maximum", float("inf")), name
        assert value in expected.get("enum", [value]), name


@pytest.fixture
def magento(shared) -> dict[str, Any]:
    return json.loads((shared / "contracts/magento/admin-2.4.9.inventory.swagger.json").read_text())


@pytest.fixture
def magento_with_stock() -> magento_shop.MagentoShop:
    shop = magento_shop.MagentoShop(sources=[magento_shop.source("default"), magento_shop.source("east", enabled=False)])
    for number in range(3):
        shop.add(f"A{number}", number, 2.5, manage_stock=number != 1, old_quantity=number or None)
    return shop


KEYS = {"consumer_secret": Secret(magento_shop.CONSUMER_SECRET), "token_secret": Secret(magento_shop.TOKEN_SECRET)}


@pytest.mark.parametrize("login", [{}, KEYS], ids=["token", "signature"])
@pytest.mark.parametrize("attribute", [{}, {"gtin_attribute": "ean"}], ids=["plain", "gtin"])
def test_magentos_contract_has_every_request_and_answer(tmp_path, magento, magento_with_stock, login, attribute):
    source = {"type": "magento", "url": "/rest/all/V1", **attribute}
    requests = all_requests(tmp_path, magento_with_stock, source, **login)
    paths = [urlsplit(request.target).path.removeprefix("/rest/all") for request in requests]
    paths = ["/V1/stockItems/{productSku}" if path == "/V1/stockItems/A0" else path for path in paths]
    lists = {"/V1/inventory/sources", "/V1/products", "/V1/stockItems/lowStock/", "/V1/inventory/source-items"}
    assert set(paths) == {*lists, "/V1/stockItems/{productSku}"}
    for path, request in zip(paths, requests, strict=True):
        assert request.method == "GET"
        check_query(magento["paths"][path]["get"]["parameters"], request.target)
    for path, document in magento_with_stock.answered:
        schema = magento["paths"][f"/V1/{path}"]["get"]["responses"]["200"]["schema"]
        jsonschema.Draft4Validator({**schema, "definitions": magento["definitions"]}).validate(document)


def test_the_fields_that_are_asked_of_magento_are_in_its_contract(magento, magento_with_stock, tmp_path):
    source = {"type": "magento", "url": "/rest/all/V1", "gtin_attribute": "ean"}
    requests = all_requests(tmp_path, magento_with_stock, source)
    [fields] = {query["fields"] for one in requests if "fields" in (query := dict(parse_qsl(urlsplit(one.target).query)))}
    asked = fields.removeprefix("items[").removesuffix("],total_count").split(",")
    assert set(asked) <= magento["definitions"]["catalog-data-product-interface"]["properties"].keys()


def test_magentos_example_is_an_answer_as_the_fake_shop_gives_it(shared, magento_with_stock, tmp_path):
    example = json.loads((shared / "contracts/magento/examples/response.get-source-items.200.json").read_text())
    all_requests(tmp_path, magento_with_stock, {"type": "magento", "url": "/rest/all/V1"})
    answer = next(document for path, document in magento_with_stock.answered if path == "inventory/source-items")
    assert (answer.keys(), answer["items"][0].keys()) == (example.keys(), example["items"][0].keys())


@pytest.fixture
def woo(shared) -> dict[str, Any]:
    return json.loads((shared / "contracts/woocommerce/wc-v3.products.openapi.json").read_text())


@pytest.fixture
def woo_with_stock() -> woo_shop.WooShop:
    shop = woo_shop.WooShop()
    shop.add("A", 5)
    shop.add("B")
    shirt = shop.add("SHIRT", 10)
    for size in "SML":
        shop.vary(shirt, f"SHIRT-{size}")
    shop.vary(shop.add("CAP"), "CAP-1", 2)
    return shop


def as_json_schema(node: Any) -> Any:
    """Give an OpenAPI 3.0 schema as JSON Schema: `nullable` becomes a type."""
    if isinstance(node, list):
        return [as_json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {name: as_json_schema(value) for name, value in node.items()}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made


@pytest.mark.parametrize("status", ["publish", "any", "private"])
def test_woocommerces_contract_has_every_request_and_answer(tmp_path, woo, shared, woo_with_stock, status):
    for product in woo_with_stock.products:
        product["status"] = "private" if status == "private" else "publish"
    source = {"type": "woocommerce", "url": "/wp-json/wc/v3", "status": status}
    index = json.loads((shared / "contracts/woocommerce/wc-v3-index.products.json").read_text())["routes"]
    both = {
        "/products": "/wc/v3/products",
        "/products/{product_id}/variations": "/wc/v3/products/(?P<product_id>[\\d]+)/variations",
    }
    for request in all_requests(tmp_path, woo_with_stock, source):
        path = template(urlsplit(request.target).path.removeprefix("/wp-json/wc/v3"))
        assert request.method == "GET"
        check_query(woo["paths"][path]["get"]["parameters"], request.target)
        arguments = next(one for one in index[both[path]]["endpoints"] if "GET" in one["methods"])["args"]
        assert set(dict(parse_qsl(urlsplit(request.target).query))) - {"_fields"} <= arguments.keys()
    assert {template(f"/{path}") for path, _ in woo_with_stock.answered} == both.keys()
    for path, records in woo_with_stock.answered:
        schema = woo["paths"][template(f"/{path}")]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft4Validator(as_json_schema({**schema, "components": woo["components"]})).validate(records)


def template(path: str) -> str:
    return "/products/{product_id}/variations" if path.endswith("/variations") else path


def test_the_fields_that_are_asked_of_woocommerce_are_in_its_contract(woo, woo_with_stock, tmp_path):
    for request in all_requests(tmp_path, woo_with_stock, {"type": "woocommerce", "url": "/wp-json/wc/v3"}):
        parts = urlsplit(request.target)
        asked = set(dict(parse_qsl(parts.query))["_fields"].split(","))
        of = "Variation" if parts.path.endswith("/variations") else "Product"
        assert asked <= woo["components"]["schemas"][of]["properties"].keys()


def test_the_example_of_woocommerces_documentation_is_read_as_untracked(shared):
    from connectors.woocommerce_items import Shelf

    [variation] = json.loads((shared / "contracts/woocommerce/examples/response.list-variations.from-docs.json").read_text())
    [line] = Shelf("shop").lines({"id": 22, "sku": "", "type": "variable", "manage_stock": False}, [variation])
    assert (line.item, line.tracked, line.updated_at) == ("733", False, "2017-03-23T03:53:11")


def test_no_request_carries_a_secret_in_its_address(tmp_path, magento_with_stock, woo_with_stock):
    magento_source = {"type": "magento", "url": "/rest/all/V1"}
    asked = all_requests(tmp_path, magento_with_stock, magento_source, **KEYS)
    asked += all_requests(tmp_path, woo_with_stock, {"type": "woocommerce", "url": "/wp-json/wc/v3"})
    assert not any(CANARY in request.target for request in asked)
