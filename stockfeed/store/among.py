"""Being one of many values, given to the database as one parameter: thousands of parameters cost more than the query."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, any_, func, literal, select

from stockfeed.store.engine import to_json


def is_among(connection: Connection, column: ColumnElement[Any], values: Sequence[str] | Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that the column is one of these values; false for every row when there are none."""
    if connection.dialect.name == "sqlite":
        given = func.json_each(to_json(list(values))).table_valued("value")
        return column.in_(select(given.c.value))
    return column == any_(literal(list(values), ARRAY(column.type)))
