"""The part of Shopify's Admin GraphQL contract (2026-10) that the demo shop speaks, run by graphql-core.

Never accepts an operation its schema does not describe: what passes here is valid for the real shop, too.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

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

from stockfeed.demo.shop_contract import SDL
from stockfeed.demo.shop_stock import ShopItem, ShopLocation, ShopStock

if TYPE_CHECKING:
    from stockfeed.demo.shop_bulk import ShopBulk

LARGEST_INPUT = 250

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


def execute(
    stock: ShopStock, text: str, variables: Mapping[str, Any], operation: str | None, bulk: "ShopBulk | None" = None
) -> ExecutionResult:
    """Return the result of one operation on `stock`; errors carry Shopify's codes in their extensions."""
    document, errors = checked_document(text)
    if document is None or errors:
        return ExecutionResult(None, [_coded(error, "INVALID_DOCUMENT") for error in errors])
    result = execute_sync(shop_schema(), document, Root(stock, bulk), variable_values=dict(variables), operation_name=operation)
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

    def __init__(self, stock: ShopStock, bulk: "ShopBulk | None" = None, *, unbounded: bool = False) -> None:
        self._stock, self._bulk = stock, bulk
        self._unbounded = unbounded  # inside a bulk operation every list is given whole

    def locations(self, _: GraphQLResolveInfo, *, first: int = 50, after: str | None = None, **choice: Any) -> Any:
        """Return one page of locations."""
        places = [place for place in self._stock.locations.values() if place.active or choice["includeInactive"]]
        return self._page([_location(place) for place in places], first, after)

    def inventoryItems(self, _: GraphQLResolveInfo, *, first: int | None = None, after: str | None = None, query: str = "") -> Any:  # noqa: N802 - the contract's name
        """Return one page of items; an empty query finds all."""
        found = self._stock.search(searched_skus(query)) if query else list(self._stock.items.values())
        return self._page([self._item(item) for item in found], first, after)

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

    def bulkOperation(self, _: GraphQLResolveInfo, *, id: str) -> Any:  # noqa: A002, N802 - the contract's names
        """Return how far a bulk operation is."""
        return self._bulk.state(id) if self._bulk else None

    def bulkOperationRunQuery(self, _: GraphQLResolveInfo, *, query: str, **__: Any) -> Any:  # noqa: N802 - the contract's name
        """Return the payload of starting a bulk operation."""
        return self._bulk.start(query) if self._bulk else None

    def bulkOperationCancel(self, _: GraphQLResolveInfo, *, id: str) -> Any:  # noqa: A002, N802 - the contract's names
        """Return the payload of ending a bulk operation."""
        return {"bulkOperation": self._bulk.cancel(id), "userErrors": []} if self._bulk else None

    def _page(self, nodes: Sequence[Any], first: int | None, after: str | None) -> dict[str, Any]:
        if first is None and not self._unbounded:
            text = "you must provide one of first or last"
            raise GraphQLError(text, extensions={"code": "BAD_REQUEST"})
        start = int(after) if after and after.isdecimal() else 0
        end = len(nodes) if self._unbounded or first is None else start + min(first, LARGEST_INPUT)
        edges = [{"cursor": str(n), "node": node} for n, node in enumerate(nodes[start:end], start + 1)]
        return {"edges": edges, "nodes": nodes[start:end], "pageInfo": {"hasNextPage": end < len(nodes), "endCursor": str(end)}}

    def _item(self, item: ShopItem) -> dict[str, Any]:
        def level(_: GraphQLResolveInfo, *, locationId: str, **__: Any) -> Any:  # noqa: N803 - the contract's name
            return self._level(item, locationId)

        def levels(_: GraphQLResolveInfo, *, first: int | None = None, after: str | None = None, **choice: Any) -> Any:
            with self._stock.lock:
                places = [place for place in item.available if choice["includeInactive"] or place not in item.inactive]
            return self._page([found for place in places if (found := self._level(item, place))], first, after)

        def variants(_: GraphQLResolveInfo, *, first: int | None = None, after: str | None = None) -> Any:
            number = item.id.rpartition("/")[2]
            nodes = [
                {"__typename": "ProductVariant", "id": f"gid://shopify/ProductVariant/{number}{n or ''}", "barcode": barcode}
                for n, barcode in enumerate(item.barcodes)
            ]
            return self._page(nodes, first, after)

        shown = {"__typename": "InventoryItem", "id": item.id, "sku": item.sku, "tracked": item.tracked, "inventoryLevel": level}
        updated = max(item.changed.values(), default=None)
        return shown | {"inventoryLevels": levels, "variants": variants, "updatedAt": _moment(updated)}

    def _level(self, item: ShopItem, place: str) -> dict[str, Any] | None:
        with self._stock.lock:
            if place not in item.available or place not in self._stock.locations:
                return None
        level = f"gid://shopify/InventoryLevel/{place.rpartition('/')[2]}?inventory_item_id={item.id.rpartition('/')[2]}"

        def quantities(_: GraphQLResolveInfo, *, names: Sequence[str]) -> Any:
            with self._stock.lock:
                found = [(name, item.quantity(place, name)) for name in names]
            return [{"id": f"{level}&name={name}", "name": name, "quantity": n} for name, n in found if n is not None]

        active, at = place not in item.inactive, item.changed.get(place)
        shown = {"id": level, "isActive": active, "location": _location(self._stock.locations[place]), "quantities": quantities}
        return shown | {"updatedAt": _moment(at)}


def _moment(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _location(place: ShopLocation) -> dict[str, Any]:
    return {"__typename": "Location", "id": place.id, "name": place.name, "isActive": place.active}


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
