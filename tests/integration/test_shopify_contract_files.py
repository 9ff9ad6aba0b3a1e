import gzip
import json
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    parse,
    validate,
    visit,
)

from connectors.shopify_queries import OPERATIONS
from connectors.shopify_source import SCOPES
from connectors.shopify_stock_queries import STOCK_OPERATIONS, bulk_query
from stockfeed.demo.shop import Shop
from stockfeed.demo.shop_schema import execute, shop_schema


@pytest.fixture(scope="module")
def official(shared: Path) -> GraphQLSchema:
    return build_schema((shared / "contracts/shopify/admin-2026-10.inventory.graphql").read_text("utf-8"))


@pytest.mark.parametrize("operation", [*OPERATIONS, *STOCK_OPERATIONS], ids=lambda operation: operation.name)
def test_every_operation_we_send_is_valid_for_our_own_schema(operation):
    document = parse(operation.text)
    assert validate(shop_schema(), document) == []
    [definition] = document.definitions
    assert definition.name.value == operation.name
    assert definition.selection_set.selections[0].name.value == operation.field
    assert (definition.operation.value == "mutation") == operation.writes


@pytest.mark.needs_shared
@pytest.mark.parametrize("operation", [*OPERATIONS, *STOCK_OPERATIONS], ids=lambda operation: operation.name)
def test_every_operation_we_send_is_valid_for_shopifys_schema(official, operation):
    assert validate(official, parse(operation.text)) == []


NAMES = ("available", "on_hand")


def test_the_bulk_query_is_valid_for_our_own_schema_and_starts_an_operation():
    assert validate(shop_schema(), parse(bulk_query(NAMES))) == []
    assert Shop().bulk.start(bulk_query(NAMES))["userErrors"] == []


@pytest.mark.needs_shared
def test_the_bulk_query_is_valid_for_shopifys_schema(official):
    assert validate(official, parse(bulk_query(NAMES))) == []


def fields_of(schema: GraphQLSchema, text: str) -> set[tuple[str, str]]:
    """The types and the type's fields that an operation touches; ("InventoryItem", "") is the type itself."""
    types, found = TypeInfo(schema), set()

    class Touched(Visitor):
        def enter_field(self, node, *_):
            found.add((types.get_parent_type().name, node.name.value))
            found.add((get_named_type(types.get_type()).name, ""))

    visit(parse(text), TypeInfoVisitor(types, Touched()))
    return found


@pytest.mark.needs_shared
def test_reading_needs_exactly_the_rights_that_we_name(official, shared):
    """`offline_scopes` of the introspection says which rights, each of them enough, a type or field asks for."""
    with gzip.open(shared / "contracts/shopify/admin-2026-10.introspection.json.gz", "rt", encoding="utf-8") as file:
        items = json.load(file)["offline_scopes"]["items"]
    needed = {(item["typeName"], item.get("fieldName", "")): set(item["offlineScopes"]) for item in items if item["offlineScopes"]}
    texts = [operation.text for operation in STOCK_OPERATIONS] + [bulk_query(NAMES)]
    asked = {at: needed[at] for text in texts for at in fields_of(official, text) if at in needed}
    rights = {"read_inventory", "read_products", "read_locations"}
    assert all(name in SCOPES for name in rights)
    assert [at for at, enough in asked.items() if not enough & rights] == []
    for right in rights:
        assert [at for at, enough in asked.items() if not enough & (rights - {right})], f"{right} is not needed"


@pytest.mark.needs_shared
def test_a_bulk_query_that_the_real_shop_was_recorded_to_refuse_is_refused_by_ours(shared):
    cases = recorded(shared, "bulk-operation-run-query-user-error-codes")["validations"]
    for case in cases.values():
        payload = Shop().bulk.start(case["variables"]["query"])
        [real] = case["response"]["data"]["bulkOperationRunQuery"]["userErrors"]
        [ours] = payload["userErrors"]
        assert (ours["code"], ours["field"]) == (real["code"], real["field"])


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
