"""What the publish gate needs from the database, and what it holds: changes of the last day, released causes, hold rows."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, insert, or_, select, update

from schemas.errors import ConfigError
from schemas.tables import ats_change, available_to_sell, hold, listing, publication
from transforms.publish_gate import Change

WINDOW = timedelta(hours=24)
_SALE = "sale at "  # a cause that never waits: the channel itself has lowered the number
_AGE = "age"  # the sweep's cause: a source became too old to count, or counts again


def load_changes(connection: Connection, channel: str, locations: Sequence[str], now: datetime) -> list[Change]:
    """Return each listing's net change of the last 24 hours; held rows are left out, they are not being published.

    So are values that the channel has no usable listing for, or that are at none of our `locations`. None at all where no
    row waits: then there is nothing that could be held.
    """
    p = publication.c
    open_rows = select(p.sku, p.channel_location, p.state).where(p.channel == channel, p.state.in_(("pending", "held")))
    states = {(sku, location): state for sku, location, state in connection.execute(open_rows).all()}
    if "pending" not in states.values():
        return []
    free = released_causes(connection, channel, now)
    return [
        Change(before, after, cause or "", _is_exempt(cause or "", reason, before, after, free), state == "pending")
        for sku, location, before, after, cause, reason in connection.execute(_net_changes(channel, locations, now)).all()
        if (state := states.get((sku, location))) != "held"
    ]


def _net_changes(channel: str, locations: Sequence[str], now: datetime) -> Any:
    """Return the query for (SKU, location, baseline before, after, newest cause and reason) of each listing that changed."""
    c = ats_change.c
    ends = (
        select(func.min(c.id).label("first"), func.max(c.id).label("last"))
        .where(c.channel == channel, c.at > now - WINDOW, c.baseline.is_not(None))  # new listings are not changes
        .group_by(c.sku, c.channel_location)
        .subquery()
    )
    first, last = ats_change.alias("first"), ats_change.alias("last")
    return (
        select(last.c.sku, last.c.channel_location, first.c.baseline, last.c.after, last.c.cause, last.c.reason_code)
        .select_from(ends.join(first, first.c.id == ends.c.first).join(last, last.c.id == ends.c.last))
        .where(_is_shown(last.c, locations))
        .order_by(ends.c.last)
    )


def _is_exempt(cause: str, reason: str, before: int, after: int, free: Collection[str]) -> bool:
    """Return whether a change passes unseen: released, sold at the channel, stale, or lowered by a source that became stale."""
    return cause in free or cause.startswith(_SALE) or reason in {"stale", "in_shadow"} or (cause == _AGE and after <= before)


def _is_shown(value: Any, locations: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a value is at one of our locations and not known to be without a usable listing there."""
    li = listing.c
    unusable = exists().where(
        li.channel == value.channel, li.sku == value.sku, li.channel_location == value.channel_location, li.status != "active"
    )
    return and_(value.channel_location.in_(locations), ~unusable)


def released_causes(connection: Connection, channel: str, now: datetime) -> set[str]:
    """Return the causes a person let through: released deliveries, and publish holds released in the last 24 hours."""
    h = hold.c
    deliveries = connection.execute(select(h.delivery_id).where(h.kind == "delivery", h.state == "released")).scalars()
    publishes = connection.execute(
        select(h.findings).where(h.kind == "publish", h.channel == channel, h.state == "released", h.decided_at > now - WINDOW)
    ).scalars()
    return {f"delivery {number}" for number in deliveries} | {cause for found in publishes for cause in _causes(found)}


def _causes(findings: Sequence[Any]) -> set[str]:
    return {cause for finding in findings for cause in finding.get("causes", ())}


