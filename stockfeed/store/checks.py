"""When each safety check last ran and what it found: a check that has stopped running is itself an alarm (F54)."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert

from schemas.tables import check_run


def ran(connection: Connection, name: str, *, at: datetime, outcome: str, detail: Any = None) -> None:
    """Record that a check ran just now."""
    connection.execute(delete(check_run).where(check_run.c.name == name))
    connection.execute(insert(check_run).values(name=name, ran_at=at, outcome=outcome, detail=detail))
