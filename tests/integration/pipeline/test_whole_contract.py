"""Expectations that Great Expectations itself evaluates."""

import polars as pl

from schemas.feed_config import Expectation
from schemas.records import RECORD_SCHEMA
from stockfeed.pipeline.whole_contract import judge_rest

SHORT = Expectation(type="expect_column_value_lengths_to_be_between", column="supplier_sku", max_value=3, severity="row")
FEW = Expectation(type="expect_column_max_to_be_between", column="on_hand", max_value=50, severity="hold")


def records(*rows: tuple[str, int]) -> pl.DataFrame:
    blank = dict.fromkeys(RECORD_SCHEMA) | {"location": "", "condition": ""}
    made = [blank | {"row": n, "line": n, "supplier_sku": sku, "on_hand": units * 1000} for n, (sku, units) in enumerate(rows, 2)]
    return pl.DataFrame(made, schema=dict(RECORD_SCHEMA))


def test_a_row_that_is_refused_does_not_hold_the_delivery():
    refused, findings = judge_rest(records(("A", 5), ("TOO-LONG", 99)), [FEW, SHORT])
    assert [r.row for r in refused] == [3]
    assert findings == ()


def test_the_rows_that_stay_are_judged_as_a_whole():
    refused, findings = judge_rest(records(("A", 99), ("TOO-LONG", 5)), [FEW, SHORT])
    assert [r.row for r in refused] == [3]
    assert [f.severity for f in findings] == ["hold"]
