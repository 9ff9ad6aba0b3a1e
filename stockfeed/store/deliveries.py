"""The ledger: one row per delivery, ending in exactly one state (I1), acting at most once (I2)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, and_, cast, exists, insert, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from schemas.rejections import Rejection
from schemas.tables import delivery, feed, hold, rejection
from schemas.transfer import Fetched
from stockfeed.store.engine import copying


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row of the ledger, as far as the pipeline needs it."""

    id: int
    feed_id: int
    feed: str
    source_name: str
    source_identity: str
    source_time: datetime | None
    sha256: str
    size: int
    config_version: str
    received_at: datetime
    ended_at: datetime | None
    as_of: datetime | None
    order_key: int | None
    state: str
    reason: str | None
    arrival_findings: list[dict[str, Any]] | None
    findings: list[dict[str, Any]] | None
    locations: list[str] | None
    profile: dict[str, Any] | None
    applied_before_id: int | None
    feed_before: dict[str, Any] | None
    rows_read: int | None
    rows_accepted: int | None
    rows_rejected: int | None
    rows_skipped: int | None
    changes: int | None
    attempts: int
    acknowledgement: str
    reference: dict[str, str] | None
    mode: str | None
    source: str | None


_COLUMNS = [feed.c.code.label("feed") if name == "feed" else delivery.c[name] for name in Delivery.__slots__]


def load(connection: Connection, delivery_id: int) -> Delivery | None:
    """Return one delivery, None when there is none with this id."""
    row = connection.execute(_select().where(delivery.c.id == delivery_id)).one_or_none()
    return None if row is None else Delivery(*row)


def _select() -> Select[Any]:
    return select(*_COLUMNS).select_from(delivery.join(feed, feed.c.id == delivery.c.feed_id))


def record(
    connection: Connection,
    *,
    feed_id: int,
    fetched: Fetched,
    source: str,
    config_version: str,
    order_key: int | None,
    at: datetime,
) -> int | None:
    """Add a received delivery and return its id, or None when exactly this arrival is already in the ledger.

    `source` says what the reference belongs to. `order_key` None means "by arrival": the new id becomes the key.
    """
    same = and_(
        delivery.c.feed_id == feed_id,
        delivery.c.source_identity == fetched.identity,
        delivery.c.sha256 == fetched.sha256,
        delivery.c.config_version == config_version,
    )
    if connection.execute(select(delivery.c.id).where(same)).first():
        return None
    new_id = connection.execute(
        insert(delivery)
        .values(
            feed_id=feed_id,
            source_name=fetched.name,
            source_identity=fetched.identity,
            source_time=fetched.source_time,
            sha256=fetched.sha256,
            size=fetched.size,
            config_version=config_version,
            received_at=at,
            order_key=order_key,
            arrival_findings=[f.as_dict() for f in fetched.findings],
            findings=[f.as_dict() for f in fetched.findings],
            acknowledgement="pending" if fetched.reference else "none",
            reference=dict(fetched.reference),
            source=source,
        )
        .returning(delivery.c.id)
    ).scalar_one()
    if order_key is None:
        connection.execute(update(delivery).where(delivery.c.id == new_id).values(order_key=new_id))
    return int(new_id)


def change(connection: Connection, delivery_id: int, **values: Any) -> None:
    """Set columns of a delivery."""
    connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(**values))


def identities(connection: Connection, feed_id: int) -> frozenset[str]:
    """Return the source identities of every recorded delivery of a feed."""
    return frozenset(connection.execute(select(delivery.c.source_identity).where(delivery.c.feed_id == feed_id)).scalars())


def of_identity(connection: Connection, feed_id: int, identity: str) -> tuple[int, str] | None:
    """Return id and SHA-256 of the first delivery with this source identity, None if there is none."""
    wanted = (delivery.c.feed_id == feed_id, delivery.c.source_identity == identity)
    found = connection.execute(select(delivery.c.id, delivery.c.sha256).where(*wanted).order_by(delivery.c.id)).first()
    return (found.id, found.sha256) if found else None


