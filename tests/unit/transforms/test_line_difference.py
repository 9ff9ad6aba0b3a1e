"""Which lines have a partner in the other file, and which rows a reading said nothing plain about."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from transforms.line_difference import rows_between, same_lines

HASHES = st.lists(st.integers(0, 12), max_size=25)


def same(old, new, old_again=(), new_again=()):
    series = (pl.Series(values, dtype=pl.UInt64) for values in (old, new))
    marks = (
        pl.Series([i in again for i in range(len(of))], dtype=pl.Boolean) for of, again in ((old, old_again), (new, new_again))
    )
    return tuple(found.to_list() for found in same_lines(*series, *marks))


def test_lines_keep_their_partner_when_others_are_edited_inserted_or_moved():
    assert same([1, 2, 3], [1, 9, 3]) == ([True, False, True], [True, False, True])
    assert same([1, 2, 3], [1, 9, 2, 3]) == ([True] * 3, [True, False, True, True])
    assert same([1, 2, 3, 4], [4, 2, 9, 1, 3]) == ([True] * 4, [True, True, False, True, True])


def test_a_line_that_occurs_once_more_has_no_partner():
    assert same([1, 2, 3], [1, 2, 3, 2]) == ([True, False, True], [True, False, True, False])


def test_marked_lines_have_no_partner():
    assert same([1, 2, 3], [1, 2, 3], old_again={0}, new_again={2}) == ([False, True, False], [False, True, False])


@given(old=HASHES, new=HASHES, old_again=st.sets(st.integers(0, 24)), new_again=st.sets(st.integers(0, 24)))
def test_partners_are_one_to_one_and_no_copy_is_left_beside_them(old, new, old_again, new_again):
    found_old, found_new = same(old, new, old_again, new_again)
    partners = sorted(h for h, found in zip(old, found_old, strict=True) if found)
    assert partners == sorted(h for h, found in zip(new, found_new, strict=True) if found)
    assert not {h for h, found in zip(new, found_new, strict=True) if not found} & set(partners)
    assert not any(found_old[i] for i in old_again if i < len(old))
    assert not any(found_new[i] for i in new_again if i < len(new))


def test_the_rows_between_others_are_those_that_are_missing():
    assert rows_between(pl.Series([2, 3, 6, 7, 9], dtype=pl.Int64)).to_list() == [1, 4, 5, 8]
    assert rows_between(pl.Series([], dtype=pl.Int64)).to_list() == []
