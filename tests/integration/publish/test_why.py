"""What `why` and the list of levels answer of one SKU, and that they look it up instead of reading what all others are."""

import re

import pytest
from sqlalchemy import event, insert, update

from schemas.tables import level_change, product_link
from stockfeed import reports
from stockfeed.pipeline.allocate import allocate
from stockfeed.store.engine import write

_LARGE = ("inventory", "i", "available_to_sell", "publication", "level_change", "ats_change", "listing", "reservation")


@pytest.fixture
def sold(desk):
    """Two feeds with the same SKU, two channels that offer it."""
    for code in ("acme.stock", "own.stock"):
        desk.add_feed(code)
        desk.deliver(code, {"A": 5, "B": 7})
    for code in ("one", "two"):
        desk.add_channel(code)
        allocate(desk.app, code)
    return desk


def test_every_level_offer_and_value_to_be_sent_of_a_sku_is_told_once(sold):
    found = reports.why(sold.app, "A")
    assert [(row["feed"], row["sku"]) for row in found["levels"]] == [("acme.stock", "A"), ("own.stock", "A")]
    assert [(row["channel"], row["quantity"]) for row in found["available_to_sell"]] == [("one", 10), ("two", 10)]
    assert [row["channel"] for row in found["publications"]] == ["two", "one"]
    only = reports.why(sold.app, "A", "two")
    assert {row["channel"] for row in only["available_to_sell"] + only["publications"]} == {"two"}


@pytest.mark.parametrize(("thousandths", "told"), [(123_456_789_012_345_678, "123456789012345.678"), (4_500, "4.5"), (0, "0")])
def test_a_change_is_told_exactly_however_large(sold, thousandths, told):
    with write(sold.engine) as connection:
        connection.execute(update(level_change).values(on_hand_before=thousandths, on_hand_after=None))
    changes = reports.why(sold.app, "A")["changes"]
    assert [(row["feed"], row["on_hand_before"], row["on_hand_after"]) for row in changes] == [
        ("own.stock", told, None),
        ("acme.stock", told, None),
    ]


def test_changes_of_another_suppliers_name_for_the_sku_are_among_them(sold):
    sold.deliver("own.stock", {"OTHER": 3, "STRANGE": 4})
    with write(sold.engine) as connection:
        link = {"feed_id": sold.feeds["own.stock"], "supplier_sku": "OTHER", "sku": "A"}
        connection.execute(insert(product_link).values(link))
    assert [(row["feed"], row["supplier_sku"]) for row in reports.why(sold.app, "A")["changes"]] == [
        ("own.stock", "OTHER"),
        ("own.stock", "A"),
        ("acme.stock", "A"),
    ]


def test_levels_of_a_sku_are_those_of_one_feed_where_asked_for(sold):
    assert [row["feed"] for row in reports.stock(sold.app, "A", "own.stock")] == ["own.stock"]
    assert [row["sku"] for row in reports.stock(sold.app, None, "own.stock")] == ["A", "B"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # of so few rows PostgreSQL reads all, indices or not
def test_one_sku_is_looked_up_by_index(sold):
    """A catalogue of a million SKUs in five channels took a minute to answer for one of them, from a cold disk."""
    read_as_a_whole = []

    @event.listens_for(sold.engine, "after_cursor_execute")
    def explain(connection, _cursor, statement, parameters, *_more):
        if statement.startswith("SELECT"):
            plan = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            read_as_a_whole.extend(row[3] for row in plan if re.match(rf"SCAN (?:{'|'.join(_LARGE)})\b", row[3]))

    reports.why(sold.app, "A")
    reports.stock(sold.app, "A")
    assert read_as_a_whole == []
