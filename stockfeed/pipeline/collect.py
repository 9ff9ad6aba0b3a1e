"""The verb collect: list, pick, download, archive, record. Changes nothing at the source; `acknowledge` does, later."""

import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from importlib import import_module

import structlog
from sqlalchemy import Connection

from connectors.registry import load_source
from schemas.errors import StockfeedError, TransientError
from schemas.feed_config import Feed
from schemas.tables import feed as feed_table
from schemas.transfer import Fetched, Seen
from stockfeed.bootstrap import App
from stockfeed.pipeline.acknowledge import source_of
from stockfeed.pipeline.lease import Lease, hold_lease
from stockfeed.pipeline.ordering import source_position
from stockfeed.pipeline.results import CollectResult
from stockfeed.settings import feed_config_version
from stockfeed.store import deliveries, feeds
from stockfeed.store.engine import read, write

log = structlog.get_logger()
_READING = "stockfeed.pipeline.by_line"


def register_feeds(app: App) -> None:
    """Write the configured feeds to the database, so that every other verb finds them."""
    rows = [(code, app.config.supplier_of(code), config, feed_config_version(config)) for code, config in app.config.feeds.items()]
    with write(app.engine) as connection:
        feeds.register(connection, rows, app.clock())


def feed_row(app: App, code: str) -> feeds.FeedRow:
    """Return the database's state of a configured feed, registering it when it is new or its policy changed."""
    app.config.feed(code)
    with read(app.engine) as connection:
        row = feeds.load(connection, code)
    if row is None or row.config_version != feed_config_version(app.config.feed(code)):
        register_feeds(app)
        with read(app.engine) as connection:
            row = feeds.load(connection, code)
    assert row is not None
    return row


def collect(app: App, feed_code: str) -> CollectResult:
    """Return the deliveries that wait to be ingested, after fetching what is new at the source.

    Raises CredentialsError, TransientError (unreachable, short file, disk full), ConfigError. What was recorded before an
    error stays recorded, and the next call goes on from there.
    """
    config = app.config.feed(feed_code)
    row = feed_row(app, feed_code)
    check_space(app)
    with hold_lease(app, feed_table, feed_code) as lease:
        with read(app.engine) as connection:
            seen = Seen(deliveries.identities(connection, row.id), {k: (v[0], v[1], v[2]) for k, v in row.listing.items()})
        try:
            recorded = _fetch_all(app, config, row, seen, lease)
        except StockfeedError as error:
            _finish(lease, row.id, seen, error=error.message, at=None)
            raise
        _finish(lease, row.id, seen, error=None, at=app.clock())
        with read(app.engine) as connection:
            ids = deliveries.waiting(connection, row.id)
    log.info("collected", feed=feed_code, new=recorded.count(True), waiting=len(ids), left=len(seen.waiting))
    return CollectResult(feed_code, tuple(ids), dict(seen.waiting), recorded.count(False))


def _fetch_all(app: App, config: Feed, row: feeds.FeedRow, seen: Seen, lease: Lease) -> list[bool]:
    connection = app.resolve(config.source.connection) if config.source.connection else None
    source = load_source(config, connection)
    app.settings.spool_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return [_record(app, config, row, fetched, lease) for fetched in source.fetch(config, seen, app.settings.spool_dir)]


def _record(app: App, config: Feed, row: feeds.FeedRow, fetched: Fetched, lease: Lease) -> bool:
    """Return whether one arrival was new."""
    if not app.archive.path(fetched.sha256).exists():  # bytes that came before may well be the same again
        _load_reading_beside()
    try:
        lease.renew()
        return archive_and_record(app, row, config, fetched, lease.write) is not None
    finally:
        fetched.path.unlink(missing_ok=True)  # a retry fetches anew; nothing piles up in the spool


def _load_reading_beside() -> None:
    """Import what reads a delivery while the disk takes its bytes; a run that finds nothing new does without it.

    The interpreter waits for it at its end: to stop inside a library would be a crash.
    """
    if _READING not in sys.modules:
        threading.Thread(target=import_module, args=(_READING,), name="imports").start()


def archive_and_record(
    app: App, row: feeds.FeedRow, config: Feed, fetched: Fetched, writing: Callable[[], AbstractContextManager[Connection]]
) -> int | None:
    """Archive one arrival, then add it to the ledger (never the other way round: I1). Returns its id, None when it was known."""
    place = source_position(config, fetched.source_time, fetched.name)
    with app.archive.kept():  # retention removes nothing between the two
        app.archive.store(fetched.path, fetched.sha256)
        with writing() as connection:
            new = deliveries.record(
                connection,
                feed_id=row.id,
                fetched=fetched,
                source=source_of(config),
                config_version=feed_config_version(config),
                order_key=place,
                at=app.clock(),
            )
    log.info("delivery_received" if new else "delivery_known", feed=row.code, name=fetched.name, size=fetched.size, delivery=new)
    return new


def _finish(lease: Lease, feed_id: int, seen: Seen, *, error: str | None, at: datetime | None) -> None:
    values = {"listing": {name: list(entry) for name, entry in seen.listing.items()}, "last_error": error}
    with lease.write() as connection:
        feeds.change(connection, feed_id, **values, **({"collected_at": at} if at else {}))


def check_space(app: App) -> None:
    """Refuse before fetching when not even one delivery of the allowed size would fit (F43)."""
    place = next(p for p in (app.settings.archive_dir, *app.settings.archive_dir.parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < app.settings.file_bytes // 10:
        raise TransientError(
            f"the disk of {place} has only {free // 1_000_000} MB free",
            "Free some space, then run the same command again; nothing was lost.",
        )
