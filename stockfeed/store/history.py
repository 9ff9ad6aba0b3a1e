"""The append-only history of levels, written before the levels themselves change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, insert, literal, null, select, text
from sqlalchemy.sql.elements import ColumnElement

from schemas.columns import KEY_COLUMNS
from schemas.tables import inventory, level_change, product_link
from stockfeed.store.comparison import VALUE_COLUMNS, difference, same_key
from stockfeed.store.engine import next_change_ids
from stockfeed.store.staged import staged

_STATE_COLUMNS = ("sku", *VALUE_COLUMNS, "delivery_id", "source_row", "missing_count", "unconfirmed_count", "confirmed_delivery_id")


@dataclass(frozen=True, slots=True)
class Applying:
    """One delivery being applied to one feed's levels."""

    feed_id: int
    delivery_id: int
    at: datetime
    missing_after: int
    identity_match: bool  # a supplier SKU without a ProductLink is the master SKU
    in_key_order: bool = False  # nearly every staged row has a greater key than the one before it


def master_sku(connection: Connection, job: Applying) -> ColumnElement[Any]:
    """Return the expression for the master SKU of a staged row: its ProductLink, else what the feed's `match` says."""
    fallback: ColumnElement[Any] = staged.c.supplier_sku if job.identity_match else null()
    if not connection.execute(select(exists().where(product_link.c.feed_id == job.feed_id))).scalar():
        return fallback
    link = select(product_link.c.sku).where(
        product_link.c.feed_id == job.feed_id, product_link.c.supplier_sku == staged.c.supplier_sku
    )
    return func.coalesce(link.scalar_subquery(), fallback)


_HISTORY = (
    "id", "feed_id", *KEY_COLUMNS, "sku", "kind", "delivery_id", "at", "before",
    "on_hand_before", "available_before", "on_hand_after", "available_after", "on_order_after",
)  # fmt: skip


def write_all_new(connection: Connection, job: Applying, count: int) -> int:
    """Record kind "new" for all staged rows, which are so many. Their change ids have the gaps that their numbers have."""
    if count:
        last = connection.execute(select(func.max(staged.c.n))).scalar_one()  # not their count: some have left
        rows = _new_rows(connection, job, staged.c.n + next_change_ids(connection, last))
        connection.execute(insert(level_change).from_select(list(_HISTORY), rows))
    return count


def write_new(connection: Connection, job: Applying, numbers: Any) -> None:
    """Record kind "new" for the staged rows whose numbers a query gives."""
    count = connection.execute(select(func.count()).select_from(numbers.subquery())).scalar_one()
    if count:
        change_id = func.row_number().over(order_by=staged.c.n) + next_change_ids(connection, count)
        rows = _new_rows(connection, job, change_id).where(staged.c.n.in_(numbers))
        connection.execute(insert(level_change).from_select(list(_HISTORY), rows))


def _new_rows(connection: Connection, job: Applying, change_id: ColumnElement[int]) -> Select[Any]:
    return select(
        change_id,
        literal(job.feed_id),
        *(staged.c[name] for name in KEY_COLUMNS),
        master_sku(connection, job),
        literal("new"),
        literal(job.delivery_id),
        literal(job.at, level_change.c.at.type),
        null(),
        null(),
        null(),
        staged.c.on_hand,
        staged.c.available,
        staged.c.on_order,
    )


def _before(connection: Connection) -> ColumnElement[Any]:
    """Return the current level as a JSON object, for undo."""
    build = func.json_object if connection.dialect.name == "sqlite" else func.json_build_object
    return build(*(part for name in _STATE_COLUMNS for part in (text(f"'{name}'"), inventory.c[name])))


def write_difference(connection: Connection, job: Applying) -> int:
    """Record what is new and what differs, and return how many levels that are."""
    write_new(connection, job, select(difference.c.n).where(difference.c.is_new == 1))
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
            .join(inventory, and_(inventory.c.feed_id == job.feed_id, same_key(staged, inventory)))
            .where(difference.c.is_new == 0)
        )
        connection.execute(insert(level_change).from_select(list(_HISTORY), rows))
    return int(connection.execute(select(func.count()).select_from(difference)).scalar_one())


def write_levels(
    connection: Connection, job: Applying, where: ColumnElement[bool], kind: str, after: Mapping[str, ColumnElement[Any]]
) -> int:
    """Record `kind` for the current levels that a condition picks; `after` gives their quantities to come. Returns how many."""
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
