"""Every request that the source bigcommerce sends, and every answer of the fake store, against the contract files."""

import json
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from tests.integration.test_rest_contract_files import all_requests, as_json_schema, check_query
from tests.servers import bigcommerce_store
from tests.servers.feeds import CANARY

pytestmark = pytest.mark.needs_shared
FILES = {
    "inventory/items": "inventory.v3.openapi.json",
    "catalog/variants": "catalog-variants.v3.openapi.json",
    "catalog/products": "catalog-products.v3.openapi.json",
}
SOURCE = {"type": "bigcommerce", "url": f"/stores/{bigcommerce_store.STORE}/v3", "items_size": 2}


def resolved(document: Any, node: Any) -> Any:
    """Give a node with every reference in it replaced by what it leads to; BigCommerce's own x-nullable becomes nullable."""
    if isinstance(node, list):
        return [resolved(document, one) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return resolved(document, target)
    made = {name: resolved(document, value) for name, value in node.items()}
    return made | ({"nullable": True} if made.get("x-nullable") is True else {})


@pytest.fixture
def contract(shared) -> dict[str, dict[str, Any]]:
    """The GET operation of each list, with the security of its file."""
    found = {}
    for path, name in FILES.items():
        document = json.loads((shared / "contracts/bigcommerce" / name).read_text("utf-8"))
        whole = document["paths"][f"/{path}"]
        got = resolved(document, whole["get"])
        got["parameters"] += resolved(document, whole.get("parameters", []))
        found[path] = got | {"security": document["components"]["securitySchemes"]["X-Auth-Token"]}
    return found


@pytest.fixture
def store() -> bigcommerce_store.BigStore:
    store = bigcommerce_store.BigStore(locations=[bigcommerce_store.location(1), bigcommerce_store.location(2, enabled=False)])
    for number in range(3):
        store.stock(store.add(f"A{number}", number, "none" if number == 1 else "product"), store.locations[1], 7)
    store.vary(store.products[-1], "B", 4, upc="4006381333931")
    return store


def test_the_contract_has_every_request(tmp_path, contract, store):
    requests = all_requests(tmp_path, store, SOURCE)
    paths = [urlsplit(request.target).path.removeprefix(bigcommerce_store.PREFIX) for request in requests]
    assert set(paths) == set(FILES)
    for path, request in zip(paths, requests, strict=True):
        declared = contract[path]["parameters"]
        assert request.method == "GET"
        check_query([one for one in declared if one["schema"]["type"] != "array"] + arrays(declared), request.target)
        demanded = {one["name"].lower() for one in declared if one["in"] == "header" and one.get("required")}
        assert demanded == {"accept"}
        assert request.headers["accept"] == "application/json"
        assert (contract[path]["security"]["in"], request.headers[contract[path]["security"]["name"].lower()]) == ("header", CANARY)


def arrays(declared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "schema": {"type": "array"}} for one in declared if one["schema"]["type"] == "array"]


def test_the_contract_has_every_field_that_is_asked_for(tmp_path, contract, store):
    from urllib.parse import parse_qs

    asked = {}
    for request in all_requests(tmp_path, store, SOURCE):
        parts = urlsplit(request.target)
        if fields := parse_qs(parts.query).get("include_fields"):
            asked[parts.path.removeprefix(bigcommerce_store.PREFIX)] = fields[0].split(",")
    assert asked.keys() == {"catalog/variants", "catalog/products"}
    for path, names in asked.items():
        [parameter] = [one for one in contract[path]["parameters"] if one["name"] == "include_fields"]
        known = parameter["schema"]["items"].get("enum") or members(record_schema(contract[path]))
        assert set(names) <= set(known), path


def record_schema(operation: dict[str, Any]) -> dict[str, Any]:
    return operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["data"]["items"]


def members(schema: dict[str, Any]) -> set[str]:
    return set(schema.get("properties", {})).union(*(members(part) for part in schema.get("allOf", [])))


def test_the_contract_has_every_answer(tmp_path, contract, store):
    all_requests(tmp_path, store, SOURCE)
    assert {path for path, _ in store.answered} == set(FILES)
    for path, document in store.answered:
        if path == "inventory/items":  # sku_id is null for base variants, says its description, though not its type
            for item in document["data"]:
                del item["identity"]["sku_id"]
        schema = contract[path]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft4Validator(as_json_schema(schema)).validate(document)


def test_the_example_of_the_contract_is_read(shared, tmp_path):
    from connectors.bigcommerce_items import add_level, add_product, stock_lines
    from connectors.storefront_lines import SortedFacts, TrackedCount

    example = json.loads((shared / "contracts/bigcommerce/examples/response.get-inventory-items.200.json").read_text("utf-8"))
    with SortedFacts(tmp_path, "store") as facts:
        for item in example["data"]:
            add_level(facts, item)
        add_product(facts, {"id": 120, "inventory_tracking": "variant"})
        [line] = stock_lines(facts, TrackedCount())
    assert (line.sku, line.location, line.quantities) == (
        "RE-130", "Default location", {"available_to_sell": 10, "total_inventory_onhand": 11, "safety_stock": 1},
    )  # fmt: skip
