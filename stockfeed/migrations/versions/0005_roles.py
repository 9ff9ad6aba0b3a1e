"""The group roles of PostgreSQL, where the login that upgrades may make them; what they may do follows each upgrade."""

from alembic import op

from stockfeed.migrations.roles_0005 import CREATE_ROLES

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(CREATE_ROLES)


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
