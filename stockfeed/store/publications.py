"""The outbox: what waits, is in flight, is confirmed or failed, per listing. A batch is stored before it is sent.

At most one row of a listing waits and at most one is in flight; a newer value supersedes a waiting one. Never sends anything.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Integer, Text, case, delete, exists, func, insert, literal, select, update

from schemas.publishing import Listing, PublishItem
from schemas.tables import available_to_sell, listing, publication
from stockfeed.store.among import given_rows, is_among
from stockfeed.store.engine import with_all
from stockfeed.store.pieces import pieces

_OPEN = ("pending", "held")
ENDED = ("confirmed", "failed", "superseded")
ROLLBACK = "rollback"  # cause of rows that put an earlier value back


class Waiting(NamedTuple):
    """One outbox row with its listing and what the channel last confirmed (None: nothing yet)."""

    id: int
    listing: Listing
    quantity: int
    version: int
    attempts: int
    confirmed: int | None
    idempotency_key: str = ""
    answer_code: str | None = None
    sent_at: datetime | None = None
    offered: int | None = None  # ATS now, which may be newer than this row; said of rows in flight

    @property
    def key(self) -> tuple[str, str]:
        """Return (SKU, channel location)."""
        return self.listing.sku, self.listing.location

    def item(self, *, compares: bool) -> PublishItem:
        """Return what the channel is asked to set; compared against the confirmed quantity where the channel can."""
        return PublishItem(self.listing, self.quantity, self.version, self.idempotency_key, self.confirmed if compares else None)


def idempotency_key(channel: str, sku: str, location: str, version: int, attempt: int) -> str:
    """Return the key of one logical write: SHA-256 of channel, listing, version and attempt (a new one after a stale compare)."""
    return hashlib.sha256("\0".join((channel, sku, location, str(version), str(attempt))).encode()).hexdigest()


_p, _li, _a = publication.c, listing.c, available_to_sell.c
_listed = publication.join(
    listing, (_li.channel == _p.channel) & (_li.sku == _p.sku) & (_li.channel_location == _p.channel_location)
)
_of_row = (_p.id, _p.sku, _p.channel_location, _li.ids, _p.quantity, _p.version, _p.attempts, _li.confirmed_quantity)


def _waiting(rows: Sequence[Any]) -> list[Waiting]:
    return [Waiting(id_, Listing(sku, location, ids), *rest) for id_, sku, location, ids, *rest in rows]


def pending(
    connection: Connection, channel: str, locations: Sequence[str], *, zeros: bool, after: int = 0, limit: int = 250
) -> list[Waiting]:
    """Return waiting rows with an id greater than `after` that can be sent now: zeros only, or all but zeros.

    Left out: listings that cannot be written, and those with an attempt in flight.
    """
    p = publication.c
    other = publication.alias()
    in_flight = exists().where(
        other.c.channel == p.channel,
        other.c.sku == p.sku,
        other.c.channel_location == p.channel_location,
        func.coalesce(other.c.state, "") == "sent",  # by the listing, and not through all rows of the batch that is under way
    )
    query = (
        select(*_of_row)
        .select_from(_listed)
        .where(p.channel == channel, p.state == "pending", p.id > after, (p.quantity == 0) if zeros else (p.quantity != 0))
        .where(p.channel_location.in_(locations), listing.c.status == "active", ~in_flight)
        .order_by(p.id)
    )
    return _waiting(connection.execute(query.limit(limit)).all())


def still_pending(connection: Connection, rows: Sequence[Waiting]) -> list[Waiting]:
    """Return those of these rows that still wait, with what the channel last confirmed now: all that can have changed of them."""
    if not rows:
        return []
    wanted = is_among(connection, _p.id, [row.id for row in rows])
    query = select(_p.id, _li.confirmed_quantity).select_from(_listed).where(wanted, _p.state == "pending")
    confirmed = dict(connection.execute(query).all())
    return [row._replace(confirmed=confirmed[row.id]) for row in rows if row.id in confirmed]


def in_flight(connection: Connection, channel: str) -> list[Waiting]:
    """Return the rows that were sent and have no clear answer, in the order of their batches."""
    offer = (_a.channel == _p.channel) & (_a.sku == _p.sku) & (_a.channel_location == _p.channel_location)
    query = (
        select(*_of_row, _p.idempotency_key, _p.answer_code, _p.sent_at, _a.quantity)
        .select_from(_listed.outerjoin(available_to_sell, offer))
        .where(_p.channel == channel, _p.state == "sent")
        .order_by(_p.id)
    )
    return _waiting(connection.execute(query).all())


def claim(connection: Connection, channel: str, rows: Sequence[Waiting], *, batch: str, at: datetime) -> list[Waiting]:
    """Mark waiting rows as sent, with a new key for each attempt, and return them as they are to be sent."""
    claimed = [
        row._replace(
            attempts=row.attempts + 1,
            idempotency_key=idempotency_key(channel, row.listing.sku, row.listing.location, row.version, row.attempts + 1),
        )
        for row in rows
    ]
    if claimed:
        types: dict[str, Any] = {"id": BigInteger(), "attempts": Integer(), "expected": BigInteger(), "idempotency_key": Text()}
        given = given_rows(connection, types, [(r.id, r.attempts, r.confirmed, r.idempotency_key) for r in claimed]).c
        own = {name: given[name] for name in ("attempts", "expected", "idempotency_key")}
        same = {"state": "sent", "batch": batch, "sent_at": at, "answer_code": None, "answer": None}
        connection.execute(with_all(update(publication)).where(_p.id == given.id).values(same | own))
    return claimed


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended: the row's new state, with the channel's code and sentence. "sent" stays open."""

    id: int
    state: str
    code: str = ""
    sentence: str = ""


