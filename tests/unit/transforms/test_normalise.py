"""Batches to records: all problems of a row, counts, keys of rejected rows, and what blank means."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from schemas.records import KEY_SCHEMA, RECORD_SCHEMA, CellProblem, NormalisedBatch, RawBatch
from schemas.rejections import rejection
from transforms.normalise import normalise, plan_as_of
from transforms.plan import make_plan


def run(feed: Any, batch: RawBatch) -> NormalisedBatch:
    result = normalise(batch, make_plan(feed, batch.header))
    assert result.rows_read == result.rows_accepted + result.rows_rejected + sum(result.skipped.values())
    assert dict(result.records.schema) == dict(RECORD_SCHEMA)
    assert dict(result.rejected_keys.schema) == dict(KEY_SCHEMA)
    return result


def codes(result: NormalisedBatch) -> list[tuple[int | None, str | None, str]]:
    return [(r.row, r.column, r.code) for r in result.rejections]


def test_a_good_row_becomes_one_typed_record(make_feed: Any, make_batch: Any) -> None:
    columns = {
        "supplier_sku": "sku", "on_hand": "qty", "on_order": "coming", "location": "wh", "condition": "cond", "unit": "unit",
        "next_available_on": {"column": "eta", "formats": ["%d.%m.%Y"]}, "unit_cost": "cost", "gtin": "ean", "mpn": "mpn",
    }  # fmt: skip
    header = ("sku", "qty", "coming", "wh", "cond", "unit", "eta", "cost", "ean", "mpn", "not needed")
    row = (" A1 ", "12,5", "", " W1 ", "new", "EA", "01.02.2026", "1.204,50 €", "4006381333931", "M-1", "x")
    feed = make_feed(columns, decimal=",", thousands=".", currency="EUR")
    result = run(feed, make_batch(header, [row]))
    assert result.rejections == ()
    assert result.records.row(0, named=True) == {
        "row": 2, "line": 2, "supplier_sku": "A1", "location": "W1", "condition": "new", "on_hand": 12_500, "available": None,
        "on_order": None, "unit": "EA", "next_available_on": date(2026, 2, 1), "unit_cost": 12_045_000, "currency": "EUR",
        "gtin": "04006381333931", "mpn": "M-1",
    }  # fmt: skip


def test_what_is_not_mapped_is_blank_in_the_key_and_null_elsewhere(make_feed: Any, make_batch: Any) -> None:
    record = run(make_feed(), make_batch(("sku", "qty"), [("A", "1")])).records.row(0, named=True)
    assert (record["location"], record["condition"]) == ("", "")
    assert {record[name] for name in ("unit", "mpn", "gtin", "unit_cost", "currency", "available", "on_order")} == {None}


def test_every_problem_of_a_row_is_reported_and_its_key_is_unconfirmed(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku", "on_hand": "qty", "location": "wh", "unit_cost": "cost", "gtin": "ean"}, gtin="reject")
    batch = make_batch(
        ("sku", "qty", "wh", "cost", "ean"),
        [("A1", "many", "W1", "-1", "123"), ("", "1", "W1", "x", ""), ("A3", "7", "W1", "", "")],
    )
    result = run(feed, batch)
    assert codes(result) == [
        (2, "qty", "QTY-WORD"),
        (2, "cost", "COST-NEGATIVE"),
        (2, "ean", "GTIN-CHECK"),
        (3, "sku", "SKU-BLANK"),
        (3, "cost", "COST-FORMAT"),
    ]
    assert result.records["supplier_sku"].to_list() == ["A3"]
    assert result.rejected_keys.rows() == [("A1", "W1", "")]
    assert (result.rows_accepted, result.rows_rejected, result.rejected_without_key) == (1, 2, 1)


def test_a_note_does_not_reject_the_row(make_feed: Any, make_batch: Any) -> None:
    result = run(
        make_feed({"supplier_sku": "sku", "on_hand": "qty", "gtin": "ean"}), make_batch(("sku", "qty", "ean"), [("A", "1", "9")])
    )
    assert [(r.code, r.severity) for r in result.rejections] == [("GTIN-CHECK", "note")]
    assert result.records["gtin"].to_list() == [None]
    assert result.rows_accepted == 1


def test_a_blank_quantity_is_rejected_and_never_zero(make_feed: Any, make_batch: Any) -> None:
    result = run(make_feed(), make_batch(("sku", "qty"), [("A", ""), ("B", " \u00a0"), ("C", "0")]))
    assert codes(result) == [(2, "qty", "QTY-BLANK"), (3, "qty", "QTY-BLANK")]
    assert result.records.select("supplier_sku", "on_hand").rows() == [("C", 0)]


def test_a_blank_quantity_beside_a_given_one_is_unknown(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku", "on_hand": "stock", "available": "free", "on_order": "coming"})
    batch = make_batch(("sku", "stock", "free", "coming"), [("A", "5", "", ""), ("B", "", "", ""), ("C", "", "4", "x")])
    result = run(feed, batch)
    assert result.records.select("supplier_sku", "on_hand", "available", "on_order").rows() == [("A", 5000, None, None)]
    assert codes(result) == [(3, "stock", "QTY-BLANK"), (3, "free", "QTY-BLANK"), (4, "coming", "QTY-WORD")]


def test_an_expression_needs_every_part(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed(
        {"supplier_sku": "sku", "on_hand": {"expression": "[stock] + [returns] - [reserved]"}}, words={"?": "unknown"}, decimal="."
    )
    rows = [("A", "5", "1.5", "2"), ("B", "5", "", "2"), ("C", "5", "1", "many")]
    rows += [("D", "1", "0", "2"), ("E", "?", "1", "0"), ("F", "1", "1", "-1")]
    result = run(feed, make_batch(("sku", "stock", "returns", "reserved"), rows))
    assert result.records.select("supplier_sku", "on_hand").rows() == [("A", 4500), ("E", None)]
    assert codes(result) == [
        (3, "returns", "QTY-BLANK"),
        (4, "reserved", "QTY-WORD"),
        (5, "[stock] + [returns] - [reserved]", "QTY-NEGATIVE"),
        (7, "reserved", "QTY-NEGATIVE"),
    ]


def test_words_of_an_expression_count_for_each_part(make_feed: Any, make_batch: Any) -> None:
    words = {"none": "0"}
    feed = make_feed({"supplier_sku": "sku", "on_hand": {"expression": "[stock] - [reserved]", "words": words}})
    batch = make_batch(("sku", "stock", "reserved"), [("A", "5", "none"), ("B", "5", "None")])
    result = run(feed, batch)
    assert result.records["on_hand"].to_list() == [5000]
    assert codes(result) == [(3, "reserved", "QTY-WORD")]


def test_constants_and_column_words_stand_in_for_cells(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed(
        {
            "supplier_sku": "sku",
            "on_hand": "qty",
            "location": {"column": "wh", "words": {"1": "Berlin"}},
            "condition": {"value": "used"},
            "unit_cost": {"column": "cost", "words": {"POA": ""}},
        }
    )
    result = run(feed, make_batch(("sku", "qty", "wh", "cost"), [("A", "1", " 1 ", "POA"), ("B", "1", "2", "3")]))
    assert result.records.select("location", "condition", "unit_cost").rows() == [("Berlin", "used", None), ("2", "used", 30_000)]


def test_an_undeclared_status_is_rejected_and_blank_is_not(make_feed: Any, make_batch: Any) -> None:
    status = {"column": "status", "true": ["Active"], "false": ["Gone"], "words": {"NEU": "Active"}}
    feed = make_feed({"supplier_sku": "sku", "on_hand": "qty", "status": status})
    rows = [("A", "1", "ACTIVE"), ("B", "1", ""), ("C", "1", "Mystery"), ("D", "1", "gone"), ("E", "1", "NEU")]
    result = run(feed, make_batch(("sku", "qty", "status"), rows))
    assert codes(result) == [(4, "status", "VALUE-UNKNOWN")]
    assert result.records["on_hand"].to_list() == [1000, 1000, 1000, 1000]


def test_a_discontinued_row_counts_as_nothing_where_the_feed_says_so(make_feed: Any, make_batch: Any) -> None:
    columns = {
        "supplier_sku": "sku",
        "on_hand": "qty",
        "on_order": "coming",
        "discontinued": {"column": "d", "true": ["Y"], "false": ["N"]},
    }
    rows = [("A", "5", "7", "y"), ("B", "5", "7", "N"), ("C", "5", "7", ""), ("D", "5", "7", "maybe")]
    batch = make_batch(("sku", "qty", "coming", "d"), rows)
    kept, zeroed = run(make_feed(columns), batch), run(make_feed(columns, discontinued="zero"), batch)
    assert kept.records.select("on_hand", "on_order").rows() == [(5000, 7000)] * 3
    assert zeroed.records.select("on_hand", "on_order").rows() == [(0, None), (5000, 7000), (5000, 7000)]
    assert codes(zeroed) == [(5, "d", "VALUE-UNKNOWN")]


def test_a_cell_problem_rejects_the_row_only_in_a_mapped_column(make_feed: Any, make_batch: Any) -> None:
    problems = (
        CellProblem(2, None, 1, "QTY-CELL", "#REF!"),
        CellProblem(3, None, 2, "QTY-CELL", "#N/A"),
        CellProblem(4, None, 0, "SKU-EXCEL", "1E15"),
    )
    batch = make_batch(("sku", "qty", "other"), [("A", "", ""), ("B", "2", ""), ("", "3", "")], cell_problems=problems)
    result = run(make_feed(), batch)
    found = [(r.row, r.column, r.code, r.value) for r in result.rejections]
    assert found == [(2, "qty", "QTY-CELL", "#REF!"), (4, "sku", "SKU-EXCEL", "1E15")]
    assert result.records["supplier_sku"].to_list() == ["B"]
    assert result.rejected_keys["supplier_sku"].to_list() == ["A"]


def test_rows_the_reader_rejected_or_skipped_are_counted(make_feed: Any, make_batch: Any) -> None:
    split = rejection("ROW-WIDTH", row=9, line=9)
    result = run(make_feed(), make_batch(("sku", "qty"), [("A", "1")], rejections=(split,), skipped={"blank": 2}))
    assert (result.rows_read, result.rows_accepted, result.rows_rejected, result.rejected_without_key) == (4, 1, 1, 1)
    assert result.rejections == (split,)


def test_an_empty_batch_gives_nothing(make_feed: Any, make_batch: Any) -> None:
    for keys in ({}, {"wide": {"columns": {"A": "qty"}}}):
        feed = make_feed({"supplier_sku": "sku"} if keys else None, **keys)
        result = run(feed, make_batch(("sku", "qty"), []))
        assert (result.rows_read, result.records.height, result.rejections) == (0, 0, ())


def test_the_whole_killer_list_of_skus_comes_out_unchanged(make_feed: Any, make_batch: Any) -> None:
    skus = ["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", "é", "e\u0301"]
    result = run(make_feed(), make_batch(("sku", "qty"), [(f" {sku}", "1") for sku in skus]))
    assert result.records["supplier_sku"].to_list() == skus


def test_as_of_is_the_newest_time_in_utc_and_unreadable_ones_reject_their_rows(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed(as_of={"column": "at"}, order_by="own")
    times = ("2026-07-01 12:00:00", "2026-07-01 11:00:00", "2026-03-29 02:30:00", "9999-12-31T23:59:59Z", "03/04/2026", "")
    batch = make_batch(("sku", "qty", "at"), [(f"A{i}", "1", at) for i, at in enumerate(times)])
    result = run(feed, batch)
    assert codes(result) == [(4, "at", "DATE-FORMAT"), (5, "at", "DATE-FORMAT"), (6, "at", "DATE-FORMAT")]
    assert plan_as_of(batch, make_plan(feed, batch.header)) == datetime(2026, 7, 1, 10, tzinfo=UTC)


def test_a_doubled_hour_is_the_earlier_instant_and_its_rows_say_so(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed(as_of={"column": "at"}, order_by="own")
    batch = make_batch(("sku", "qty", "at"), [("A", "1", "2026-10-25 02:30:00")])
    assert plan_as_of(batch, make_plan(feed, batch.header)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert "occurs twice" in run(feed, batch).rejections[0].message
    assert plan_as_of(batch, make_plan(make_feed(), batch.header)) is None


@pytest.mark.parametrize("negative", ["reject", "zero"])
def test_a_negative_quantity_follows_the_feed(make_feed: Any, make_batch: Any, negative: str) -> None:
    result = run(make_feed(negative=negative), make_batch(("sku", "qty"), [("A", "-5")]))
    assert result.records["on_hand"].to_list() == ([0] if negative == "zero" else [])
    assert [(r.code, r.value) for r in result.rejections] == [("QTY-NEGATIVE", "-5")]
