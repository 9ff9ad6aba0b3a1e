"""What the channel verbs share: one worker's lease on one channel, and the door to the channel itself.

Never sends or computes anything; makes sure that nobody writes after losing the channel (I11).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from connectors.protocols import Channel as Door
from schemas.channel_config import Channel
from schemas.tables import channel as channel_table
from stockfeed.bootstrap import App
from stockfeed.pipeline.lease import hold_lease
from stockfeed.store import leases
from stockfeed.store.engine import read, write


@dataclass(frozen=True, slots=True)
class ChannelWork:
    """One worker's hold on one channel; every transaction compares the fence and extends the lease."""

    app: App
    channel: Channel
    fence: int

    @property
    def code(self) -> str:
        """Return the channel's code."""
        return self.channel.code

    @property
    def locations(self) -> tuple[str, ...]:
        """Return the ids of the channel locations we own: nothing else is ever written."""
        return tuple(location.id for location in self.channel.locations)

    def now(self) -> datetime:
        """Return the present instant."""
        return self.app.clock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a transaction that holds the channel's row. Raises TransientError when the lease was lost."""
        with write(self.app.engine) as connection:
            leases.renew(connection, channel_table, self.code, self.fence, now=self.now(), seconds=self.app.settings.lease_seconds)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a consistent snapshot of the database."""
        with read(self.app.engine) as connection:
            yield connection


@contextmanager
def channel_lease(app: App, code: str) -> Iterator[ChannelWork]:
    """Yield the lease on a channel and end it afterwards.

    Raises ConfigError for an unknown channel, TransientError while another worker has it.
    """
    channel = app.config.channel(code)
    with hold_lease(app, channel_table, code) as lease:
        yield ChannelWork(app, channel, lease.fence)


def open_door(app: App, channel: Channel) -> Door:
    """Return the connector of a channel, logged in by its named connection. Raises ConfigError, CredentialsError."""
    from connectors.registry import load_channel

    return load_channel(channel, app.resolve(channel.connection) if channel.connection else None)
