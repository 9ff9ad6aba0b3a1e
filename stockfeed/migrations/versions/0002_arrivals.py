"""What a source found about an arrival, the locations a delivery covers, and what a feed's position counts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("feed", sa.Column("order_by", sa.String(length=12), nullable=True))
    op.add_column("delivery", sa.Column("arrival_findings", sa.JSON(), nullable=True))
    op.add_column("delivery", sa.Column("locations", sa.JSON(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
