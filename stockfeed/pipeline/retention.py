"""Removes what is older than its retention, and nothing that an undo, a hold or a reading of the present levels needs.

The ledger row of a delivery is never removed: it says when its bytes went.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Connection, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from schemas.tables import channel, delivery, dirty_mark, feed, feed_location
from stockfeed.bootstrap import App
from stockfeed.pipeline.results import RetentionResult
from stockfeed.store import checks
from stockfeed.store.archive import not_listed, not_removed
from stockfeed.store.engine import read, write

log = structlog.get_logger()

_SPOOL_DAYS = 1  # a download takes minutes; what is older was left by a run that was killed
_UNFINISHED_DAYS = 30  # how far back a killed retention is looked for


def retain(app: App) -> RetentionResult:
    """Remove archived bytes past their days or over a supplier's quota, stray spool files and spent marks; return counts."""
    now = app.clock()
    files = size = 0
    for sha256, known in _expired(app, now) + _over_quota(app) + _unfinished(app, now):
        # nobody may come to rely on these bytes between the ledger and the disk
        with app.archive.removing():
            removed = _discard(app, sha256, known, now)
        files, size = files + int(removed > 0), size + removed
    spooled = _clear_spool(app.settings.spool_dir, now) + _clear_old(app.archive.root, "??/??/*.part", now)
    with write(app.engine) as connection:
        marks = _prune_marks(connection)
        checks.ran(connection, "retention", at=now, outcome="fine", detail={"files": files, "bytes": size, "spooled": spooled})
    log.info("retained", files=files, bytes=size, spooled=spooled, marks=marks)
    return RetentionResult(files, size, spooled, marks)


def _discard(app: App, sha256: str, known: int, now: datetime) -> int:
    """Remove bytes unless they arrived again or are needed by now, and return how many there were.

    The ledger first: a crash in between leaves a file too many (see `_unfinished`), never a ledger that promises a file it lost.
    """
    mine = delivery.c.sha256 == sha256
    with write(app.engine) as connection:
        newest = connection.execute(select(func.max(delivery.c.id)).where(mine)).scalar()
        if newest != known or connection.execute(select(delivery.c.id).where(mine, _needed())).first():
            return 0
        connection.execute(update(delivery).where(mine).values(discarded_at=now))
    return app.archive.remove(sha256)


def _needed() -> ColumnElement[bool]:
    """The bytes of a delivery are needed while it waits, or while it, or the one an undo leads back to, is in force.

    Each location that is delivered on its own has a delivery in force.
    """
    in_force = exists().where(feed.c.last_applied_id == delivery.c.id)
    at_a_place = exists().where(feed_location.c.delivery_id == delivery.c.id)
    newer = delivery.alias("newer")
    undo = exists().where(feed.c.last_applied_id == newer.c.id, newer.c.applied_before_id == delivery.c.id)
    return or_(delivery.c.state.in_(("received", "held")), in_force, at_a_place, undo)


def _kept_hashes() -> Select[tuple[str]]:
    return select(delivery.c.sha256).where(_needed())


def _expired(app: App, now: datetime) -> list[tuple[str, int]]:
    """Return bytes past their days, each with its newest delivery."""
    limit = now - timedelta(days=app.settings.archive_days)
    found = (
        select(delivery.c.sha256, func.max(delivery.c.id))
        .where(delivery.c.discarded_at.is_(None), delivery.c.sha256.not_in(_kept_hashes()))
        .group_by(delivery.c.sha256)
        .having(func.max(delivery.c.received_at) < limit)
    )
    with read(app.engine) as connection:
        return [(row[0], row[1]) for row in connection.execute(found)]


def _unfinished(app: App, now: datetime) -> list[tuple[str, int]]:
    """Return bytes that the ledger calls removed and that are there: a retention was killed in between."""
    found = (
        select(delivery.c.sha256, func.max(delivery.c.id))
        .group_by(delivery.c.sha256)
        .having(func.count() == func.count(delivery.c.discarded_at))
        .having(func.max(delivery.c.discarded_at) > now - timedelta(days=_UNFINISHED_DAYS))
    )
    with read(app.engine) as connection:
        return [(row[0], row[1]) for row in connection.execute(found) if app.archive.path(row[0]).exists()]


def _over_quota(app: App) -> list[tuple[str, int]]:
    """Return the oldest bytes of each supplier whose archive is over its quota, as many as bring it back under."""
    rows = (
        select(
            feed.c.supplier,
            delivery.c.sha256,
            func.max(delivery.c.size).label("size"),
            func.max(delivery.c.id).label("newest"),
            func.max(delivery.c.received_at).label("last"),
        )
        .join(feed, feed.c.id == delivery.c.feed_id)
        .where(delivery.c.discarded_at.is_(None))
        .group_by(feed.c.supplier, delivery.c.sha256)
        .order_by(func.max(delivery.c.received_at).desc())
    )
    with read(app.engine) as connection:
        found = list(connection.execute(rows))
        kept = set(connection.execute(_kept_hashes()).scalars())
    used: dict[str, int] = {}
    removed = []
    for row in found:
        used[row.supplier] = used.get(row.supplier, 0) + row.size
        if used[row.supplier] > app.settings.archive_bytes and row.sha256 not in kept:
            removed.append((row.sha256, row.newest))
    return removed


def _clear_old(folder: Path, pattern: str, now: datetime) -> int:
    """Remove files of a folder that are older than any download, and return how many."""
    stray = _old(folder, pattern, now, Path.is_file)
    for path in stray:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise not_removed(path, error) from error
    return len(stray)


def _clear_spool(spool: Path, now: datetime) -> int:
    """Remove what killed runs left: files, those in a mail's own folder too, and then such folders; return how many files."""
    for folder in _old(spool, "*", now, Path.is_dir):
        with suppress(OSError):  # not empty yet: its files go below, and it the next time
            folder.rmdir()
    return _clear_old(spool, "**/*", now)


def _old(folder: Path, pattern: str, now: datetime, is_wanted: Callable[[Path], bool]) -> list[Path]:
    """Return what lies in a folder for longer than a download takes; what its owner removes meanwhile does not."""
    limit = (now - timedelta(days=_SPOOL_DAYS)).timestamp()
    found = []
    try:
        for path in folder.glob(pattern):
            with suppress(FileNotFoundError):
                if is_wanted(path) and path.stat().st_mtime < limit:
                    found.append(path)
    except OSError as error:
        raise not_listed(folder, error) from error
    return found


def _prune_marks(connection: Connection) -> int:
    """Drop marks that every channel has worked off."""
    slowest = select(func.min(channel.c.cursor)).scalar_subquery()
    spent = and_(slowest.is_not(None), dirty_mark.c.id <= slowest)
    return connection.execute(delete(dirty_mark).where(spent)).rowcount
