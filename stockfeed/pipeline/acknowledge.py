"""Tells the source that a delivery is safely ours (leave, move, delete, mark as seen): only ever after the commit (I14)."""

import structlog

from connectors.registry import load_source
from schemas.errors import PermanentError
from stockfeed.bootstrap import App
from stockfeed.store import deliveries
from stockfeed.store.engine import read, write

log = structlog.get_logger()


def acknowledge(app: App, delivery_id: int) -> bool:
    """Acknowledge one ended delivery at its source and return whether there was anything to do; safe to repeat.

    Raises what the source raises: the delivery stays pending and a later call tries again.
    """
    with read(app.engine) as connection:
        delivery = deliveries.load(connection, delivery_id)
    if delivery is None:
        raise PermanentError(f"there is no delivery {delivery_id}", "See `stockfeed deliveries list`.")
    if delivery.acknowledgement != "pending" or delivery.state == "received":
        return False
    config = app.config.feed(delivery.feed)
    connection_name = config.source.connection
    source = load_source(config, app.resolve(connection_name) if connection_name else None)
    source.acknowledge(delivery.reference or {})
    with write(app.engine) as connection:
        deliveries.change(connection, delivery_id, acknowledgement="done")
    log.info("acknowledged", feed=delivery.feed, delivery=delivery_id)
    return True


def acknowledge_all(app: App, feed_code: str) -> int:
    """Acknowledge every ended delivery of a feed that its source does not know of yet; return how many."""
    from stockfeed.pipeline.collect import feed_row

    row = feed_row(app, feed_code)
    with read(app.engine) as connection:
        pending = deliveries.unacknowledged(connection, row.id)
    return sum(acknowledge(app, delivery_id) for delivery_id in pending)
