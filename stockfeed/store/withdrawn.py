"""Values whose outbox row was withdrawn when the configuration no longer listed their location, and that are offered again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, exists, select

from schemas.tables import available_to_sell, publication
from stockfeed.store.publications import put_again


def offer_again(connection: Connection, channel: str, locations: Sequence[str], *, cause: str, at: datetime) -> int:
    """Put the offered values of these locations back into the outbox whose only rows were superseded; return how many.

    Without it a location that leaves the configuration and comes back before it was written would never be told its
    numbers: the values have not changed, so no allocation would send them.
    """
    a, p = available_to_sell.c, publication.c
    same = and_(p.channel == a.channel, p.sku == a.sku, p.channel_location == a.channel_location, p.version == a.version)
    wanted = select(a.sku, a.channel_location, a.quantity, a.version).where(
        a.channel == channel,
        a.channel_location.in_(locations),
        exists().where(same, p.state == "superseded"),
        ~exists().where(same, p.state != "superseded"),
    )
    rows: list[Any] = [tuple(row) for row in connection.execute(wanted)]
    return len(put_again(connection, channel, rows, cause=cause, at=at))
