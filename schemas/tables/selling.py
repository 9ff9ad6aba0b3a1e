"""The selling side: channels, listings, available-to-sell quantities with their history, and the outbox."""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from schemas.instants import UtcDateTime
from schemas.tables.metadata import BigId, metadata

channel = Table(
    "channel",
    metadata,
    Column("code", String(60), primary_key=True),
    Column("config_version", String(64)),
    Column("cursor", BigInteger, nullable=False, default=0),  # last change id that ATS has seen
    Column("late_feeds", JSON),  # ids of feeds that counted as stale before a sweep said so
    Column("approved_at", UtcDateTime),
    Column("approved_by", Text),
    Column("paused_at", UtcDateTime),
    Column("paused_by", Text),
    Column("reconciled_at", UtcDateTime),
    Column("last_error", Text),
    Column("fence", BigInteger, nullable=False, default=0),
    Column("lease_holder", String(200)),
    Column("lease_until", UtcDateTime),
)

listing = Table(
    "listing",
    metadata,
    Column("channel", String(60), primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("channel_location", Text, primary_key=True),
    Column("ids", JSON, nullable=False),
    Column("status", String(12), nullable=False),
    Column("message", Text),
    Column("confirmed_quantity", BigInteger),  # what the channel last confirmed or showed and we accounted for
    Column("confirmed_version", BigInteger),
    Column("confirmed_at", UtcDateTime),
    Column("resolved_at", UtcDateTime, nullable=False),
)

available_to_sell = Table(
    "available_to_sell",
    metadata,
    Column("channel", String(60), primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("channel_location", Text, primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("reason_code", String(40), nullable=False),
    Column("fresh_quantity", BigInteger),  # the last quantity that was not a staleness or shadow zero (publish gate)
    Column("steps", JSON, nullable=False),
    Column("computed_at", UtcDateTime, nullable=False),
)

# Append-only ATS history, numbered from the same clock as level_change.
ats_change = Table(
    "ats_change",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel", String(60), nullable=False),
    Column("sku", Text, nullable=False),
    Column("channel_location", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("before", BigInteger),
    Column("after", BigInteger, nullable=False),
    Column("reason_code", String(40), nullable=False),
    Column("cause", Text),  # "delivery 17", or why the SKU was marked dirty
    Column("baseline", BigInteger),  # what the publish gate compares with: before, or the last fresh value after staleness
    Column("at", UtcDateTime, nullable=False),
    Index("ix_ats_change_channel_at", "channel", "at"),
)

# The outbox. At most one pending row per listing: a newer value supersedes it. A batch is stored before it is sent.
publication = Table(
    "publication",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("channel", String(60), nullable=False),
    Column("sku", Text, nullable=False),
    Column("channel_location", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("expected", BigInteger),  # compare-and-set value of the attempt in flight
    Column("version", BigInteger, nullable=False),
    Column("idempotency_key", String(64), nullable=False),
    Column("batch", String(64)),
    Column("state", String(12), nullable=False, default="pending"),
    Column("cause", Text),
    Column("attempts", Integer, nullable=False, default=0),
    Column("answer_code", Text),
    Column("answer", Text),
    Column("hold_id", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Index("ix_publication_channel_state", "channel", "state"),
    Index("ix_publication_channel_sku", "channel", "sku"),
    CheckConstraint("state IN ('pending','sent','confirmed','failed','unknown','superseded','held')", name="state"),
)
