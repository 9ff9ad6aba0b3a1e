"""The part of Shopify's Admin GraphQL contract (2026-10) that the demo shop speaks, run by graphql-core.

Never accepts an operation its schema does not describe: what passes here is valid for the real shop, too.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute_sync,
    get_directive_values,
    parse,
    validate,
)

from stockfeed.demo.shop_stock import ShopItem, ShopLocation, ShopStock

LARGEST_INPUT = 250

SDL = """
schema { query: QueryRoot mutation: Mutation }
directive @idempotent(key: String!) on FIELD
scalar DateTime
interface Node { id: ID! }
interface DisplayableError { field: [String!] message: String! }

type QueryRoot {
  inventoryItem(id: ID!): InventoryItem
  inventoryItems(after: String, first: Int, query: String): InventoryItemConnection!
  locations(after: String, first: Int, includeInactive: Boolean = false, includeLegacy: Boolean = false): LocationConnection!
  nodes(ids: [ID!]!): [Node]!
}
type Mutation {
  inventoryActivate(available: Int, inventoryItemId: ID!, locationId: ID!): InventoryActivatePayload
  inventorySetQuantities(input: InventorySetQuantitiesInput!): InventorySetQuantitiesPayload
}

type PageInfo { endCursor: String hasNextPage: Boolean! }
type InventoryItemConnection { nodes: [InventoryItem!]! pageInfo: PageInfo! }
type LocationConnection { nodes: [Location!]! pageInfo: PageInfo! }
type Location implements Node { id: ID! isActive: Boolean! name: String! }
type InventoryItem implements Node {
  id: ID!
  inventoryLevel(includeInactive: Boolean = false, locationId: ID!): InventoryLevel
  sku: String
  tracked: Boolean!
}
type InventoryLevel implements Node {
  id: ID!
  isActive: Boolean!
  location: Location!
  quantities(names: [String!]!): [InventoryQuantity!]!
}
type InventoryQuantity implements Node { id: ID! name: String! quantity: Int! }

input InventoryQuantityInput { changeFromQuantity: Int inventoryItemId: ID! locationId: ID! quantity: Int! }
input InventorySetQuantitiesInput {
  name: String!
  quantities: [InventoryQuantityInput!]!
  reason: String!
  referenceDocumentUri: String
}
type InventoryAdjustmentGroup implements Node { id: ID! reason: String! referenceDocumentUri: String }
type InventorySetQuantitiesPayload {
  inventoryAdjustmentGroup: InventoryAdjustmentGroup
  userErrors: [InventorySetQuantitiesUserError!]!
}
type InventorySetQuantitiesUserError implements DisplayableError {
  code: InventorySetQuantitiesUserErrorCode
  field: [String!]
  message: String!
}
enum InventorySetQuantitiesUserErrorCode {
  CHANGE_FROM_QUANTITY_STALE
  IDEMPOTENCY_CONCURRENT_REQUEST
  IDEMPOTENCY_KEY_PARAMETER_MISMATCH
  IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED
  INVALID_INVENTORY_ITEM
  INVALID_LOCATION
  INVALID_NAME
  INVALID_QUANTITY_TOO_HIGH
  INVALID_QUANTITY_TOO_LOW
  INVALID_REASON
  INVALID_REFERENCE_DOCUMENT
  NON_MUTABLE_INVENTORY_ITEM
  NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR
}
type InventoryActivatePayload { inventoryLevel: InventoryLevel userErrors: [UserError!]! }
type UserError implements DisplayableError { field: [String!] message: String! }
"""

_TERM = re.compile(r"sku:(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"|(\S+))")


@lru_cache(maxsize=1)
def shop_schema() -> GraphQLSchema:
    """Return the schema, with the type of a node decided by what the resolver gives."""
    schema = build_schema(SDL)
    schema.get_type("Node").resolve_type = lambda value, *_: value["__typename"]  # type: ignore[union-attr] # it is an interface
    return schema


@lru_cache(maxsize=64)
def checked_document(text: str) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    """Return the parsed document and what is wrong with it against the schema."""
    try:
        document = parse(text)
    except GraphQLError as error:
        return None, (error,)
    return document, tuple(validate(shop_schema(), document))


def execute(stock: ShopStock, text: str, variables: Mapping[str, Any], operation: str | None) -> ExecutionResult:
    """Return the result of one operation on `stock`; errors carry Shopify's codes in their extensions."""
    document, errors = checked_document(text)
    if document is None or errors:
        return ExecutionResult(None, [_coded(error, "INVALID_DOCUMENT") for error in errors])
    result = execute_sync(shop_schema(), document, Root(stock), variable_values=dict(variables), operation_name=operation)
    if result.errors:
        result.errors = [
            _coded(error, "INVALID_VARIABLE" if error.path is None else "INTERNAL_SERVER_ERROR") for error in result.errors
        ]
    return result


def searched_skus(text: str) -> list[str]:
    """Return the SKUs of a search such as `sku:'A' OR sku:'B'`, unescaped."""
    return [re.sub(r"\\(.)", r"\1", single or double or bare) for single, double, bare in _TERM.findall(text)]


