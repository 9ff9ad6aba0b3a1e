"""Great Expectations for real: its verdict is ours on everything we evaluate ourselves, and it takes over the rest."""

import string
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError
from schemas.feed_config import Expectation
from schemas.records import RECORD_SCHEMA
from stockfeed.quality import check_arguments, findings, row_rejections, run_great_expectations
from transforms.contract import check_rows, succeeds
from transforms.expectations import PER_ROW, PER_TABLE, supported

QUANTITIES = st.none() | st.integers(0, 12).map(lambda n: n * 500) | st.integers(0, 10**9)
TEXTS = (
    st.none()
    | st.sampled_from(["", "EA", "ea", "é", "e\u0301", "a\n", "NA", "nan", "1", "BOX 1", "ß"])
    | st.text(string.printable, max_size=4)
)
RECORD = st.fixed_dictionaries(
    {
        "supplier_sku": st.text("AB1 é", min_size=1, max_size=3),
        "on_hand": QUANTITIES,
        "unit_cost": st.none() | st.integers(0, 30_000) | st.sampled_from([10_000, 12_500]),
        "unit": TEXTS,
        "next_available_on": st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 9)),
    }
)
PATTERNS = ["^[A-Z]+$", r"^\w+$", r"\d", "A|B", "^$", "(EA)", "a$", r"a\Z", "^(?!E)", "é", "[^a-z]{2,}", "."]
NUMBERS = st.integers(0, 6) | st.sampled_from([0.5, 1.25, 2.5, 0.1, 1.0001])
DAYS = st.dates(date(2026, 1, 1), date(2026, 1, 9))
MOSTLY = st.sampled_from([{}, {"mostly": 1}, {"mostly": 0.5}, {"mostly": 0.9}, {"mostly": 0}])
STRICT = st.fixed_dictionaries({}, optional={"strict_min": st.booleans(), "strict_max": st.booleans()})


@st.composite
def ranges(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> dict[str, Any]:
    low, high = sorted(draw(st.tuples(values, values)))
    kept = draw(st.sampled_from([("min_value",), ("max_value",), ("min_value", "max_value")]))
    return {name: value for name, value in (("min_value", low), ("max_value", high)) if name in kept} | draw(STRICT)


@st.composite
def expectations(draw: st.DrawFn) -> Expectation:
    column, kind, arguments = draw(
        st.one_of(
            st.tuples(st.sampled_from(["on_hand", "unit", "unit_cost", "next_available_on"]), st.just("not_be_null"), st.just({})),
            st.tuples(st.sampled_from(["on_hand", "unit_cost"]), st.just("be_between"), ranges(NUMBERS)),
            st.tuples(st.just("next_available_on"), st.just("be_between"), ranges(DAYS)),
            st.tuples(
                st.sampled_from(["on_hand", "unit_cost"]),
                st.sampled_from(["be_in_set", "not_be_in_set"]),
                st.fixed_dictionaries({"value_set": st.lists(NUMBERS, max_size=3)}),
            ),
            st.tuples(
                st.sampled_from(["unit", "supplier_sku"]),
                st.sampled_from(["be_in_set", "not_be_in_set"]),
                st.fixed_dictionaries({"value_set": st.lists(TEXTS.filter(lambda t: t is not None), max_size=3)}),
            ),
            st.tuples(
                st.sampled_from(["unit", "supplier_sku"]),
                st.just("match_regex"),
                st.fixed_dictionaries({"regex": st.sampled_from(PATTERNS)}),
            ),
        )
    )
    return Expectation(type=f"expect_column_values_to_{kind}", column=column, severity="warn", **arguments, **draw(MOSTLY))


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    blank = {"location": "", "condition": ""}
    return pl.DataFrame([{"row": i, "line": i, **blank, **row} for i, row in enumerate(rows, 2)], schema=dict(RECORD_SCHEMA))


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RECORD, max_size=12).map(frame), st.lists(expectations(), min_size=3, max_size=6))
def test_our_verdict_and_rows_are_those_of_great_expectations(records: pl.DataFrame, contract: list[Expectation]) -> None:
    assert all(supported(expectation) for expectation in contract)
    ours = check_rows(records, contract)
    theirs = run_great_expectations(records, contract)
    for expectation, failed, tally, result in zip(contract, ours.failed, ours.tallies, theirs.results, strict=True):
        assert (succeeds(expectation, tally), failed.to_list()) == (result.success, list(result.unexpected_rows)), expectation


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 4), ranges(st.integers(0, 5)))
def test_our_row_counts_are_those_of_great_expectations(height: int, limits: dict[str, Any]) -> None:
    records = frame([{"supplier_sku": "A"}] * height)
    expectation = Expectation(type="expect_table_row_count_to_be_between", severity="hold", **limits)
    theirs = run_great_expectations(records, [expectation])
    assert succeeds(expectation, check_rows(records, [expectation]).tallies[0]) is theirs.success


def test_what_we_do_not_evaluate_is_evaluated_with_rows() -> None:
    records = frame([{"supplier_sku": "A", "mpn": "x", "on_hand": 1000}, {"supplier_sku": "B", "mpn": "x", "on_hand": 2500}])
    contract = [
        Expectation(type="expect_column_values_to_be_unique", column="mpn"),
        Expectation(type="expect_column_sum_to_be_between", column="on_hand", max_value=3, severity="hold"),
        Expectation(type="expect_column_max_to_be_between", column="on_hand", max_value=2.5, severity="hold"),
    ]
    quality = run_great_expectations(records, contract)
    assert [r.success for r in quality.results] == [False, False, True]
    assert not quality.success
    assert [(r.row, r.column, r.code) for r in row_rejections(records, contract, quality)] == [
        (2, "mpn", "EXPECT-FAILED"),
        (3, "mpn", "EXPECT-FAILED"),
    ]
    assert [(f.severity, f.column) for f in findings(contract, quality)] == [("hold", "on_hand")]
    assert quality.as_dict()["results"][0]["unexpected_rows"] == [2, 3]


@pytest.mark.parametrize(
    ("given_expectation", "named"),
    [
        ({"type": "expect_nothing"}, "expect_nothing"),
        ({"type": "expect_column_values_to_be_unique", "colum": "mpn"}, "colum"),
        ({"type": "expect_column_values_to_be_between", "column": "mpn", "min_value": 1}, "cannot be evaluated"),
        ({"type": "expect_column_values_to_be_unique", "column": "nowhere"}, "nowhere"),
    ],
)
def test_a_wrong_argument_is_a_config_error_that_names_it(given_expectation: dict[str, Any], named: str) -> None:
    records = frame([{"supplier_sku": "A", "mpn": "x"}])
    with pytest.raises(ConfigError, match=named):
        run_great_expectations(records, [Expectation(**given_expectation)])


def test_arguments_can_be_checked_without_records() -> None:
    check_arguments([Expectation(type="expect_column_values_to_be_unique", column="mpn", notes="for people")])
    with pytest.raises(ConfigError):
        check_arguments([Expectation(type="expect_column_values_to_be_unique")])


def test_we_know_every_expectation_of_the_installed_version() -> None:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    check_arguments([Expectation(type="expect_column_to_exist", column="mpn")])  # registers them
    installed = {name for name in list_registered_expectation_implementations() if name.startswith("expect_")}
    assert installed == PER_ROW | PER_TABLE


def test_no_contract_is_met() -> None:
    assert run_great_expectations(frame([]), []).success
