"""Observations: what the reader saw in each row, before any rule of the feed: numbers as numbers, words as words.

Never rejects, never applies [feed.words], never rounds: what is not a number stays text.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl

from schemas.records import QUANTITY_COLUMNS, RawBatch
from transforms.columns import BLANKS, FromExpression, PlannedField, column_texts, field_texts
from transforms.dates import parse_times
from transforms.identifiers import SKU_BLANKS, parse_gtins
from transforms.money import amount_texts, cell_currencies, parse_currencies
from transforms.numbers import NumberForm, plain_decimals
from transforms.plan import Plan


def observe(batch: RawBatch, plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield one observation for each row and mapped quantity (or warehouse column), in the order of the file.

    Quantities and prices are exact decimal texts as written, without marks; `quantity` is null where the cell is no
    number under the declared marks, and `quantity_text` then holds what it is instead (null: blank).
    """
    shared = _shared(batch.frame, plan)
    quantities = list(_quantities(batch.frame, plan))
    for at, seen in enumerate(shared.iter_rows(named=True)):
        for kind, location, texts, numbers in quantities:
            quantity, text = numbers[at], texts[at]
            warehouse = seen["warehouse"] if location is None else location
            yield {
                "supplier_sku": seen["supplier_sku"],
                "gtin": seen["gtin"],
                "quantity": quantity,
                "quantity_text": None if quantity is not None or text == "" else text,
                "quantity_kind": kind,
                "warehouse": warehouse,
                "unit": seen["unit"],
                "price": seen["price"],
                "price_kind": None if seen["price"] is None else "unit_cost",
                "currency": seen["currency"],
                "available_date": seen["available_date"],
                "row": seen["row"],
                "line": seen["line"],
            }


def _shared(frame: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return what all observations of a row have in common, blank as null."""
    nothing = pl.repeat("", frame.height, dtype=pl.String, eager=True)

    def texts(name: str, trim: str = BLANKS) -> pl.Series:
        return field_texts(frame, _as_seen(plan.fields[name]), trim) if name in plan.fields else nothing

    date = plan.fields.get("next_available_on")
    dates = parse_times(texts("next_available_on"), date.column.formats if date else ()).local.dt.date()
    costs = texts("unit_cost")
    currency = pl.coalesce([pl.lit(parse_currencies(texts("currency"), None).values), pl.lit(cell_currencies(costs))])
    return frame.select(
        "row",
        "line",
        supplier_sku=pl.lit(texts("supplier_sku", SKU_BLANKS)).replace("", None),
        gtin=pl.lit(parse_gtins(texts("gtin")).values),
        warehouse=pl.lit(texts("location")).replace("", None),
        unit=pl.lit(texts("unit")).replace("", None),
        price=pl.lit(amount_texts(costs, plan.cost_form)),
        currency=currency,
        available_date=pl.lit(dates).dt.to_string("%Y-%m-%d"),
    )


def _as_seen(field: PlannedField) -> PlannedField:
    """Return the field without its declared words: they are rules."""
    return replace(field, column=field.column.model_copy(update={"words": {}}))


def _quantities(frame: pl.DataFrame, plan: Plan) -> Iterator[tuple[str, str | None, list[str], list[str | None]]]:
    """Yield kind, location (None: the row's own), texts and numbers of each mapped quantity, as long as the batch."""
    if plan.feed.wide:
        kind = plan.feed.wide.quantity
        for wide in plan.wide:
            texts = column_texts(frame, wide.column).str.strip_chars(BLANKS)
            yield kind, wide.location, texts.to_list(), signed_decimals(texts, plan.quantities[kind].form).to_list()
        return
    for name in QUANTITY_COLUMNS:
        if name not in plan.fields:
            continue
        origin, form = plan.fields[name].origin, plan.quantities[name].form
        if isinstance(origin, FromExpression):
            parts = [(sign, column_texts(frame, column).str.strip_chars(BLANKS)) for sign, column in origin.terms]
            yield name, None, _joined(parts), _summed([(sign, signed_decimals(part, form)) for sign, part in parts])
        else:
            texts = field_texts(frame, _as_seen(plan.fields[name]))
            yield name, None, texts.to_list(), signed_decimals(texts, form).to_list()


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
