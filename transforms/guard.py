"""Whether a delivery as a whole is believable: compared with the last applied one, by the feed's guard limits.

Pure. "Known" SKUs are those present in the last applied snapshot. Fractions count from `from_rows` affected rows on;
no rows, all rejected and all zero count always. Warns at half of a limit.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from schemas.feed_config import Guard
from schemas.findings import Finding, Severity

if TYPE_CHECKING:
    import polars as pl
from schemas.columns import QUANTITY_SCALE

# A quantity column whose typical value or share of fractions changes this much is probably another column (F17).
_MEDIAN_RATIO = 5.0
_FRACTION_POINTS = 30.0
_HALF = 2**32


@dataclass(frozen=True, slots=True)
class Profile:
    """What one delivery looks like; quantities in thousandths. Stored as JSON with the delivery."""

    rows: int  # rows read, without those skipped on purpose
    rejected: int
    records: int
    units: int
    zeros: int
    unknown: int
    median: float  # of the quantities above 0
    fractional: float  # share of quantities with decimals, 0..1
    top_value: int | None  # the most frequent quantity
    top_share: float  # its share of records, 0..1


@dataclass(frozen=True, slots=True)
class Against:
    """How a delivery meets the known SKUs: how many there are, how many are present, how many were above 0 and are 0 now."""

    known: int
    present: int
    newly_zero: int


def histogram(quantities: "pl.Series") -> "pl.DataFrame":
    """Return how often each quantity occurs (`quantity` Int64 thousandths, null unknown; `count` Int64), in no order."""
    counted = quantities.rename("quantity").value_counts(name="count")
    return counted.with_columns(counted["count"].cast(int))


def totals(quantities: "pl.Series") -> Counter[str]:
    """Return how many records there are, their units (thousandths), and how many quantities are 0 and unknown."""
    zeros, unknown = int((quantities == 0).sum()), quantities.null_count()
    # in two halves: many quantities near the largest are more than 64 bits hold
    units = int((quantities // _HALF).sum()) * _HALF + int((quantities % _HALF).sum())
    return Counter(records=quantities.len(), units=units, zeros=zeros, unknown=unknown)


def profile(counts: "pl.DataFrame", *, rows: int, rejected: int, totals: Mapping[str, int]) -> Profile:
    """Return the profile of a delivery from how often each quantity occurs (see `histogram`) and its counted totals."""
    known = counts.filter(counts["quantity"].is_not_null()).sort("quantity")
    above = known.filter(known["quantity"] > 0)
    fractional = int(known.filter(known["quantity"] % QUANTITY_SCALE != 0)["count"].sum())
    top = known.sort("count", descending=True, maintain_order=True).row(0) if known.height else (None, 0)
    return Profile(
        rows=rows,
        rejected=rejected,
        records=totals["records"],
        units=totals["units"],
        zeros=totals["zeros"],
        unknown=totals["unknown"],
        median=_median(above),
        fractional=fractional / max(int(known["count"].sum()), 1),
        top_value=top[0],
        top_share=top[1] / max(int(counts["count"].sum()), 1),
    )


def _median(counts: "pl.DataFrame") -> float:
    """Return the median of quantities counted in ascending order, 0 of none."""
    reached = counts["count"].cum_sum()
    if not reached.len():
        return 0.0
    last = int(reached[-1])
    middle = [counts["quantity"][int(reached.search_sorted(place, side="left"))] for place in ((last + 1) // 2, last // 2 + 1)]
    return float(sum(middle) / 2)


def judge(new: Profile, old: Profile | None, against: Against, *, limits: Guard, delta: bool) -> tuple[Finding, ...]:
    """Return every finding about a delivery, holds first. `old` is None where there is none to compare with."""
    if not limits.enabled:
        return ()
    found = list(_always(new, first=old is None, delta=delta))
    found += _rejected(new, limits, first=old is None)
    found += _against_known(against, limits, delta=delta)
    if old is not None:
        if not delta:
            found += _against_old(new, old, limits)
        found += _distribution(new, old, limits)
    return tuple(sorted(found, key=lambda f: f.severity != "hold"))


def _always(new: Profile, *, first: bool, delta: bool) -> Iterator[Finding]:
    if new.records == 0 and new.rejected:
        yield Finding(
            "ALL-REJECTED",
            "reject" if first else "hold",  # of a first delivery nothing is left that a release could apply
            f"all {new.rejected} rows were rejected",
            "Look at the rejections: the mapping or the export changed.",
        )
    elif new.records == 0 and not delta:
        yield Finding(
            "NO-ROWS", "hold", "the delivery has 0 rows of stock", "Ask the supplier for a full export, or reject this delivery."
        )
    elif new.records > new.unknown and new.units == 0 and (not delta or new.records >= 20):  # noqa: PLR2004 (DESIGN: from 20 rows on)
        yield Finding(
            "ALL-ZERO",
            "hold",
            f"the quantity of all {new.records} rows is 0",
            "Ask the supplier whether everything is sold out.",
            column="quantity",
        )


def _rejected(new: Profile, limits: Guard, *, first: bool) -> Iterator[Finding]:
    """Yield a hold (or warning) for many rejected rows; of a first delivery a warning: it takes no level away."""
    found = _compare(
        "ROWS-REJECTED",
        100 * new.rejected / max(new.rows, 1),
        limits.rejected_percent,
        new.rejected,
        limits,
        message=f"{new.rejected} of {new.rows} rows were rejected",
        remedy="Look at the rejections; correct the mapping, or ask the supplier to correct the rows.",
    )
    yield from (replace(finding, severity="warn") if first else finding for finding in found)


def _against_known(against: Against, limits: Guard, *, delta: bool) -> Iterator[Finding]:
    if not against.known:
        return
    yield from _compare(
        "NEWLY-ZERO",
        100 * against.newly_zero / against.known,
        limits.newly_zero_percent,
        against.newly_zero,
        limits,
        message=f"{against.newly_zero} of {against.known} known SKUs fall to 0",
        remedy="Check the quantity column with the supplier before releasing.",
        column="quantity",
    )
    if not delta:
        absent = against.known - against.present
        yield from _compare(
            "KNOWN-MISSING",
            100 * absent / against.known,
            100 - limits.known_present_percent,
            absent,
            limits,
            message=f"{absent} of {against.known} known SKUs are not in the delivery",
            remedy="Ask whether the export was cut off; release only if the SKUs are really gone.",
        )


def _against_old(new: Profile, old: Profile, limits: Guard) -> Iterator[Finding]:
    if old.units > 0:
        change = 100 * (new.units - old.units) / old.units
        code, limit = ("UNITS-FALL", limits.units_fall_percent) if change < 0 else ("UNITS-RISE", limits.units_rise_percent)
        yield from _compare(
            code,
            abs(change),
            limit,
            max(new.records, old.records),
            limits,
            message=f"total units go from {_units(old.units)} to {_units(new.units)} ({change:+.0f} %)",
            remedy="Check with the supplier that the quantities are right.",
            column="quantity",
        )
    if old.rows > 0:
        change = 100 * (new.rows - old.rows) / old.rows
        yield from _compare(
            "ROW-COUNT",
            abs(change),
            limits.row_count_change_percent,
            abs(new.rows - old.rows),
            limits,
            message=f"the row count goes from {old.rows} to {new.rows} ({change:+.0f} %)",
            remedy="Ask whether the export is complete.",
        )


def _distribution(new: Profile, old: Profile, limits: Guard) -> Iterator[Finding]:
    if new.records < limits.from_rows or old.records < limits.from_rows:
        return
    rise = 100 * (new.top_share - (old.top_share if old.top_value == new.top_value else 0.0))
    if 100 * new.top_share > limits.one_value_share_percent and rise >= limits.one_value_rise_points:
        yield Finding(
            "ONE-VALUE",
            "hold",
            f"the quantity {_units(new.top_value or 0)} stands in {100 * new.top_share:.0f} % of all rows",
            "Check that the quantity column is the right one and is really filled.",
            measured=f"{100 * new.top_share:.0f} %",
            limit=f"{limits.one_value_share_percent:g} %",
            column="quantity",
        )
    if 100 * (new.fractional - old.fractional) >= _FRACTION_POINTS:
        yield _swapped(f"{100 * new.fractional:.0f} % of the quantities now have decimals, like prices")
    elif old.median and new.median and not 1 / _MEDIAN_RATIO <= new.median / old.median <= _MEDIAN_RATIO:
        yield _swapped(f"the typical quantity goes from {_units(old.median)} to {_units(new.median)}")


def _swapped(what: str) -> Finding:
    return Finding(
        "QUANTITY-PROFILE",
        "hold",
        f"the column quantity looks like another column: {what}",
        "Check whether columns were moved or swapped at the source.",
        column="quantity",
    )


def _compare(
    code: str, measured: float, limit: float, affected: int, limits: Guard, *, message: str, remedy: str, column: str | None = None
) -> Iterator[Finding]:
    if affected < limits.from_rows or measured <= limit / 2:
        return
    severity: Severity = "hold" if measured > limit else "warn"
    yield Finding(code, severity, message, remedy, measured=f"{measured:.1f} %", limit=f"{limit:g} %", column=column)


def _units(thousandths: float) -> str:
    return f"{thousandths / QUANTITY_SCALE:,.3f}".rstrip("0").rstrip(".")


def to_json(value: Profile) -> dict[str, Any]:
    """Return a profile as JSON-ready values; `from_json` reads it back."""
    return {name: getattr(value, name) for name in Profile.__slots__}


def from_json(value: dict[str, Any]) -> Profile:
    """Return the profile that `to_json` wrote; other keys are left alone."""
    return Profile(**{name: value[name] for name in Profile.__slots__})
