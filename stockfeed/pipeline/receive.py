"""A file that was pushed to us, by a supplier or a person: archived, then recorded as a delivery. Reads no content."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from connectors.selection import unsafe_reason
from schemas.errors import ConfigError, PermanentError
from schemas.rejections import escape_value
from schemas.transfer import Fetched
from stockfeed.bootstrap import App
from stockfeed.pipeline.collect import archive_and_record, check_space, feed_row
from stockfeed.store import deliveries
from stockfeed.store.engine import read, write


@dataclass(frozen=True, slots=True)
class Received:
    """The delivery of a pushed file; not `is_new` when exactly this push was recorded before."""

    delivery_id: int | None
    is_new: bool


def check_name(name: str) -> None:
    """Raise PermanentError when a pushed file's name is none: it is shown to people, and never becomes a path."""
    why = unsafe_reason(name)
    if why is None and "\\" in name:
        why = "holds a path separator; rename it"
    if why is None and not name.isprintable():
        why = "holds characters that cannot be shown; rename it"
    if why:
        raise PermanentError(f"{escape_value(name)} {why}", "Send a plain file name such as stock.csv.")


def receive(app: App, feed_code: str, fetched: Fetched) -> Received:
    """Return the recorded delivery of a spooled file; it is safe when this returns. The spooled file is the caller's to remove.

    Needs no lease: it writes nothing of the feed's state. Raises ConfigError (no such feed, or no time although the feed
    is ordered by it), TransientError (disk, database).
    """
    config = app.config.feed(feed_code)
    check_space(app)
    if config.order_by == "source_time" and fetched.source_time is None:
        words = f"feed {feed_code} is ordered by source_time, and {fetched.name} came without one"
        raise ConfigError(words, "Send the time of the stock with it.")
    new = archive_and_record(app, feed_row(app, feed_code), config, fetched, partial(write, app.engine))
    return Received(new, new is not None)


def known_push(app: App, feed_code: str, identity: str) -> tuple[int, str] | None:
    """Return id and SHA-256 of the delivery that was pushed with this identity before, None if there is none."""
    with read(app.engine) as connection:
        return deliveries.of_identity(connection, feed_row(app, feed_code).id, identity)


def identity_of(name: str, sha256: str, *, key: str | None, at: datetime) -> str:
    """Return what names a push for ever: the sender's own key where there is one, else name, content and moment."""
    return f"push|{name}|key:{key}" if key else f"push|{name}|{sha256}|{at.isoformat()}"
