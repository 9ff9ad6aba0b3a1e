"""First tables and public views."""

from alembic import op
import sqlalchemy as sa

from schemas.instants import UtcDateTime
from stockfeed.migrations.views_0001 import statements


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('ats_change',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('channel', sa.String(length=60), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('channel_location', sa.Text(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('before', sa.BigInteger(), nullable=True),
    sa.Column('after', sa.BigInteger(), nullable=False),
    sa.Column('reason_code', sa.String(length=40), nullable=False),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Column('baseline', sa.BigInteger(), nullable=True),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ats_change'))
    )
    op.create_index('ix_ats_change_channel_at', 'ats_change', ['channel', 'at'], unique=False)

    op.create_table('audit',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('act', sa.String(length=40), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('detail', sa.JSON(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit'))
    )
    op.create_table('available_to_sell',
    sa.Column('channel', sa.String(length=60), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('channel_location', sa.Text(), nullable=False),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('reason_code', sa.String(length=40), nullable=False),
    sa.Column('fresh_quantity', sa.BigInteger(), nullable=True),
    sa.Column('steps', sa.JSON(), nullable=False),
    sa.Column('computed_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('channel', 'sku', 'channel_location', name=op.f('pk_available_to_sell'))
    )
    op.create_table('channel',
    sa.Column('code', sa.String(length=60), nullable=False),
    sa.Column('config_version', sa.String(length=64), nullable=True),
    sa.Column('cursor', sa.BigInteger(), nullable=False),
    sa.Column('approved_at', UtcDateTime(), nullable=True),
    sa.Column('approved_by', sa.Text(), nullable=True),
    sa.Column('paused_at', UtcDateTime(), nullable=True),
    sa.Column('paused_by', sa.Text(), nullable=True),
    sa.Column('reconciled_at', UtcDateTime(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('lease_holder', sa.String(length=200), nullable=True),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_channel'))
    )
    op.create_table('check_run',
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('ran_at', UtcDateTime(), nullable=False),
    sa.Column('outcome', sa.String(length=20), nullable=False),
    sa.Column('detail', sa.JSON(), nullable=True),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_check_run'))
    )
    op.create_table('clock',
    sa.Column('name', sa.String(length=20), nullable=False),
    sa.Column('value', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_clock'))
    )
    op.create_table('dirty_mark',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('kind', sa.String(length=10), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dirty_mark'))
    )
    op.create_table('feed',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('code', sa.String(length=130), nullable=False),
    sa.Column('supplier', sa.String(length=60), nullable=False),
    sa.Column('supplier_name', sa.Text(), nullable=False),
    sa.Column('supplier_kind', sa.String(length=30), nullable=False),
    sa.Column('config_version', sa.String(length=64), nullable=True),
    sa.Column('policy', sa.JSON(), nullable=False),
    sa.Column('in_shadow', sa.Boolean(), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('last_applied_id', sa.BigInteger(), nullable=True),
    sa.Column('as_of', UtcDateTime(), nullable=True),
    sa.Column('order_key', sa.BigInteger(), nullable=True),
    sa.Column('confirmed_at', UtcDateTime(), nullable=True),
    sa.Column('content_since', UtcDateTime(), nullable=True),
    sa.Column('stale_at', UtcDateTime(), nullable=True),
    sa.Column('is_stale', sa.Boolean(), nullable=False),
    sa.Column('missing_after', sa.Integer(), nullable=False),
    sa.Column('superseded_in_a_row', sa.Integer(), nullable=False),
    sa.Column('listing', sa.JSON(), nullable=False),
    sa.Column('collected_at', UtcDateTime(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('lease_holder', sa.String(length=200), nullable=True),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_feed')),
    sa.UniqueConstraint('code', name=op.f('uq_feed_code'))
    )
    op.create_table('hold',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('feed_id', sa.Integer(), nullable=True),
    sa.Column('delivery_id', sa.BigInteger(), nullable=True),
    sa.Column('channel', sa.String(length=60), nullable=True),
    sa.Column('findings', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('opened_at', UtcDateTime(), nullable=False),
    sa.Column('decided_at', UtcDateTime(), nullable=True),
    sa.Column('decided_by', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hold'))
    )
    op.create_index('ix_hold_state', 'hold', ['state'], unique=False)

    op.create_table('inventory',
    sa.Column('feed_id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('supplier_sku', sa.Text(), nullable=False),
    sa.Column('location', sa.Text(), nullable=False),
    sa.Column('condition', sa.Text(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=True),
    sa.Column('on_hand', sa.BigInteger(), nullable=True),
    sa.Column('available', sa.BigInteger(), nullable=True),
    sa.Column('on_order', sa.BigInteger(), nullable=True),
    sa.Column('unit', sa.Text(), nullable=True),
    sa.Column('next_available_on', sa.Date(), nullable=True),
    sa.Column('unit_cost', sa.BigInteger(), nullable=True),
    sa.Column('currency', sa.String(length=3), nullable=True),
    sa.Column('gtin', sa.String(length=14), nullable=True),
    sa.Column('mpn', sa.Text(), nullable=True),
    sa.Column('delivery_id', sa.BigInteger(), nullable=False),
    sa.Column('source_row', sa.BigInteger(), nullable=False),
    sa.Column('missing_count', sa.SmallInteger(), nullable=False),
    sa.Column('unconfirmed_count', sa.SmallInteger(), nullable=False),
    sa.Column('confirmed_delivery_id', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('feed_id', 'supplier_sku', 'location', 'condition', name=op.f('pk_inventory')),
    sqlite_with_rowid=False
    )
    op.create_index('ix_inventory_sku', 'inventory', ['sku'], unique=False)

    op.create_table('level_change',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('feed_id', sa.Integer(), nullable=False),
    sa.Column('supplier_sku', sa.Text(), nullable=False),
    sa.Column('location', sa.Text(), nullable=False),
    sa.Column('condition', sa.Text(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=True),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('delivery_id', sa.BigInteger(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('before', sa.JSON(), nullable=True),
    sa.Column('on_hand_before', sa.BigInteger(), nullable=True),
    sa.Column('available_before', sa.BigInteger(), nullable=True),
    sa.Column('on_hand_after', sa.BigInteger(), nullable=True),
    sa.Column('available_after', sa.BigInteger(), nullable=True),
    sa.Column('on_order_after', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_level_change'))
    )
    op.create_index('ix_level_change_delivery_id', 'level_change', ['delivery_id'], unique=False)
    op.create_index('ix_level_change_feed_id_supplier_sku', 'level_change', ['feed_id', 'supplier_sku'], unique=False)

    op.create_table('listing',
    sa.Column('channel', sa.String(length=60), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('channel_location', sa.Text(), nullable=False),
    sa.Column('ids', sa.JSON(), nullable=False),
    sa.Column('status', sa.String(length=12), nullable=False),
    sa.Column('message', sa.Text(), nullable=True),
    sa.Column('confirmed_quantity', sa.BigInteger(), nullable=True),
    sa.Column('confirmed_version', sa.BigInteger(), nullable=True),
    sa.Column('confirmed_at', UtcDateTime(), nullable=True),
    sa.Column('resolved_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('channel', 'sku', 'channel_location', name=op.f('pk_listing'))
    )
    op.create_table('product',
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('brand', sa.Text(), nullable=True),
    sa.Column('tags', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('sku', name=op.f('pk_product'))
    )
    op.create_table('publication',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('channel', sa.String(length=60), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('channel_location', sa.Text(), nullable=False),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('expected', sa.BigInteger(), nullable=True),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('idempotency_key', sa.String(length=64), nullable=False),
    sa.Column('batch', sa.String(length=64), nullable=True),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('answer_code', sa.Text(), nullable=True),
    sa.Column('answer', sa.Text(), nullable=True),
    sa.Column('hold_id', sa.BigInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('sent_at', UtcDateTime(), nullable=True),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("state IN ('pending','sent','confirmed','failed','unknown','superseded','held')", name=op.f('ck_publication_state')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_publication'))
    )
    op.create_index('ix_publication_channel_sku', 'publication', ['channel', 'sku'], unique=False)
    op.create_index('ix_publication_channel_state', 'publication', ['channel', 'state'], unique=False)

    op.create_table('reservation',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('feed_id', sa.Integer(), nullable=True),
    sa.Column('channel', sa.String(length=60), nullable=True),
    sa.Column('channel_location', sa.Text(), nullable=True),
    sa.Column('units', sa.BigInteger(), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.Column('sources', sa.JSON(), nullable=True),
    sa.Column('released_at', UtcDateTime(), nullable=True),
    sa.Column('released_by', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reservation'))
    )
    op.create_index('ix_reservation_sku', 'reservation', ['sku'], unique=False)

    op.create_table('delivery',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('feed_id', sa.Integer(), nullable=False),
    sa.Column('source_name', sa.Text(), nullable=False),
    sa.Column('source_identity', sa.Text(), nullable=False),
    sa.Column('source_time', UtcDateTime(), nullable=True),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('config_version', sa.String(length=64), nullable=False),
    sa.Column('received_at', UtcDateTime(), nullable=False),
    sa.Column('as_of', UtcDateTime(), nullable=True),
    sa.Column('order_key', sa.BigInteger(), nullable=True),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('reason_code', sa.String(length=40), nullable=True),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('applied_before_id', sa.BigInteger(), nullable=True),
    sa.Column('feed_before', sa.JSON(), nullable=True),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('rows_read', sa.BigInteger(), nullable=True),
    sa.Column('rows_accepted', sa.BigInteger(), nullable=True),
    sa.Column('rows_rejected', sa.BigInteger(), nullable=True),
    sa.Column('rows_skipped', sa.BigInteger(), nullable=True),
    sa.Column('skipped', sa.JSON(), nullable=True),
    sa.Column('records', sa.BigInteger(), nullable=True),
    sa.Column('changes', sa.BigInteger(), nullable=True),
    sa.Column('reading', sa.JSON(), nullable=True),
    sa.Column('findings', sa.JSON(), nullable=True),
    sa.Column('profile', sa.JSON(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('discarded_at', UtcDateTime(), nullable=True),
    sa.Column('acknowledgement', sa.String(length=10), nullable=False),
    sa.Column('reference', sa.JSON(), nullable=True),
    sa.CheckConstraint("state IN ('received','applied','held','rejected','superseded','duplicate','unchanged','ignored','undone')", name=op.f('ck_delivery_state')),
    sa.ForeignKeyConstraint(['feed_id'], ['feed.id'], name=op.f('fk_delivery_feed_id_feed')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_delivery')),
    sa.UniqueConstraint('feed_id', 'source_identity', 'sha256', 'config_version', name=op.f('uq_delivery_feed_id_source_identity_sha256_config_version'))
    )
    op.create_index('ix_delivery_feed_id_sha256', 'delivery', ['feed_id', 'sha256'], unique=False)
    op.create_index('ix_delivery_feed_id_state', 'delivery', ['feed_id', 'state'], unique=False)

    op.create_table('product_link',
    sa.Column('feed_id', sa.Integer(), nullable=False),
    sa.Column('supplier_sku', sa.Text(), nullable=False),
    sa.Column('sku', sa.Text(), nullable=False),
    sa.Column('factor_numerator', sa.Integer(), nullable=False),
    sa.Column('factor_denominator', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['feed_id'], ['feed.id'], name=op.f('fk_product_link_feed_id_feed')),
    sa.PrimaryKeyConstraint('feed_id', 'supplier_sku', name=op.f('pk_product_link'))
    )
    op.create_index('ix_product_link_sku', 'product_link', ['sku'], unique=False)

    op.create_table('contract_audit',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('delivery_id', sa.BigInteger(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('agrees', sa.Boolean(), nullable=False),
    sa.Column('result', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['delivery_id'], ['delivery.id'], name=op.f('fk_contract_audit_delivery_id_delivery')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contract_audit'))
    )
    op.create_table('rejection',
    sa.Column('delivery_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('row', sa.BigInteger(), nullable=True),
    sa.Column('line', sa.BigInteger(), nullable=True),
    sa.Column('column_name', sa.Text(), nullable=True),
    sa.Column('value', sa.Text(), nullable=True),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('remedy', sa.Text(), nullable=False),
    sa.Column('severity', sa.String(length=10), nullable=False),
    sa.ForeignKeyConstraint(['delivery_id'], ['delivery.id'], name=op.f('fk_rejection_delivery_id_delivery')),
    sa.PrimaryKeyConstraint('delivery_id', 'number', name=op.f('pk_rejection'))
    )


    op.execute("INSERT INTO clock (name, value) VALUES ('change', 0)")
    for statement in statements(op.get_bind().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore a backup: stock history is never dropped by a command")
