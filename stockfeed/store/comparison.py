"""Compares what is staged with the current levels: which rows are new or differ, which levels are absent.

Writes only temporary tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Select,
    SmallInteger,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    true,
)
from sqlalchemy.sql.elements import ColumnElement

from schemas.columns import KEY_COLUMNS
from schemas.tables import BigId, inventory
from stockfeed.store.staged import analyze, drop_key_index, effective, index_keys, index_touched, rejected_key, staged, touched_key

VALUE_COLUMNS = ("on_hand", "available", "on_order", "unit", "next_available_on", "unit_cost", "currency", "gtin", "mpn")

_FEW_OF = 20  # of so many levels, one is looked up sooner than all of them are read

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
    """How the staged rows meet the current levels (see transforms.guard.Against); `new` is None where all of them are."""

    new: int | None
    changed: int
    known: int
    present: int
    newly_zero: int
    absent: int
    others: int = 0  # levels that the delivery does not have, whether or not it can prove that they are absent


def same_key(left: Any, right: Any) -> ColumnElement[bool]:
    """Return the condition that two tables' rows have the same key within one feed."""
    return and_(*(left.c[name] == right.c[name] for name in KEY_COLUMNS))


def is_known(level: Any = inventory) -> ColumnElement[bool]:
    """Return the condition that the last applied delivery confirmed a level."""
    return and_(level.c.missing_count == 0, level.c.unconfirmed_count == 0)


def compare(
    connection: Connection, feed_id: int, *, scope_locations: bool, find_absent: bool, is_complete: bool = True
) -> Compared:
    """Fill `difference` and `absent` from what is staged, and count both.

    `scope_locations`: only locations that occur in the delivery have known keys and can miss some. Without `find_absent` (a
    delta) nothing is missing. A snapshot that is not `is_complete` is judged by what it lacks, but only the keys of
    rejected rows are left in `absent`.
    """
    _temporary.create_all(connection, checkfirst=False)
    if not has_levels(connection, feed_id):
        return Compared(None, 0, 0, 0, 0, 0)
    total = connection.execute(select(func.count()).select_from(staged)).scalar_one()
    levels, known_count = _count_levels(connection, feed_id, scope_locations=scope_locations)
    analyze(connection)
    _fill_difference(connection, feed_id)
    new = connection.execute(select(func.coalesce(func.sum(difference.c.is_new), 0))).scalar_one()
    if find_absent and total - new < levels:
        _fill_absent(connection, feed_id, scope_locations=scope_locations)
    return _count(connection, known_count, is_complete=is_complete)


def compare_touched(connection: Connection, feed_id: int, *, known: int, others: int, is_complete: bool) -> Compared:
    """Fill `difference` and `absent` as `compare` does, from the part of a snapshot that is staged.

    The rest of it is in the levels as it is: all known levels (`known`) but those of the `touched_key`s. Besides these the
    feed has `others`, that no delivery confirms now.
    """
    _temporary.create_all(connection, checkfirst=False)
    analyze(connection)
    index_touched(connection)
    few = connection.dialect.name == "postgresql" and _FEW_OF * _rows_in(connection, staged, touched_key) < known
    _fill_difference(connection, feed_id, few=few)
    index_keys(connection)
    if few:
        level = _looked_up(touched_key, feed_id)
        touched = _absent_levels(level).select_from(touched_key.join(level, true()))
    else:
        both = touched_key.outerjoin(inventory, and_(inventory.c.feed_id == feed_id, same_key(touched_key, inventory)))
        # an outer join keeps SQLite from going through all levels; what it cannot see through keeps it an outer one
        touched = _absent_levels(inventory).select_from(both).where(func.coalesce(inventory.c.feed_id, 0) == feed_id)
    connection.execute(insert(absent).from_select(list(absent.c), touched))
    if others:
        same = same_key(touched_key, inventory)
        rest = _absent_levels(inventory).where(inventory.c.feed_id == feed_id, ~is_known(), ~exists().where(same))
        connection.execute(insert(absent).from_select(list(absent.c), rest))
    drop_key_index(connection)
    return _count(connection, known, is_complete=is_complete)


def _rows_in(connection: Connection, *tables: Table) -> int:
    return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)


def _looked_up(keys: Table, feed_id: int) -> Any:
    """Return the feed's level of each row of a table of few keys.

    PostgreSQL looks each of them up then, also where it does not know yet how many levels the feed has.
    """
    found = select(inventory).where(inventory.c.feed_id == feed_id, same_key(keys, inventory))
    return found.limit(1).lateral("level")  # without a limit it would be a join like any other