def waiting(connection: Connection, feed_id: int) -> list[int]:
    """Return the ids of deliveries not yet ended, in their order."""
    found = select(delivery.c.id).where(delivery.c.feed_id == feed_id, delivery.c.state == "received")
    return list(connection.execute(found.order_by(delivery.c.order_key, delivery.c.id)).scalars())


def unacknowledged(connection: Connection, feed_id: int) -> list[int]:
    """Return ended deliveries whose source does not know it yet (left behind by a stopped run)."""
    found = select(delivery.c.id).where(
        delivery.c.feed_id == feed_id, delivery.c.acknowledgement == "pending", delivery.c.state != "received"
    )
    return list(connection.execute(found.order_by(delivery.c.id)).scalars())


def same_bytes(connection: Connection, feed_id: int, sha256: str) -> list[Delivery]:
    """Return the applied and undone deliveries of a feed with these bytes, newest first."""
    found = _select().where(delivery.c.feed_id == feed_id, delivery.c.sha256 == sha256, delivery.c.state.in_(("applied", "undone")))
    return [Delivery(*row) for row in connection.execute(found.order_by(delivery.c.id.desc()))]


def with_interchange(connection: Connection, one: Delivery, key: str) -> int | None:
    """Return the newest other delivery of the feed that was or may be applied, holds this EDI interchange, and has other bytes."""
    found = select(delivery.c.id).where(
        delivery.c.feed_id == one.feed_id,
        delivery.c.id != one.id,
        delivery.c.sha256 != one.sha256,
        delivery.c.state.in_(("applied", "held", "undone", "superseded")),
        cast(delivery.c.reading, Text).contains(json.dumps(key), autoescape=True),
    )
    return connection.execute(found.order_by(delivery.c.id.desc()).limit(1)).scalar()


def twin(connection: Connection, one: Delivery, config_version: str) -> int | None:
    """Return the ended delivery of the same arrival, read with this configuration, if that is another one than `one` (I2)."""
    found = select(delivery.c.id).where(
        delivery.c.feed_id == one.feed_id,
        delivery.c.source_identity == one.source_identity,
        delivery.c.sha256 == one.sha256,
        delivery.c.config_version == config_version,
        delivery.c.id != one.id,
    )
    return connection.execute(found).scalar()


def undecided(connection: Connection, feed_id: int) -> list[Delivery]:
    """Return the deliveries of a feed that have an open hold, newest first."""
    found = _select().join(hold, and_(hold.c.delivery_id == delivery.c.id, hold.c.state == "open"))
    found = found.where(delivery.c.feed_id == feed_id, delivery.c.state.in_(("held", "rejected")))
    return [Delivery(*row) for row in connection.execute(found.order_by(delivery.c.id.desc()))]


def in_force_since(connection: Connection, feed_id: int, column: str, position: Any) -> list[list[str] | None]:
    """Return the locations of each delivery of a feed that is in force and whose `column` is after `position`."""
    found = select(delivery.c.locations).where(*_in_force_after(feed_id, column, position))
    return list(connection.execute(found).scalars())


def newer_in_force(connection: Connection, feed_id: int, column: str, position: Any, *, most: int) -> list[Delivery]:
    """Return the deliveries that `in_force_since` means, newest first, `most` at the most."""
    found = _select().where(*_in_force_after(feed_id, column, position))
    return [Delivery(*row) for row in connection.execute(found.order_by(delivery.c.id.desc()).limit(most))]


def _in_force_after(feed_id: int, column: str, position: Any) -> tuple[ColumnElement[bool], ...]:
    """In force are applied deliveries, and unchanged ones whose content is still that of an applied one."""
    applied = delivery.alias("confirmed")
    confirms = exists().where(applied.c.feed_id == feed_id, applied.c.sha256 == delivery.c.sha256, applied.c.state == "applied")
    in_force = or_(delivery.c.state == "applied", and_(delivery.c.state == "unchanged", confirms))
    return delivery.c.feed_id == feed_id, delivery.c[column] > position, in_force


