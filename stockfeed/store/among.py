"""Many values given to the database as one parameter: thousands of parameters cost more than the query."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, FromClause, any_, column, func, literal, select
from sqlalchemy.types import TypeEngine

from stockfeed.store.engine import to_json


def is_among(connection: Connection, column: ColumnElement[Any], values: Sequence[str] | Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that the column is one of these values; false for every row when there are none."""
    if connection.dialect.name == "sqlite":
        given = func.json_each(to_json(list(values))).table_valued("value")
        return column.in_(select(given.c.value))
    return column == any_(literal(list(values), ARRAY(column.type)))


def given_rows(
    connection: Connection, types: Mapping[str, TypeEngine[Any]], rows: Sequence[Sequence[str | int | None]]
) -> FromClause:
    """Return these rows as something to select from or to update from, with a column of each name and type."""
    if connection.dialect.name == "sqlite":
        value = func.json_each(to_json(rows)).table_valued("value").c.value
        return select(*(func.json_extract(value, f"$[{n}]").label(name) for n, name in enumerate(types))).subquery()
    values = zip(*rows, strict=True) if rows else ((),) * len(types)
    arrays = (literal(list(of_column), ARRAY(kind)) for kind, of_column in zip(types.values(), values, strict=True))
    return func.unnest(*arrays).table_valued(*(column(name, kind) for name, kind in types.items())).render_derived()
