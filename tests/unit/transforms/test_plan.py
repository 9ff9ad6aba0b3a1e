"""Finding columns in a header, and configuration no header could satisfy."""

from typing import Any

import pytest

from schemas.errors import ConfigError, DeliveryError
from transforms.columns import FromColumn, expression_terms
from transforms.plan import make_plan

HEADER = ("SKU", " On Hand ", "Reserved", "Cost", "sku", "")


def test_columns_are_found_exactly_then_without_case_then_by_position(make_feed: Any) -> None:
    feed = make_feed({"supplier_sku": "sku", "on_hand": ["Qty", "on hand"], "unit_cost": "#4", "mpn": "SKU"})
    plan = make_plan(feed, HEADER)
    assert {name: field.origin for name, field in plan.fields.items()} == {
        "supplier_sku": FromColumn(4, "sku"),
        "on_hand": FromColumn(1, "On Hand"),
        "unit_cost": FromColumn(3, "Cost"),
        "mpn": FromColumn(0, "SKU"),
    }


def test_a_headerless_file_is_read_by_position(make_feed: Any) -> None:
    plan = make_plan(make_feed({"supplier_sku": "#1", "on_hand": "#3"}), ("#1", "#2", "#3"))
    assert plan.fields["on_hand"].origin == FromColumn(2, "#3")


def test_all_missing_columns_are_named_with_the_header_and_near_misses(make_feed: Any) -> None:
    feed = make_feed({"supplier_sku": "Artikel", "on_hand": ["Quantty", "Bestand"], "mpn": {"column": "MPN", "required": False}})
    with pytest.raises(DeliveryError) as caught:
        make_plan(feed, ("Item", "Quantity"), header_row=3)
    error = caught.value
    assert (error.code, error.row, error.column) == ("HEADER-MISSING", 3, "Artikel")
    for named in ("row 3", "'Artikel'", "'Quantty' or 'Bestand'", "'Item'", "'Quantity'"):
        assert named in error.message
    assert "MPN" not in error.message
    assert "Did you mean 'Quantity' for 'Quantty'" in error.hint


def test_names_of_any_length_and_number_make_a_short_message_on_one_line(make_feed: Any) -> None:
    feed = make_feed({"supplier_sku": "SKU", "on_hand": "Qty"})
    with pytest.raises(DeliveryError) as caught:
        make_plan(feed, ("SKU\n\u202e" + "x" * 60_000, *("y" * 60_000 + str(n) for n in range(400))))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 2_000
    assert caught.value.message.endswith("and 381 more")


def test_an_ambiguous_spelling_is_missing_rather_than_guessed(make_feed: Any) -> None:
    with pytest.raises(DeliveryError):
        make_plan(make_feed({"supplier_sku": "Sku", "on_hand": "On Hand"}), HEADER)


def test_an_optional_only_quantity_that_is_absent_is_missing(make_feed: Any) -> None:
    feed = make_feed({"supplier_sku": "SKU", "on_hand": {"column": "qty", "required": False}})
    with pytest.raises(DeliveryError, match="on_hand"):
        make_plan(feed, HEADER)


def test_an_expression_names_its_columns(make_feed: Any) -> None:
    assert expression_terms("[A] + [B] - [C d]") == ((1, "A"), (1, "B"), (-1, "C d"))
    feed = make_feed({"supplier_sku": "SKU", "on_hand": {"expression": "[On Hand] - [Reservd]"}})
    with pytest.raises(DeliveryError, match="'Reservd' for on_hand"):
        make_plan(feed, HEADER)


@pytest.mark.parametrize(
    ("columns", "keys", "named"),
    [
        ({"on_hand": {"expression": "[On Hand] * 2"}}, {}, "expression"),
        ({"on_hand": {"expression": "5"}}, {}, "expression"),
        ({"on_hand": "On Hand", "unit_cost": {"expression": "[Cost]"}}, {}, "unit_cost"),
        ({"on_hand": {"value": "many"}}, {}, "'many'"),
        ({"on_hand": "On Hand", "currency": {"value": "XX"}}, {}, "'XX'"),
        ({"on_hand": "On Hand", "gtin": {"value": "123"}}, {}, "'123'"),
        ({"on_hand": "On Hand", "next_available_on": {"value": "soon"}}, {}, "'soon'"),
        ({"on_hand": "On Hand", "next_available_on": {"column": "Cost", "formats": ["%d/%m"]}}, {}, "%d/%m"),
        ({"on_hand": "On Hand", "discontinued": "Cost"}, {}, "discontinued"),
        ({"on_hand": "On Hand", "status": {"column": "Cost", "true": ["Y"], "false": ["y"]}}, {}, "status"),
        ({"on_hand": "On Hand"}, {"decimal": ",", "thousands": ","}, "both"),
        ({"on_hand": "On Hand"}, {"words": {"call": "unknwon"}}, "unknwon"),
        ({"on_hand": "On Hand"}, {"wide": {"columns": {"A": "Cost"}}}, "wide"),
        ({"location": "On Hand"}, {"wide": {"columns": {"A": "Cost"}}}, "location"),
        ({}, {"wide": {"pattern": "("}}, "regular expression"),
        ({}, {"wide": {"pattern": "Stock .+"}}, "group named location"),
    ],
)
def test_configuration_that_cannot_work_is_a_config_error_that_names_it(
    make_feed: Any, columns: dict[str, Any], keys: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(make_feed({"supplier_sku": "SKU", **columns}, **keys), HEADER)
    assert named in caught.value.message
    assert caught.value.hint
