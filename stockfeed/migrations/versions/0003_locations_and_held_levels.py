"""The age of each location, the levels of held deliveries, how a delivery was read, and whose reference it keeps."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from schemas.instants import UtcDateTime
from stockfeed.migrations.views_0003 import statements

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery", sa.Column("mode", sa.String(length=10), nullable=True))
    op.add_column("delivery", sa.Column("source", sa.Text(), nullable=True))
    places = op.create_table(
        "feed_location",
        sa.Column("feed_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("as_of", UtcDateTime(), nullable=False),
        sa.Column("confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("stale_at", UtcDateTime(), nullable=False),
        sa.Column("is_stale", sa.Boolean(), nullable=False),
        sa.Column("applied_as_of", UtcDateTime(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("feed_id", "location", name=op.f("pk_feed_location")),
    )
    op.create_index("ix_feed_location_delivery_id", "feed_location", ["delivery_id"])
    op.create_table(
        "held_level",
        sa.Column("feed_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("supplier_sku", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "feed_id", "supplier_sku", "location", "condition", "delivery_id", name=op.f("pk_held_level")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_held_level_delivery_id", "held_level", ["delivery_id"])
    found = _places_so_far()
    if found:
        op.bulk_insert(places, found)
    for statement in statements(op.get_bind().dialect.name):
        op.execute(statement)


def _places_so_far() -> list[dict[str, Any]]:
    """Return where each location stands by the deliveries so far: its newest stock, and that of its last applied delivery."""
    time = UtcDateTime()
    rows = op.get_bind().execute(
        sa.text(
            "SELECT d.id, d.feed_id, d.state, d.as_of, d.ended_at, d.locations, f.policy, f.is_stale FROM delivery d "
            "JOIN feed f ON f.id = d.feed_id WHERE d.locations IS NOT NULL AND d.state IN ('applied', 'unchanged') "
            "AND d.as_of IS NOT NULL AND f.last_applied_id IS NOT NULL ORDER BY d.ended_at, d.id"
        ).columns(as_of=time, ended_at=time, locations=sa.JSON(), policy=sa.JSON(), is_stale=sa.Boolean())
    )
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for row in rows:
        lasts = timedelta(seconds=row.policy.get("stale_after_s", 0))
        for location in row.locations or ():
            key = (row.feed_id, location)
            before = found.get(key)
            as_of: datetime = max(row.as_of, before["as_of"]) if before else row.as_of
            by = (row.as_of, row.id if row.state == "applied" else None)
            if before and row.state != "applied":
                by = (before["applied_as_of"], before["delivery_id"])
            found[key] = {
                "feed_id": row.feed_id,
                "location": location,
                "as_of": as_of,
                "confirmed_at": row.ended_at,
                "stale_at": as_of + lasts,
                "is_stale": row.is_stale,
                "applied_as_of": by[0],
                "delivery_id": by[1],
            }
    return list(found.values())


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
