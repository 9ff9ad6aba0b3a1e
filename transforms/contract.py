"""A feed's contract, evaluated vectorised on batches of stock records: Great Expectations' meaning, without its price.

Never evaluates what `expectations.supported` leaves to Great Expectations, and never imports it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from schemas.columns import COST_SCALE, KEY_COLUMNS, QUANTITY_COLUMNS, QUANTITY_SCALE
from schemas.feed_config import Expectation
from schemas.findings import Finding
from schemas.records import NormalisedBatch
from schemas.rejections import CODES, Rejection, rejection
from transforms.expectations import BETWEEN, IN_SET, MATCH, NOT_IN_SET, NOT_NULL, ROW_COUNT, supported

# Constructs that mean the same to Python's re and to Polars' regex on ASCII text without line breaks.
_IN_CLASS = r"[A-Za-z0-9 _./:,;@#%=+*()?!]|(?<=[A-Za-z0-9])-(?=[A-Za-z0-9])|\\[dws.\-\]\[\\]"
_PORTABLE = re.compile(
    r"(?:[A-Za-z0-9 _/:,;@#%=~<>!\"'`&-]|\\[dws.\\/+*?()\[\]{}|^$-]"
    rf"|\[\^?(?:{_IN_CLASS})+-?\]"
    r"|[.|^$)]|\((?:\?:)?(?!\?)|(?:[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})(?![*+?{]))*",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one expectation counted so far: records seen, values considered (without nulls, as it says), and unexpected ones."""

    rows: int = 0
    considered: int = 0
    unexpected: int = 0
    first_row: int | None = None

    def __add__(self, other: "Tally") -> "Tally":
        first = self.first_row if self.first_row is not None else other.first_row
        return Tally(self.rows + other.rows, self.considered + other.considered, self.unexpected + other.unexpected, first)


@dataclass(frozen=True, slots=True)
class RowVerdict:
    """One batch judged: `failed` holds each expectation's unexpected rows (Int64, of the file), in the order declared.

    `records` are those that pass all expectations of severity "row"; `rejections` and `rejected_keys` are of the others.
    """

    records: pl.DataFrame
    rejections: tuple[Rejection, ...]
    rejected_keys: pl.DataFrame
    failed: tuple[pl.Series, ...]
    tallies: tuple[Tally, ...]


def contract_view(records: pl.DataFrame) -> pl.DataFrame:
    """Return the records as contracts see them: quantities in units and costs in currency units, both Float64."""
    return records.with_columns(
        *(pl.col(name) / QUANTITY_SCALE for name in QUANTITY_COLUMNS),
        pl.col("unit_cost") / COST_SCALE,
    )


def check_rows(records: pl.DataFrame, expectations: Sequence[Expectation]) -> RowVerdict:
    """Return the verdict on one batch (RECORD_SCHEMA); unsupported expectations get an empty verdict.

    Expectations of severity "row" come first: rows that fail one are out before the others count.
    """
    judged: dict[int, tuple[pl.Series, Tally]] = {}
    rejections: list[Rejection] = []
    view = contract_view(records)
    out = pl.repeat(value=False, n=records.height, eager=True)
    for number, expectation in enumerate(expectations):
        if expectation.severity == "row" and supported(expectation):
            bad = unexpected(view, expectation)
            judged[number] = _judged(view, expectation, bad)
            rejections += _rejections(view.filter(bad), expectation)
            out |= bad
    # a row with several warehouses leaves as a whole
    out = records["row"].is_in(records["row"].filter(out).unique().to_list()) if out.any() else out
    kept = view.filter(~out)
    for number, expectation in enumerate(expectations):
        if number not in judged and supported(expectation):
            judged[number] = _judged(kept, expectation, unexpected(kept, expectation))
    nothing = (pl.Series([], dtype=pl.Int64), Tally())
    verdicts = [judged.get(number, nothing) for number in range(len(expectations))]
    return RowVerdict(
        records=records.filter(~out) if out.any() else records,
        rejections=tuple(sorted(rejections, key=lambda r: r.row or 0)),
        rejected_keys=records.filter(out).select(KEY_COLUMNS).unique(maintain_order=True),
        failed=tuple(rows for rows, _ in verdicts),
        tallies=tuple(tally for _, tally in verdicts),
    )


def check_batch(batch: NormalisedBatch, expectations: Sequence[Expectation]) -> tuple[NormalisedBatch, tuple[Tally, ...]]:
    """Return the batch without the rows that fail expectations of severity "row" (counted as rejected), and the tallies."""
    verdict = check_rows(batch.records, expectations)
    if not verdict.rejections:
        return batch, verdict.tallies
    rejected = batch.records["row"].n_unique() - verdict.records["row"].n_unique()
    return replace(
        batch,
        records=verdict.records,
        rejections=(*batch.rejections, *verdict.rejections),
        rejected_keys=pl.concat([batch.rejected_keys, verdict.rejected_keys]).unique(maintain_order=True),
        rows_accepted=batch.rows_accepted - rejected,
        rows_rejected=batch.rows_rejected + rejected,
    ), verdict.tallies


