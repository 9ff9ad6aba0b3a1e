"""Declaring a contract: what is ours, what is for Great Expectations, and what is a mistake."""

from typing import Any

import pytest

from schemas.errors import ConfigError
from schemas.feed_config import Expectation
from transforms.expectations import supported, validate_expectations

BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
MATCH = "expect_column_values_to_match_regex"
COUNT = "expect_table_row_count_to_be_between"


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"type": BETWEEN, "column": "on_hand", "min_value": 0}, True),
        ({"type": BETWEEN, "column": "on_hand", "min_value": 0, "notes": "why"}, True),
        ({"type": BETWEEN, "column": "on_hand", "min_value": "0"}, False),
        ({"type": BETWEEN, "column": "unit", "min_value": "A"}, False),
        ({"type": BETWEEN, "column": "on_hand", "min_value": 0, "row_condition": "unit == 'EA'"}, False),
        ({"type": IN_SET, "column": "unit", "value_set": ["EA"]}, True),
        ({"type": IN_SET, "column": "on_hand", "value_set": [True]}, False),
        ({"type": MATCH, "column": "on_hand", "regex": "^1"}, False),
        ({"type": COUNT, "min_value": 1}, True),
        ({"type": "expect_column_values_to_be_unique", "column": "unit"}, False),
    ],
)
def test_only_what_means_the_same_is_evaluated_here(given: dict[str, Any], ours: object) -> None:
    assert supported(Expectation(**given)) is ours


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"type": "expect_column_values_to_be_betwen", "column": "on_hand"}, f"did you mean '{BETWEEN}'"),
        ({"type": BETWEEN, "column": "onhand", "min_value": 0}, "did you mean 'on_hand'"),
        ({"type": BETWEEN, "column": "on_hand", "min_valu": 0, "max_value": 1}, "did you mean 'min_value'"),
        ({"type": BETWEEN, "column": "on_hand"}, "needs `min_value` or `max_value`"),
        ({"type": BETWEEN, "column": "on_hand", "min_value": 5, "max_value": 1}, "min_value 5 is greater than max_value 1"),
        ({"type": BETWEEN, "min_value": 5}, "needs `column`"),
        ({"type": IN_SET, "column": "unit"}, "needs `value_set`"),
        ({"type": IN_SET, "column": "unit", "value_set": "EA"}, "`value_set` is a list"),
        ({"type": MATCH, "column": "unit", "regex": "("}, "not a regular expression"),
        ({"type": COUNT, "min_value": 1}, "judges the whole delivery"),
        ({"type": "expect_column_max_to_be_between", "column": "on_hand", "max_value": 1}, "judges the whole delivery"),
        ({"type": BETWEEN, "column": "on_hand", "min_value": 0, "mostly": 0.9}, "`mostly` judges the whole delivery"),
        ({"type": BETWEEN, "column": "on_hand", "min_value": 0, "mostly": 90, "severity": "warn"}, "share from 0 to 1"),
        ({"type": BETWEEN, "column": "on_hand", "min_value": 0, "strict_min": "yes"}, "true or false"),
    ],
)
def test_a_mistake_is_a_config_error_that_says_what_was_meant(make_feed: Any, given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_expectations(make_feed(expect=[given]))
    assert named in caught.value.message


def test_all_mistakes_are_named_at_once_and_a_right_contract_passes(make_feed: Any) -> None:
    with pytest.raises(ConfigError, match=r"(?s)expect\]\] 1.*expect\]\] 2"):
        validate_expectations(make_feed(expect=[{"type": "expect_x"}, {"type": COUNT, "severity": "warn"}]))
    unique = {"type": "expect_column_values_to_be_unique", "column": "gtin", "severity": "warn", "mostly": 0.9}
    validate_expectations(make_feed(expect=[unique, {"type": COUNT, "min_value": 1, "severity": "hold"}]))
