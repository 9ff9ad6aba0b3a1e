"""The stock views as migration 0003 makes them: a location of a feed with scope = "location" has its own age.

The columns are those of migration 0001. Never edited: a later migration brings a later version.
"""

_INVENTORY = """
CREATE VIEW inventory_v1 AS
SELECT f.code AS feed, f.supplier AS supplier, f.supplier_kind AS supplier_kind,
       i.supplier_sku, i.location, i.condition, i.sku,
       {on_hand} AS on_hand, {available} AS available, {on_order} AS on_order,
       i.unit, i.next_available_on, {unit_cost} AS unit_cost, i.currency,
       CASE WHEN i.confirmed_delivery_id IS NULL THEN COALESCE(p.as_of, f.as_of) ELSE c.as_of END AS as_of,
       CASE WHEN i.confirmed_delivery_id IS NULL THEN COALESCE(p.confirmed_at, f.confirmed_at) ELSE c.ended_at END AS confirmed_at,
       {is_stale} AS is_stale, f.in_shadow AS in_shadow, i.delivery_id, i.source_row
FROM inventory i
JOIN feed f ON f.id = i.feed_id
LEFT JOIN feed_location p ON p.feed_id = i.feed_id AND p.location = i.location
LEFT JOIN delivery c ON c.id = i.confirmed_delivery_id
"""

_UNIFIED = """
CREATE VIEW unified_stock_v1 AS
SELECT i.sku AS sku, i.location AS location, f.supplier_kind AS supplier_kind,
       {units} AS units, MIN(COALESCE(p.as_of, f.as_of)) AS as_of
FROM inventory i
JOIN feed f ON f.id = i.feed_id
LEFT JOIN feed_location p ON p.feed_id = i.feed_id AND p.location = i.location
LEFT JOIN product_link l ON l.feed_id = i.feed_id AND l.supplier_sku = i.supplier_sku AND l.sku = i.sku
WHERE i.sku IS NOT NULL AND NOT f.in_shadow AND NOT {is_stale}
  AND i.missing_count < f.missing_after AND i.unconfirmed_count < f.missing_after
  AND COALESCE(i.available, i.on_hand) IS NOT NULL
GROUP BY i.sku, i.location, f.supplier_kind
"""

_STALE = "(COALESCE(p.is_stale, f.is_stale) OR COALESCE(COALESCE(p.stale_at, f.stale_at) <= {now}, {false}))"
_SQLITE = {
    "is_stale": _STALE.format(now="strftime('%Y-%m-%dT%H:%M:%f', 'now')", false="0"),
    "units": "CAST(SUM(MAX(COALESCE(i.available, i.on_hand), 0) * COALESCE(l.factor_numerator, 1)"
    " / (1000 * COALESCE(l.factor_denominator, 1))) AS INTEGER)",
}
_POSTGRESQL = {
    "is_stale": _STALE.format(now="now()", false="false"),
    "units": "CAST(SUM(FLOOR(GREATEST(COALESCE(i.available, i.on_hand), 0)::numeric * COALESCE(l.factor_numerator, 1)"
    " / (1000::bigint * COALESCE(l.factor_denominator, 1)))) AS BIGINT)",
}


def _units(dialect: str, column: str, scale: int, digits: int) -> str:
    if dialect == "sqlite":
        return f"{column} / {scale}.0"
    return f"ROUND({column}::numeric / {scale}, {digits})"


def statements(dialect: str) -> list[str]:
    """Return the statements that replace the two views, for "sqlite" or "postgresql"."""
    words = dict(_SQLITE if dialect == "sqlite" else _POSTGRESQL)
    for name in ("on_hand", "available", "on_order"):
        words[name] = _units(dialect, f"i.{name}", 1000, 3)
    words["unit_cost"] = _units(dialect, "i.unit_cost", 10000, 4)
    views = [view.format(**words) for view in (_INVENTORY, _UNIFIED)]
    return ["DROP VIEW unified_stock_v1", "DROP VIEW inventory_v1", *views]
