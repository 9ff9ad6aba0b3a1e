"""Working under a feed's or channel's lease: taken before, compared inside every commit, given back after."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, Table

from stockfeed.bootstrap import App
from stockfeed.store import leases
from stockfeed.store.engine import write

_BEATS = 10  # of one lease


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for one row until somebody takes a newer fence."""

    app: App
    table: Table
    key: str
    fence: int

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits only while the lease is still ours."""
        with write(self.app.engine) as connection:
            self.check(connection)
            yield connection

    def check(self, connection: Connection) -> None:
        """Raise TransientError when the lease was lost; locks the row until the transaction ends."""
        leases.check(connection, self.table, self.key, self.fence)

    def renew(self) -> None:
        """Extend the lease, in a transaction of its own."""
        with write(self.app.engine) as connection:
            leases.renew(
                connection, self.table, self.key, self.fence, now=self.app.clock(), seconds=self.app.settings.lease_seconds
            )

    def heartbeat(self) -> Callable[[object], None]:
        """Return a function to be called often, which renews the lease each time a tenth of it has passed: each costs a commit."""
        every = timedelta(seconds=self.app.settings.lease_seconds / _BEATS)
        last = self.app.clock()

        def beat(_: object) -> None:
            nonlocal last
            now = self.app.clock()
            if not last <= now < last + every:  # also when the clock was set back
                self.renew()
                last = now

        return beat


@contextmanager
def hold_lease(app: App, table: Table, key: str) -> Iterator[Lease]:
    """Yield the lease of a feed or channel row. Raises TransientError while another worker has it."""
    with write(app.engine) as connection:
        fence = leases.take(connection, table, key, holder=leases.new_holder(), now=app.clock(), seconds=app.settings.lease_seconds)
    try:
        yield Lease(app, table, key, fence)
    finally:
        with write(app.engine) as connection:
            leases.give_back(connection, table, key, fence)