def confirm(connection: Connection, ids: Sequence[int], sentence: str, at: datetime) -> None:
    """Store that the channel shows what these rows say, and their quantities and versions as confirmed for their listings."""
    if not ids:
        return
    p, li = publication.c, listing.c
    these = is_among(connection, p.id, ids)
    ended = {"state": "confirmed", "answer_code": None, "answer": sentence or None, "ended_at": at}
    connection.execute(with_all(update(publication)).where(these).values(ended))
    same = (li.channel == p.channel, li.sku == p.sku, li.channel_location == p.channel_location)
    shown = {"confirmed_quantity": p.quantity, "confirmed_version": p.version, "confirmed_at": at}
    connection.execute(with_all(update(listing)).where(these, *same).values(shown))


def end(connection: Connection, endings: Sequence[Ending], at: datetime) -> None:
    """Store how attempts ended; a row that would wait again becomes superseded when a newer one of its listing waits."""
    if not endings:
        return
    types: dict[str, Any] = {"id": BigInteger(), "state": Text(), "code": Text(), "answer": Text()}
    given = given_rows(connection, types, [(e.id, e.state, e.code or None, e.sentence or None) for e in endings]).c
    ended = case((given.state.in_(("pending", "sent")), None), else_=literal(at, _p.ended_at.type))
    ending = {"state": given.state, "answer_code": given.code, "answer": given.answer, "ended_at": ended}
    connection.execute(with_all(update(publication)).where(_p.id == given.id).values(ending))
    if again := [e.id for e in endings if e.state == "pending"]:
        other = publication.alias()
        newer = exists().where(
            other.c.channel == _p.channel,
            other.c.sku == _p.sku,
            other.c.channel_location == _p.channel_location,
            other.c.state.in_(_OPEN),
            other.c.id > _p.id,
        )
        these = is_among(connection, _p.id, again)
        connection.execute(update(publication).where(these, newer).values(state="superseded", ended_at=at))


def fail_unlisted(connection: Connection, channel: str, at: datetime) -> int:
    """Fail the waiting rows whose listing the channel cannot write, with the listing's sentence; return how many."""
    p, li = publication.c, listing.c
    same = (li.channel == p.channel, li.sku == p.sku, li.channel_location == p.channel_location)
    unusable = select(li.status).where(*same, li.status != "active")
    failed = connection.execute(
        update(publication)
        .where(p.channel == channel, p.state == "pending", unusable.exists())
        .values(
            state="failed",
            ended_at=at,
            answer_code=unusable.scalar_subquery(),
            answer=select(li.message).where(*same).scalar_subquery(),
        )
    )
    return failed.rowcount


def withdraw_elsewhere(connection: Connection, channel: str, locations: Sequence[str], at: datetime) -> None:
    """Supersede open rows at locations that the configuration no longer lists: nothing is written there."""
    p = publication.c
    connection.execute(
        update(publication)
        .where(p.channel == channel, p.state.in_((*_OPEN, "sent")), p.channel_location.not_in(locations))
        .values(state="superseded", ended_at=at)
    )


def put_again(
    connection: Connection,
    channel: str,
    rows: Sequence[tuple[str, str, int, int]],
    *,
    cause: str,
    at: datetime,
    over_held: bool = False,
) -> list[tuple[str, str]]:
    """Add waiting rows for (SKU, location, quantity, version) that nothing waits or is in flight for; return their keys.

    The attempts of earlier rows of the same version are counted on, so that a key is never used for two writes. A value
    that had waited before keeps its cause, so that the publish gate still knows it. With `over_held` (a rollback) a held
    row does not stand in the way, and the cause is always the one given.
    """
    busy: set[tuple[str, str]] = set()
    tried: dict[tuple[str, str, int], Any] = {}
    for piece in pieces(sorted({row[0] for row in rows})):
        busy |= _busy(connection, channel, piece, ("pending", "sent") if over_held else (*_OPEN, "sent"))
        tried |= _tried(connection, channel, piece)
    new = []
    for sku, location, quantity, version in rows:
        if (sku, location) in busy:
            continue
        earlier = tried.get((sku, location, version))
        new.append(
            {
                "channel": channel,
                "sku": sku,
                "channel_location": location,
                "quantity": quantity,
                "version": version,
                "idempotency_key": "",
                "state": "pending",
                "cause": cause if over_held or earlier is None or not earlier.cause else earlier.cause,
                "attempts": earlier.attempts if earlier is not None else 0,
                "created_at": at,
            }
        )
    if new:
        connection.execute(insert(publication), new)
    return [(str(row["sku"]), str(row["channel_location"])) for row in new]