def _count(connection: Connection, known_count: int, *, is_complete: bool) -> Compared:
    """Return what is in `difference` and `absent`, and leave only what counts in `absent`."""
    row = connection.execute(
        select(
            func.coalesce(func.sum(difference.c.is_new), 0).label("new"),
            func.count().label("rows"),
            func.count().filter(and_(difference.c.was_known == 1, difference.c.was > 0, difference.c.now == 0)).label("newly_zero"),
        )
    ).one()
    gone = select(func.count()).select_from(absent)
    known_gone = connection.execute(gone.where(absent.c.was_known == 1, absent.c.rejected == 0)).scalar_one()
    others = connection.execute(gone).scalar_one()
    if not is_complete:
        connection.execute(delete(absent).where(absent.c.rejected == 0))
    counted = connection.execute(gone).scalar_one()
    new = int(row.new)
    return Compared(new, row.rows - new, known_count, known_count - known_gone, row.newly_zero, counted, others)


def hold_levels(connection: Connection, feed_id: int) -> bool:
    """Return whether any `touched_key` is the key of a known level."""
    found = select(exists().where(inventory.c.feed_id == feed_id, is_known(), same_key(touched_key, inventory)))
    return bool(connection.execute(found).scalar())


def unknown_skus(connection: Connection, feed_id: int) -> list[str]:
    """Return the SKUs of the `touched_key`s that no known level has."""
    has_level = exists().where(inventory.c.feed_id == feed_id, is_known(), inventory.c.supplier_sku == touched_key.c.supplier_sku)
    return list(connection.execute(select(touched_key.c.supplier_sku).distinct().where(~has_level)).scalars())


def similar_skus(connection: Connection, feed_id: int, folded: Sequence[str]) -> list[str]:
    """Return the SKUs of known levels that are one of the `folded` texts in lower case, or are not all ASCII."""
    sku = inventory.c.supplier_sku
    if connection.dialect.name == "sqlite":
        lower, octets = func.lower(sku), func.length(cast(sku, LargeBinary))  # SQLite's lower() knows ASCII only
    else:
        lower, octets = func.lower(sku.collate("C")), func.octet_length(sku)
    similar = or_(lower.in_(bindparam("folded", list(folded), expanding=True)), octets != func.length(sku))
    found = select(sku).distinct().where(inventory.c.feed_id == feed_id, is_known(), similar)
    return list(connection.execute(found).scalars())


def has_levels(connection: Connection, feed_id: int) -> bool:
    """Return whether the feed has any level yet."""
    return bool(connection.execute(select(exists().where(inventory.c.feed_id == feed_id))).scalar())


def count_levels(connection: Connection, feed_id: int) -> int:
    """Return how many levels the feed has, known or not."""
    return int(connection.execute(select(func.count()).where(inventory.c.feed_id == feed_id)).scalar_one())


def _count_levels(connection: Connection, feed_id: int, *, scope_locations: bool) -> tuple[int, int]:
    """Return how many levels the feed has, and how many of those in scope are known, in one pass over them."""
    known = and_(is_known(), _in_scope()) if scope_locations else is_known()
    counted = select(func.count(), func.count().filter(known)).where(inventory.c.feed_id == feed_id)
    levels, known_count = connection.execute(counted).one()
    return int(levels), int(known_count)


def _in_scope() -> ColumnElement[bool]:
    """Return the condition that a level's location occurs in the delivery, be it only in rejected rows."""
    return inventory.c.location.in_(select(staged.c.location).union(select(rejected_key.c.location)))


def _fill_difference(connection: Connection, feed_id: int, *, few: bool = False) -> None:
    level: Any = _looked_up(staged, feed_id) if few else inventory
    differs = or_(
        level.c.feed_id.is_(None),
        level.c.missing_count != 0,
        level.c.unconfirmed_count != 0,
        *(level.c[name].is_distinct_from(staged.c[name]) for name in VALUE_COLUMNS),
    )
    both = staged.outerjoin(level, true() if few else and_(level.c.feed_id == feed_id, same_key(staged, level)))
    found = select(
        staged.c.n,
        case((level.c.feed_id.is_(None), 1), else_=0),
        case((is_known(level), 1), else_=0),
        effective(level),
        effective(staged),
    ).select_from(both)
    connection.execute(insert(difference).from_select(list(difference.c), found.where(differs)))


def _fill_absent(connection: Connection, feed_id: int, *, scope_locations: bool) -> None:
    index_keys(connection)
    found = _absent_levels(inventory).where(inventory.c.feed_id == feed_id)
    if scope_locations:
        found = found.where(_in_scope())
    connection.execute(insert(absent).from_select(list(absent.c), found))


def _absent_levels(level: Any) -> Select[Any]:
    """Return the query for `absent`: levels, of any feed, whose key is not staged."""
    here = exists().where(same_key(staged, level))
    only_rejected = exists().where(same_key(rejected_key, level))
    return select(
        *(level.c[name] for name in KEY_COLUMNS),
        case((only_rejected, 1), else_=0),
        case((is_known(level), 1), else_=0),
    ).where(~here)
