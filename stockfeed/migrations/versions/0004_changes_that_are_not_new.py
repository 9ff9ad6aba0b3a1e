"""An index of the changes that are not new levels: the same bytes again look for those that were missing."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    rest = sa.text("kind <> 'new'")
    op.create_index(
        "ix_level_change_not_new", "level_change", ["delivery_id", "kind"], sqlite_where=rest, postgresql_where=rest
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
