"""Every table, in SQLAlchemy Core: the only part of this package that imports SQLAlchemy.

Quantities are BIGINT thousandths of the supplier's unit, costs BIGINT ten-thousandths (docs/decisions/0003); the public
views show NUMERIC. Times are UTC. The views and indexes are made by the migrations.
"""

from schemas.tables.metadata import BigId, metadata
from schemas.tables.records import audit, check_run, contract_audit
from schemas.tables.selling import ats_change, available_to_sell, channel, listing, publication
from schemas.tables.stock import (
    clock,
    delivery,
    dirty_mark,
    feed,
    feed_location,
    held_level,
    hold,
    inventory,
    last_reading,
    level_change,
    product,
    product_link,
    rejection,
    reservation,
)

__all__ = [
    "BigId",
    "ats_change",
    "audit",
    "available_to_sell",
    "channel",
    "check_run",
    "clock",
    "contract_audit",
    "delivery",
    "dirty_mark",
    "feed",
    "feed_location",
    "held_level",
    "hold",
    "inventory",
    "last_reading",
    "level_change",
    "listing",
    "metadata",
    "product",
    "product_link",
    "publication",
    "rejection",
    "reservation",
]
