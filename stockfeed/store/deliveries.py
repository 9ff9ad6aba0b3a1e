"""The ledger: one row per delivery, ending in exactly one state (I1), acting at most once (I2)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, select, update

from schemas.rejections import Rejection
from schemas.tables import delivery, feed, hold, rejection
from schemas.transfer import Fetched


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
    as_of: datetime | None
    order_key: int | None
    state: str
    reason: str | None
    findings: list[dict[str, Any]] | None
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


_COLUMNS = [feed.c.code.label("feed") if name == "feed" else delivery.c[name] for name in Delivery.__slots__]


def load(connection: Connection, delivery_id: int) -> Delivery | None:
    """Return one delivery, None when there is none with this id."""
    row = connection.execute(select(*_COLUMNS).join(feed).where(delivery.c.id == delivery_id)).one_or_none()
    return None if row is None else Delivery(*row)


def record(
    connection: Connection, *, feed_id: int, fetched: Fetched, config_version: str, order_key: int | None, at: datetime
) -> int | None:
    """Add a received delivery and return its id, or None when exactly this arrival is already in the ledger.

    `order_key` None means "by arrival": the new id becomes the key.
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
            findings=[f.as_dict() for f in fetched.findings],
            acknowledgement="pending" if fetched.reference else "none",
            reference=dict(fetched.reference),
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


def same_bytes(connection: Connection, feed_id: int, sha256: str, states: tuple[str, ...]) -> list[Row[Any]]:
    """Return (id, state, ended_at) of deliveries of a feed with these bytes in one of `states`, newest first."""
    found = select(delivery.c.id, delivery.c.state, delivery.c.ended_at).where(
        delivery.c.feed_id == feed_id, delivery.c.sha256 == sha256, delivery.c.state.in_(states)
    )
    return list(connection.execute(found.order_by(delivery.c.id.desc())))


def held_before(connection: Connection, feed_id: int, order_key: int) -> list[Row[Any]]:
    """Return (id, profile) of held deliveries at or before an order position, newest first."""
    found = select(delivery.c.id, delivery.c.profile).where(
        delivery.c.feed_id == feed_id, delivery.c.state == "held", delivery.c.order_key <= order_key
    )
    return list(connection.execute(found.order_by(delivery.c.order_key.desc())))


def blocking(connection: Connection, feed_id: int, delivery_id: int) -> int | None:
    """Return the delta, held or rejected and undecided, that later deltas of this feed wait for."""
    found = (
        select(delivery.c.id)
        .join(hold, and_(hold.c.delivery_id == delivery.c.id, hold.c.state == "open"))
        .where(delivery.c.feed_id == feed_id, delivery.c.id < delivery_id, delivery.c.state.in_(("held", "rejected")))
    )
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
    if rows:
        connection.execute(insert(rejection), rows)


def copy_for_replay(connection: Connection, delivery_id: int, config_version: str, at: datetime) -> int | None:
    """Add a received delivery with the same bytes and order position, for another configuration; None if there is one."""
    names = ("feed_id", "source_name", "source_identity", "source_time", "sha256", "size", "as_of", "order_key")
    original = connection.execute(select(*(delivery.c[n] for n in names)).where(delivery.c.id == delivery_id)).one()
    values = dict(zip(names, original, strict=True))
    same = [delivery.c[n] == values[n] for n in ("feed_id", "source_identity", "sha256")]
    if connection.execute(select(delivery.c.id).where(*same, delivery.c.config_version == config_version)).first():
        return None
    added = insert(delivery).values(**values, config_version=config_version, received_at=at, findings=[], acknowledgement="none")
    return int(connection.execute(added.returning(delivery.c.id)).scalar_one())
