"""Puts the levels of a feed back to what they were before a delivery, as a new epoch (I17).

Set operations only: a million levels go back without passing through this process. The master SKU is left alone: it
follows the product links, not the deliveries.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Date,
    MetaData,
    Select,
    Table,
    Text,
    and_,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from schemas.columns import KEY_COLUMNS
from schemas.tables import inventory, level_change
from stockfeed.store.comparison import VALUE_COLUMNS, same_key
from stockfeed.store.engine import next_change_ids

_EFFECT = ("missing", "unconfirmed", "changed", "new")
_RESTORED = (*VALUE_COLUMNS, "delivery_id", "source_row", "missing_count", "unconfirmed_count", "confirmed_delivery_id")

_temporary = MetaData()
#: The first change of each level since the delivery: its `before` is what undo restores.
touched = Table(
    "touched",
    _temporary,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Text) for name in KEY_COLUMNS),
    Column("kind", Text),
    prefixes=["TEMPORARY"],
)


def restore_levels(connection: Connection, *, feed_id: int, delivery_id: int, at: datetime) -> int:
    """Restore every level that this delivery, or one after it, changed; return how many.

    Later "unchanged" deliveries may have advanced missing counters on top of it: they are undone with it.
    """
    since = connection.execute(first_change(feed_id, delivery_id)).scalar()
    if since is None:
        return 0
    _temporary.create_all(connection, checkfirst=False)
    count = _fill_touched(connection, feed_id, since)
    _write_history(connection, feed_id, delivery_id, next_change_ids(connection, count), at)
    keys = select(*(touched.c[name] for name in KEY_COLUMNS)).where(touched.c.kind == "new")
    connection.execute(
        delete(inventory).where(inventory.c.feed_id == feed_id, tuple_(*(inventory.c[name] for name in KEY_COLUMNS)).in_(keys))
    )
    connection.execute(_rewriting(connection, feed_id))
    _temporary.drop_all(connection, checkfirst=False)
    return count


def first_change(feed_id: int, delivery_id: int) -> Select[Any]:
    """Return the query for the id of the first change by a delivery; null when it changed nothing."""
    # + 0: for the smallest bare id, PostgreSQL goes through all history from its beginning until it meets the delivery
    return select(func.min(level_change.c.id + 0)).where(
        level_change.c.feed_id == feed_id, level_change.c.delivery_id == delivery_id
    )


def _fill_touched(connection: Connection, feed_id: int, since: int) -> int:
    """Note the first change of each level since a change id; levels that are gone already need nothing."""
    earliest = (
        select(func.min(level_change.c.id))
        .where(level_change.c.feed_id == feed_id, level_change.c.id >= since, level_change.c.kind.in_(_EFFECT))
        .group_by(*(level_change.c[name] for name in KEY_COLUMNS))
    )
    names = ["id", *KEY_COLUMNS, "kind"]
    rows = (
        select(*(level_change.c[name] for name in names))
        .join(inventory, and_(inventory.c.feed_id == feed_id, same_key(level_change, inventory)))
        .where(level_change.c.id.in_(earliest))
    )
    connection.execute(insert(touched).from_select(names, rows))
    return int(connection.execute(select(func.count()).select_from(touched)).scalar_one())


def _write_history(connection: Connection, feed_id: int, delivery_id: int, base: int, at: datetime) -> None:
    """Record kind "undone": what each level is now, and what it goes back to (null for one that goes away)."""
    names = [c.name for c in level_change.columns]
    rows = (
        select(
            (func.row_number().over(order_by=touched.c.id) + base).label("id"),
            literal(feed_id),
            *(touched.c[name] for name in KEY_COLUMNS),
            inventory.c.sku,
            literal("undone"),
            literal(delivery_id),
            literal(at, level_change.c.at.type),
            null(),
            inventory.c.on_hand,
            inventory.c.available,
            level_change.c.on_hand_before,
            level_change.c.available_before,
            _restored(connection, "on_order"),
        )
        .select_from(touched)
        .join(level_change, level_change.c.id == touched.c.id)
        .join(inventory, and_(inventory.c.feed_id == feed_id, same_key(touched, inventory)))
    )
    connection.execute(insert(level_change).from_select(names, rows))


def _rewriting(connection: Connection, feed_id: int) -> Any:
    return (
        update(inventory)
        .where(
            inventory.c.feed_id == feed_id,
            same_key(touched, inventory),
            level_change.c.id == touched.c.id,
            touched.c.kind != "new",
        )
        .values({name: _restored(connection, name) for name in _RESTORED})
    )


def _restored(connection: Connection, name: str) -> ColumnElement[Any]:
    """Return one column of a level as history keeps it (JSON), in the column's own type."""
    value: ColumnElement[Any] = level_change.c.before[name].as_string()
    kind = inventory.c[name].type
    if isinstance(kind, Date):
        return value if connection.dialect.name == "sqlite" else cast(value, Date)
    return value if isinstance(kind, Text) or kind.python_type is str else cast(value, BigInteger)
