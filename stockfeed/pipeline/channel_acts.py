"""What operators do with a channel: approve, pause, resume, release a held publish, roll back. Each is audited with who and why.

Never raises a quantity: a rollback sends the smaller of the earlier value and what is available now.
"""

from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy import Connection

from connectors.protocols import Channel as Door
from schemas.errors import ConfigError
from stockfeed.bootstrap import App
from stockfeed.pipeline.allocate import allocate_leased, register_channels
from stockfeed.pipeline.channel_work import ChannelWork, channel_lease, open_door
from stockfeed.pipeline.publish import SENDING_ROUNDS, PublishResult
from stockfeed.pipeline.sending import Sending, send_waiting, settle_open
from stockfeed.store import ats_history, audit, channels, listings, publications, publish_holds
from stockfeed.store.engine import write

log = structlog.get_logger()

_PAGE = 1_000


def approve_channel(app: App, code: str, *, actor: str, reason: str) -> None:
    """Let a channel publish for the first time. Raises ConfigError for an unknown channel."""
    _act(app, code, "approve_channel", actor, reason, approved_at=app.clock(), approved_by=actor)


def pause_channel(app: App, code: str, *, actor: str, reason: str) -> None:
    """Stop publishing to a channel until it is resumed; what changes meanwhile waits. Raises ConfigError as above."""
    _act(app, code, "pause_channel", actor, reason, paused_at=app.clock(), paused_by=actor)


def resume_channel(app: App, code: str, *, actor: str, reason: str) -> int:
    """Let a paused channel publish again; return how many offered values it does not show wait again (after a rollback)."""
    _act(app, code, "resume_channel", actor, reason, paused_at=None, paused_by=None)
    with channel_lease(app, code) as work:
        return _put_differences(work)


def release_publish_hold(app: App, hold_id: int, *, actor: str, reason: str, channel: str | None = None) -> int:
    """Let what a publish hold keeps go out with the next publish; return how many rows.

    Raises ConfigError if none is open with this id, or it is of another channel than `channel`.
    """
    now = app.clock()
    with write(app.engine) as connection:
        held = publish_holds.decide(connection, hold_id, "released", by=actor, reason=reason, at=now)
        if channel not in (None, held):
            raise ConfigError(f"hold {hold_id} keeps back a publish to {held}, not to {channel}", "Name the hold's own channel.")
        freed = publish_holds.free_rows(connection, hold_id)
        audit.record(connection, at=now, actor=actor, act="release_publish_hold", subject=f"hold {hold_id}", reason=reason)
    log.warning("publish_hold_released", channel=held, hold=hold_id, rows=freed, actor=actor)
    return freed


def rollback_channel(
    app: App,
    code: str,
    *,
    actor: str,
    reason: str,
    at: datetime | None = None,
    versions: Mapping[tuple[str, str], int] | None = None,
    door: Door | None = None,
) -> PublishResult:
    """Pause a channel and send min(earlier value, available now) for every listing; return what came of it.

    The earlier value is the one offered `at` an instant, or that of the given version per (SKU, location). Listings
    without an earlier value stay as they are. Raises ConfigError unless exactly one of the two is given.
    """
    if (at is None) == (versions is None):
        raise ConfigError("a rollback needs an instant or versions, not both", "Give the instant to go back to.")
    register_channels(app)
    with channel_lease(app, code) as work:
        with work.write() as connection:
            channels.change(connection, code, paused_at=app.clock(), paused_by=actor)
            detail = {"at": at.isoformat() if at else None, "versions": len(versions or ())}
            audit.record(
                connection,
                at=app.clock(),
                actor=actor,
                act="rollback_channel",
                subject=f"channel {code}",
                reason=reason,
                detail=detail,
            )
        run = Sending(work, door if door is not None else open_door(app, work.channel), stops_when_paused=False)
        allocate_leased(work)
        settle_open(run)
        for _ in range(SENDING_ROUNDS):
            stale = run.tally.stale
            allocate_leased(work)  # with the sales that were found while settling or sending
            _put_earlier(work, at, versions)
            send_waiting(run, zeros=True)
            send_waiting(run, zeros=False)
            if run.tally.stale == stale:
                break
        with work.read() as connection:
            waiting = publications.count_states(connection, code)
    tally = run.tally
    log.warning("channel_rolled_back", channel=code, sent=tally.sent, confirmed=tally.confirmed, actor=actor)
    return PublishResult(
        channel=code,
        sent=tally.sent,
        confirmed=tally.confirmed,
        failed=tally.failed,
        stale=tally.stale,
        pending=waiting.get("pending", 0) + waiting.get("sent", 0),
        sales_seen=tally.sales_seen,
        reason=f"channel {code} is paused by the rollback",
    )


def _act(app: App, code: str, act: str, actor: str, reason: str, **values: object) -> None:
    app.config.channel(code)
    register_channels(app)
    with write(app.engine) as connection:
        channels.change(connection, code, **values)
        audit.record(connection, at=app.clock(), actor=actor, act=act, subject=f"channel {code}", reason=reason)
    log.warning(act, channel=code, actor=actor)


def _put_earlier(work: ChannelWork, at: datetime | None, versions: Mapping[tuple[str, str], int] | None) -> None:
    """Replace everything that waits by min(earlier value, offered now) of each listing that has an earlier value."""
    now = work.now()
    with work.write() as connection:
        publications.supersede_listed(connection, work.code, now)
        for page in listings.all_pages(connection, work.code, work.locations, _PAGE):
            offered = {(s.listing.sku, s.listing.location): s for s in page}
            earlier = _earlier(connection, work.code, list(offered), at, versions)
            rows = [
                (*key, min(quantity, shown.offered), shown.version)
                for key, quantity in earlier.items()
                if (shown := offered[key]).offered is not None and shown.version is not None
            ]
            publications.put_again(connection, work.code, rows, cause=publications.ROLLBACK, at=now, over_held=True)


def _earlier(
    connection: Connection,
    code: str,
    keys: list[tuple[str, str]],
    at: datetime | None,
    versions: Mapping[tuple[str, str], int] | None,
) -> dict[tuple[str, str], int]:
    if at is not None:
        return ats_history.offered_at(connection, code, keys, at)
    assert versions is not None
    return ats_history.offered_in_version(connection, code, {key: versions[key] for key in keys if key in versions})


def _put_differences(work: ChannelWork) -> int:
    """Let every offered value wait that the channel did not confirm, instead of what a rollback left waiting."""
    count = 0
    with work.write() as connection:
        publications.supersede_listed(connection, work.code, work.now(), cause=publications.ROLLBACK)
        for page in listings.all_pages(connection, work.code, work.locations, _PAGE):
            rows = [
                (s.listing.sku, s.listing.location, s.offered, s.version)
                for s in page
                if s.offered is not None and s.version is not None and s.confirmed is not None and s.offered != s.confirmed
            ]
            count += len(publications.put_again(connection, work.code, rows, cause="resumed", at=work.now()))
    return count