class Root:
    """The root value: graphql-core calls its methods for the fields of QueryRoot and Mutation."""

    def __init__(self, stock: ShopStock) -> None:
        self._stock = stock

    def locations(self, _: GraphQLResolveInfo, *, first: int = 50, after: str | None = None, **choice: Any) -> Any:
        """Return one page of locations."""
        places = [place for place in self._stock.locations.values() if place.active or choice["includeInactive"]]
        return _page([_location(place) for place in places], first, after)

    def inventoryItems(self, _: GraphQLResolveInfo, *, first: int = 50, after: str | None = None, query: str = "") -> Any:  # noqa: N802 - the contract's name
        """Return one page of items; an empty query finds all."""
        found = self._stock.search(searched_skus(query)) if query else list(self._stock.items.values())
        return _page([self._item(item) for item in found], first, after)

    def inventoryItem(self, _: GraphQLResolveInfo, *, id: str) -> Any:  # noqa: A002, N802 - the contract's names
        """Return one item, None if there is none."""
        item = self._stock.items.get(id)
        return self._item(item) if item else None

    def nodes(self, _: GraphQLResolveInfo, *, ids: Sequence[str]) -> Any:
        """Return the items and locations with these ids, None for unknown ones."""
        _refuse_too_many(ids)
        found: list[Any] = []
        for node_id in ids:
            item, place = self._stock.items.get(node_id), self._stock.locations.get(node_id)
            found.append(self._item(item) if item else _location(place) if place else None)
        return found

    def inventorySetQuantities(self, info: GraphQLResolveInfo, *, input: dict[str, Any]) -> Any:  # noqa: A002, N802 - the contract's names
        """Return the payload of a set; all rows or none."""
        key = _idempotency_key(info)
        _refuse_too_many(input["quantities"])
        if any("changeFromQuantity" not in row for row in input["quantities"]):
            text = "InventoryQuantityInput must include the following argument: changeFromQuantity."
            raise GraphQLError(text, extensions={"code": "INVALID_FIELD_ARGUMENTS"})
        errors = self._stock.once(key, input, lambda: self._stock.set_available(input, key))
        group = {"id": f"gid://shopify/InventoryAdjustmentGroup/{key}", **input}
        return {"inventoryAdjustmentGroup": None if errors else group, "userErrors": errors}

    def inventoryActivate(self, info: GraphQLResolveInfo, **arguments: Any) -> Any:  # noqa: N802 - the contract's name
        """Return the payload of stocking an item at a location."""
        key = _idempotency_key(info)
        item, place = arguments["inventoryItemId"], arguments["locationId"]
        errors = self._stock.once(key, arguments, lambda: self._stock.activate(item, place, arguments.get("available"), key))
        return {"inventoryLevel": None if errors else self._level(self._stock.items[item], place), "userErrors": errors}

    def _item(self, item: ShopItem) -> dict[str, Any]:
        def level(_: GraphQLResolveInfo, *, locationId: str, **__: Any) -> Any:  # noqa: N803 - the contract's name
            return self._level(item, locationId)

        return {"__typename": "InventoryItem", "id": item.id, "sku": item.sku, "tracked": item.tracked, "inventoryLevel": level}

    def _level(self, item: ShopItem, place: str) -> dict[str, Any] | None:
        with self._stock.lock:
            quantity = item.available.get(place)
        if quantity is None or place not in self._stock.locations:
            return None
        level = f"gid://shopify/InventoryLevel/{item.id.rpartition('/')[2]}"

        def quantities(_: GraphQLResolveInfo, *, names: Sequence[str]) -> Any:
            return [
                {"id": f"{level}?name={name}", "name": name, "quantity": quantity}
                for name in names
                if name in {"available", "on_hand"}
            ]

        return {"id": level, "isActive": True, "location": _location(self._stock.locations[place]), "quantities": quantities}


def _location(place: ShopLocation) -> dict[str, Any]:
    return {"__typename": "Location", "id": place.id, "name": place.name, "isActive": place.active}


def _page(nodes: Sequence[Any], first: int, after: str | None) -> dict[str, Any]:
    start = int(after) if after and after.isdecimal() else 0
    end = start + min(first, LARGEST_INPUT)
    return {"nodes": nodes[start:end], "pageInfo": {"hasNextPage": end < len(nodes), "endCursor": str(end)}}


def _idempotency_key(info: GraphQLResolveInfo) -> str:
    directive = info.schema.get_directive("idempotent")
    assert directive is not None
    values = get_directive_values(directive, info.field_nodes[0], info.variable_values)
    if not values or not values["key"]:
        text = "The @idempotent directive is required for this mutation but was not provided."
        raise GraphQLError(text, extensions={"code": "BAD_REQUEST"})
    return str(values["key"])


def _refuse_too_many(rows: Sequence[Any]) -> None:
    if len(rows) > LARGEST_INPUT:
        text = f"The input array size of {len(rows)} is greater than the maximum allowed of {LARGEST_INPUT}."
        raise GraphQLError(text, extensions={"code": "MAX_INPUT_SIZE_EXCEEDED"})


def _coded(error: GraphQLError, code: str) -> GraphQLError:
    if not (error.extensions or {}).get("code"):
        error.extensions = {**(error.extensions or {}), "code": code}
    return error
