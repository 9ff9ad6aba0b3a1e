import json
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    parse,
    validate,
)

from connectors.shopify_queries import OPERATIONS
from stockfeed.demo.shop import Shop
from stockfeed.demo.shop_schema import execute, shop_schema


@pytest.fixture(scope="module")
def official(shared: Path) -> GraphQLSchema:
    return build_schema((shared / "contracts/shopify/admin-2026-10.inventory.graphql").read_text("utf-8"))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_we_send_is_valid_for_our_own_schema(operation):
    document = parse(operation.text)
    assert validate(shop_schema(), document) == []
    [definition] = document.definitions
    assert definition.name.value == operation.name
    assert definition.selection_set.selections[0].name.value == operation.field
    assert (definition.operation.value == "mutation") == operation.writes


@pytest.mark.needs_shared
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_we_send_is_valid_for_shopifys_schema(official, operation):
    assert validate(official, parse(operation.text)) == []


@pytest.mark.needs_shared
def test_our_schema_is_a_part_of_shopifys(official):
    ours = shop_schema()
    own = {name: kind for name, kind in ours.type_map.items() if not name.startswith("__")}
    for name, kind in own.items():
        theirs = official.type_map[name]
        assert type(kind) is type(theirs), name
        if isinstance(kind, GraphQLEnumType):
            assert set(kind.values) <= set(theirs.values), name
        elif isinstance(kind, (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)):
            for field_name, field in kind.fields.items():
                assert str(field.type) == str(theirs.fields[field_name].type), f"{name}.{field_name}"
                for argument_name, argument in getattr(field, "args", {}).items():
                    assert str(argument.type) == str(theirs.fields[field_name].args[argument_name].type), f"{name}.{field_name}"
        if isinstance(kind, GraphQLInputObjectType):
            demanded = {n for n, f in theirs.fields.items() if str(f.type).endswith("!")}
            assert demanded <= set(kind.fields), name
    assert {d.name for d in ours.directives} <= {d.name for d in official.directives}


def recorded(shared: Path, name: str) -> dict:
    return json.loads((shared / "contracts/shopify/recorded" / f"{name}-2026-04.json").read_text("utf-8"))


SET = """mutation Set($input: InventorySetQuantitiesInput!, $idempotencyKey: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $idempotencyKey) { userErrors { code field message } }
}"""


def shop_like(variables: dict) -> Shop:
    """A shop in which the ids of a recording exist, unless they are the ones made up to be unknown."""
    shop = Shop()
    for row in variables["input"]["quantities"]:
        item = shop.stock.add("recorded")
        if "999999" not in row["inventoryItemId"]:
            shop.stock.items[row["inventoryItemId"]] = item
        if "999999" not in row["locationId"]:
            shop.stock.locations[row["locationId"]] = next(iter(shop.stock.locations.values()))
    return shop


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("inventory-quantity-contracts", ("unknownIdValidation", "setUnknownInventoryItem")),
        ("inventory-quantity-contracts", ("unknownIdValidation", "setUnknownLocation")),
        ("inventorySetQuantities-quantity-bounds", ("cases", "availableTooLow")),
        ("inventorySetQuantities-name-validation", ("cases", "availableTooHigh")),
        ("inventorySetQuantities-name-validation", ("cases", "duplicatePair")),
        ("inventorySetQuantities-name-validation", ("cases", "damaged")),
    ],
)
def test_the_demo_shop_refuses_what_the_real_shop_was_recorded_to_refuse(shared, name, path):
    case = recorded(shared, name)
    for step in path:
        case = case[step]
    variables = {"input": case["variables"]["input"], "idempotencyKey": "k"}
    for row in variables["input"]["quantities"]:
        row.setdefault("changeFromQuantity", None)
    result = execute(shop_like(variables).stock, SET, variables, None)
    assert result.errors is None
    assert result.data["inventorySetQuantities"]["userErrors"] == case["response"]["data"]["inventorySetQuantities"]["userErrors"]


@pytest.mark.needs_shared
@pytest.mark.parametrize("case_name", ["missingSetIdempotency", "missingSetChangeFromQuantity", "legacySetShape"])
def test_the_demo_shop_rejects_requests_as_the_real_shop_was_recorded_to_do(shared, case_name):
    case = recorded(shared, "inventory-quantity-contracts")[case_name]
    text = (
        SET
        if case_name != "missingSetIdempotency"
        else SET.replace(", $idempotencyKey: String!", "").replace(" @idempotent(key: $idempotencyKey)", "")
    )
    variables = {"input": case["variables"]["input"], "idempotencyKey": "k"}
    [error] = execute(shop_like(variables).stock, text, variables, None).errors
    [real] = case["response"]["errors"]
    assert error.extensions["code"] == real["extensions"]["code"]
    if case_name != "legacySetShape":
        assert error.message == real["message"]


def test_more_than_250_rows_are_refused_as_a_whole():
    shop = Shop()
    row = {"inventoryItemId": shop.stock.add("A").id, "locationId": "x", "quantity": 1, "changeFromQuantity": None}
    variables = {"input": {"name": "available", "reason": "correction", "quantities": [row] * 251}, "idempotencyKey": "k"}
    [error] = execute(shop.stock, SET, variables, None).errors
    assert error.extensions["code"] == "MAX_INPUT_SIZE_EXCEEDED"
    assert error.message == "The input array size of 251 is greater than the maximum allowed of 250."
