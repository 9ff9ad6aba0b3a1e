"""On PostgreSQL, the history of a delivery is found by a summary of blocks: the deliveries follow each other in the table as in time.

An index with an entry for each change took a tenth of the time of a first delivery. SQLite keeps it: it knows no other kind.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_level_change_delivery_id", "level_change")
        op.create_index(
            "ix_level_change_delivery_id",
            "level_change",
            ["delivery_id"],
            postgresql_using="brin",
            postgresql_with={"autosummarize": "on"},  # else the newest blocks are looked through until the next VACUUM
        )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
