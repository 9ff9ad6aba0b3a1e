"""The guard: what holds a delivery, what warns, what passes."""

import polars as pl
import pytest

from schemas.feed_config import Guard
from transforms.guard import Against, from_json, histogram, judge, profile, to_json, totals

LIMITS = Guard()
FINE = Against(known=100, present=100, newly_zero=0)


def make(quantities, *, rejected=0):
    """A profile of rows with these quantities in whole units (None: unknown)."""
    series = pl.Series([None if q is None else int(q * 1000) for q in quantities], dtype=pl.Int64)
    known = series.drop_nulls()
    totals = {"records": series.len(), "units": int(known.sum()), "zeros": int((known == 0).sum()), "unknown": series.null_count()}
    return profile(histogram(series), rows=series.len() + rejected, rejected=rejected, totals=totals)


def codes(new, old=None, against=FINE, limits=LIMITS, *, delta=False):
    return {(f.code, f.severity) for f in judge(new, old, against, limits=limits, delta=delta)}


NORMAL = make(range(1, 101))


def test_an_ordinary_delivery_passes():
    assert codes(make([*range(1, 100), 90]), NORMAL) == set()


def test_single_decreases_always_pass():
    assert codes(make([*range(1, 100), 0]), NORMAL, Against(100, 100, 1)) == set()


def test_no_rows_at_all_is_held_even_for_the_first_delivery():
    assert codes(make([])) == {("NO-ROWS", "hold")}


def test_an_empty_delta_is_normal():
    assert codes(make([]), NORMAL, delta=True) == set()


def test_all_rows_rejected_is_held():
    assert ("ALL-REJECTED", "hold") in codes(make([], rejected=7), NORMAL)


def test_a_first_delivery_with_all_rows_rejected_is_rejected_as_there_is_nothing_to_release():
    assert codes(make([], rejected=7)) == {("ALL-REJECTED", "reject")}


def test_all_zero_is_held_however_small():
    assert codes(make([0, 0, 0])) == {("ALL-ZERO", "hold")}


def test_unknown_quantities_are_not_zero():
    assert codes(make([None, None])) == set()


@pytest.mark.parametrize(("units", "expected"), [(50, "warn"), (49, "hold"), (76, None), (74, "warn")])
def test_a_fall_in_total_units_is_held_past_half(units: int, expected: str | None):
    old, new = make([100] * 100), make([units] * 100)
    found = {s for c, s in codes(new, old) if c == "UNITS-FALL"}
    assert found == ({expected} if expected else set())


@pytest.mark.parametrize(("units", "expected"), [(2.01, "hold"), (2.0, "warn"), (1.5, None)])
def test_a_rise_in_total_units_is_held_past_double(units: float, expected: str | None):
    found = {s for c, s in codes(make([units * 100] * 100), make([100] * 100)) if c == "UNITS-RISE"}
    assert found == ({expected} if expected else set())


@pytest.mark.parametrize(("zeroed", "expected"), [(26, "hold"), (25, "warn"), (19, None)])
def test_many_known_skus_falling_to_zero_is_held(zeroed: int, expected: str | None):
    new = make([0] * zeroed + [100] * (100 - zeroed))
    found = {s for c, s in codes(new, make([100] * 100), Against(100, 100, zeroed)) if c == "NEWLY-ZERO"}
    assert found == ({expected} if expected else set())


@pytest.mark.parametrize(("present", "expected"), [(79, "hold"), (80, "warn"), (82, None)])
def test_a_delivery_without_many_known_skus_is_held(present: int, expected: str | None):
    found = {s for c, s in codes(make([100] * present), make([100] * 100), Against(100, present, 0)) if c == "KNOWN-MISSING"}
    assert found == ({expected} if expected else set())


def test_a_delta_may_leave_out_any_known_sku():
    assert codes(make([5] * 30), make([5] * 100), Against(100, 30, 0), delta=True) == set()


@pytest.mark.parametrize(("rows", "held"), [(131, True), (130, False), (69, True), (70, False)])
def test_the_row_count_is_held_outside_thirty_percent(rows: int, held: bool):  # noqa: FBT001 (pytest parameter)
    assert (("ROW-COUNT", "hold") in codes(make([1] * rows), make([1] * 100), Against(100, 100, 0))) is held


@pytest.mark.parametrize(("rejected", "expected"), [(60, "hold"), (50, "warn"), (20, None)])
def test_more_than_five_percent_rejected_rows_is_held(rejected: int, expected: str | None):
    new = make([3] * (1000 - rejected), rejected=rejected)
    found = {s for c, s in codes(new, NORMAL) if c == "ROWS-REJECTED"}
    assert found == ({expected} if expected else set())


def test_many_rejected_rows_of_a_first_delivery_are_a_warning_because_they_take_no_level_away():
    assert codes(make([3] * 7, rejected=28)) == {("ROWS-REJECTED", "warn")}


def test_fractions_do_not_count_below_twenty_rows():
    assert codes(make([1] * 10, rejected=9)) == set()


def test_one_value_taking_over_is_held():
    assert ("ONE-VALUE", "hold") in codes(make([999] * 70 + [*range(30)]), NORMAL)


def test_a_value_that_was_always_common_passes():
    old = make([1] * 70 + [5] * 30)
    assert codes(make([1] * 75 + [5] * 25), old) == set()


def test_prices_in_the_quantity_column_are_held():
    assert ("QUANTITY-PROFILE", "hold") in codes(make([q + 0.99 for q in range(1, 101)]), NORMAL)


def test_a_typical_quantity_of_another_size_is_held():
    assert ("QUANTITY-PROFILE", "hold") in codes(make([q * 10 for q in range(1, 101)]), NORMAL)


def test_a_disabled_guard_says_nothing():
    assert codes(make([]), limits=Guard(enabled=False)) == set()


def test_holds_come_first():
    found = judge(make([0] * 100), NORMAL, Against(100, 100, 100), limits=LIMITS, delta=False)
    severities = [f.severity for f in found]
    assert severities == sorted(severities)


def test_every_finding_says_what_to_do():
    for finding in judge(make([0] * 100, rejected=50), NORMAL, Against(100, 10, 90), limits=LIMITS, delta=False):
        assert finding.message
        assert finding.remedy


def test_a_profile_survives_json():
    assert from_json(to_json(NORMAL) | {"sample": {}}) == NORMAL


def test_units_that_no_64_bits_hold_are_added_up_all_the_same():
    quantities = [9 * 10**18, 9 * 10**18, -9 * 10**18, -7, 0, None, 2**32, 1]
    found = totals(pl.Series(quantities, dtype=pl.Int64))
    assert found == {"records": 8, "units": 9 * 10**18 - 7 + 2**32 + 1, "zeros": 1, "unknown": 1}
    assert totals(pl.Series([], dtype=pl.Int64)) == {"records": 0, "units": 0, "zeros": 0, "unknown": 0}
