"""One column per warehouse to one record per location."""

from typing import Any

import pytest

from schemas.errors import DeliveryError
from schemas.records import CellProblem
from transforms.normalise import BLANK_WIDE, normalise
from transforms.plan import make_plan

HEADER = ("sku", "Stock North", "Stock South", "note")
PATTERN = {"pattern": "Stock (?P<location>.+)"}


def test_each_given_warehouse_cell_becomes_a_record(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku"}, wide=PATTERN)
    batch = make_batch(HEADER, [("A", "5", "0", ""), ("B", "", "2", ""), ("C", "", "", ""), ("D", "1", "many", "")])
    result = normalise(batch, make_plan(feed, HEADER))
    assert result.records.select("row", "supplier_sku", "location", "on_hand").rows() == [
        (2, "A", "North", 5000),
        (2, "A", "South", 0),
        (3, "B", "South", 2000),
    ]
    assert [(r.row, r.column, r.code) for r in result.rejections] == [(5, "Stock South", "QTY-WORD")]
    assert sorted(result.rejected_keys.rows()) == [("D", "North", ""), ("D", "South", "")]
    assert (result.rows_read, result.rows_accepted, result.rows_rejected, result.skipped) == (4, 2, 1, {BLANK_WIDE: 1})


def test_a_blank_warehouse_cell_rejects_the_row_where_the_feed_says_so(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku"}, wide={"columns": {"N": "Stock North", "S": "stock south"}, "blank": "reject"})
    result = normalise(make_batch(HEADER, [("A", "5", "", ""), ("B", "1", "2", "")]), make_plan(feed, HEADER))
    assert [(r.row, r.column, r.code) for r in result.rejections] == [(2, "Stock South", "QTY-BLANK")]
    assert result.records["location"].to_list() == ["N", "S"]
    assert sorted(result.rejected_keys.rows()) == [("A", "N", ""), ("A", "S", "")]


def test_a_warehouse_cell_that_the_reader_could_not_read_leaves_its_level_unconfirmed_and_not_missing(
    make_feed: Any, make_batch: Any
) -> None:
    feed = make_feed({"supplier_sku": "sku"}, wide=PATTERN)
    error = CellProblem(2, None, 2, "QTY-CELL", "#N/A")
    batch = make_batch(HEADER, [("A", "5", "", ""), ("B", "1", "", "")], cell_problems=(error,))
    result = normalise(batch, make_plan(feed, HEADER))
    assert result.records.select("supplier_sku", "location").rows() == [("B", "North")]
    assert sorted(result.rejected_keys.rows()) == [("A", "North", ""), ("A", "South", "")]


def test_a_discontinued_row_is_zero_in_every_given_warehouse(make_feed: Any, make_batch: Any) -> None:
    columns = {"supplier_sku": "sku", "discontinued": {"column": "note", "true": ["out"]}}
    feed = make_feed(columns, wide=PATTERN, discontinued="zero")
    result = normalise(make_batch(HEADER, [("A", "5", "", "out")]), make_plan(feed, HEADER))
    assert result.records.select("location", "on_hand").rows() == [("North", 0)]


def test_missing_or_doubled_warehouse_columns_are_errors_of_the_delivery(make_feed: Any) -> None:
    declared = make_feed({"supplier_sku": "sku"}, wide={"columns": {"E": "Stock East"}})
    with pytest.raises(DeliveryError, match="'Stock East' for location E"):
        make_plan(declared, HEADER)
    matching = make_feed({"supplier_sku": "sku"}, wide=PATTERN)
    with pytest.raises(DeliveryError, match=r"\[feed.wide\]"):
        make_plan(matching, ("sku", "qty"))
    with pytest.raises(DeliveryError, match="both give location") as caught:
        make_plan(
            make_feed({"supplier_sku": "sku"}, wide={"pattern": "(Stock|Bestand) (?P<location>.+)"}), (*HEADER, "Bestand North")
        )
    assert caught.value.code == "HEADER-DUPLICATE"


def test_a_warehouse_that_is_switched_off_gives_no_record_whatever_its_cell_says(make_feed: Any, make_batch: Any) -> None:
    header = ("sku", "Qty N", "On N", "Qty S", "On S")
    enabled = {"column": "On {location}", "true": ["Y"], "false": ["N"]}
    wide = {"pattern": "Qty (?P<location>.+)", "enabled": enabled, "blank": "reject"}
    rows = [("A", "0", "N", "5", "Y"), ("B", "many", "N", "2", "y"), ("C", "", "N", "", "Y"), ("D", "1", "maybe", "1", "Y")]
    result = normalise(make_batch(header, rows), make_plan(make_feed({"supplier_sku": "sku"}, wide=wide), header))
    assert result.records.select("supplier_sku", "location", "on_hand").rows() == [("A", "S", 5000), ("B", "S", 2000)]
    problems = [(r.row, r.column, r.code) for r in result.rejections]
    assert problems == [(4, "Qty S", "QTY-BLANK"), (5, "On N", "VALUE-UNKNOWN")]


def test_a_flag_column_that_is_not_there_is_missing_like_any_other(make_feed: Any) -> None:
    wide = {"columns": {"N": "Qty N"}, "enabled": {"column": "On {location}", "false": ["N"]}}
    feed = make_feed({"supplier_sku": "sku"}, wide=wide)
    with pytest.raises(DeliveryError, match="'On N' for location N"):
        make_plan(feed, ("sku", "Qty N"))
    wide["enabled"]["required"] = False
    assert make_plan(make_feed({"supplier_sku": "sku"}, wide=wide), ("sku", "Qty N")).wide[0].enabled is None
