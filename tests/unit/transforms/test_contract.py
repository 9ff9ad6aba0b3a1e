"""Expectations on batches: verdicts, rows, counts over batches, and findings."""

import re
import warnings
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.feed_config import Expectation
from schemas.records import RECORD_SCHEMA
from transforms.contract import check_batch, check_rows, describe, finish, succeeds
from transforms.normalise import normalise
from transforms.plan import make_plan


def expect(kind: str, **given: Any) -> Expectation:
    return Expectation(type=f"expect_{kind}", **given)


def records(**columns: list[Any]) -> pl.DataFrame:
    height = len(next(iter(columns.values())))
    blank = {"row": list(range(2, 2 + height)), "location": [""] * height, "condition": [""] * height}
    given = {"supplier_sku": [f"A{i}" for i in range(height)], **blank, **columns}
    return pl.DataFrame({name: pl.Series(given.get(name, [None] * height), dtype=t) for name, t in RECORD_SCHEMA.items()})


FRAME = records(
    on_hand=[0, 1000, 2500, None, 500_000],
    unit_cost=[None, 12_500, 100_000, 5, 0],
    unit=["EA", "ea", None, "BOX", "EA"],
    next_available_on=[date(2026, 1, 1), None, date(2026, 6, 1), date(2027, 1, 1), None],
)


@pytest.mark.parametrize(
    ("expectation", "rows"),
    [
        (expect("column_values_to_not_be_null", column="on_hand"), [5]),
        (expect("column_values_to_be_between", column="on_hand", min_value=1), [2]),
        (expect("column_values_to_be_between", column="on_hand", min_value=0, strict_min=True), [2]),
        (expect("column_values_to_be_between", column="on_hand", min_value=1, max_value=500, strict_max=True), [2, 6]),
        (expect("column_values_to_be_between", column="on_hand", max_value=2.5), [6]),
        (expect("column_values_to_be_between", column="on_hand", max_value=2.5, strict_max=True), [4, 6]),
        (expect("column_values_to_be_between", column="unit_cost", min_value=0.0005, max_value=1.25), [4, 6]),
        (expect("column_values_to_be_between", column="next_available_on", min_value=date(2026, 6, 1)), [2]),
        (expect("column_values_to_be_in_set", column="unit", value_set=["EA", "BOX"]), [3]),
        (expect("column_values_to_be_in_set", column="on_hand", value_set=[0, 2.5]), [3, 6]),
        (expect("column_values_to_not_be_in_set", column="unit", value_set=["EA"]), [2, 6]),
        (expect("column_values_to_match_regex", column="unit", regex="^[A-Z]+$"), [3]),
        (expect("column_values_to_match_regex", column="unit", regex="(?i)^ea$"), [5]),
        (expect("column_values_to_match_regex", column="unit", regex="^(?!E)"), [2, 6]),
    ],
)
def test_each_expectation_fails_exactly_its_rows(expectation: Expectation, rows: list[int]) -> None:
    verdict = check_rows(FRAME, [expectation])
    assert verdict.failed[0].to_list() == rows
    assert [r.row for r in verdict.rejections] == rows
    assert sorted(verdict.records["row"].to_list() + rows) == FRAME["row"].to_list()
    assert verdict.rejected_keys.height == len(rows)


def test_a_rejection_says_what_was_expected_of_which_value() -> None:
    verdict = check_rows(FRAME, [expect("column_values_to_be_between", column="on_hand", min_value=1, max_value=400.5)])
    shown = [(r.column, r.value, r.code, r.message.partition(": ")[2]) for r in verdict.rejections]
    words = "on_hand at least 1 and at most 400.5"
    assert shown == [("on_hand", "0", "EXPECT-FAILED", words), ("on_hand", "500", "EXPECT-FAILED", words)]