def _busy(connection: Connection, channel: str, skus: Sequence[str], states: Sequence[str]) -> set[tuple[str, str]]:
    p = publication.c
    rows = select(p.sku, p.channel_location).where(p.channel == channel, p.sku.in_(skus), p.state.in_(states))
    return {(row.sku, row.channel_location) for row in connection.execute(rows)}


def _tried(connection: Connection, channel: str, skus: Sequence[str]) -> dict[tuple[str, str, int], Any]:
    p = publication.c
    cause = func.max(case((p.cause != ROLLBACK, p.cause))).label("cause")
    rows = (
        select(p.sku, p.channel_location, p.version, func.max(p.attempts).label("attempts"), cause)
        .where(p.channel == channel, p.sku.in_(skus))
        .group_by(p.sku, p.channel_location, p.version)
    )
    return {(row.sku, row.channel_location, row.version): row for row in connection.execute(rows)}


def waiting_causes(connection: Connection, channel: str) -> set[str]:
    """Return the distinct causes of the rows that wait."""
    p = publication.c
    rows = select(p.cause).distinct().where(p.channel == channel, p.state == "pending", p.cause.is_not(None))
    return {str(cause) for cause in connection.execute(rows).scalars()}


def states(connection: Connection, channel: str, ids: Collection[int]) -> dict[int, str]:
    """Return the state of each of these rows."""
    if not ids:
        return {}
    p = publication.c
    rows = select(p.id, p.state).where(p.channel == channel, is_among(connection, p.id, list(ids)))
    return dict(connection.execute(rows).all())


def supersede_listed(connection: Connection, channel: str, at: datetime, *, cause: str | None = None) -> int:
    """Supersede waiting rows (of one cause) whose listing is known, and return how many; held ones stay for their person."""
    p, li = publication.c, listing.c
    listed = exists().where(li.channel == p.channel, li.sku == p.sku, li.channel_location == p.channel_location)
    where = [p.channel == channel, p.state == "pending", listed]
    if cause is not None:
        where.append(p.cause == cause)
    return connection.execute(update(publication).where(*where).values(state="superseded", ended_at=at)).rowcount


def spent(connection: Connection, channel: str, state: str, before: datetime, *, after: int, limit: int) -> list[int]:
    """Return the ids of rows of an ended state that ended before an instant and say nothing any more.

    In their order from `after` on, at most `limit`: one state at a time is in that order in the index. Not among them is what a
    key, a repair, a person or a checker may still ask for: the rows of the versions that are offered and confirmed now and what
    came between, what a rollback sent, and the newest row of all, whose id SQLite would give away again.
    """
    p = publication.c
    offer = (_a.channel == p.channel) & (_a.sku == p.sku) & (_a.channel_location == p.channel_location)
    shown = (_li.channel == p.channel) & (_li.sku == p.sku) & (_li.channel_location == p.channel_location)
    rows = (
        select(p.id)
        .select_from(publication.join(available_to_sell, offer).outerjoin(listing, shown))
        .where(p.channel == channel, p.id > after, p.ended_at < before, p.version < _a.version)
        .where(p.version < func.coalesce(_li.confirmed_version, _a.version))
        .where(p.state == state, func.coalesce(p.cause, "") != ROLLBACK)
        .where(p.id < select(func.max(p.id)).scalar_subquery())
    )
    return list(connection.execute(rows.order_by(p.id).limit(limit)).scalars())


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Remove these rows, which have ended."""
    p = publication.c
    connection.execute(delete(publication).where(is_among(connection, p.id, ids), p.state.in_(ENDED)))


def count_states(connection: Connection, channel: str) -> dict[str, int]:
    """Return the number of rows by state, of the states that are not over: pending, held, sent."""
    p = publication.c
    rows = connection.execute(
        select(p.state, func.count().label("rows")).where(p.channel == channel, p.state.in_((*_OPEN, "sent"))).group_by(p.state)
    )
    return {row.state: int(row.rows) for row in rows}


def preview(connection: Connection, channel: str, locations: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Return the first waiting and held rows, zeros first as they would be sent, with what the channel last confirmed."""
    p, li = publication.c, listing.c
    same = (li.channel == p.channel) & (li.sku == p.sku) & (li.channel_location == p.channel_location)
    columns = (p.sku, p.channel_location.label("location"), p.quantity, li.confirmed_quantity.label("shown"), p.cause, p.state)
    rows = (
        select(*columns)
        .select_from(publication.outerjoin(listing, same))
        .where(p.channel == channel, p.state.in_(_OPEN), p.channel_location.in_(locations))
        .order_by(p.quantity != 0, p.id)
        .limit(limit)
    )
    return [dict(row) for row in connection.execute(rows).mappings()]
