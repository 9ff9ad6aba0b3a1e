"""What must hold of levels and their history, as queries whose rows are the faults (the first column says where)."""

#: (rule, what is wrong, query).
QUERIES: tuple[tuple[str, str, str], ...] = (
    (
        "I2",
        "one delivery changed the same level twice",
        (
            "SELECT 'delivery ' || delivery_id || ', ' || supplier_sku FROM level_change "
            "GROUP BY feed_id, supplier_sku, location, condition, delivery_id, kind HAVING COUNT(*) > 1"
        ),
    ),
    (
        "I3",
        "the feed's last applied delivery is not an applied delivery of that feed",
        (
            "SELECT f.code FROM feed f LEFT JOIN delivery d ON d.id = f.last_applied_id "
            "WHERE f.last_applied_id IS NOT NULL AND (d.id IS NULL OR d.feed_id <> f.id OR d.state <> 'applied')"
        ),
    ),
    (
        # undoing the delivery that brought a level takes the level away; nothing else does
        "I5",
        "the level is not what the last change in its history left",
        (
            "WITH by_delivery AS (SELECT feed_id, supplier_sku, location, condition, MAX(id) AS id, "
            "MAX(CASE WHEN kind = 'new' THEN 1 ELSE 0 END) AS brought FROM level_change "
            "GROUP BY feed_id, supplier_sku, location, condition, delivery_id), "
            "last AS (SELECT id, brought, ROW_NUMBER() OVER "
            "(PARTITION BY feed_id, supplier_sku, location, condition ORDER BY id DESC) AS place FROM by_delivery) "
            "SELECT f.code || ', ' || c.supplier_sku FROM last JOIN level_change c ON c.id = last.id "
            "JOIN feed f ON f.id = c.feed_id LEFT JOIN inventory i ON i.feed_id = c.feed_id AND i.supplier_sku = c.supplier_sku "
            "AND i.location = c.location AND i.condition = c.condition "
            "WHERE last.place = 1 AND CASE WHEN i.feed_id IS NOT NULL THEN "
            "i.on_hand IS DISTINCT FROM c.on_hand_after OR i.available IS DISTINCT FROM c.available_after "
            "OR i.on_order IS DISTINCT FROM c.on_order_after ELSE NOT (c.kind = 'undone' AND last.brought = 1) END"
        ),
    ),
    (
        "I5",
        "the level has no history",
        (
            "SELECT 'feed ' || i.feed_id || ', ' || i.supplier_sku FROM inventory i WHERE NOT EXISTS ("
            "SELECT 1 FROM level_change c WHERE c.feed_id = i.feed_id AND c.supplier_sku = i.supplier_sku "
            "AND c.location = i.location AND c.condition = i.condition)"
        ),
    ),
    (
        "I5",
        "a change does not begin where the one before it ended",
        (
            "SELECT 'feed ' || feed_id || ', ' || supplier_sku FROM (SELECT kind, feed_id, supplier_sku, on_hand_before, "
            "available_before, LAG(id) OVER level AS p_id, LAG(on_hand_after) OVER level AS p_on_hand, "
            "LAG(available_after) OVER level AS p_available FROM level_change "
            "WINDOW level AS (PARTITION BY feed_id, supplier_sku, location, condition ORDER BY id)) c "
            "WHERE kind <> 'new' AND (p_id IS NULL OR on_hand_before IS DISTINCT FROM p_on_hand "
            "OR available_before IS DISTINCT FROM p_available)"
        ),
    ),
    (
        "I10",
        "a delivery changed the level of another feed",
        (
            "SELECT 'delivery ' || d.id FROM delivery d JOIN (SELECT DISTINCT delivery_id, feed_id FROM level_change) c "
            "ON c.delivery_id = d.id WHERE d.feed_id <> c.feed_id"
        ),
    ),
    (
        "I15",
        "a change belongs to no delivery that was applied",
        (
            "SELECT 'delivery ' || c.delivery_id FROM (SELECT DISTINCT delivery_id FROM level_change) c "
            "LEFT JOIN delivery d ON d.id = c.delivery_id WHERE d.id IS NULL OR d.state NOT IN ('applied', 'unchanged', 'undone')"
        ),
    ),
    (
        "I15",
        "a level does not trace to an applied delivery of its feed and a row",
        (
            "SELECT 'feed ' || i.feed_id || ', ' || i.supplier_sku FROM inventory i LEFT JOIN delivery d ON d.id = i.delivery_id "
            "WHERE d.id IS NULL OR d.feed_id <> i.feed_id OR d.state <> 'applied' OR i.source_row < 1"
        ),
    ),
    (
        "I15",
        "a level is confirmed by something that is no applied delivery of its feed",
        (
            "SELECT 'feed ' || i.feed_id || ', ' || i.supplier_sku FROM inventory i "
            "LEFT JOIN delivery d ON d.id = i.confirmed_delivery_id WHERE i.confirmed_delivery_id IS NOT NULL "
            "AND (d.id IS NULL OR d.feed_id <> i.feed_id OR d.state <> 'applied')"
        ),
    ),
    (
        "I17",
        "a change does not say what was before it: it could not be undone",
        (
            "SELECT 'feed ' || feed_id || ', ' || supplier_sku FROM level_change "
            "WHERE before IS NULL AND kind NOT IN ('new', 'undone')"
        ),
    ),
)
