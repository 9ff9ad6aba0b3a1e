"""Fields that several columns give together, texts that only sometimes are what a column is for, and marks that got lost."""

from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from schemas.errors import ConfigError, DeliveryError
from transforms.declared import declared_columns, identifier_columns
from transforms.normalise import normalise
from transforms.observe import observe
from transforms.plan import make_plan

PLACE = {"join": ["plant", "shelf"], "separator": "/"}


def test_joined_columns_are_one_field_and_blank_only_where_all_are(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": {"join": ["name", "#3"], "separator": " / "}, "on_hand": "qty", "location": PLACE})
    header = ("name", "qty", "variant", "plant", "shelf")
    rows = [("Cup ", "1", "red", "3000", " 3110"), ("Cup", "2", "", "", "7"), ("", "3", " ", "", "")]
    batch = make_batch(header, rows)
    plan = make_plan(feed, header)
    seen = [(o["supplier_sku"], o["warehouse"]) for o in observe(batch, plan)]
    assert seen == [("Cup / red", "3000/3110"), ("Cup /", "/7"), (None, None)]
    result = normalise(batch, plan)
    assert result.records.select("supplier_sku", "location").rows() == [("Cup / red", "3000/3110"), ("Cup /", "/7")]
    assert [(r.row, r.column, r.code) for r in result.rejections] == [(4, "name / variant", "SKU-BLANK")]


def test_every_joined_column_must_be_there_and_is_asked_for(make_feed: Any) -> None:
    feed = make_feed({"supplier_sku": {"join": ["name", "variant"]}, "on_hand": "qty", "location": PLACE})
    with pytest.raises(DeliveryError, match="'variant' for supplier_sku; 'shelf' for location"):
        make_plan(feed, ("name", "qty", "plant"))
    assert set(declared_columns(feed)) == {"name", "variant", "qty", "plant", "shelf"}
    assert identifier_columns(feed) == ("name", "variant")


def test_joined_texts_are_no_quantity(make_feed: Any) -> None:
    feed = make_feed({"supplier_sku": "sku", "on_hand": {"join": ["a", "b"]}})
    with pytest.raises(ConfigError, match="joined texts are no quantity"):
        make_plan(feed, ("sku", "a", "b"))


def test_only_what_has_the_declared_shape_counts_as_given(make_feed: Any, make_batch: Any) -> None:
    columns = {"supplier_sku": "sku", "on_hand": "qty", "gtin": {"column": "sku", "only": "^[0-9]{12,14}$"}}
    batch = make_batch(("sku", "qty"), [("4006381333931", "1"), ("4006381333930", "1"), ("96385074", "1"), ("X1", "1")])
    result = normalise(batch, make_plan(make_feed(columns), batch.header))
    assert result.records["gtin"].to_list() == ["04006381333931", None, None, None]
    assert [(r.row, r.code) for r in result.rejections] == [(3, "GTIN-CHECK")]


def test_a_shape_that_cannot_be_searched_for_is_a_config_error(make_feed: Any, make_batch: Any) -> None:
    feed = make_feed({"supplier_sku": "sku", "on_hand": "qty", "mpn": {"column": "sku", "only": "(?=a)"}})
    with pytest.raises(ConfigError, match="only"):
        normalise(make_batch(("sku", "qty"), [("A", "1")]), make_plan(feed, ("sku", "qty")))
    with pytest.raises(ValidationError, match="not a regular expression"):
        make_feed({"supplier_sku": "sku", "on_hand": "qty", "mpn": {"column": "sku", "only": "("}})


def test_a_thousands_mark_that_became_a_question_mark_counts_only_where_declared(make_feed: Any, make_batch: Any) -> None:
    batch = make_batch(("sku", "qty", "cost"), [("A", "1?928", "2?156"), ("B", "19?28", "9"), ("C", "7", "?")])
    columns = {"supplier_sku": "sku", "on_hand": "qty", "unit_cost": "cost"}
    declared = normalise(batch, make_plan(make_feed(columns, thousands="?"), batch.header))
    assert declared.records.select("supplier_sku", "on_hand", "unit_cost").rows() == [("A", 1_928_000, 21_560_000)]
    assert [(r.row, r.code) for r in declared.rejections] == [(3, "QTY-FORMAT"), (4, "COST-FORMAT")]
    undeclared = normalise(batch, make_plan(make_feed(columns), batch.header))
    assert undeclared.records.height == 0
    assert pl.Series([r.code for r in undeclared.rejections]).is_in(["QTY-FORMAT", "COST-FORMAT"]).all()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"unit_cost": "a", "price": "b"}, "not both"),
        ({"mpn": {"column": "a", "kind": "retail"}}, "only unit_cost and price"),
        ({"location": {"column": "a", "join": ["b"]}}, "exactly one of"),
    ],
)
def test_columns_that_contradict_each_other_are_refused(make_feed: Any, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        make_feed({"supplier_sku": "sku", "on_hand": "qty"} | columns)


def test_a_switch_for_warehouses_needs_its_place_and_its_word_for_no(make_feed: Any) -> None:
    for enabled in ({"column": "Enabled", "false": ["N"]}, {"column": "On {location}", "true": ["Y"]}):
        with pytest.raises(ValidationError, match="location"):
            make_feed({"supplier_sku": "sku"}, wide={"columns": {"N": "n"}, "enabled": enabled})