def unexpected(view: pl.DataFrame, expectation: Expectation) -> pl.Series:
    """Return a Boolean for each record of `view` (see `contract_view`): whether its value fails the expectation.

    As in Great Expectations, null fails only expect_column_values_to_not_be_null. Row counts fail no single row.
    """
    given = expectation.arguments
    if expectation.type == ROW_COUNT:
        return pl.repeat(value=False, n=view.height, eager=True)
    values = view.get_column(given["column"])
    if expectation.type == NOT_NULL:
        return values.is_null()
    if expectation.type == BETWEEN:
        expected = _between(given)
    elif expectation.type in {IN_SET, NOT_IN_SET}:
        inside = pl.col(values.name).is_in(pl.Series(list(given["value_set"]), dtype=values.dtype).implode())
        expected = inside if expectation.type == IN_SET else ~inside
    else:
        expected = pl.lit(_matches(values, given["regex"]))
    return view.select(bad=(~expected).fill_null(value=False))["bad"]


def _between(given: dict[str, Any]) -> pl.Expr:
    column = pl.col(str(given["column"]))
    low, high = given.get("min_value"), given.get("max_value")
    bounds = []
    if low is not None:
        bounds.append(column > low if given.get("strict_min") else column >= low)
    if high is not None:
        bounds.append(column < high if given.get("strict_max") else column <= high)
    return pl.all_horizontal(bounds)


def _matches(values: pl.Series, pattern: str) -> pl.Series:
    """Return whether Python's re finds the pattern; by Polars where both engines must agree, else for each distinct value."""
    simple = values.str.contains(r"^[ -~]*$")
    if not _PORTABLE.fullmatch(pattern) or not simple.all():
        searched = re.compile(pattern)
        distinct = values.drop_nulls().unique().to_list()
        found = [searched.search(value) is not None for value in distinct]
        return values.replace_strict(distinct, found, default=None, return_dtype=pl.Boolean)
    return values.str.contains(pattern)


def _judged(view: pl.DataFrame, expectation: Expectation, bad: pl.Series) -> tuple[pl.Series, Tally]:
    rows = view["row"].filter(bad)
    nulls = 0 if expectation.type in {NOT_NULL, ROW_COUNT} else view[expectation.arguments["column"]].null_count()
    return rows, Tally(view.height, view.height - nulls, rows.len(), rows[0] if rows.len() else None)


def _rejections(failed: pl.DataFrame, expectation: Expectation) -> list[Rejection]:
    column = expectation.arguments["column"]
    message = f"{CODES['EXPECT-FAILED'].sentence}: {describe(expectation)}"
    return [
        rejection("EXPECT-FAILED", row=row, line=line, column=column, value=_shown(value), message=message)
        for row, line, value in failed.select("row", "line", value=column).iter_rows()
    ]


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def describe(expectation: Expectation) -> str:
    """Return in words what the expectation asks for, e.g. "on_hand between 0 and 500"."""
    given = expectation.arguments
    column = given.get("column", "rows")
    if expectation.type == NOT_NULL:
        words = f"{column} is given"
    elif expectation.type in {BETWEEN, ROW_COUNT}:
        low = f"{'more than' if given.get('strict_min') else 'at least'} {given.get('min_value')}"
        high = f"{'less than' if given.get('strict_max') else 'at most'} {given.get('max_value')}"
        asked = [text for text, name in ((low, "min_value"), (high, "max_value")) if given.get(name) is not None]
        words = f"{column} {' and '.join(asked)}"
    elif expectation.type in {IN_SET, NOT_IN_SET}:
        known = ", ".join(str(value) for value in list(given["value_set"])[:12])
        words = f"{column} is {'one' if expectation.type == IN_SET else 'none'} of {known}"
    elif expectation.type == MATCH:
        words = f"{column} matches {given['regex']}"
    else:
        words = expectation.type + (f" of {given['column']}" if "column" in given else "")
    share = given.get("mostly", 1)
    return words if share == 1 else f"{words}, for at least {share:.4%} of the values".replace(".0000%", "%")


def succeeds(expectation: Expectation, tally: Tally) -> bool:
    """Return whether the expectation is met by what was counted over the whole delivery (`mostly` as in GX; nothing: met)."""
    if expectation.type == ROW_COUNT:
        counted = pl.DataFrame({"count": [tally.rows]})
        return bool(counted.select(_between({**expectation.arguments, "column": "count"})).item())
    if not tally.considered:
        return True
    return (tally.considered - tally.unexpected) / tally.considered >= float(expectation.arguments.get("mostly", 1))


def finish(expectations: Sequence[Expectation], tallies: Sequence[Tally]) -> tuple[Finding, ...]:
    """Return a Finding for each supported expectation of severity warn, hold or reject that the whole delivery does not meet.

    `tallies` are the sums of the batches' tallies, in the order of `expectations`.
    """
    found = []
    for expectation, tally in zip(expectations, tallies, strict=True):
        if expectation.severity == "row" or not supported(expectation) or succeeds(expectation, tally):
            continue
        counted = f"{tally.rows} rows" if expectation.type == ROW_COUNT else f"{tally.unexpected} of {tally.considered} values fail"
        found.append(
            Finding(
                code="EXPECT-FAILED",
                severity=expectation.severity,
                message=f"the delivery does not meet the contract: expected {describe(expectation)}; {counted}",
                remedy="Ask the supplier, or change the [[feed.expect]] entry.",
                measured=counted,
                limit=describe(expectation),
                column=expectation.arguments.get("column"),
                row=tally.first_row,
            )
        )
    return tuple(found)
