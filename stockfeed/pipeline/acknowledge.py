"""Tells the source that a delivery is safely ours (leave, move, delete, mark as seen): only ever after the commit (I14)."""

import structlog

from connectors.protocols import Answering
from connectors.registry import load_source
from schemas.errors import PermanentError, TransientError
from schemas.feed_config import Feed
from stockfeed.bootstrap import App
from stockfeed.store import deliveries
from stockfeed.store.engine import read, write

log = structlog.get_logger()


def source_of(config: Feed) -> str:
    """Return what a stored reference belongs to: the type of the feed's source, and its connection if it has one."""
    return " ".join(filter(None, (config.source.type, config.source.connection)))


def acknowledge(app: App, delivery_id: int) -> bool:
    """Acknowledge one ended delivery at its source and return whether that was done; safe to repeat.

    A reference of another source than the feed has now is given to nobody: it would name something else there. It ends as
    "failed", and the file stays where it was. Raises what the source raises: the delivery stays pending and a later call
    tries again.
    """
    with read(app.engine) as connection:
        delivery = deliveries.load(connection, delivery_id)
    if delivery is None:
        raise PermanentError(f"there is no delivery {delivery_id}", "See `stockfeed deliveries list`.")
    if delivery.acknowledgement != "pending" or delivery.state == "received":
        return False
    config = app.config.feed(delivery.feed)
    if delivery.source is not None and delivery.source != source_of(config):
        return _give_up(app, delivery, source_of(config))
    connection_name = config.source.connection
    source = load_source(config, app.resolve(connection_name) if connection_name else None)
    answered = _answer(app, config, delivery, source)
    source.acknowledge(delivery.reference or {})
    with write(app.engine) as connection:
        deliveries.change(connection, delivery_id, acknowledgement="done")
    log.info("acknowledged", feed=delivery.feed, delivery=delivery_id, answers=answered)
    return True


def _answer(app: App, config: Feed, delivery: deliveries.Delivery, source: object) -> int:
    """Send the EDI acknowledgements of an ended delivery back by the door it came through; return how many were sent.

    They are made anew from the archived bytes, always the same, so a crash in between sends the same file again and nothing else.
    """
    from stockfeed.pipeline.interchanges import answers_to

    if not isinstance(source, Answering):
        return 0
    return sum(source.answer(answer.name, answer.content) for answer in answers_to(app, config, delivery))


def _give_up(app: App, delivery: deliveries.Delivery, present: str) -> bool:
    with write(app.engine) as connection:
        deliveries.change(connection, delivery.id, acknowledgement="failed")
    log.warning(
        "acknowledgement_failed", feed=delivery.feed, delivery=delivery.id, fetched_from=delivery.source, source=present,
        hint=f"{delivery.source_name} is safely archived; move or delete it at the old source by hand",
    )  # fmt: skip
    return False


def acknowledge_all(app: App, feed_code: str) -> int:
    """Acknowledge every ended delivery of a feed that its source does not know of yet; return how many.

    A delivery that its source refuses does not keep the others waiting: the first such error is raised at the end. One that
    says the source cannot be reached is raised at once.
    """
    from stockfeed.pipeline.collect import feed_row

    row = feed_row(app, feed_code)
    with read(app.engine) as connection:
        pending = deliveries.unacknowledged(connection, row.id)
    done, refused = 0, []
    for delivery_id in pending:
        try:
            done += acknowledge(app, delivery_id)
        except TransientError:
            raise
        except PermanentError as error:
            refused.append(error)
    if refused:
        raise refused[0]
    return done
