"""The Shopify Admin GraphQL operations this project sends (API 2026-10), and the texts that go into them.

Never sends anything: `connectors.shopify_session` does.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.publishing import PublishItem

_LONGEST_QUERY = 6000  # characters of one search text


@dataclass(frozen=True, slots=True)
class Operation:
    """One GraphQL document: its operation name, the root field whose value we want, whether it changes the shop."""

    name: str
    field: str
    text: str
    writes: bool = False


LOCATIONS = Operation(
    "Locations",
    "locations",
    """query Locations($first: Int!, $after: String) {
  locations(first: $first, after: $after, includeInactive: true, includeLegacy: true) {
    nodes { id name isActive }
    pageInfo { hasNextPage endCursor }
  }
}""",
)

ITEMS_BY_SKU = Operation(
    "ItemsBySku",
    "inventoryItems",
    """query ItemsBySku($search: String!, $first: Int!, $after: String) {
  inventoryItems(first: $first, after: $after, query: $search) {
    nodes { id sku tracked }
    pageInfo { hasNextPage endCursor }
  }
}""",
)

AVAILABLE_AT = Operation(
    "AvailableAt",
    "nodes",
    """query AvailableAt($ids: [ID!]!, $location: ID!) {
  nodes(ids: $ids) {
    id
    ... on InventoryItem {
      tracked
      inventoryLevel(locationId: $location) { quantities(names: ["available"]) { name quantity } }
    }
  }
}""",
)

# `changes` is not selected: it costs points and its quantityAfterChange is null in every recording.
SET_AVAILABLE = Operation(
    "SetAvailable",
    "inventorySetQuantities",
    """mutation SetAvailable($input: InventorySetQuantitiesInput!, $key: String!) {
  inventorySetQuantities(input: $input) @idempotent(key: $key) {
    inventoryAdjustmentGroup { id }
    userErrors { code field message }
  }
}""",
    writes=True,
)

ACTIVATE = Operation(
    "Activate",
    "inventoryActivate",
    """mutation Activate($item: ID!, $location: ID!, $available: Int!, $key: String!) {
  inventoryActivate(inventoryItemId: $item, locationId: $location, available: $available) @idempotent(key: $key) {
    inventoryLevel { id }
    userErrors { field message }
  }
}""",
    writes=True,
)

OPERATIONS = (LOCATIONS, ITEMS_BY_SKU, AVAILABLE_AT, SET_AVAILABLE, ACTIVATE)


def sku_search(skus: Sequence[str]) -> str:
    """Return the search text that finds items with one of these SKUs; quotes and backslashes are escaped."""
    quoted = (sku.replace("\\", "\\\\").replace("'", "\\'") for sku in skus)
    return " OR ".join(f"sku:'{sku}'" for sku in quoted)


def search_chunks(skus: Sequence[str], size: int) -> Iterator[list[str]]:
    """Yield the SKUs in lists of at most `size` whose search text stays below the longest one we send."""
    chunk: list[str] = []
    length = 0
    for sku in skus:
        cost = len(sku_search([sku])) + 4
        if chunk and (len(chunk) == size or length + cost > _LONGEST_QUERY):
            yield chunk
            chunk, length = [], 0
        chunk.append(sku)
        length += cost
    if chunk:
        yield chunk


def set_variables(items: Sequence[PublishItem], reason: str, generation: int) -> dict[str, Any]:
    """Return the variables of SET_AVAILABLE for these items.

    The same items with the same quantities and expectations give the same variables and the same idempotency key,
    whatever their order was before: a repeated request is recognised by the shop. `generation` > 0 gives another key.
    """
    quantities = [
        {
            "inventoryItemId": item.listing.ids["inventory_item"],
            "locationId": item.listing.location,
            "quantity": item.quantity,
            "changeFromQuantity": item.expected,  # must be present; null skips the comparison
        }
        for item in items
    ]
    key = _key("set", reason, generation, [[item.idempotency_key, *q.values()] for item, q in zip(items, quantities, strict=True)])
    return {
        "input": {
            "name": "available",
            "reason": reason,
            "referenceDocumentUri": f"gid://stockfeed/Publication/{key}",
            "quantities": quantities,
        },
        "key": key,
    }


def activate_variables(item: PublishItem) -> dict[str, Any]:
    """Return the variables of ACTIVATE for one item, with a key derived from the item's own."""
    ids = {"item": item.listing.ids["inventory_item"], "location": item.listing.location, "available": item.quantity}
    return {**ids, "key": _key("activate", item.idempotency_key, *ids.values())}


def _key(*parts: object) -> str:
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16]))
