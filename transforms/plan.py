"""The plan of a delivery: which cells of this header give which field, and the compiled rules of the feed.

Never reads rows; what the header lacks is one error that names everything missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from schemas.columns import QUANTITY_COLUMNS, QUANTITY_SCALE
from schemas.errors import ConfigError
from schemas.feed_config import Column, Feed
from schemas.records import RawBatch
from transforms.columns import (
    FromColumn,
    FromConstant,
    FromExpression,
    FromJoin,
    Origin,
    PlannedField,
    expression_terms,
    find_column,
    first_present,
    missing_columns,
    missing_members,
)
from transforms.dates import format_pattern, parse_dates
from transforms.flags import check_flag
from transforms.identifiers import parse_gtins
from transforms.money import parse_costs, parse_currencies
from transforms.numbers import NumberForm, number_form
from transforms.quantity import QuantityRules, parse_quantities
from transforms.wide import WideColumn, wide_columns
from transforms.words import compile_words


@dataclass(frozen=True, slots=True)
class Plan:
    """What `normalise` and `observe` need to know of a feed and of one header.

    `fields` holds the mapped fields by name, `wide` the per-warehouse columns, `quantities` the rules by quantity. `price` is
    the name of the field that holds what the supplier calls a price: "unit_cost", "price", or None.
    """

    feed: Feed
    header: tuple[str, ...]
    fields: Mapping[str, PlannedField]
    wide: tuple[WideColumn, ...]
    as_of: PlannedField | None
    quantities: Mapping[str, QuantityRules]
    cost_form: NumberForm

    @property
    def price(self) -> str | None:
        """Return which mapped field holds an amount of money."""
        return next((name for name in ("unit_cost", "price") if name in self.fields), None)


def plan_for(feed: Feed, first: RawBatch) -> Plan:
    """Return the plan of `feed` for the header of a file's first batch. Raises as `make_plan` does."""
    return make_plan(feed, first.header, header_row=first.reading.get("header_row") or 1, members=first.members)


def make_plan(feed: Feed, header: tuple[str, ...], *, header_row: int = 1, members: Sequence[str] = ()) -> Plan:
    """Return the plan of `feed` for this header; columns that no field needs are not touched.

    `members` are the paths that a document's records have, of which `header` holds only those that were asked for.

    Raises DeliveryError HEADER-MISSING that names all missing columns, and ConfigError for what no header could satisfy.
    """
    _check_wide(feed)
    missing: list[tuple[str, Sequence[str]]] = []
    fields: dict[str, PlannedField] = {}
    for name in type(feed.columns).model_fields:
        column: Column | None = getattr(feed.columns, name)
        field = _resolve(name, column, header, missing) if column else None
        if field:
            fields[name] = field
    as_of = _resolve("as_of", feed.as_of, header, missing) if feed.as_of else None
    taken = {column.position for field in fields.values() for column in origin_columns(field.origin)}
    wide = wide_columns(feed.wide, header, taken, missing) if feed.wide else ()
    if not missing and not wide and not {"on_hand", "available"} & set(fields):
        missing += [(n, c.column) for n in ("on_hand", "available") if (c := getattr(feed.columns, n)) is not None]
    if missing:
        raise missing_members(missing, members) if members else missing_columns(missing, header, header_row)
    plan = Plan(feed, header, fields, wide, as_of, _quantity_rules(feed), _form(feed, feed.columns.unit_cost or feed.columns.price))
    _check_words(plan)
    _check_constants(plan)
    return plan


def origin_columns(origin: Origin) -> tuple[FromColumn, ...]:
    """Return the columns of the file that an origin reads."""
    if isinstance(origin, FromColumn):
        return (origin,)
    if isinstance(origin, FromExpression):
        return tuple(column for _, column in origin.terms)
    return origin.columns if isinstance(origin, FromJoin) else ()


