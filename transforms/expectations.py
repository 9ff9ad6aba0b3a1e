"""The vocabulary of contracts: which expectations exist, which of them are evaluated here, and mistakes in declaring them.

Never evaluates rows (`transforms.contract` does) and never imports Great Expectations; names and arguments are those of
its version 1.24.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from schemas.columns import QUANTITY_COLUMNS, RECORD_COLUMNS
from schemas.errors import ConfigError
from schemas.feed_config import Expectation, Feed

COLUMNS = tuple(name for name in RECORD_COLUMNS if name not in {"row", "line"})
NUMBERS = (*QUANTITY_COLUMNS, "unit_cost")
DATES = ("next_available_on",)
TEXTS = tuple(name for name in COLUMNS if name not in (*NUMBERS, *DATES))

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_IN_SET = "expect_column_values_to_not_be_in_set"
MATCH = "expect_column_values_to_match_regex"
ROW_COUNT = "expect_table_row_count_to_be_between"

_RANGE = {"min_value", "max_value", "strict_min", "strict_max"}
#: Arguments we evaluate ourselves, by expectation.
ARGUMENTS: Mapping[str, frozenset[str]] = {
    NOT_NULL: frozenset({"column", "mostly"}),
    BETWEEN: frozenset({"column", "mostly", *_RANGE}),
    IN_SET: frozenset({"column", "mostly", "value_set"}),
    NOT_IN_SET: frozenset({"column", "mostly", "value_set"}),
    MATCH: frozenset({"column", "mostly", "regex"}),
    ROW_COUNT: frozenset(_RANGE),
}
_REMARKS = frozenset({"meta", "notes", "description"})  # say nothing about rows
_GX_ONLY = frozenset({"row_condition", "condition_parser"})  # known, and left to Great Expectations

_PER_ROW = """column_values_to_be_dateutil_parseable column_values_to_be_decreasing column_values_to_be_in_type_list
column_values_to_be_increasing column_values_to_be_json_parseable column_values_to_be_null column_values_to_be_of_type
column_values_to_be_unique column_value_lengths_to_be_between column_value_lengths_to_equal
column_value_z_scores_to_be_less_than column_values_to_match_json_schema column_values_to_match_like_pattern
column_values_to_match_like_pattern_list column_values_to_match_regex_list column_values_to_match_strftime_format
column_values_to_not_be_outliers column_values_to_not_match_like_pattern column_values_to_not_match_like_pattern_list
column_values_to_not_match_regex column_values_to_not_match_regex_list column_pair_values_a_to_be_greater_than_b
column_pair_values_to_be_equal column_pair_values_to_be_in_set compound_columns_to_be_unique multicolumn_sum_to_equal
multicolumn_values_to_be_equal select_column_values_to_be_unique_within_record"""
_PER_TABLE = """column_distinct_values_to_be_in_set column_distinct_values_to_contain_set column_distinct_values_to_equal_set
column_kl_divergence_to_be_less_than column_max_to_be_between column_mean_to_be_between column_median_to_be_between
column_min_to_be_between column_most_common_value_to_be_in_set column_proportion_of_non_null_values_to_be_between
column_proportion_of_unique_values_to_be_between column_quantile_values_to_be_between column_stdev_to_be_between
column_sum_to_be_between column_to_exist column_type_to_be column_unique_value_count_to_be_between
query_results_to_match_comparison table_column_count_to_be_between table_column_count_to_equal
table_columns_to_match_ordered_list table_columns_to_match_set table_row_count_to_equal table_row_count_to_equal_other_table"""
#: Expectations that judge single rows, and all others, as Great Expectations 1.24 names them.
PER_ROW = frozenset(f"expect_{name}" for name in _PER_ROW.split()) | (set(ARGUMENTS) - {ROW_COUNT})
PER_TABLE = frozenset(f"expect_{name}" for name in _PER_TABLE.split()) | {ROW_COUNT}


def supported(expectation: Expectation) -> bool:
    """Return whether `transforms.contract` evaluates this expectation itself; any other is for Great Expectations."""
    known = ARGUMENTS.get(expectation.type)
    given = expectation.arguments
    if known is None or not set(given) <= known | _REMARKS or _range_mistakes(expectation.type, given):
        return False
    if expectation.type == ROW_COUNT:
        return all(_is_number(given[name]) for name in ("min_value", "max_value") if given.get(name) is not None)
    column = given.get("column")
    if expectation.type == BETWEEN:
        return column in (*NUMBERS, *DATES) and all(_fits(given[n], column) for n in ("min_value", "max_value") if n in given)
    if expectation.type in {IN_SET, NOT_IN_SET}:
        values = given.get("value_set")
        return isinstance(values, (list, tuple)) and column in COLUMNS and all(_fits(v, column) for v in values)
    if expectation.type == MATCH:
        return column in TEXTS and isinstance(given.get("regex"), str)
    return column in COLUMNS


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _fits(value: object, column: str) -> bool:
    if column in NUMBERS:
        return _is_number(value)
    return type(value) is date if column in DATES else isinstance(value, str)


def validate_expectations(feed: Feed) -> None:
    """Return nothing. Raises ConfigError that names every mistake in the feed's contract, with what was meant where known."""
    mistakes = [f"[[feed.expect]] {i}: {m}" for i, e in enumerate(feed.expect, 1) for m in _mistakes(e)]
    if mistakes:
        raise ConfigError(f"feed {feed.code}: {'; '.join(mistakes)}", "Correct the [[feed.expect]] entries.")


