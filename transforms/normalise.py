"""Normalising: a batch of raw text rows → typed stock records, and every problem of every row.

Never looks beyond its batch (duplicates and look-alikes need the whole delivery), never stops at the first problem of a
row, and never loops over rows except over those that have problems.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from schemas.columns import KEY_COLUMNS, QUANTITY_COLUMNS
from schemas.records import KEY_SCHEMA, RECORD_SCHEMA, NormalisedBatch, RawBatch
from transforms.cell_problems import place_cell_problems, unread_cells
from transforms.columns import FromConstant, FromExpression, PlannedField, field_texts
from transforms.dates import fault_problems, parse_dates, parse_times, to_utc
from transforms.expressions import parse_expression
from transforms.flags import parse_flags
from transforms.identifiers import SKU_BLANKS, parse_gtins, parse_skus
from transforms.money import parse_costs, parse_currencies
from transforms.plan import Plan
from transforms.problems import NO_PROBLEMS, Parsed, as_rejections, in_column, problems_where
from transforms.quantity import parse_quantities
from transforms.wide import WideReading, one_per_location, read_wide, with_unread

BLANK_WIDE = "no quantity in any warehouse column"


@dataclass(slots=True)
class _Reading:
    """The fields of a batch while they are being read: typed values by field, as long as the batch, and the problems."""

    frame: pl.DataFrame
    values: dict[str, pl.Series] = field(default_factory=dict)
    problems: list[pl.DataFrame] = field(default_factory=list)
    wide: WideReading | None = None

    def add(self, name: str, parsed: Parsed, column: str) -> None:
        self.values[name] = parsed.values
        self.found(parsed.problems, column)

    def found(self, problems: pl.DataFrame, column: str) -> None:
        if problems.height:
            self.problems.append(in_column(problems, column))


def normalise(batch: RawBatch, plan: Plan) -> NormalisedBatch:
    """Return the records, rejections and counts of one batch.

    A row with a problem of severity "row" gives no record; its key, if it can be read, is in `rejected_keys`. Counted in
    rows of the file: rows_read = rows_accepted + rows_rejected + sum(skipped).
    """
    reading = _Reading(batch.frame)
    _read_key(reading, plan)
    _read_quantities(reading, plan)
    _read_costs(reading, plan)
    _read_other_fields(reading, plan)
    _read_flags(reading, plan)
    problems = pl.concat([NO_PROBLEMS, *reading.problems]).unique(maintain_order=True)
    problems, unreadable_keys = place_cell_problems(batch, plan, problems)
    reading.wide = reading.wide and with_unread(reading.wide, unread_cells(batch))
    bad = _marked(problems.filter(pl.col("severity") == "row")["at"], batch.frame.height)
    records = _records(reading, plan, ~bad)
    keyed = bad & reading.values["supplier_sku"].is_not_null() & ~_marked(unreadable_keys, batch.frame.height)
    rejected = int(bad.sum())
    accepted = records["row"].n_unique() if plan.wide else records.height
    empty = batch.frame.height - rejected - accepted
    split = len(batch.rejections)
    return NormalisedBatch(
        records=records,
        rejections=(*batch.rejections, *as_rejections(problems, batch.frame)),
        rejected_keys=_rejected_keys(reading, plan, keyed),
        rows_read=batch.rows_read,
        rows_accepted=accepted,
        rows_rejected=rejected + split,
        skipped={**batch.skipped, BLANK_WIDE: empty} if empty else batch.skipped,
        rejected_without_key=rejected - int(keyed.sum()) + split,
    )


def plan_as_of(batch: RawBatch, plan: Plan) -> datetime | None:
    """Return the newest as-of time of the batch (aware UTC), None when none can be read or the feed declares none.

    A time without an offset is local to the feed's time zone; one that occurs twice there counts as the earlier.
    """
    if plan.as_of is None or not batch.frame.height:
        return None
    texts = field_texts(batch.frame, plan.as_of)
    instants, faults = to_utc(parse_times(texts, plan.as_of.column.formats), plan.feed.timezone)
    usable = instants.filter(faults.is_null() | (faults == "doubled"))
    newest = usable.max()
    return newest if isinstance(newest, datetime) else None


def _marked(at: pl.Series, height: int) -> pl.Series:
    return pl.repeat(value=False, n=height, eager=True).scatter(at.unique(), values=True)


def _read_key(reading: _Reading, plan: Plan) -> None:
    sku = plan.fields["supplier_sku"]
    parsed = parse_skus(field_texts(reading.frame, sku, SKU_BLANKS))
    reading.add("supplier_sku", parsed, sku.label)
    for name in ("location", "condition"):
        if name in plan.fields:
            reading.values[name] = field_texts(reading.frame, plan.fields[name])


def _read_quantities(reading: _Reading, plan: Plan) -> None:
    if plan.feed.wide:
        rules = plan.quantities[plan.feed.wide.quantity]
        reading.wide = read_wide(reading.frame, plan.wide, plan.feed.wide, rules)
        reading.problems += [p for p in reading.wide.problems if p.height]
        return
    mapped = [plan.fields[name] for name in QUANTITY_COLUMNS if name in plan.fields]
    given: dict[str, pl.Series] = {}
    for quantity in mapped:
        if isinstance(quantity.origin, FromExpression):
            parsed = parse_expression(reading.frame, quantity, quantity.origin, plan.quantities[quantity.name])
            reading.values[quantity.name] = parsed.values
            reading.problems.append(parsed.problems)
            given[quantity.name] = pl.repeat(value=True, n=reading.frame.height, eager=True)
            continue
        texts = field_texts(reading.frame, quantity)
        reading.add(quantity.name, parse_quantities(texts, plan.quantities[quantity.name]), quantity.label)
        if not isinstance(quantity.origin, FromConstant):
            given[quantity.name] = texts != ""
    _require_a_quantity(reading, mapped, given)


def _require_a_quantity(reading: _Reading, mapped: list[PlannedField], given: Mapping[str, pl.Series]) -> None:
    """A blank quantity is unknown while another quantity of the row is given, else it is QTY-BLANK; on_order may be blank."""
    if not given or all(series.all() for series in given.values()):
        return
    none_given = ~pl.DataFrame(given).select(pl.any_horizontal(pl.all())).to_series()
    for quantity in mapped:
        if quantity.name != "on_order" and quantity.name in given:
            blank = pl.repeat("", reading.frame.height, eager=True)
            reading.found(problems_where(none_given, blank, "QTY-BLANK"), quantity.label)


def _read_costs(reading: _Reading, plan: Plan) -> None:
    height = reading.frame.height
    declared = None
    if plan.feed.currency:
        declared = pl.repeat(plan.feed.currency, height, eager=True)
    if "currency" in plan.fields:
        currency = plan.fields["currency"]
        parsed = parse_currencies(field_texts(reading.frame, currency), plan.feed.currency)
        reading.add("currency", parsed, currency.label)
        declared = parsed.values
    if "unit_cost" in plan.fields:
        cost = plan.fields["unit_cost"]
        costs = parse_costs(field_texts(reading.frame, cost), plan.cost_form, declared)
        reading.add("unit_cost", costs.costs, cost.label)
        reading.values["currency"] = costs.currency


def _read_other_fields(reading: _Reading, plan: Plan) -> None:
    for name in ("unit", "mpn"):
        if name in plan.fields:
            texts = field_texts(reading.frame, plan.fields[name])
            reading.values[name] = texts.replace("", None)
    if "gtin" in plan.fields:
        gtin = plan.fields["gtin"]
        reading.add("gtin", parse_gtins(field_texts(reading.frame, gtin), plan.feed.gtin), gtin.label)
    if "next_available_on" in plan.fields:
        date = plan.fields["next_available_on"]
        reading.add(date.name, parse_dates(field_texts(reading.frame, date), date.column.formats), date.label)
    if plan.as_of:
        texts = field_texts(reading.frame, plan.as_of)
        _, faults = to_utc(parse_times(texts, plan.as_of.column.formats), plan.feed.timezone)
        reading.found(fault_problems(texts, faults, plan.as_of.column.formats), plan.as_of.label)


def _read_flags(reading: _Reading, plan: Plan) -> None:
    """Check status and discontinued; where the feed says so, nothing is left of a discontinued row, and none will come."""
    gone = pl.repeat(value=False, n=reading.frame.height, eager=True)
    for name in ("status", "discontinued"):
        if name in plan.fields:
            flags = parse_flags(field_texts(reading.frame, plan.fields[name]), plan.fields[name].column)
            reading.found(flags.problems, plan.fields[name].label)
            gone |= flags.no if name == "status" else flags.yes
    if plan.feed.discontinued != "zero" or not gone.any():
        return
    for name in QUANTITY_COLUMNS:
        if name in reading.values:
            reading.values[name] = reading.values[name].set(gone, None if name == "on_order" else 0)
    if reading.wide and plan.feed.wide:
        nothing = None if plan.feed.wide.quantity == "on_order" else 0
        wide = reading.wide
        reading.wide = WideReading(wide.columns, tuple(v.set(gone, nothing) for v in wide.values), wide.given, wide.problems)


def _rows(reading: _Reading) -> pl.DataFrame:
    """Return all rows of the batch in the form of records, whatever is wrong with them."""
    defaults = {"location": "", "condition": ""}
    values = {
        name: reading.values[name]
        if name in reading.values
        else pl.Series([defaults.get(name)], dtype=dtype).new_from_index(0, reading.frame.height)
        for name, dtype in RECORD_SCHEMA.items()
        if name not in {"row", "line"}
    }
    return pl.DataFrame({"row": reading.frame["row"], "line": reading.frame["line"].cast(pl.Int64), **values}, schema=RECORD_SCHEMA)


def _records(reading: _Reading, plan: Plan, keep: pl.Series) -> pl.DataFrame:
    rows = _rows(reading)
    if reading.wide and plan.feed.wide:
        return one_per_location(rows, reading.wide, plan.feed.wide.quantity, keep).select(list(RECORD_SCHEMA))
    return rows if keep.all() else rows.filter(keep)


def _rejected_keys(reading: _Reading, plan: Plan, keyed: pl.Series) -> pl.DataFrame:
    if not keyed.any():
        return pl.DataFrame(schema=KEY_SCHEMA)
    return _records(reading, plan, keyed).select(KEY_COLUMNS).unique(maintain_order=True)
