"""The central table: writes the difference between a delivery and the current levels, and nothing else.

Every statement runs inside the caller's applying transaction; the difference is also the history and the dirty list.
"""

from typing import Any

from sqlalchemy import Connection, and_, case, func, insert, literal, literal_column, select, tuple_, update
from sqlalchemy.sql.elements import ColumnElement

from schemas.columns import KEY_COLUMNS
from schemas.tables import feed, inventory, level_change
from stockfeed.store import history
from stockfeed.store.comparison import VALUE_COLUMNS, Compared, absent, compare, compare_touched, difference, has_levels, same_key
from stockfeed.store.history import Applying, master_sku
from stockfeed.store.staged import staged

__all__ = [
    "Applying",
    "Compared",
    "apply",
    "compare",
    "compare_touched",
    "count_missing",
    "count_unconfirmed",
    "counted_by",
]


def apply(connection: Connection, job: Applying) -> int:
    """Write the difference and the absences to `inventory` and `level_change`; return how many levels changed."""
    if not has_levels(connection, job.feed_id):
        return _first_load(connection, job)
    changes = history.write_difference(connection, job)
    _write_new(connection, job)
    _write_changed(connection, job)
    return changes + _write_absent(connection, job)


def _staged_level(connection: Connection, job: Applying) -> tuple[list[str], list[ColumnElement[Any]]]:
    """Return the columns of a level as they come from `staged`: names and expressions."""
    names = ["feed_id", *KEY_COLUMNS, "sku", *VALUE_COLUMNS, "delivery_id", "source_row", "missing_count", "unconfirmed_count"]
    values: list[ColumnElement[Any]] = [
        literal(job.feed_id),
        *(staged.c[name] for name in KEY_COLUMNS),
        master_sku(connection, job),
        *(staged.c[name] for name in VALUE_COLUMNS),
        literal(job.delivery_id),
        staged.c.row,
        literal(0),
        literal(0),
    ]
    return names, values


def _first_load(connection: Connection, job: Applying) -> int:
    """Write every staged row as a new level, in the order of the keys: both databases fill their index from one end then."""
    names, values = _staged_level(connection, job)
    rows = select(*values).select_from(staged)
    if not job.in_key_order:  # else the order in which they were staged is good enough, and costs no sorting
        rows = rows.order_by(*(staged.c[name] for name in KEY_COLUMNS))
    written = connection.execute(insert(inventory).from_select(names, rows), execution_options={"preserve_rowcount": True})
    return history.write_all_new(connection, job, written.rowcount)


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
            same_key(staged, inventory),
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
    if connection.execute(keys.limit(1)).first() is None:
        return 0  # without walking all levels to find that out
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
    changed = history.write_levels(connection, job, here, "missing", zero)
    values = {"missing_count": inventory.c.missing_count + 1, **zero, **_keep_confirmation(job)}
    connection.execute(update(inventory).where(here).values(values))
    return changed


def count_unconfirmed(connection: Connection, job: Applying, keys: Any) -> int:
    """Count these keys unconfirmed once more: their level stays, ATS treats them as 0 at the limit.

    They are in the delivery, so they are no longer missing in a row.
    """
    if connection.execute(keys.limit(1)).first() is None:
        return 0
    here = and_(
        inventory.c.feed_id == job.feed_id,
        inventory.c.unconfirmed_count < job.missing_after,
        tuple_(*(inventory.c[name] for name in KEY_COLUMNS)).in_(keys),
    )
    same = {name: inventory.c[name] for name in ("on_hand", "available", "on_order")}
    changed = history.write_levels(connection, job, here, "unconfirmed", same)
    values = {"unconfirmed_count": inventory.c.unconfirmed_count + 1, "missing_count": 0, **_keep_confirmation(job)}
    connection.execute(update(inventory).where(here).values(values))
    return changed


def _keep_confirmation(job: Applying) -> dict[str, Any]:
    """The delivery that last confirmed these levels is the one that the feed stood at until now."""
    last = select(feed.c.last_applied_id).where(feed.c.id == job.feed_id).scalar_subquery()
    return {"confirmed_delivery_id": func.coalesce(inventory.c.confirmed_delivery_id, last)}


def counted_by(feed_id: int, delivery_id: int, kind: str) -> Any:
    """Return the query for keys that a delivery found "missing" or "unconfirmed": the same bytes find them so again."""
    not_new = level_change.c.kind != literal_column("'new'")  # as ix_level_change_not_new says it: both databases use it then
    return select(*(level_change.c[name] for name in KEY_COLUMNS)).where(
        level_change.c.delivery_id == delivery_id, level_change.c.feed_id == feed_id, level_change.c.kind == kind, not_new
    )
