"""The central table: compares what is staged with the current levels and writes only the difference.

Every statement runs inside the caller's applying transaction; the difference is also the history and the dirty list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    SmallInteger,
    Table,
    Text,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from schemas.records import KEY_COLUMNS
from schemas.tables import inventory, level_change, product_link
from stockfeed.store.engine import next_change_ids
from stockfeed.store.staging import analyze, effective, index_keys, rejected_key, staged

VALUE_COLUMNS = ("on_hand", "available", "on_order", "unit", "next_available_on", "unit_cost", "currency", "gtin", "mpn")
_STATE_COLUMNS = ("sku", *VALUE_COLUMNS, "delivery_id", "source_row", "missing_count", "unconfirmed_count", "confirmed_delivery_id")

_temporary = MetaData()
#: Staged rows that are new or differ from the current level; `is_new` 1 or 0.
difference = Table(
    "difference",
    _temporary,
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("is_new", SmallInteger),
    Column("was_known", SmallInteger),
    Column("was", BigInteger),
    Column("now", BigInteger),
    prefixes=["TEMPORARY"],
)
#: Current levels that the delivery does not have; `rejected` 1 when the key stands only in rejected rows.
absent = Table(
    "absent",
    _temporary,
    *(Column(name, Text) for name in KEY_COLUMNS),
    Column("rejected", SmallInteger),
    Column("was_known", SmallInteger),
    prefixes=["TEMPORARY"],
)


@dataclass(frozen=True, slots=True)
class Applying:
    """One delivery being applied to one feed's levels."""

    feed_id: int
    delivery_id: int
    at: datetime
    missing_after: int
    identity_match: bool  # a supplier SKU without a ProductLink is the master SKU


@dataclass(frozen=True, slots=True)
class Compared:
    """How the staged rows meet the current levels (see transforms.guard.Against)."""

    new: int
    changed: int
    known: int
    present: int
    newly_zero: int
    absent: int


def _same_key(left: Any, right: Any) -> ColumnElement[bool]:
    return and_(*(left.c[name] == right.c[name] for name in KEY_COLUMNS))


def _is_known() -> ColumnElement[bool]:
    return and_(inventory.c.missing_count == 0, inventory.c.unconfirmed_count == 0)


def compare(connection: Connection, feed_id: int, *, scope_locations: bool, find_absent: bool) -> Compared:
    """Fill `difference` and `absent` from what is staged, and count both.

    `scope_locations`: only locations that occur in the delivery can miss keys. Without `find_absent` (a delta, or a
    snapshot that cannot prove it is complete) nothing is missing.
    """
    _temporary.create_all(connection, checkfirst=False)
    total = connection.execute(select(func.count()).select_from(staged)).scalar_one()
    levels = connection.execute(select(func.count()).where(inventory.c.feed_id == feed_id)).scalar_one()
    if levels == 0:
        return Compared(total, 0, 0, 0, 0, 0)
    analyze(connection)
    _fill_difference(connection, feed_id)
    row = connection.execute(
        select(
            func.coalesce(func.sum(difference.c.is_new), 0).label("new"),
            func.count().label("rows"),
            func.count().filter(and_(difference.c.was_known == 1, difference.c.was > 0, difference.c.now == 0)).label("newly_zero"),
        )
    ).one()
    gone = 0
    if find_absent and total - row.new < levels:
        gone = _fill_absent(connection, feed_id, scope_locations=scope_locations)
    known = connection.execute(select(func.count()).where(inventory.c.feed_id == feed_id, _is_known())).scalar_one()
    known_gone = connection.execute(
        select(func.count()).select_from(absent).where(absent.c.was_known == 1, absent.c.rejected == 0)
    ).scalar_one()
    return Compared(int(row.new), row.rows - int(row.new), known, known - known_gone, row.newly_zero, gone)


def _fill_difference(connection: Connection, feed_id: int) -> None:
    differs = or_(
        inventory.c.feed_id.is_(None),
        inventory.c.missing_count != 0,
        inventory.c.unconfirmed_count != 0,
        *(inventory.c[name].is_distinct_from(staged.c[name]) for name in VALUE_COLUMNS),
    )
    both = staged.outerjoin(inventory, and_(inventory.c.feed_id == feed_id, _same_key(staged, inventory)))
    found = select(
        staged.c.n,
        case((inventory.c.feed_id.is_(None), 1), else_=0),
        case((_is_known(), 1), else_=0),
        effective(inventory),
        effective(staged),
    ).select_from(both)
    connection.execute(insert(difference).from_select(list(difference.c), found.where(differs)))


def _fill_absent(connection: Connection, feed_id: int, *, scope_locations: bool) -> int:
    index_keys(connection)
    here = exists().where(_same_key(staged, inventory))
    only_rejected = exists().where(_same_key(rejected_key, inventory))
    found = select(
        *(inventory.c[name] for name in KEY_COLUMNS),
        case((only_rejected, 1), else_=0),
        case((_is_known(), 1), else_=0),
    ).where(inventory.c.feed_id == feed_id, ~here)
    if scope_locations:
        found = found.where(inventory.c.location.in_(select(staged.c.location)))
    connection.execute(insert(absent).from_select(list(absent.c), found))
    return int(connection.execute(select(func.count()).select_from(absent)).scalar_one())


