"""Leases on feeds and channels: one worker at a time, and nobody writes after losing the lease (I11).

A lease is a row's `lease_holder` and `lease_until`; `fence` grows each time it is taken. Every commit compares its fence.
A holder that died on this machine is replaced at once, one elsewhere when its time is over.
"""

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, Table, or_, select, update

from schemas.errors import ConfigError, TransientError


def new_holder() -> str:
    """Return a name for one holder: host, process, start of the process, and a random part."""
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}/{uuid4().hex[:8]}"


def take(connection: Connection, table: Table, key: str, *, holder: str, now: datetime, seconds: float) -> int:
    """Take the lease of the row `key` and return its fence. Raises TransientError while another holder works."""
    row = connection.execute(select(table.c.lease_holder, table.c.lease_until).where(table.c.code == key)).one_or_none()
    if row is None:
        raise ConfigError(f"{table.name} {key} is not in the database", "Check the name in config/, then run the command again.")
    free = or_(table.c.lease_until.is_(None), table.c.lease_until <= now)
    if row.lease_holder is not None and _is_dead(row.lease_holder):
        free = or_(free, table.c.lease_holder == row.lease_holder)
    taken = connection.execute(
        update(table)
        .where(table.c.code == key, free)
        .values(fence=table.c.fence + 1, lease_holder=holder, lease_until=now + timedelta(seconds=seconds))
        .returning(table.c.fence)
    ).scalar_one_or_none()
    if taken is None:
        raise _busy(connection, table, key)
    return int(taken)


def _busy(connection: Connection, table: Table, key: str) -> TransientError:
    """Return the error for a row that another holder has; who it is may have changed since it was looked up."""
    row = connection.execute(select(table.c.lease_holder, table.c.lease_until).where(table.c.code == key)).one()
    latest = f" (at the latest {row.lease_until:%H:%M:%S} UTC)" if row.lease_until else ""
    holder = row.lease_holder or "another worker"
    words = f"{table.name} {key} is being worked on by {holder}"
    # no retry_after: four times half a minute would be over long before the lease of a worker that died on another machine
    return TransientError(words, f"Wait until it ends{latest}, then try again.")


def check(connection: Connection, table: Table, key: str, fence: int) -> None:
    """Lock the row and make sure `fence` is still the newest. Raises TransientError when the lease was lost."""
    found = connection.execute(select(table.c.fence).where(table.c.code == key).with_for_update()).scalar_one_or_none()
    if found != fence:
        raise lost(table.name, key)


def lost(kind: str, key: str) -> TransientError:
    """Return the error for a lease that another worker has taken."""
    return TransientError(f"the lease on {kind} {key} was lost to another worker", "Nothing was written; the other worker goes on.")


def renew(connection: Connection, table: Table, key: str, fence: int, *, now: datetime, seconds: float) -> None:
    """Extend a lease that is still ours. Raises TransientError when it was lost."""
    check(connection, table, key, fence)
    connection.execute(update(table).where(table.c.code == key).values(lease_until=now + timedelta(seconds=seconds)))


def give_back(connection: Connection, table: Table, key: str, fence: int) -> None:
    """End a lease; one that was lost meanwhile is left to its new holder."""
    connection.execute(update(table).where(table.c.code == key, table.c.fence == fence).values(lease_holder=None, lease_until=None))


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks (proc(5), field 22), "" where that cannot be known."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _is_dead(holder: str) -> bool:
    """Return whether a holder on this machine no longer runs; holders elsewhere are never called dead."""
    host, pid, started, _ = holder.split("/") if holder.count("/") == 3 else ("", "", "", "")  # noqa: PLR2004 (new_holder's parts)
    if host != socket.gethostname() or not started:
        return False
    return _started(int(pid)) != started