def _mistakes(expectation: Expectation) -> list[str]:
    known = PER_ROW | PER_TABLE
    if expectation.type not in known:
        return [f"unknown expectation {expectation.type!r}{_near(expectation.type, known)}"]
    given = expectation.arguments
    found = _severity_mistakes(expectation)
    allowed = ARGUMENTS.get(expectation.type)
    if allowed is not None:
        everything = allowed | _REMARKS | _GX_ONLY
        found += [
            f"{expectation.type} has no argument {name!r}{_near(name, everything)}" for name in given if name not in everything
        ]
        found += [f"{expectation.type} needs `{name}`" for name in ("column", "value_set", "regex") if name in allowed - set(given)]
        found += _range_mistakes(expectation.type, given)
        found += _value_mistakes(given)
    column = given.get("column")
    if column is not None and column not in COLUMNS:
        found.append(f"unknown column {column!r}{_near(str(column), COLUMNS)}; the columns are {', '.join(COLUMNS)}")
    return found


def _severity_mistakes(expectation: Expectation) -> list[str]:
    if expectation.severity != "row":
        return []
    if expectation.type in PER_TABLE:
        return [f'{expectation.type} judges the whole delivery: give severity = "warn", "hold" or "reject"']
    if expectation.arguments.get("mostly", 1) != 1:
        return ['`mostly` judges the whole delivery: give severity = "warn", "hold" or "reject"']
    return []


def _range_mistakes(kind: str, given: Mapping[str, Any]) -> list[str]:
    if kind not in {BETWEEN, ROW_COUNT}:
        return []
    low: Any = given.get("min_value")
    high: Any = given.get("max_value")
    if low is None and high is None:
        return [f"{kind} needs `min_value` or `max_value`"]
    comparable = (_is_number(low) and _is_number(high)) or (type(low) is type(high) and isinstance(low, (str, date)))
    if comparable and low > high:
        return [f"min_value {low} is greater than max_value {high}"]
    return []


def _value_mistakes(given: Mapping[str, Any]) -> list[str]:
    found = []
    mostly = given.get("mostly", 1)
    if not _is_number(mostly) or not 0 <= mostly <= 1:
        found.append(f"`mostly` is a share from 0 to 1 (got {mostly!r})")
    if "value_set" in given and not isinstance(given["value_set"], (list, tuple)):
        found.append("`value_set` is a list")
    flags = ("strict_min", "strict_max")
    found += [f"`{name}` is true or false" for name in flags if not isinstance(given.get(name, False), bool)]
    if "regex" in given:
        try:
            re.compile(str(given["regex"]))
        except re.error as error:
            found.append(f"regex {given['regex']!r} is not a regular expression: {error}")
    return found


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