def apply(connection: Connection, job: Applying) -> int:
    """Write the difference and the absences to `inventory` and `level_change`; return how many levels changed."""
    if connection.execute(select(func.count()).where(inventory.c.feed_id == job.feed_id)).scalar_one() == 0:
        return _first_load(connection, job)
    changes = _write_history(connection, job)
    _write_new(connection, job)
    _write_changed(connection, job)
    return changes + _write_absent(connection, job)


def _master_sku(connection: Connection, job: Applying) -> ColumnElement[Any]:
    fallback: ColumnElement[Any] = staged.c.supplier_sku if job.identity_match else null()
    if not connection.execute(select(exists().where(product_link.c.feed_id == job.feed_id))).scalar():
        return fallback
    link = select(product_link.c.sku).where(
        product_link.c.feed_id == job.feed_id, product_link.c.supplier_sku == staged.c.supplier_sku
    )
    return func.coalesce(link.scalar_subquery(), fallback)


def _staged_level(connection: Connection, job: Applying) -> tuple[list[str], list[ColumnElement[Any]]]:
    """Return the columns of a level as they come from `staged`: names and expressions."""
    names = ["feed_id", *KEY_COLUMNS, "sku", *VALUE_COLUMNS, "delivery_id", "source_row", "missing_count", "unconfirmed_count"]
    values: list[ColumnElement[Any]] = [
        literal(job.feed_id),
        *(staged.c[name] for name in KEY_COLUMNS),
        _master_sku(connection, job),
        *(staged.c[name] for name in VALUE_COLUMNS),
        literal(job.delivery_id),
        staged.c.row,
        literal(0),
        literal(0),
    ]
    return names, values


def _first_load(connection: Connection, job: Applying) -> int:
    count = connection.execute(select(func.count()).select_from(staged)).scalar_one()
    names, values = _staged_level(connection, job)
    ordered = select(*values).select_from(staged).order_by(*(staged.c[name] for name in KEY_COLUMNS))
    connection.execute(insert(inventory).from_select(names, ordered))
    _write_new_history(connection, job, select(staged.c.n))
    return int(count)


_HISTORY = (
    "id", "feed_id", *KEY_COLUMNS, "sku", "kind", "delivery_id", "at", "before",
    "on_hand_before", "available_before", "on_hand_after", "available_after", "on_order_after",
)  # fmt: skip


def _write_new_history(connection: Connection, job: Applying, numbers: Any) -> None:
    count = connection.execute(select(func.count()).select_from(numbers.subquery())).scalar_one()
    if not count:
        return
    base = next_change_ids(connection, count)
    whole = connection.execute(select(func.count()).select_from(staged)).scalar_one() == count
    at = literal(job.at, level_change.c.at.type)
    rows = select(
        func.row_number().over(order_by=staged.c.n) + base,
        literal(job.feed_id),
        *(staged.c[name] for name in KEY_COLUMNS),
        _master_sku(connection, job),
        literal("new"),
        literal(job.delivery_id),
        at,
        null(),
        null(),
        null(),
        staged.c.on_hand,
        staged.c.available,
        staged.c.on_order,
    )
    if not whole:
        rows = rows.where(staged.c.n.in_(numbers))
    connection.execute(insert(level_change).from_select(list(_HISTORY), rows))


def _before(connection: Connection) -> ColumnElement[Any]:
    """Return the current level as a JSON object, for undo."""
    build = func.json_object if connection.dialect.name == "sqlite" else func.json_build_object
    return build(*(part for name in _STATE_COLUMNS for part in (text(f"'{name}'"), inventory.c[name])))


def _write_history(connection: Connection, job: Applying) -> int:
    """Write level_change for new and changed staged rows, before the levels themselves change."""
    _write_new_history(connection, job, select(difference.c.n).where(difference.c.is_new == 1))
    changed = connection.execute(select(func.count()).where(difference.c.is_new == 0)).scalar_one()
    if changed:
        base = next_change_ids(connection, changed)
        rows = (
            select(
                func.row_number().over(order_by=staged.c.n) + base,
                literal(job.feed_id),
                *(staged.c[name] for name in KEY_COLUMNS),
                inventory.c.sku,
                literal("changed"),
                literal(job.delivery_id),
                literal(job.at, level_change.c.at.type),
                _before(connection),
                inventory.c.on_hand,
                inventory.c.available,
                staged.c.on_hand,
                staged.c.available,
                staged.c.on_order,
            )
            .select_from(difference)
            .join(staged, staged.c.n == difference.c.n)
            .join(inventory, and_(inventory.c.feed_id == job.feed_id, _same_key(staged, inventory)))
            .where(difference.c.is_new == 0)
        )
        connection.execute(insert(level_change).from_select(list(_HISTORY), rows))
    return int(connection.execute(select(func.count()).select_from(difference)).scalar_one())


