"""Puts the levels of a feed back to what they were before a delivery, as a new epoch (I17)."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, literal, null, select, tuple_, update

from schemas.records import KEY_COLUMNS
from schemas.tables import inventory, level_change
from stockfeed.store.engine import next_change_ids

_CHUNK = 5_000
_EFFECT = ("missing", "unconfirmed", "changed", "new")


def restore_levels(connection: Connection, *, feed_id: int, delivery_id: int, at: datetime) -> int:
    """Restore every level that this delivery, or one after it, changed; return how many.

    Later "unchanged" deliveries may have advanced missing counters on top of it: they are undone with it.
    """
    first = select(func.min(level_change.c.id)).where(level_change.c.feed_id == feed_id, level_change.c.delivery_id == delivery_id)
    since = connection.execute(first).scalar()
    if since is None:
        return 0
    earliest = (
        select(func.min(level_change.c.id))
        .where(level_change.c.feed_id == feed_id, level_change.c.id >= since, level_change.c.kind.in_(_EFFECT))
        .group_by(*(level_change.c[name] for name in KEY_COLUMNS))
    )
    touched = select(level_change).where(level_change.c.id.in_(earliest)).subquery()
    count = int(connection.execute(select(func.count()).select_from(touched)).scalar_one())
    base = next_change_ids(connection, count)
    _write_history(connection, touched, delivery_id, base, at)
    _delete_new(connection, feed_id, touched)
    for rows in _chunks(connection, touched):
        _rewrite(connection, feed_id, rows)
    return count


def _write_history(connection: Connection, touched: Any, delivery_id: int, base: int, at: datetime) -> None:
    """Record kind "undone": what each level is now, and that it goes back."""
    same = tuple_(inventory.c.feed_id, *(inventory.c[name] for name in KEY_COLUMNS)) == tuple_(
        touched.c.feed_id, *(touched.c[name] for name in KEY_COLUMNS)
    )
    names = [c.name for c in level_change.columns]
    rows = select(
        (func.row_number().over(order_by=touched.c.id) + base).label("id"),
        touched.c.feed_id,
        *(touched.c[name] for name in KEY_COLUMNS),
        inventory.c.sku,
        literal("undone"),
        literal(delivery_id),
        literal(at, level_change.c.at.type),
        null(),
        inventory.c.on_hand,
        inventory.c.available,
        touched.c.on_hand_before,
        touched.c.available_before,
        null(),
    ).join(inventory, same)
    connection.execute(insert(level_change).from_select(names, rows))


def _delete_new(connection: Connection, feed_id: int, touched: Any) -> None:
    keys = select(*(touched.c[name] for name in KEY_COLUMNS)).where(touched.c.kind == "new")
    connection.execute(
        delete(inventory).where(inventory.c.feed_id == feed_id, tuple_(*(inventory.c[name] for name in KEY_COLUMNS)).in_(keys))
    )


def _chunks(connection: Connection, touched: Any) -> Iterator[list[Row[Any]]]:
    found = select(*(touched.c[name] for name in KEY_COLUMNS), touched.c.before).where(touched.c.kind != "new")
    rows: list[Row[Any]] = list(connection.execute(found))
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK]


def _rewrite(connection: Connection, feed_id: int, rows: list[Row[Any]]) -> None:
    values = []
    for row in rows:
        before = row.before if isinstance(row.before, dict) else json.loads(row.before)
        values.append(_typed(before) | {f"key_{name}": row._mapping[name] for name in KEY_COLUMNS})  # noqa: SLF001 (SQLAlchemy's public way)
    same = [inventory.c[name] == bindparam(f"key_{name}") for name in KEY_COLUMNS]
    columns = [name for name in values[0] if not name.startswith("key_")]
    statement = update(inventory).where(inventory.c.feed_id == feed_id, *same)
    connection.execute(statement.values({name: bindparam(name) for name in columns}), values)


def _typed(before: dict[str, Any]) -> dict[str, Any]:
    """Return a level as it was stored in history, with its date as a date again."""
    day = before.get("next_available_on")
    return before | {"next_available_on": date.fromisoformat(day) if day else None}