def offered_total(connection: Connection, channel: str, locations: Sequence[str]) -> tuple[int, int]:
    """Return (listings, units) that the channel offers now, without SKUs in shadow and those it has no usable listing for.

    A value that is held counts as what the channel shows: it is not being published.
    """
    a, p, li = available_to_sell.c, publication.c, listing.c
    same = (p.channel == a.channel, p.sku == a.sku, p.channel_location == a.channel_location)
    is_held = exists().where(*same, func.coalesce(p.state, "") == "held")
    of_listing = (li.channel == a.channel) & (li.sku == a.sku) & (li.channel_location == a.channel_location)
    units = case((is_held, func.coalesce(li.confirmed_quantity, 0)), else_=a.quantity)
    row = connection.execute(
        select(func.count(), func.coalesce(func.sum(units), 0))
        .select_from(available_to_sell.outerjoin(listing, of_listing))
        .where(a.channel == channel, a.reason_code != "in_shadow", a.channel_location.in_(locations))
        .where(or_(li.status.is_(None), li.status == "active"))
    ).one()
    return int(row[0]), int(row[1])


def open_holds(connection: Connection, channel: str) -> dict[str, tuple[int, bool]]:
    """Return the causes held now, each with its hold's id and whether its zeros are held too; the newest hold wins."""
    rows = connection.execute(
        select(hold.c.id, hold.c.findings)
        .where(hold.c.kind == "publish", hold.c.channel == channel, hold.c.state == "open")
        .order_by(hold.c.id)
    )
    found: dict[str, tuple[int, bool]] = {}
    for row in rows:
        for finding in row.findings:
            for cause in finding.get("causes", ()):
                zeros = finding["code"] == "TO-ZERO" or found.get(cause, (0, False))[1]
                found[cause] = (int(row.id), zeros)
    return found


def hold_rows(connection: Connection, channel: str, cause: str, hold_id: int, *, zeros: bool) -> int:
    """Hold the waiting rows of a cause (its zeros only with `zeros`) and return how many."""
    p = publication.c
    where = [p.channel == channel, p.state == "pending", p.cause == cause]
    if not zeros:
        where.append(p.quantity != 0)
    return connection.execute(update(publication).where(*where).values(state="held", hold_id=hold_id)).rowcount


def open_hold(connection: Connection, channel: str, findings: Sequence[dict[str, Any]], at: datetime) -> int:
    """Open a hold on a publish and return its id; each finding lists its `causes`."""
    values = {"kind": "publish", "channel": channel, "findings": list(findings), "state": "open", "opened_at": at}
    return int(connection.execute(insert(hold).values(values).returning(hold.c.id)).scalar_one())


def close_empty(connection: Connection, channel: str, at: datetime) -> int:
    """Close the open holds that keep nothing back any more (newer values came, or the delivery was undone); return how many."""
    p, h = publication.c, hold.c
    keeps = exists().where(p.hold_id == h.id, p.channel == channel, p.state == "held")
    closed = connection.execute(
        update(hold)
        .where(h.kind == "publish", h.channel == channel, h.state == "open", ~keeps)
        .values(state="superseded", decided_at=at, decided_by="system", reason="nothing is held back any more")
    )
    return closed.rowcount


def decide(
    connection: Connection, hold_id: int, state: Literal["released", "rejected"], *, by: str, reason: str, at: datetime
) -> str:
    """Close an open publish hold and return its channel. Raises ConfigError when there is none with this id."""
    decided = connection.execute(
        update(hold)
        .where(hold.c.id == hold_id, hold.c.kind == "publish", hold.c.state == "open")
        .values(state=state, decided_at=at, decided_by=by, reason=reason)
        .returning(hold.c.channel)
    ).scalar_one_or_none()
    if decided is None:
        raise ConfigError(f"there is no open publish hold {hold_id}", "`stockfeed channels preview CHANNEL` shows the open ones.")
    return str(decided)


def free_rows(connection: Connection, hold_id: int) -> int:
    """Let the rows of a hold wait for publication again and return how many."""
    p = publication.c
    freed = connection.execute(update(publication).where(p.hold_id == hold_id, p.state == "held").values(state="pending"))
    return freed.rowcount
