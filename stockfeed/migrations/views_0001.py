"""The public views as migration 0001 makes them (DESIGN §10): what downstream readers may rely on.

Quantities are shown in units, costs in the currency's main unit. Never edited: a later migration brings a later version.
"""

_INVENTORY = """
CREATE VIEW inventory_v1 AS
SELECT f.code AS feed, f.supplier AS supplier, f.supplier_kind AS supplier_kind,
       i.supplier_sku, i.location, i.condition, i.sku,
       {on_hand} AS on_hand, {available} AS available, {on_order} AS on_order,
       i.unit, i.next_available_on, {unit_cost} AS unit_cost, i.currency,
       CASE WHEN i.confirmed_delivery_id IS NULL THEN f.as_of ELSE c.as_of END AS as_of,
       CASE WHEN i.confirmed_delivery_id IS NULL THEN f.confirmed_at ELSE c.ended_at END AS confirmed_at,
       {is_stale} AS is_stale, f.in_shadow AS in_shadow, i.delivery_id, i.source_row
FROM inventory i
JOIN feed f ON f.id = i.feed_id
LEFT JOIN delivery c ON c.id = i.confirmed_delivery_id
"""

# Sellable units everywhere, from every kind of source: fresh, out of shadow, still confirmed.
_UNIFIED = """
CREATE VIEW unified_stock_v1 AS
SELECT i.sku AS sku, i.location AS location, f.supplier_kind AS supplier_kind,
       {units} AS units, MIN(f.as_of) AS as_of
FROM inventory i
JOIN feed f ON f.id = i.feed_id
LEFT JOIN product_link l ON l.feed_id = i.feed_id AND l.supplier_sku = i.supplier_sku AND l.sku = i.sku
WHERE i.sku IS NOT NULL AND NOT f.in_shadow AND NOT {is_stale}
  AND i.missing_count < f.missing_after AND i.unconfirmed_count < f.missing_after
  AND COALESCE(i.available, i.on_hand) IS NOT NULL
GROUP BY i.sku, i.location, f.supplier_kind
"""

_ATS = """
CREATE VIEW available_to_sell_v1 AS
SELECT a.channel, a.sku, a.channel_location, a.quantity, a.version, a.reason_code, a.computed_at,
       l.confirmed_quantity AS published_quantity, l.confirmed_at AS published_at
FROM available_to_sell a
LEFT JOIN listing l ON l.channel = a.channel AND l.sku = a.sku AND l.channel_location = a.channel_location
"""

_CHANGES = """
CREATE VIEW change_feed_v1 AS
SELECT c.id AS cursor, 'level' AS kind,
       {object}('feed', f.code, 'supplier_sku', c.supplier_sku, 'location', c.location, 'condition', c.condition) AS key,
       CASE WHEN c.kind = 'new' THEN NULL ELSE {object}('on_hand', {on_hand_before}, 'available', {available_before}) END AS before,
       {object}('on_hand', {on_hand_after}, 'available', {available_after}) AS after, c.at AS at
FROM level_change c
JOIN feed f ON f.id = c.feed_id
UNION ALL
SELECT a.id, 'ats', {object}('channel', a.channel, 'sku', a.sku, 'channel_location', a.channel_location),
       CASE WHEN a.before IS NULL THEN NULL ELSE {object}('quantity', a.before) END, {object}('quantity', a.after), a.at
FROM ats_change a
"""

_SQLITE = {
    "object": "json_object",
    "is_stale": "(f.is_stale OR COALESCE(f.stale_at <= strftime('%Y-%m-%dT%H:%M:%f', 'now'), 0))",
    "units": "CAST(SUM(MAX(COALESCE(i.available, i.on_hand), 0) * COALESCE(l.factor_numerator, 1)"
    " / (1000 * COALESCE(l.factor_denominator, 1))) AS INTEGER)",
}
_POSTGRESQL = {
    "object": "json_build_object",
    "is_stale": "(f.is_stale OR COALESCE(f.stale_at <= now(), false))",
    "units": "CAST(SUM(FLOOR(GREATEST(COALESCE(i.available, i.on_hand), 0)::numeric * COALESCE(l.factor_numerator, 1)"
    " / (1000::bigint * COALESCE(l.factor_denominator, 1)))) AS BIGINT)",
}


def _units(dialect: str, column: str, scale: int, digits: int) -> str:
    if dialect == "sqlite":
        return f"{column} / {scale}.0"
    return f"ROUND({column}::numeric / {scale}, {digits})"


def statements(dialect: str) -> list[str]:
    """Return the CREATE VIEW statements for "sqlite" or "postgresql"."""
    words = dict(_SQLITE if dialect == "sqlite" else _POSTGRESQL)
    for name in ("on_hand", "available", "on_order"):
        words[name] = _units(dialect, f"i.{name}", 1000, 3)
        for when in ("before", "after"):
            words[f"{name}_{when}"] = _units(dialect, f"c.{name}_{when}", 1000, 3)
    words["unit_cost"] = _units(dialect, "i.unit_cost", 10000, 4)
    return [view.format(**words) for view in (_INVENTORY, _UNIFIED, _ATS, _CHANGES)]
