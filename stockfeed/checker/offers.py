"""What must hold of quantities to sell and the outbox, as queries whose rows are the faults (the first column says where)."""

#: (rule, what is wrong, query).
QUERIES: tuple[tuple[str, str, str], ...] = (
    (
        "I5",
        "the quantity to sell differs from the last change in its history",
        (
            "SELECT a.channel || ', ' || a.sku FROM available_to_sell a LEFT JOIN (SELECT channel, sku, channel_location, "
            "version, after, ROW_NUMBER() OVER (PARTITION BY channel, sku, channel_location ORDER BY id DESC) AS place "
            "FROM ats_change) c ON c.place = 1 AND c.channel = a.channel AND c.sku = a.sku "
            "AND c.channel_location = a.channel_location WHERE c.place IS NULL OR a.quantity <> c.after OR a.version <> c.version"
        ),
    ),
    (
        "I5",
        "a change of the quantity to sell does not follow from the one before it",
        (
            "SELECT channel || ', ' || sku FROM (SELECT channel, sku, version, c.before AS was, "
            "LAG(c.after) OVER listing AS ended, LAG(version) OVER listing AS previous FROM ats_change c "
            "WINDOW listing AS (PARTITION BY channel, sku, channel_location ORDER BY id)) AS chained "
            "WHERE version <> COALESCE(previous, 0) + 1 OR was IS DISTINCT FROM ended"
        ),
    ),
    (
        # only where a reconcile came later, nothing waits or failed, and every change is computed
        "I6",
        "the channel confirmed another quantity than is available to sell, and nothing waits to correct it",
        (
            "SELECT a.channel || ', ' || a.sku FROM available_to_sell a JOIN listing l ON l.channel = a.channel AND l.sku = a.sku "
            "AND l.channel_location = a.channel_location JOIN channel h ON h.code = a.channel "
            "WHERE h.approved_at IS NOT NULL AND h.paused_at IS NULL AND l.status = 'active' "
            "AND h.cursor = (SELECT value FROM clock WHERE name = 'change') AND l.confirmed_at < h.reconciled_at "
            "AND l.confirmed_quantity <> a.quantity AND a.reason_code <> 'in_shadow' AND NOT EXISTS (SELECT 1 FROM publication p "
            "WHERE p.channel = a.channel AND p.sku = a.sku AND p.channel_location = a.channel_location "
            "AND (p.state IN ('pending', 'sent', 'held', 'unknown') OR (p.state = 'failed' AND p.version = a.version)))"
        ),
    ),
    (
        "I7",
        "a quantity to sell is negative",
        (
            "SELECT channel || ', ' || sku FROM available_to_sell WHERE quantity < 0 "
            "UNION ALL SELECT channel || ', ' || sku FROM publication WHERE quantity < 0"
        ),
    ),
    (
        # a rollback sends the smaller of an earlier value and the present one
        "I7",
        "the outbox holds a quantity that was not available to sell in its version",
        (
            "SELECT p.channel || ', ' || p.sku FROM publication p LEFT JOIN ats_change c ON c.channel = p.channel "
            "AND c.sku = p.sku AND c.channel_location = p.channel_location AND c.version = p.version "
            "WHERE c.id IS NULL OR p.quantity > c.after OR (p.quantity < c.after AND COALESCE(p.cause, '') <> 'rollback')"
        ),
    ),
    (
        "I8",
        "an older version was sent after a newer one",
        (
            "SELECT channel || ', ' || sku FROM (SELECT channel, sku, version, LAG(version) OVER "
            "(PARTITION BY channel, sku, channel_location ORDER BY id) AS previous "
            "FROM publication WHERE sent_at IS NOT NULL) AS sent WHERE version < previous"
        ),
    ),
    (
        "I8",
        "two rows of one listing wait, or are in flight, at once",
        (
            "SELECT channel || ', ' || sku FROM publication WHERE state IN ('pending', 'sent') "
            "GROUP BY channel, sku, channel_location, state HAVING COUNT(*) > 1"
        ),
    ),
    (
        "I15",
        "a quantity to sell names a delivery that is not in the ledger as its cause",
        (
            "SELECT c.place FROM (SELECT cause, MIN(channel || ', ' || sku) AS place FROM ats_change "
            "WHERE cause LIKE 'delivery %' AND cause NOT LIKE '% undone' AND cause NOT LIKE '% no longer held' GROUP BY cause) c "
            "LEFT JOIN (SELECT 'delivery ' || id AS name FROM delivery) d ON d.name = c.cause WHERE d.name IS NULL"
        ),
    ),
    (
        "I17",
        "a sale is released by a delivery that is not applied",
        (
            "SELECT 'reservation ' || r.id || ', ' || r.sku FROM reservation r LEFT JOIN ("
            "SELECT 'delivery ' || id AS name FROM delivery WHERE state = 'applied') d ON d.name = r.released_by "
            "WHERE r.released_by LIKE 'delivery %' AND d.name IS NULL"
        ),
    ),
)