def _resolve(name: str, column: Column, header: Sequence[str], missing: list[tuple[str, Sequence[str]]]) -> PlannedField | None:
    """Return the field with its origin; None when it is absent, which is added to `missing` unless it is optional."""
    if column.value is not None:
        return PlannedField(name, column, FromConstant(column.value))
    if column.expression is not None:
        if name not in QUANTITY_COLUMNS:
            raise ConfigError(f"columns.{name}: an expression can only give a quantity", "Use `column` or `value` here.")
        terms = [(sign, named, find_column(named, header)) for sign, named in expression_terms(column.expression)]
        absent = [(name, (named,)) for _, named, found in terms if found is None]
        missing += absent if column.required else []
        found = tuple((sign, column) for sign, _, column in terms if column)
        return None if absent else PlannedField(name, column, FromExpression(found, column.expression.strip()))
    if column.join:
        return _resolve_join(name, column, header, missing)
    origin = first_present(column.column, header)
    if origin is None:
        missing += [(name, column.column)] if column.required else []
        return None
    return PlannedField(name, column, origin)


def _resolve_join(
    name: str, column: Column, header: Sequence[str], missing: list[tuple[str, Sequence[str]]]
) -> PlannedField | None:
    if name in QUANTITY_COLUMNS:
        raise ConfigError(f"columns.{name}: joined texts are no quantity", "Use `column`, or `expression` to add columns.")
    found = [(named, find_column(named, header)) for named in column.join]
    absent = [(name, (named,)) for named, position in found if position is None]
    missing += absent if column.required else []
    columns = tuple(position for _, position in found if position)
    shown = column.separator.join(position.name for position in columns)
    return None if absent else PlannedField(name, column, FromJoin(columns, column.separator, shown))


def _check_wide(feed: Feed) -> None:
    """Refuse fields beside [feed.wide] whose one number would count once for every warehouse."""
    if feed.wide is None:
        return
    beside = [name for name in (*QUANTITY_COLUMNS, "location") if getattr(feed.columns, name) is not None]
    if beside:
        raise ConfigError(
            f"feed {feed.code}: [feed.wide] and columns.{', columns.'.join(beside)} cannot both be mapped",
            "One value of the row would be counted for every warehouse; take it out of [feed.columns].",
        )


def _form(feed: Feed, column: Column | None) -> NumberForm:
    decimal = (column.decimal if column else None) or feed.decimal
    return number_form(decimal, (column.thousands if column else None) or feed.thousands)


def _quantity_rules(feed: Feed) -> dict[str, QuantityRules]:
    words = compile_words(feed.words)
    maximum = int(feed.max_quantity * QUANTITY_SCALE)
    return {
        name: QuantityRules(_form(feed, getattr(feed.columns, name)), words, maximum, feed.negative) for name in QUANTITY_COLUMNS
    }


def _check_words(plan: Plan) -> None:
    for name in ("status", "discontinued"):
        if name in plan.fields:
            check_flag(name, plan.fields[name].column)
    if plan.feed.wide and plan.feed.wide.enabled:
        check_flag("enabled", plan.feed.wide.enabled)
    for field in (plan.fields.get("next_available_on"), plan.as_of):
        for declared in field.column.formats if field else ():
            format_pattern(declared)


def _check_constants(plan: Plan) -> None:
    """Raise ConfigError for a constant that its own field cannot be."""
    for name, field in plan.fields.items():
        if not isinstance(field.origin, FromConstant):
            continue
        text = pl.Series([field.origin.text.strip()], dtype=pl.String)
        problems = _constant_problems(name, text, field, plan)
        if problems is not None and problems.height:
            raise ConfigError(
                f"feed {plan.feed.code}: columns.{name} has the constant {field.origin.text!r}, which is not possible there "
                f"({problems['code'][0]})",
                "Correct `value`, or read the field from a column.",
            )


def _constant_problems(name: str, text: pl.Series, field: PlannedField, plan: Plan) -> pl.DataFrame | None:
    if name in QUANTITY_COLUMNS:
        return parse_quantities(text, plan.quantities[name]).problems
    if name == "next_available_on":
        return parse_dates(text, field.column.formats).problems
    if name == "unit_cost":
        return parse_costs(text, plan.cost_form, None).costs.problems
    if name == "currency":
        return parse_currencies(text, plan.feed.currency).problems
    return parse_gtins(text).problems if name == "gtin" else None
