"""Verifies the rules that are never broken (DESIGN §3) on a database and its archive, in plain SQL.

Shares no code with the pipeline, so that a mistake there cannot hide itself here. Only reads.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from stockfeed.store.engine import read

_UNENDED_AFTER = timedelta(minutes=10)  # a delivery in work may be without an end state for so long
_PER_RULE = 20  # faults told of one rule; more would hide the others

#: (rule, what is wrong, query whose rows are the faults and whose first column says where).
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
        "I5",
        "the level differs from the last change in its history",
        (
            "SELECT f.code || ', ' || i.supplier_sku FROM inventory i JOIN feed f ON f.id = i.feed_id "
            "JOIN level_change c ON c.id = (SELECT MAX(l.id) FROM level_change l "
            "WHERE l.feed_id = i.feed_id AND l.supplier_sku = i.supplier_sku "
            "AND l.location = i.location AND l.condition = i.condition) "
            "WHERE i.on_hand IS DISTINCT FROM c.on_hand_after OR i.available IS DISTINCT FROM c.available_after"
        ),
    ),
    (
        "I5",
        "the quantity to sell differs from the last change in its history",
        (
            "SELECT a.channel || ', ' || a.sku FROM available_to_sell a JOIN ats_change c ON c.id = ("
            "SELECT MAX(l.id) FROM ats_change l WHERE l.channel = a.channel AND l.sku = a.sku "
            "AND l.channel_location = a.channel_location) WHERE a.quantity <> c.after"
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
        "I8",
        "an older version was sent after a newer one",
        (
            "SELECT channel || ', ' || sku FROM (SELECT channel, sku, version, LAG(version) OVER "
            "(PARTITION BY channel, sku, channel_location ORDER BY id) AS previous "
            "FROM publication WHERE sent_at IS NOT NULL) AS sent WHERE version < previous"
        ),
    ),
    (
        "I9",
        "rows read are not accepted + rejected + skipped",
        (
            "SELECT 'delivery ' || id FROM delivery WHERE rows_read IS NOT NULL "
            "AND rows_read <> COALESCE(rows_accepted, 0) + COALESCE(rows_rejected, 0) + COALESCE(rows_skipped, 0)"
        ),
    ),
    (
        "I15",
        "a level does not trace to a delivery of its feed and a row",
        (
            "SELECT 'feed ' || i.feed_id || ', ' || i.supplier_sku FROM inventory i LEFT JOIN delivery d ON d.id = i.delivery_id "
            "WHERE d.id IS NULL OR d.feed_id <> i.feed_id OR i.source_row < 1"
        ),
    ),
    (
        "I1",
        "a hold is open although its delivery is not held",
        (
            "SELECT 'hold ' || h.id || ', delivery ' || d.id FROM hold h JOIN delivery d ON d.id = h.delivery_id "
            "WHERE h.state = 'open' AND d.state <> 'held'"
        ),
    ),
)


def check_database(engine: Engine, archive: Path, now: datetime) -> list[Mapping[str, str]]:
    """Return the faults found: {"rule", "subject", "message"} for each, at most 20 of one rule; [] when all rules hold.

    `archive` is the folder of archived bytes; each file is hashed again. `now` is an aware instant.
    """
    with read(engine) as connection:
        faults = [*_unended(connection, now), *_archive_faults(connection, archive)]
        for rule, message, query in QUERIES:
            rows = connection.execute(text(query)).fetchmany(_PER_RULE)
            faults += [_fault(rule, str(row[0]), message) for row in rows]
    return faults


def _unended(connection: Connection, now: datetime) -> Iterator[Mapping[str, str]]:
    for delivery_id, received_at in connection.execute(text("SELECT id, received_at FROM delivery WHERE state = 'received'")):
        instant = datetime.fromisoformat(received_at) if isinstance(received_at, str) else received_at
        if now - instant.astimezone(UTC) > _UNENDED_AFTER:
            yield _fault("I1", f"delivery {delivery_id}", "has no end state since more than 10 minutes")


def _archive_faults(connection: Connection, archive: Path) -> Iterator[Mapping[str, str]]:
    known = {row[0]: row[1] for row in connection.execute(text("SELECT sha256, MIN(id) FROM delivery GROUP BY sha256"))}
    kept = {path.name: path for path in archive.glob("??/??/*") if path.is_file()}
    for sha256, delivery_id in known.items():
        if sha256 not in kept:
            yield _fault("I1", f"delivery {delivery_id}", f"its bytes {sha256[:12]}… are not in the archive")
        elif _sha256(kept[sha256]) != sha256:
            yield _fault("I1", f"delivery {delivery_id}", f"its bytes {sha256[:12]}… changed in the archive")
    for name in sorted(kept.keys() - known.keys()):
        if not name.endswith(".part"):
            yield _fault("I1", name[:12], "bytes in the archive belong to no delivery")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fault(rule: str, subject: str, message: str) -> Mapping[str, str]:
    return {"rule": rule, "subject": subject, "message": message}
