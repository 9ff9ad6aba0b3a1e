"""The composition root: settings in, one App with everything the verbs need out.

Never reads a secret: connections are resolved when a verb asks for one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from schemas.connections import Connection
from schemas.feed_config import SourceSection
from stockfeed.secrets import find_connection
from stockfeed.settings import Config, Settings, load_config
from stockfeed.store.archive import Archive
from stockfeed.store.engine import make_engine

Clock = Callable[[], datetime]
Resolver = Callable[[str], Connection]


def utc_now() -> datetime:
    """Return the present instant, aware UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class App:
    """What every verb gets: settings, configuration, database, archive, clock and where secrets come from."""

    settings: Settings
    config: Config
    engine: Engine
    archive: Archive
    clock: Clock
    resolve: Resolver


@contextmanager
def open_app(
    settings: Settings, *, config: Config | None = None, resolver: Resolver | None = None, clock: Clock = utc_now
) -> Iterator[App]:
    """Yield an App for these settings and close its database connections afterwards.

    Raises ConfigError with every mistake of every configuration file.
    """
    # who says nothing for longer than a lease lasts has lost it: its transaction must not outlive it (I11)
    engine = make_engine(settings.database_url, busy_seconds=settings.busy_seconds, idle_seconds=settings.lease_seconds)
    try:
        known = config if config is not None else load_config(settings)
        yield App(
            settings=settings,
            config=known,
            engine=engine,
            archive=Archive(settings.archive_dir),
            clock=clock,
            resolve=resolver or _from_environment(known),
        )
    finally:
        engine.dispose()


def _from_environment(config: Config) -> Resolver:
    import os

    kinds = {channel.connection: channel.kind for channel in config.channels.values()}
    kinds |= {feed.source.connection: _kind(feed.source) for feed in config.feeds.values()}
    return lambda name: find_connection(name, os.environ, conn_type=kinds.get(name, "sftp"))


def _kind(source: SourceSection) -> str:
    return f"object_store {source.options['store']}" if source.type == "object_store" else source.type
