"""What is kept of the reading of each feed's last applied delivery, for the line difference. One row a feed.

Never says anything about a delivery that is not the one in force: the caller compares the id.
"""

from sqlalchemy import Connection, delete, select

from schemas.tables import last_reading
from stockfeed.store.engine import insert_or


def save(connection: Connection, feed_id: int, delivery_id: int, meaning: str, content: bytes) -> None:
    """Keep the reading of a delivery that is being applied, in place of the one before."""
    values = {"delivery_id": delivery_id, "meaning": meaning, "content": content}
    row = insert_or(connection, last_reading).values(feed_id=feed_id, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["feed_id"], set_=values))


def forget(connection: Connection, feed_id: int) -> None:
    """Keep nothing for this feed: its next delivery is read as a whole."""
    connection.execute(delete(last_reading).where(last_reading.c.feed_id == feed_id))


def load(connection: Connection, feed_id: int, delivery_id: int, meaning: str) -> bytes | None:
    """Return what was kept of this delivery if it was read in this meaning, else None."""
    c = last_reading.c
    found = select(c.content).where(c.feed_id == feed_id, c.delivery_id == delivery_id, c.meaning == meaning)
    content = connection.execute(found).scalar()
    return None if content is None else bytes(content)
