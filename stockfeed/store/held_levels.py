"""The quantities of held deliveries, kept while they are held, for feeds that offer the smaller of old and held.

Set operations only: a million levels are copied inside the database. Unknown quantities are not kept: unknown is not 0.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, literal, select

from schemas.columns import KEY_COLUMNS
from schemas.tables import held_level
from stockfeed.store.marks import mark
from stockfeed.store.staged import effective, staged


def keep(connection: Connection, feed_id: int, delivery_id: int, at: datetime) -> None:
    """Copy what is staged of a delivery that is being held, and mark its feed dirty."""
    keys = [staged.c[name] for name in KEY_COLUMNS]
    rows = select(literal(feed_id), *keys, literal(delivery_id), effective(staged)).where(effective(staged).is_not(None))
    names = ["feed_id", *KEY_COLUMNS, "delivery_id", "quantity"]
    connection.execute(insert(held_level).from_select(names, rows.order_by(*keys)))
    mark(connection, "feed", [str(feed_id)], reason=f"held delivery {delivery_id}", at=at)


def drop(connection: Connection, delivery_id: int, at: datetime) -> None:
    """Forget the quantities of a delivery that is no longer held, if any were kept, and mark its feed dirty."""
    mine = held_level.c.delivery_id == delivery_id
    feed_id = connection.execute(select(held_level.c.feed_id).where(mine).limit(1)).scalar()
    if feed_id is None:
        return
    connection.execute(delete(held_level).where(mine))
    mark(connection, "feed", [str(feed_id)], reason=f"delivery {delivery_id} is no longer held", at=at)
