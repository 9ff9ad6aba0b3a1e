"""The supply side: feeds, deliveries, levels and their history, products, holds, reservations."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from schemas.instants import UtcDateTime
from schemas.tables.metadata import BigId, metadata

# One row per feed ever seen: its order position, lease and clock. `fence` grows with every lease taken.
feed = Table(
    "feed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("code", String(130), nullable=False, unique=True),  # "acme.stock"
    Column("supplier", String(60), nullable=False),
    Column("supplier_name", Text, nullable=False),
    Column("supplier_kind", String(30), nullable=False),
    Column("config_version", String(64)),
    Column("policy", JSON, nullable=False, default=dict),  # what ATS needs of the config: trust, buffer, priority, stale_after …
    Column("in_shadow", Boolean, nullable=False, default=True),
    Column("epoch", Integer, nullable=False, default=0),  # grows with every undo
    Column("last_applied_id", BigInteger),  # delivery whose snapshot the levels are
    Column("as_of", UtcDateTime),  # of that snapshot, refreshed by "unchanged" deliveries
    Column("order_key", BigInteger),  # order position of the last applied delivery, microseconds or arrival number
    Column("order_by", String(12)),  # what order_key counts: own | source_time | arrival
    Column("confirmed_at", UtcDateTime),  # when the levels were last confirmed by a delivery (our clock)
    Column("content_since", UtcDateTime),  # as_of of the first delivery with these bytes: "export frozen"
    Column("stale_at", UtcDateTime),  # as_of + stale_after
    Column("is_stale", Boolean, nullable=False, default=False),  # as last judged by the sweep
    Column("missing_after", Integer, nullable=False, default=2),  # absent snapshots until a level counts as 0
    Column("superseded_in_a_row", Integer, nullable=False, default=0),
    Column("listing", JSON, nullable=False, default=dict),  # last listing of the source (settle rule)
    Column("collected_at", UtcDateTime),  # last finished collect
    Column("last_error", Text),
    Column("fence", BigInteger, nullable=False, default=0),
    Column("lease_holder", String(200)),
    Column("lease_until", UtcDateTime),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("feed_id", Integer, ForeignKey("feed.id"), nullable=False),
    Column("source_name", Text, nullable=False),
    Column("source_identity", Text, nullable=False),
    Column("source_time", UtcDateTime),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("config_version", String(64), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("as_of", UtcDateTime),
    Column("order_key", BigInteger),
    Column("state", String(20), nullable=False, default="received"),
    Column("reason", Text),  # one sentence: why it is in this state
    Column("reason_code", String(40)),
    Column("ended_at", UtcDateTime),
    Column("applied_before_id", BigInteger),  # the delivery whose snapshot this one replaced
    Column("feed_before", JSON),  # as_of, order_key, confirmed_at … before it was applied (undo)
    Column("epoch", Integer, nullable=False, default=0),
    Column("rows_read", BigInteger),
    Column("rows_accepted", BigInteger),
    Column("rows_rejected", BigInteger),
    Column("rows_skipped", BigInteger),
    Column("skipped", JSON),  # reason → rows
    Column("records", BigInteger),
    Column("changes", BigInteger),
    Column("reading", JSON),
    Column("arrival_findings", JSON),  # what the source found about the arrival; part of every judgement
    Column("findings", JSON),  # those, and everything found when it was judged last
    Column("locations", JSON),  # scope = "location": the locations it covers; null: the whole feed
    Column("mode", String(10)),  # how it was read: snapshot | delta; null: not ended, or ended before this was kept
    Column("source", Text),  # source type and connection that `reference` belongs to; null: recorded before this was kept
    Column("profile", JSON),  # what the guard compares the next delivery with
    Column("attempts", Integer, nullable=False, default=0),
    Column("discarded_at", UtcDateTime),  # retention removed the bytes from the archive
    Column("acknowledgement", String(10), nullable=False, default="none"),  # none | pending | done | failed
    Column("reference", JSON),
    UniqueConstraint("feed_id", "source_identity", "sha256", "config_version"),
    Index("ix_delivery_feed_id_state", "feed_id", "state"),
    Index("ix_delivery_feed_id_sha256", "feed_id", "sha256"),
    CheckConstraint(
        "state IN ('received','applied','held','rejected','superseded','duplicate','unchanged','ignored','undone')", name="state"
    ),
)

# What a line difference needs to know of a feed's last applied delivery beside its bytes and its levels; written with them.
last_reading = Table(
    "last_reading",
    metadata,
    Column("feed_id", Integer, primary_key=True, autoincrement=False),
    Column("delivery_id", BigInteger, nullable=False),
    Column("meaning", String(64), nullable=False),  # SHA-256 of the configuration and the code that read it
    Column("content", LargeBinary, nullable=False),  # compressed JSON, see stockfeed.pipeline.last_reading
)

rejection = Table(
    "rejection",
    metadata,
    Column("delivery_id", BigInteger, ForeignKey("delivery.id"), primary_key=True),
    Column("number", Integer, primary_key=True),  # 1, 2, 3 … within the delivery
    Column("row", BigInteger),
    Column("line", BigInteger),
    Column("column_name", Text),
    Column("value", Text),
    Column("code", String(40), nullable=False),
    Column("message", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("severity", String(10), nullable=False),
)

# Where each location of a feed with scope = "location" stands: its own age. A feed without rows here is one whole.
feed_location = Table(
    "feed_location",
    metadata,
    Column("feed_id", Integer, primary_key=True, autoincrement=False),
    Column("location", Text, primary_key=True),
    Column("as_of", UtcDateTime, nullable=False),  # refreshed by "unchanged" deliveries
    Column("confirmed_at", UtcDateTime),
    Column("stale_at", UtcDateTime, nullable=False),
    Column("is_stale", Boolean, nullable=False, default=False),  # as last judged
    Column("applied_as_of", UtcDateTime, nullable=False),  # of its last applied delivery: what seen sales are measured by
    Column("delivery_id", BigInteger),  # that delivery: its bytes are in force; null: one of before locations had an age
    Index("ix_feed_location_delivery_id", "delivery_id"),
)

# Quantities of deliveries that are held in a feed with while_held = "lower": ATS offers the smaller. Gone with the hold.
held_level = Table(
    "held_level",
    metadata,
    Column("feed_id", Integer, primary_key=True, autoincrement=False),
    Column("supplier_sku", Text, primary_key=True),
    Column("location", Text, primary_key=True),
    Column("condition", Text, primary_key=True),
    Column("delivery_id", BigInteger, primary_key=True, autoincrement=False),
    Column("quantity", BigInteger, nullable=False),  # available, else on hand
    Index("ix_held_level_delivery_id", "delivery_id"),
    sqlite_with_rowid=False,
)

# The central table. Absent keys keep their row: missing_count says for how many complete snapshots in a row.
inventory = Table(
    "inventory",
    metadata,
    # No foreign keys here: PostgreSQL would check each of a million rows; `stockfeed db check` does instead.
    Column("feed_id", Integer, primary_key=True, autoincrement=False),
    Column("supplier_sku", Text, primary_key=True),
    Column("location", Text, primary_key=True),
    Column("condition", Text, primary_key=True),
    Column("sku", Text),  # master SKU; null: not linked
    Column("on_hand", BigInteger),
    Column("available", BigInteger),
    Column("on_order", BigInteger),
    Column("unit", Text),
    Column("next_available_on", Date),
    Column("unit_cost", BigInteger),
    Column("currency", String(3)),
    Column("gtin", String(14)),
    Column("mpn", Text),
    Column("delivery_id", BigInteger, nullable=False),  # last changed by
    Column("source_row", BigInteger, nullable=False),
    Column("missing_count", SmallInteger, nullable=False, default=0),
    Column("unconfirmed_count", SmallInteger, nullable=False, default=0),
    Column("confirmed_delivery_id", BigInteger),  # null: by the feed's last applied delivery
    Index("ix_inventory_sku", "sku"),
    sqlite_with_rowid=False,
)

# Append-only history. `id` is taken from `clock` inside the commit, so a smaller id is never visible later.
level_change = Table(
    "level_change",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("feed_id", Integer, nullable=False),
    Column("supplier_sku", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("sku", Text),
    Column("kind", String(12), nullable=False),  # new | changed | missing | unconfirmed | confirmed | undone
    Column("delivery_id", BigInteger, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("before", JSON),  # the whole row before, null for a new one
    Column("on_hand_before", BigInteger),
    Column("available_before", BigInteger),
    Column("on_hand_after", BigInteger),
    Column("available_after", BigInteger),
    Column("on_order_after", BigInteger),
    Index("ix_level_change_delivery_id", "delivery_id"),  # BRIN on PostgreSQL (migration 0008)
    # Only of rows whose kind is not "new" (migration 0004; said here, the condition would load PostgreSQL's dialect everywhere):
    # of a first delivery nearly everything is new, and only the rest is ever asked for by kind.
    Index("ix_level_change_not_new", "delivery_id", "kind"),
    Index("ix_level_change_feed_id_supplier_sku", "feed_id", "supplier_sku"),  # BRIN on PostgreSQL (migration 0009)
)

# Counters whose row lock orders commits: "change" numbers level_change, ats_change and dirty_mark together.
clock = Table("clock", metadata, Column("name", String(20), primary_key=True), Column("value", BigInteger, nullable=False))

# Reasons besides level changes to compute ATS again: sku, feed or everything.
dirty_mark = Table(
    "dirty_mark",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(10), nullable=False),  # sku | feed | all
    Column("key", Text, nullable=False),  # master SKU, feed id as text, or ""
    Column("reason", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

product = Table(
    "product",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("brand", Text),
    Column("tags", JSON, nullable=False, default=list),
)

product_link = Table(
    "product_link",
    metadata,
    Column("feed_id", Integer, ForeignKey("feed.id"), primary_key=True),
    Column("supplier_sku", Text, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("factor_numerator", Integer, nullable=False, default=1),  # sellable units per supplier unit
    Column("factor_denominator", Integer, nullable=False, default=1),
    Index("ix_product_link_sku", "sku"),
)

hold = Table(
    "hold",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("kind", String(12), nullable=False),  # delivery | publish
    Column("feed_id", Integer),
    Column("delivery_id", BigInteger),
    Column("channel", String(60)),
    Column("findings", JSON, nullable=False),
    Column("state", String(12), nullable=False, default="open"),  # open | released | rejected | superseded
    Column("opened_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("decided_by", Text),
    Column("reason", Text),
    Index("ix_hold_state", "state"),
)

# Units that are sold or promised but not yet inside the supplier's number. feed_id null: without a source.
reservation = Table(
    "reservation",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("kind", String(12), nullable=False),  # order | seen_sale
    Column("sku", Text, nullable=False),
    Column("feed_id", Integer),
    Column("channel", String(60)),
    Column("channel_location", Text),
    Column("units", BigInteger, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("sources", JSON),  # seen sales: {"feeds": [id …], "locations": [source location …]} the units may have come from
    Column("released_at", UtcDateTime),
    Column("released_by", Text),  # "delivery 17"
    Index("ix_reservation_sku", "sku"),
)
