"""The Shopify Admin GraphQL operations that read a shop's stock (API 2026-10), page by page or as one bulk operation.

Never sends anything: `connectors.shopify_session` does.
"""

from collections.abc import Sequence

from connectors.shopify_queries import Operation

_LEVEL = "id isActive updatedAt location { id name isActive }"

STOCK_PAGE = Operation(
    "StockPage",
    "inventoryItems",
    f"""query StockPage($first: Int!, $after: String, $levels: Int!, $names: [String!]!) {{
  inventoryItems(first: $first, after: $after) {{
    nodes {{
      id sku tracked
      variants(first: 2) {{ nodes {{ id barcode }} pageInfo {{ hasNextPage endCursor }} }}
      inventoryLevels(first: $levels) {{
        nodes {{ {_LEVEL} quantities(names: $names) {{ name quantity }} }}
        pageInfo {{ hasNextPage endCursor }}
      }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}""",
)

MORE_LEVELS = Operation(
    "MoreLevels",
    "inventoryItem",
    f"""query MoreLevels($id: ID!, $first: Int!, $after: String, $names: [String!]!) {{
  inventoryItem(id: $id) {{
    inventoryLevels(first: $first, after: $after) {{
      nodes {{ {_LEVEL} quantities(names: $names) {{ name quantity }} }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}""",
)

MORE_VARIANTS = Operation(
    "MoreVariants",
    "inventoryItem",
    """query MoreVariants($id: ID!, $first: Int!, $after: String) {
  inventoryItem(id: $id) {
    variants(first: $first, after: $after) { nodes { id barcode } pageInfo { hasNextPage endCursor } }
  }
}""",
)

# groupObjects would slow it down and make time-outs likelier, says Shopify: our own sorting brings parents and children together
START_BULK = Operation(
    "StartBulk",
    "bulkOperationRunQuery",
    """mutation StartBulk($query: String!) {
  bulkOperationRunQuery(query: $query, groupObjects: false) {
    bulkOperation { id status }
    userErrors { code field message }
  }
}""",
    writes=True,
)

BULK_STATE = Operation(
    "BulkState",
    "bulkOperation",
    """query BulkState($id: ID!) {
  bulkOperation(id: $id) { id status errorCode objectCount rootObjectCount fileSize url partialDataUrl }
}""",
)

CANCEL_BULK = Operation(
    "CancelBulk",
    "bulkOperationCancel",
    """mutation CancelBulk($id: ID!) {
  bulkOperationCancel(id: $id) { bulkOperation { id status } userErrors { field message } }
}""",
    writes=True,
)

STOCK_OPERATIONS = (STOCK_PAGE, MORE_LEVELS, MORE_VARIANTS, START_BULK, BULK_STATE, CANCEL_BULK)


def bulk_query(names: Sequence[str]) -> str:
    """Return the query of the bulk operation: three connections, two levels deep (five and two are allowed)."""
    listed = ", ".join(f'"{name}"' for name in names)
    return f"""{{
  inventoryItems {{ edges {{ node {{
    id sku tracked
    variants {{ edges {{ node {{ id barcode }} }} }}
    inventoryLevels {{ edges {{ node {{ {_LEVEL} quantities(names: [{listed}]) {{ name quantity }} }} }} }}
  }} }} }}
}}"""