def applied_after(connection: Connection, feed_id: int, delivery_id: int) -> list[list[str] | None]:
    """Return the locations of each delivery of a feed that was applied after this one ended."""
    ended = select(delivery.c.ended_at).where(delivery.c.id == delivery_id).scalar_subquery()
    later = or_(delivery.c.ended_at > ended, and_(delivery.c.ended_at == ended, delivery.c.id > delivery_id))
    found = select(delivery.c.locations).where(delivery.c.feed_id == feed_id, delivery.c.state == "applied", later)
    return list(connection.execute(found).scalars())


def last_covering(connection: Connection, feed_id: int, locations: Sequence[str], *, among: int = 200) -> Delivery | None:
    """Return the last applied delivery that covers exactly these (sorted) locations, looking at the last `among` ones."""
    found = select(delivery.c.id, delivery.c.locations).where(delivery.c.feed_id == feed_id, delivery.c.state == "applied")
    rows = connection.execute(found.order_by(delivery.c.id.desc()).limit(among)).all()
    match = next((row.id for row in rows if row.locations == list(locations)), None)
    return None if match is None else load(connection, match)


def blocking(connection: Connection, one: Delivery) -> int | None:
    """Return the earlier delta that a delta must wait for: held or rejected and undecided, or not yet read."""
    open_hold = exists().where(hold.c.delivery_id == delivery.c.id, hold.c.state == "open")
    before = or_(delivery.c.order_key < one.order_key, and_(delivery.c.order_key == one.order_key, delivery.c.id < one.id))
    waits = or_(
        and_(delivery.c.state.in_(("held", "rejected")), open_hold, delivery.c.id < one.id),
        and_(delivery.c.state == "received", before),
    )
    found = select(delivery.c.id).where(delivery.c.feed_id == one.feed_id, delivery.c.id != one.id, waits)
    return connection.execute(found.order_by(delivery.c.id)).scalars().first()


def write_rejections(connection: Connection, delivery_id: int, rejections: list[Rejection]) -> None:
    """Replace the stored row problems of a delivery by these, numbered in their order."""
    connection.execute(rejection.delete().where(rejection.c.delivery_id == delivery_id))
    rows = [
        {
            "delivery_id": delivery_id,
            "number": number,
            "row": r.row,
            "line": r.line,
            "column_name": r.column,
            "value": r.value,
            "code": r.code,
            "message": r.message,
            "remedy": r.remedy,
            "severity": r.severity,
        }
        for number, r in enumerate(rejections, start=1)
    ]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(insert(rejection), rows)
        return
    columns = ", ".join(f'"{name}"' for name in rows[0])
    into = f"COPY rejection ({columns}) FROM STDIN"  # sooner than a statement for each
    with copying(connection, into) as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))


def copy_for_replay(connection: Connection, delivery_id: int, config_version: str, at: datetime) -> int | None:
    """Add a received delivery with the same bytes and order position, for another configuration; None if there is one."""
    names = (
        "feed_id", "source_name", "source_identity", "source_time", "sha256", "size", "as_of", "order_key", "arrival_findings"
    )  # fmt: skip
    original = connection.execute(select(*(delivery.c[n] for n in names)).where(delivery.c.id == delivery_id)).one()
    values = dict(zip(names, original, strict=True))
    same = [delivery.c[n] == values[n] for n in ("feed_id", "source_identity", "sha256")]
    if connection.execute(select(delivery.c.id).where(*same, delivery.c.config_version == config_version)).first():
        return None
    added = insert(delivery).values(**values, config_version=config_version, received_at=at, acknowledgement="none")
    return int(connection.execute(added.returning(delivery.c.id)).scalar_one())
