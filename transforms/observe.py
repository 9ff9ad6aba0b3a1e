"""Observations: what the reader saw in each row, before any rule of the feed: numbers as numbers, words as words.

Never rejects, never applies [feed.words], never rounds: what is not a number stays text.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import polars as pl

from schemas.columns import QUANTITY_COLUMNS
from schemas.feed_config import Wide
from schemas.records import RawBatch
from transforms.columns import BLANKS, FromExpression, PlannedField, column_texts, field_texts
from transforms.dates import parse_times
from transforms.identifiers import SKU_BLANKS, parse_gtins
from transforms.money import amount_texts, cell_currencies, parse_currencies
from transforms.numbers import NumberForm, plain_decimals
from transforms.plan import Plan
from transforms.wide import switched_off

_NO_GTIN = "check digit or length wrong"


def observe(batch: RawBatch, plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield one observation for each row and mapped quantity (or warehouse column), in the order of the file.

    Quantities and prices are exact decimal texts as written, without marks; `quantity` is null where the cell is no
    number under the declared marks, and `quantity_text` then holds what it is instead (null: blank). A barcode that is no
    GTIN is null, with what stands there in `gtin_raw`. Warehouse columns give no observation where they are switched off,
    nor (unless the feed wants none to be) where they are blank.
    """
    shared = _shared(batch.frame, plan)
    quantities = list(_quantities(batch.frame, plan))
    price_kind = _price_kind(plan)
    for at, seen in enumerate(shared.iter_rows(named=True)):
        row, line = seen.pop("row"), seen.pop("line")
        place = seen.pop("warehouse")
        for one in quantities:
            if one.given is not None and not one.given[at]:
                continue
            quantity, text = one.numbers[at], one.texts[at]
            yield {
                **seen,
                "quantity": quantity,
                "quantity_text": None if quantity is not None or text == "" else text,
                "quantity_kind": one.kind,
                "warehouse": place if one.location is None else one.location,
                "price_kind": None if seen["price"] is None else price_kind,
                "row": row,
                "line": line,
            }


def _price_kind(plan: Plan) -> str | None:
    """Return what the feed calls its price: the declared kind, else the name of the field."""
    return plan.price and (plan.fields[plan.price].column.kind or plan.price)


def _shared(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return what all observations of a row have in common, blank as null."""
    nothing = pl.repeat("", frame.height, dtype=pl.String, eager=True)

    def texts(name: str, trim: str = BLANKS) -> pl.Series:
        return field_texts(frame, _as_seen(plan.fields[name]), trim) if name in plan.fields else nothing

    def given(name: str, trim: str = BLANKS) -> pl.Expr:
        return pl.lit(texts(name, trim)).replace("", None)

    date = plan.fields.get("next_available_on")
    dates = parse_times(texts("next_available_on"), date.column.formats if date else ()).local.dt.date()
    prices = texts(plan.price or "")
    currency = pl.coalesce([pl.lit(parse_currencies(texts("currency"), None).values), pl.lit(cell_currencies(prices))])
    gtins = pl.lit(parse_gtins(texts("gtin")).values)
    no_gtin = gtins.is_null() & given("gtin").is_not_null()
    return frame.select(
        "row",
        "line",
        supplier_sku=given("supplier_sku", SKU_BLANKS),
        gtin=gtins,
        gtin_raw=pl.when(no_gtin).then(given("gtin")),
        gtin_note=pl.when(no_gtin).then(pl.lit(_NO_GTIN)),
        mpn=given("mpn"),
        warehouse=given("location"),
        condition=given("condition"),
        unit=given("unit"),
        price=pl.lit(amount_texts(prices, plan.cost_form)),
        currency=currency,
        available_date=pl.lit(dates).dt.to_string("%Y-%m-%d"),
    )


def _as_seen(field: PlannedField) -> PlannedField:
    """Return the field without its declared words: they are rules."""
    return replace(field, column=field.column.model_copy(update={"words": {}}))


@dataclass(frozen=True, slots=True)
class _Quantity:
    """One mapped quantity or warehouse column of a batch, each list as long as it; `location` None: the row's own.

    `given` (None: everywhere) says which rows have this quantity at all.
    """

    kind: str
    location: str | None
    texts: list[str]
    numbers: list[str | None]
    given: list[bool] | None = None


def _quantities(frame: pl.DataFrame, plan: Plan) -> Iterator[_Quantity]:
    if plan.feed.wide:
        yield from _wide_quantities(frame, plan, plan.feed.wide)
        return
    for name in QUANTITY_COLUMNS:
        if name not in plan.fields:
            continue
        origin, form = plan.fields[name].origin, plan.quantities[name].form
        if isinstance(origin, FromExpression):
            parts = [(sign, column_texts(frame, column).str.strip_chars(BLANKS)) for sign, column in origin.terms]
            numbers = _summed([(sign, signed_decimals(part, form)) for sign, part in parts])
            yield _Quantity(name, None, _joined(parts), numbers)
        else:
            texts = field_texts(frame, _as_seen(plan.fields[name]))
            yield _Quantity(name, None, texts.to_list(), signed_decimals(texts, form).to_list())


def _wide_quantities(frame: pl.DataFrame, plan: Plan, wide: Wide) -> Iterator[_Quantity]:
    for column in plan.wide:
        texts = column_texts(frame, column.column).str.strip_chars(BLANKS)
        off = switched_off(frame, column, wide)
        given = pl.repeat(value=True, n=frame.height, eager=True) if wide.blank == "reject" else texts != ""
        given = given if off is None else given & ~off
        numbers = signed_decimals(texts, plan.quantities[wide.quantity].form)
        yield _Quantity(wide.quantity, column.location, texts.to_list(), numbers.to_list(), given.to_list())


def signed_decimals(texts: pl.Series, form: NumberForm) -> pl.Series:
    """Return trimmed numbers as exact decimal texts with their minus; null where a text has no single reading as a number."""
    signed = pl.lit(texts).str.contains(r"^[+-][0-9.,]")
    bodies = pl.select(pl.when(signed).then(pl.lit(texts).str.slice(1)).otherwise(pl.lit(texts))).to_series()
    numbers = pl.lit(plain_decimals(bodies, form))
    whole = pl.when(numbers.str.starts_with(".")).then("0" + numbers).otherwise(numbers)
    return pl.select(pl.when(pl.lit(texts).str.starts_with("-")).then("-" + whole).otherwise(whole)).to_series()


def _joined(parts: list[tuple[int, pl.Series]]) -> list[str]:
    signs = [("- " if sign < 0 else "+ ", texts.to_list()) for sign, texts in parts]
    rows = zip(*(texts for _, texts in signs), strict=True)
    return [" ".join(sign + cell for (sign, _), cell in zip(signs, row, strict=True)).removeprefix("+ ") for row in rows]


def _summed(parts: list[tuple[int, pl.Series]]) -> list[str | None]:
    rows = zip(*(numbers.to_list() for _, numbers in parts), strict=True)
    return [_sum([sign for sign, _ in parts], row) for row in rows]


def _sum(signs: list[int], cells: tuple[str | None, ...]) -> str | None:
    numbers = [sign * Decimal(cell) for sign, cell in zip(signs, cells, strict=True) if cell is not None]
    return str(sum(numbers, Decimal(0))) if len(numbers) == len(cells) else None
