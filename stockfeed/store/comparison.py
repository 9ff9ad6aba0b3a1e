"""Compares what is staged with the current levels: which rows are new or differ, which levels are absent.

Writes only temporary tables.
"""

from dataclasses import dataclass
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
    delete,
    exists,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from schemas.columns import KEY_COLUMNS
from schemas.tables import BigId, inventory
from stockfeed.store.staged import analyze, effective, index_keys, rejected_key, staged

VALUE_COLUMNS = ("on_hand", "available", "on_order", "unit", "next_available_on", "unit_cost", "currency", "gtin", "mpn")

_temporary = MetaData()
#: Staged rows that are new or differ from the current level; `is_new` 1 or 0.
difference = Table(
    "difference",
    _temporary,
    Column("n", BigId, primary_key=True, autoincrement=False),
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
class Compared:
    """How the staged rows meet the current levels (see transforms.guard.Against)."""

    new: int
    changed: int
    known: int
    present: int
    newly_zero: int
    absent: int


def same_key(left: Any, right: Any) -> ColumnElement[bool]:
    """Return the condition that two tables' rows have the same key within one feed."""
    return and_(*(left.c[name] == right.c[name] for name in KEY_COLUMNS))


def _is_known() -> ColumnElement[bool]:
    return and_(inventory.c.missing_count == 0, inventory.c.unconfirmed_count == 0)


def compare(
    connection: Connection, feed_id: int, *, scope_locations: bool, find_absent: bool, is_complete: bool = True
) -> Compared:
    """Fill `difference` and `absent` from what is staged, and count both.

    `scope_locations`: only locations that occur in the delivery have known keys and can miss some. Without `find_absent` (a
    delta) nothing is missing. A snapshot that is not `is_complete` is judged by what it lacks, but only the keys of
    rejected rows are left in `absent`.
    """
    _temporary.create_all(connection, checkfirst=False)
    total = connection.execute(select(func.count()).select_from(staged)).scalar_one()
    if not has_levels(connection, feed_id):
        return Compared(total, 0, 0, 0, 0, 0)
    levels, known_count = _count_levels(connection, feed_id, scope_locations=scope_locations)
    analyze(connection)
    _fill_difference(connection, feed_id)
    row = connection.execute(
        select(
            func.coalesce(func.sum(difference.c.is_new), 0).label("new"),
            func.count().label("rows"),
            func.count().filter(and_(difference.c.was_known == 1, difference.c.was > 0, difference.c.now == 0)).label("newly_zero"),
        )
    ).one()
    if find_absent and total - row.new < levels:
        _fill_absent(connection, feed_id, scope_locations=scope_locations)
    gone = select(func.count()).select_from(absent)
    known_gone = connection.execute(gone.where(absent.c.was_known == 1, absent.c.rejected == 0)).scalar_one()
    if not is_complete:
        connection.execute(delete(absent).where(absent.c.rejected == 0))
    counted = connection.execute(gone).scalar_one()
    new = int(row.new)
    return Compared(new, row.rows - new, known_count, known_count - known_gone, row.newly_zero, counted)


def has_levels(connection: Connection, feed_id: int) -> bool:
    """Return whether the feed has any level yet."""
    return bool(connection.execute(select(exists().where(inventory.c.feed_id == feed_id))).scalar())


def _count_levels(connection: Connection, feed_id: int, *, scope_locations: bool) -> tuple[int, int]:
    """Return how many levels the feed has, and how many of those in scope are known, in one pass over them."""
    known = and_(_is_known(), _in_scope()) if scope_locations else _is_known()
    counted = select(func.count(), func.count().filter(known)).where(inventory.c.feed_id == feed_id)
    levels, known_count = connection.execute(counted).one()
    return int(levels), int(known_count)


def _in_scope() -> ColumnElement[bool]:
    """Return the condition that a level's location occurs in the delivery, be it only in rejected rows."""
    return inventory.c.location.in_(select(staged.c.location).union(select(rejected_key.c.location)))


def _fill_difference(connection: Connection, feed_id: int) -> None:
    differs = or_(
        inventory.c.feed_id.is_(None),
        inventory.c.missing_count != 0,
        inventory.c.unconfirmed_count != 0,
        *(inventory.c[name].is_distinct_from(staged.c[name]) for name in VALUE_COLUMNS),
    )
    both = staged.outerjoin(inventory, and_(inventory.c.feed_id == feed_id, same_key(staged, inventory)))
    found = select(
        staged.c.n,
        case((inventory.c.feed_id.is_(None), 1), else_=0),
        case((_is_known(), 1), else_=0),
        effective(inventory),
        effective(staged),
    ).select_from(both)
    connection.execute(insert(difference).from_select(list(difference.c), found.where(differs)))


def _fill_absent(connection: Connection, feed_id: int, *, scope_locations: bool) -> None:
    index_keys(connection)
    here = exists().where(same_key(staged, inventory))
    only_rejected = exists().where(same_key(rejected_key, inventory))
    found = select(
        *(inventory.c[name] for name in KEY_COLUMNS),
        case((only_rejected, 1), else_=0),
        case((_is_known(), 1), else_=0),
    ).where(inventory.c.feed_id == feed_id, ~here)
    if scope_locations:
        found = found.where(_in_scope())
    connection.execute(insert(absent).from_select(list(absent.c), found))
