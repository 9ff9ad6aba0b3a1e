"""Holds: what waits for a person, with its findings, and how it was decided."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, update

from schemas.tables import hold
from stockfeed.store import held_levels


def open_for_delivery(
    connection: Connection, *, feed_id: int, delivery_id: int, findings: Sequence[dict[str, Any]], at: datetime
) -> int:
    """Open a hold on a delivery and return its id."""
    values = {"kind": "delivery", "feed_id": feed_id, "delivery_id": delivery_id, "findings": list(findings), "opened_at": at}
    return int(connection.execute(insert(hold).values(state="open", **values).returning(hold.c.id)).scalar_one())


def close_for_delivery(
    connection: Connection,
    delivery_id: int,
    *,
    state: Literal["released", "rejected", "superseded"],
    at: datetime,
    by: str,
    reason: str,
) -> int:
    """Close the open holds of a delivery and return how many there were; the levels kept of it go with them."""
    held_levels.drop(connection, delivery_id, at)
    closed = connection.execute(
        update(hold)
        .where(hold.c.delivery_id == delivery_id, hold.c.state == "open")
        .values(state=state, decided_at=at, decided_by=by, reason=reason)
    )
    return closed.rowcount
