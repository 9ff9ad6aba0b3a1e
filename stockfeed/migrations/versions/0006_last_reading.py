"""What the line difference needs to know of the last applied delivery of each feed; the next full reading writes it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "last_reading",
        sa.Column("feed_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("meaning", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("feed_id", name=op.f("pk_last_reading")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
