"""Rows that share a key: equal ones are one row, different ones follow the feed's policy."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import RECORD_SCHEMA
from transforms.duplicates import doubled_numbers, key_hashes, resolve


def rows(*made):
    """Rows of (sku, on_hand in units)."""
    blank = dict.fromkeys(RECORD_SCHEMA) | {"location": "", "condition": ""}
    data = [
        blank | {"n": n, "row": n + 1, "line": n + 1, "supplier_sku": sku, "on_hand": None if q is None else q * 1000}
        for n, (sku, q) in enumerate(made, start=1)
    ]
    return pl.DataFrame(data, schema={"n": pl.Int64, **RECORD_SCHEMA})


MIXED = rows(("A", 1), ("B", 5), ("A", 2), ("C", 7), ("C", 7), ("A", 9))


def test_equal_rows_are_counted_once_with_a_note():
    found = resolve(rows(("C", 7), ("C", 7), ("C", 7)), "reject")
    assert found.drop.to_list() == [2, 3]
    assert found.refused.to_list() == []
    assert found.total == 2
    assert {r.severity for r in found.rejections} == {"note"}
    assert found.rejected_keys.height == 0


def test_different_rows_are_all_rejected_by_default_and_their_key_is_unconfirmed():
    found = resolve(MIXED, "reject")
    assert found.drop.to_list() == [1, 3, 5, 6]
    assert found.refused.to_list() == [1, 3, 6]
    assert [r.row for r in found.rejections if r.severity == "row"] == [2, 4, 7]
    assert found.rejected_keys["supplier_sku"].to_list() == ["A"]


@pytest.mark.parametrize(("policy", "dropped"), [("first", [3, 5, 6]), ("last", [1, 3, 5])])
def test_first_and_last_keep_one_row_and_reject_the_others(policy, dropped):
    found = resolve(MIXED, policy)
    assert found.drop.to_list() == dropped
    assert found.rejected_keys.height == 0
    assert sum(r.severity == "row" for r in found.rejections) == 2


@pytest.mark.parametrize(("policy", "quantity"), [("sum", 12_000), ("max", 9_000)])
def test_sum_and_max_fold_quantities_into_the_first_row(policy, quantity):
    found = resolve(MIXED, policy)
    assert found.drop.to_list() == [3, 5, 6]
    assert found.quantities.rows() == [(1, quantity, None, None)]
    assert not [r for r in found.rejections if r.severity == "row"]


def test_an_unknown_quantity_stays_unknown_when_all_are_unknown():
    made = rows(("A", None), ("A", None)).with_columns(pl.Series("mpn", ["x", "y"]))
    assert resolve(made, "sum").quantities.rows() == [(1, None, None, None)]


def test_a_hash_collision_of_different_keys_is_no_duplicate():
    assert resolve(rows(("A", 1), ("B", 1)), "reject").drop.to_list() == []


def test_doubled_positions_are_found_by_hash():
    assert doubled_numbers(key_hashes(MIXED)).to_list() == [1, 3, 4, 5, 6]


def test_location_and_condition_are_part_of_the_key():
    two = rows(("A", 1), ("A", 2)).with_columns(pl.Series("location", ["NJ", "LA"]))
    assert doubled_numbers(key_hashes(two)).to_list() == []


def test_only_as_many_rejections_are_made_as_asked_for_and_all_are_counted():
    found = resolve(MIXED, "reject", limit=2)
    assert [r.row for r in found.rejections] == [2, 4]
    assert found.total == 4
    assert found.drop.to_list() == [1, 3, 5, 6]


@given(st.lists(st.integers(0, 12), max_size=30))
def test_the_doubled_positions_are_those_of_every_hash_that_occurs_twice(hashes):
    expected = [at for at, value in enumerate(hashes, start=1) if hashes.count(value) > 1]
    assert doubled_numbers(pl.Series(hashes, dtype=pl.UInt64)).to_list() == expected
