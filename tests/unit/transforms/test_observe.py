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
    assert seen[0] == {
        "supplier_sku": "A", "gtin": "04006381333931", "quantity": "1204.50", "quantity_text": None, "quantity_kind": "on_hand",
        "warehouse": "W1", "unit": None, "price": "37.00", "price_kind": "unit_cost", "currency": "EUR",
        "available_date": "2026-05-01", "row": 2, "line": 2,
    }  # fmt: skip
    assert (seen[1]["quantity_kind"], seen[1]["quantity"]) == ("available", "1200.50")
    assert seen[2] == {
        "supplier_sku": None, "gtin": None, "quantity": None, "quantity_text": "In Stock", "quantity_kind": "on_hand",
        "warehouse": None, "unit": None, "price": None, "price_kind": None, "currency": None, "available_date": None,
        "row": 3, "line": 3,
    }  # fmt: skip
    assert seen[3]["quantity"] is None


def test_blank_is_no_text_and_negative_is_seen_as_it_is(make_feed: Any, make_batch: Any) -> None:
    batch = make_batch(("sku", "qty"), [("A", ""), ("B", "-5"), ("C", "1.250"), ("D", "+3"), ("E", "5.0000")])
    seen = [(o["quantity"], o["quantity_text"]) for o in observe(batch, make_plan(make_feed(), batch.header))]
    assert seen == [(None, None), ("-5", None), (None, "1.250"), ("3", None), ("5.0000", None)]


def test_each_warehouse_column_is_observed(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku"}, wide={"columns": {"N": "north", "S": "south"}, "quantity": "available"})
    batch = make_batch(("sku", "north", "south"), [("A", "1", "")])
    seen = [(o["warehouse"], o["quantity_kind"], o["quantity"]) for o in observe(batch, make_plan(feed, batch.header))]
    assert seen == [("N", "available", "1"), ("S", "available", None)]


def test_declared_words_are_rules_and_not_applied(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku", "on_hand": {"column": "qty", "words": {"none": "0"}}})
    batch = make_batch(("sku", "qty"), [("A", "none")])
    (seen,) = observe(batch, make_plan(feed, batch.header))
    assert (seen["quantity"], seen["quantity_text"]) == (None, "none")
