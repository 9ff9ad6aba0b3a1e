"""What operators do: release, reject, undo, replay, release a feed. Each is audited with who and why."""

import structlog

from schemas.errors import ConfigError, PermanentError
from schemas.tables import feed as feed_table
from stockfeed.bootstrap import App
from stockfeed.pipeline import age
from stockfeed.pipeline.collect import feed_row
from stockfeed.pipeline.ingest import ingest, ingest_under_lease, load_delivery
from stockfeed.pipeline.job import Release
from stockfeed.pipeline.lease import hold_lease
from stockfeed.pipeline.results import IngestResult
from stockfeed.settings import feed_config_version
from stockfeed.store import audit, deliveries, feeds, holds, reservations
from stockfeed.store.engine import write
from stockfeed.store.marks import mark
from stockfeed.store.undo import restore_levels

log = structlog.get_logger()


def release_delivery(app: App, delivery_id: int, *, actor: str, reason: str) -> IngestResult:
    """Apply a held delivery although the guard objected, and return how it ended.

    It is read again from the archive; one that a newer applied snapshot has overtaken becomes superseded.
    """
    delivery = load_delivery(app, delivery_id)
    if delivery.state != "held":
        raise PermanentError(f"delivery {delivery_id} is {delivery.state}, not held", "Only a held delivery can be released.")
    return ingest_under_lease(app, delivery_id, Release(actor, reason))


def reject_delivery(app: App, delivery_id: int, *, actor: str, reason: str) -> IngestResult:
    """Refuse a held delivery, or confirm that a rejected delta stays out, and return its state."""
    feed = load_delivery(app, delivery_id).feed
    with hold_lease(app, feed_table, feed) as lease, lease.write() as connection:
        delivery = deliveries.load(connection, delivery_id)
        if delivery is None or delivery.state not in ("held", "rejected"):
            state = delivery.state if delivery else "gone"
            raise PermanentError(f"delivery {delivery_id} is {state}", "Only a held or rejected delivery can be rejected.")
        words = f"rejected by {actor}: {reason}"
        deliveries.change(connection, delivery_id, state="rejected", reason=words, reason_code="BY-PERSON", ended_at=app.clock())
        holds.close_for_delivery(connection, delivery_id, state="rejected", at=app.clock(), by=actor, reason=reason)
        audit.record(
            connection, at=app.clock(), actor=actor, act="reject_delivery", subject=f"delivery {delivery_id}", reason=reason
        )
    return IngestResult(delivery_id, feed, "rejected", words)


def undo_delivery(app: App, delivery_id: int, *, actor: str, reason: str) -> IngestResult:
    """Put the feed back to the snapshot before its last applied delivery, under a new epoch (I17).

    Raises PermanentError for any other delivery: undo the newer ones first.
    """
    delivery = load_delivery(app, delivery_id)
    with hold_lease(app, feed_table, delivery.feed) as lease:
        row, delivery, now = feed_row(app, delivery.feed), load_delivery(app, delivery_id), app.clock()
        if delivery.state != "applied" or row.last_applied_id != delivery_id:
            raise PermanentError(
                f"delivery {delivery_id} is not the last applied one of {delivery.feed}",
                f"Undo delivery {row.last_applied_id} first." if delivery.state == "applied" else f"It is {delivery.state}.",
            )
        with lease.write() as connection:
            changes = restore_levels(connection, feed_id=row.id, delivery_id=delivery_id, at=now)
            before = age.put_back(connection, row.id, delivery.locations, delivery.feed_before or {})
            if delivery.applied_before_id is None:
                before["in_shadow"] = True  # nothing is in force that a person or `trust_first` could have released
            feeds.change(connection, row.id, **before, last_applied_id=delivery.applied_before_id, epoch=row.epoch + 1)
            deliveries.change(connection, delivery_id, state="undone", reason=f"undone by {actor}: {reason}", ended_at=now)
            reservations.take_back(connection, row.id, delivery_id, delivery.ended_at or delivery.received_at, now)
            mark(connection, "feed", [str(row.id)], reason=f"delivery {delivery_id} undone", at=now)
            audit.record(connection, at=now, actor=actor, act="undo_delivery", subject=f"delivery {delivery_id}", reason=reason)
    log.warning("delivery_undone", feed=delivery.feed, delivery=delivery_id, changes=changes, actor=actor)
    return IngestResult(delivery_id, delivery.feed, "undone", f"undone by {actor}: {reason}", changes=changes)


def replay_delivery(app: App, delivery_id: int, *, actor: str, reason: str = "") -> IngestResult:
    """Read a delivery again from the archive with the present configuration, and return how it ended.

    A rejected one is tried again. One that ended otherwise is read anew only under another configuration, as a new
    delivery at the same order position; with the same configuration the result could not differ.
    """
    delivery = load_delivery(app, delivery_id)
    version = feed_config_version(app.config.feed(delivery.feed))
    _audit(app, actor, "replay_delivery", f"delivery {delivery_id}", reason)
    if delivery.state == "received":
        return ingest(app, delivery_id)
    if delivery.state == "rejected":
        return _again(app, delivery_id, actor)
    if version == delivery.config_version:
        raise ConfigError(
            f"delivery {delivery_id} was read with the present configuration already", "Change the feed's configuration first."
        )
    return _again_as_new(app, delivery_id, version)


def _again(app: App, delivery_id: int, actor: str) -> IngestResult:
    delivery = load_delivery(app, delivery_id)
    app.archive.existing(delivery.sha256)  # else it would wait for ever for bytes that are gone
    with hold_lease(app, feed_table, delivery.feed) as lease, lease.write() as connection:
        now = app.clock()
        deliveries.change(connection, delivery_id, state="received", reason="replayed", reason_code=None, attempts=0, ended_at=None)
        holds.close_for_delivery(connection, delivery_id, state="released", at=now, by=actor, reason="replayed")
    return ingest(app, delivery_id)


def _again_as_new(app: App, delivery_id: int, version: str) -> IngestResult:
    app.archive.existing(load_delivery(app, delivery_id).sha256)
    with write(app.engine) as connection:
        new_id = deliveries.copy_for_replay(connection, delivery_id, version, app.clock())
    if new_id is None:
        raise ConfigError(
            f"delivery {delivery_id} was replayed with the present configuration already", "See `stockfeed deliveries list`."
        )
    return ingest(app, new_id)


def release_feed(app: App, feed_code: str, *, actor: str, reason: str) -> bool:
    """Take a feed out of shadow, so that its levels count for ATS; returns False when it was out already."""
    row = feed_row(app, feed_code)
    if not row.in_shadow:
        return False
    if row.last_applied_id is None:
        raise PermanentError(f"feed {feed_code} has no applied delivery yet", "Sync it first, look at its levels, then release it.")
    with write(app.engine) as connection:
        feeds.change(connection, row.id, in_shadow=False)
        mark(connection, "feed", [str(row.id)], reason="released from shadow", at=app.clock())
        audit.record(connection, at=app.clock(), actor=actor, act="release_feed", subject=feed_code, reason=reason)
    return True


def _audit(app: App, actor: str, act: str, subject: str, reason: str) -> None:
    with write(app.engine) as connection:
        audit.record(connection, at=app.clock(), actor=actor, act=act, subject=subject, reason=reason)
