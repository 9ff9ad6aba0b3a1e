"""Which feeds a channel counted as stale before the sweep said so: they may be fresh again without anything having changed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("channel", sa.Column("late_feeds", sa.JSON(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
