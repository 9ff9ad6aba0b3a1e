"""What people and checks did: acts, audits of contracts, runs of safety checks."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    String,
    Table,
    Text,
)

from schemas.instants import UtcDateTime
from schemas.tables.metadata import BigId, metadata

audit = Table(
    "audit",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", String(40), nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text),
    Column("detail", JSON),
)

contract_audit = Table(
    "contract_audit",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("delivery_id", BigInteger, ForeignKey("delivery.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("agrees", Boolean, nullable=False),
    Column("result", JSON, nullable=False),
)

# When each safety check last ran and what it found: a check that stops running is itself an alarm.
check_run = Table(
    "check_run",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("ran_at", UtcDateTime, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("detail", JSON),
)
