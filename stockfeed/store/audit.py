"""The audit trail: who did what to what, when, and why. Append-only."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from schemas.tables import audit


def record(
    connection: Connection, *, at: datetime, actor: str, act: str, subject: str, reason: str | None = None, detail: Any = None
) -> None:
    """Add one act of a person or of the system."""
    connection.execute(insert(audit).values(at=at, actor=actor, act=act, subject=subject, reason=reason, detail=detail))