def _write_new(connection: Connection, job: Applying) -> None:
    names, values = _staged_level(connection, job)
    rows = select(*values).select_from(staged).where(staged.c.n.in_(select(difference.c.n).where(difference.c.is_new == 1)))
    connection.execute(insert(inventory).from_select(names, rows.order_by(*(staged.c[name] for name in KEY_COLUMNS))))


def _write_changed(connection: Connection, job: Applying) -> None:
    """Overwrite changed levels. SQLite and PostgreSQL both know UPDATE … FROM."""
    changes: dict[str, Any] = {name: staged.c[name] for name in VALUE_COLUMNS}
    changes |= {
        "delivery_id": job.delivery_id,
        "source_row": staged.c.row,
        "missing_count": 0,
        "unconfirmed_count": 0,
        "confirmed_delivery_id": None,
    }
    connection.execute(
        update(inventory)
        .where(
            inventory.c.feed_id == job.feed_id,
            _same_key(staged, inventory),
            staged.c.n == difference.c.n,
            difference.c.is_new == 0,
        )
        .values(changes)
    )


def _write_absent(connection: Connection, job: Applying) -> int:
    gone = select(*(absent.c[name] for name in KEY_COLUMNS)).where(absent.c.rejected == 0)
    doubtful = select(*(absent.c[name] for name in KEY_COLUMNS)).where(absent.c.rejected == 1)
    return count_missing(connection, job, gone) + count_unconfirmed(connection, job, doubtful)


def count_missing(connection: Connection, job: Applying, keys: Any) -> int:
    """Count these keys missing once more; at `missing_after` their level goes to 0. Returns how many levels changed.

    A level that is already at the limit is left alone, so a long-gone SKU costs no writes.
    """
    here = and_(
        inventory.c.feed_id == job.feed_id,
        inventory.c.missing_count < job.missing_after,
        tuple_(*(inventory.c[name] for name in KEY_COLUMNS)).in_(keys),
    )
    ends = inventory.c.missing_count + 1 >= job.missing_after
    zero = {
        name: case((and_(ends, inventory.c[name].is_not(None)), 0), else_=inventory.c[name])
        for name in ("on_hand", "available", "on_order")
    }
    changed = _history_of_levels(connection, job, here, "missing", zero)
    values = {"missing_count": inventory.c.missing_count + 1, **zero, **_keep_confirmation(job)}
    connection.execute(update(inventory).where(here).values(values))
    return changed


def count_unconfirmed(connection: Connection, job: Applying, keys: Any) -> int:
    """Count these keys unconfirmed once more: their level stays, ATS treats them as 0 at the limit."""
    here = and_(
        inventory.c.feed_id == job.feed_id,
        inventory.c.unconfirmed_count < job.missing_after,
        tuple_(*(inventory.c[name] for name in KEY_COLUMNS)).in_(keys),
    )
    same = {name: inventory.c[name] for name in ("on_hand", "available", "on_order")}
    changed = _history_of_levels(connection, job, here, "unconfirmed", same)
    values = {"unconfirmed_count": inventory.c.unconfirmed_count + 1, **_keep_confirmation(job)}
    connection.execute(update(inventory).where(here).values(values))
    return changed


def _keep_confirmation(job: Applying) -> dict[str, Any]:
    """The delivery that last confirmed these levels is the one that the feed stood at until now."""
    from schemas.tables import feed

    last = select(feed.c.last_applied_id).where(feed.c.id == job.feed_id).scalar_subquery()
    return {"confirmed_delivery_id": func.coalesce(inventory.c.confirmed_delivery_id, last)}


def _history_of_levels(
    connection: Connection, job: Applying, where: ColumnElement[bool], kind: str, after: Mapping[str, ColumnElement[Any]]
) -> int:
    count = connection.execute(select(func.count()).where(where)).scalar_one()
    if not count:
        return 0
    base = next_change_ids(connection, count)
    rows = select(
        func.row_number().over(order_by=[inventory.c[name] for name in KEY_COLUMNS]) + base,
        inventory.c.feed_id,
        *(inventory.c[name] for name in KEY_COLUMNS),
        inventory.c.sku,
        literal(kind),
        literal(job.delivery_id),
        literal(job.at, level_change.c.at.type),
        _before(connection),
        inventory.c.on_hand,
        inventory.c.available,
        after["on_hand"],
        after["available"],
        after["on_order"],
    ).where(where)
    connection.execute(insert(level_change).from_select(list(_HISTORY), rows))
    return int(count)


def already_missing(feed_id: int, missing_after: int) -> Any:
    """Return the query for keys that were missing before and still count: an unchanged snapshot misses them again."""
    return select(*(inventory.c[name] for name in KEY_COLUMNS)).where(
        inventory.c.feed_id == feed_id, inventory.c.missing_count.between(1, missing_after - 1)
    )


def already_unconfirmed(feed_id: int, missing_after: int) -> Any:
    """Return the query for keys that were unconfirmed before: an unchanged snapshot leaves them so again."""
    return select(*(inventory.c[name] for name in KEY_COLUMNS)).where(
        inventory.c.feed_id == feed_id, inventory.c.unconfirmed_count.between(1, missing_after - 1)
    )
