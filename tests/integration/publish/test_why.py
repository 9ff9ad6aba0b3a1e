"""What `why` and the list of levels answer of one SKU, and that they look it up instead of reading what all others are."""

import re

import pytest
from sqlalchemy import event

from stockfeed import reports
from stockfeed.pipeline.allocate import allocate

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
