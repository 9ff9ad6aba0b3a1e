"""Marks that ask for ATS to be computed again, for reasons other than a changed level."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert

from schemas.tables import dirty_mark
from stockfeed.store.engine import next_change_ids


def mark(connection: Connection, kind: Literal["sku", "feed", "all"], keys: Sequence[str], *, reason: str, at: datetime) -> None:
    """Mark SKUs, feeds (by id as text) or everything ([""]) dirty; allocation sees the mark after this commits."""
    if not keys:
        return
    base = next_change_ids(connection, len(keys))
    connection.execute(
        insert(dirty_mark),
        [{"id": base + n, "kind": kind, "key": key, "reason": reason, "at": at} for n, key in enumerate(keys, start=1)],
    )