def test_python_and_line_breaks_decide_what_a_regular_expression_matches() -> None:
    frame = records(unit=["a\n", "a", "ä", "1"])
    for pattern, rows in (("^a$", [4, 5]), (r"^\w$", []), (r"^\d\Z", [2, 3, 4])):
        assert check_rows(frame, [expect("column_values_to_match_regex", column="unit", regex=pattern)]).failed[0].to_list() == rows


@given(
    st.text("aA1 -_.,[]()|*+?^${}\\\\dwsbZ:!=<&~", max_size=8), st.lists(st.text("aA1 -_.,]&~", max_size=4), min_size=1, max_size=6)
)
@settings(max_examples=400)
def test_every_pattern_matches_as_in_python_whichever_engine_runs_it(pattern: str, texts: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Python announces set operations: such patterns stay with Python
        try:
            compiled = re.compile(pattern)
        except re.error:
            assume(condition=False)
        failed = check_rows(records(unit=texts), [expect("column_values_to_match_regex", column="unit", regex=pattern)]).failed[0]
    assert failed.to_list() == [row for row, text in enumerate(texts, 2) if not compiled.search(text)]


def test_rows_out_by_one_expectation_do_not_count_for_the_whole_delivery() -> None:
    contract = [
        expect("column_values_to_be_between", column="on_hand", max_value=100, severity="warn"),
        expect("column_values_to_be_between", column="on_hand", max_value=400),
        expect("table_row_count_to_be_between", min_value=5, severity="hold"),
    ]
    verdict = check_rows(FRAME, contract)
    assert [(t.rows, t.considered, t.unexpected) for t in verdict.tallies] == [(4, 3, 0), (5, 4, 1), (4, 4, 0)]
    assert [(f.severity, f.measured) for f in finish(contract, verdict.tallies)] == [("hold", "4 rows")]


def test_counts_of_batches_add_up_before_mostly_is_judged() -> None:
    contract = [expect("column_values_to_be_between", column="on_hand", min_value=1, mostly=0.75, severity="reject")]
    first, second = check_rows(FRAME[:1], contract).tallies, check_rows(FRAME[1:], contract).tallies
    assert not succeeds(contract[0], first[0])
    assert len(finish(contract, first)) == 1
    assert finish(contract, [a + b for a, b in zip(first, second, strict=True)]) == ()


def test_nothing_but_nulls_meets_every_expectation_on_values() -> None:
    contract = [expect("column_values_to_be_between", column="available", min_value=1, severity="hold")]
    assert finish(contract, check_rows(FRAME, contract).tallies) == ()


def test_a_finding_names_the_column_the_first_row_and_the_count() -> None:
    contract = [expect("column_values_to_not_be_null", column="unit", severity="warn")]
    (finding,) = finish(contract, check_rows(FRAME, contract).tallies)
    assert (finding.code, finding.severity, finding.column, finding.row) == ("EXPECT-FAILED", "warn", "unit", 4)
    assert "1 of 5" in finding.message


def test_a_row_with_several_warehouses_leaves_as_a_whole_and_stays_counted(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku"}, wide={"columns": {"N": "n", "S": "s"}})
    batch = make_batch(("sku", "n", "s"), [("A", "1", "900"), ("B", "1", "2")])
    contract = [expect("column_values_to_be_between", column="on_hand", max_value=100)]
    checked, _ = check_batch(normalise(batch, make_plan(feed, batch.header)), contract)
    assert checked.records["supplier_sku"].to_list() == ["B", "B"]
    assert (checked.rows_accepted, checked.rows_rejected) == (1, 1)
    assert checked.rejected_keys.rows() == [("A", "N", ""), ("A", "S", "")]


def test_unsupported_expectations_are_left_alone() -> None:
    contract = [expect("column_values_to_be_unique", column="unit")]
    verdict = check_rows(FRAME, contract)
    assert verdict.records.equals(FRAME)
    assert finish(contract, verdict.tallies) == ()
    assert describe(contract[0]) == "expect_column_values_to_be_unique of unit"
