"""What the reader saw, before rules."""

from typing import Any

from transforms.observe import observe
from transforms.plan import make_plan


def test_numbers_are_exact_texts_and_words_stay_words(make_feed: Any, make_batch: Any) -> None:
    columns = {
        "supplier_sku": "sku", "on_hand": "qty", "available": {"expression": "[qty] - [kept]"}, "unit_cost": "cost",
        "gtin": "ean", "next_available_on": "eta", "location": "wh",
    }  # fmt: skip
    feed = make_feed(columns, decimal=".", thousands=",", words={"in stock": 1})
    header = ("sku", "qty", "kept", "cost", "ean", "eta", "wh")
    batch = make_batch(
        header,
        [(" A ", "1,204.50", "4", "€ 37.00", "4006381333931", "2026-05-01", "W1"), ("", "In Stock", "", "", "123", "soon", "")],
    )
    seen = list(observe(batch, make_plan(feed, header)))
    nothing = {"gtin_raw": None, "gtin_note": None, "mpn": None, "condition": None}
    assert seen[0] == nothing | {
        "supplier_sku": "A", "gtin": "04006381333931", "quantity": "1204.50", "quantity_text": None, "quantity_kind": "on_hand",
        "warehouse": "W1", "unit": None, "price": "37.00", "price_kind": "unit_cost", "currency": "EUR",
        "available_date": "2026-05-01", "row": 2, "line": 2,
    }  # fmt: skip
    assert (seen[1]["quantity_kind"], seen[1]["quantity"]) == ("available", "1200.50")
    assert seen[2] == nothing | {
        "gtin_raw": "123", "gtin_note": "check digit or length wrong",
        "supplier_sku": None, "gtin": None, "quantity": None, "quantity_text": "In Stock", "quantity_kind": "on_hand",
        "warehouse": None, "unit": None, "price": None, "price_kind": None, "currency": None, "available_date": None,
        "row": 3, "line": 3,
    }  # fmt: skip
    assert seen[3]["quantity"] is None


def test_blank_is_no_text_and_negative_is_seen_as_it_is(make_feed: Any, make_batch: Any) -> None:
    batch = make_batch(("sku", "qty"), [("A", ""), ("B", "-5"), ("C", "1.250"), ("D", "+3"), ("E", "5.0000")])
    seen = [(o["quantity"], o["quantity_text"]) for o in observe(batch, make_plan(make_feed(), batch.header))]
    assert seen == [(None, None), ("-5", None), (None, "1.250"), ("3", None), ("5.0000", None)]


def test_each_warehouse_column_is_observed_and_a_blank_one_only_where_none_may_be(make_feed: Any, make_batch: Any) -> None:
    batch = make_batch(("sku", "north", "south"), [("A", "1", ""), ("B", "", "no")])
    wide = {"columns": {"N": "north", "S": "south"}, "quantity": "available"}
    seen = {}
    for blank in ("skip", "reject"):
        plan = make_plan(make_feed({"supplier_sku": "sku"}, wide={**wide, "blank": blank}), batch.header)
        seen[blank] = [(o["supplier_sku"], o["warehouse"], o["quantity"], o["quantity_text"]) for o in observe(batch, plan)]
    assert seen["skip"] == [("A", "N", "1", None), ("B", "S", None, "no")]
    assert seen["reject"] == [("A", "N", "1", None), ("A", "S", None, None), ("B", "N", None, None), ("B", "S", None, "no")]


def test_a_warehouse_that_is_switched_off_is_not_observed(make_feed: Any, make_batch: Any) -> None:
    header = ("sku", "Qty N", "On N", "Qty S", "On S")
    wide = {"pattern": "Qty (?P<location>.+)", "enabled": {"column": "On {location}", "false": ["N"]}, "blank": "reject"}
    feed = make_feed({"supplier_sku": "sku"}, wide=wide)
    batch = make_batch(header, [("A", "0", "N", "", "Y"), ("B", "3", "", "4", "n")])
    seen = [(o["supplier_sku"], o["warehouse"], o["quantity"]) for o in observe(batch, make_plan(feed, header))]
    assert seen == [("A", "S", None), ("B", "N", "3")]


def test_a_price_that_is_no_cost_is_observed_under_its_own_name(make_feed: Any, make_batch: Any) -> None:
    batch = make_batch(("sku", "qty", "rrp"), [("A", "1", "USD 9.90"), ("B", "2", "")])
    for price, kind in (({"column": "rrp", "kind": "retail incl. VAT"}, "retail incl. VAT"), ("rrp", "price")):
        plan = make_plan(make_feed({"supplier_sku": "sku", "on_hand": "qty", "price": price}), batch.header)
        seen = [(o["price"], o["price_kind"], o["currency"]) for o in observe(batch, plan)]
        assert seen == [("9.90", kind, "USD"), (None, None, None)]


def test_declared_words_are_rules_and_not_applied(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku", "on_hand": {"column": "qty", "words": {"none": "0"}}})
    batch = make_batch(("sku", "qty"), [("A", "none")])
    (seen,) = observe(batch, make_plan(feed, batch.header))
    assert (seen["quantity"], seen["quantity_text"]) == (None, "none")
