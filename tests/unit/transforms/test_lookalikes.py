"""Keys that look alike, found by two hashes a key before any text is compared."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from transforms.lookalikes import key_forms, lookalike_groups, suspected


def keys(*texts: str) -> pl.Series:
    return pl.Series("key", texts, dtype=pl.String)


def test_keys_that_differ_in_case_or_width_only_are_suspected_wherever_they_stand() -> None:
    assert suspected(key_forms(keys("A1", "B2", "a1", "C3", "\uff211"))).to_list() == [1, 3, 5]


def test_one_key_on_many_rows_is_no_suspect() -> None:
    assert suspected(key_forms(keys("A1", "A1", "b2", "b2"))).to_list() == []


def test_no_keys_have_no_suspects() -> None:
    assert suspected(key_forms(keys())).to_list() == []


@given(st.lists(st.text("aAäÄßſsＡ1", max_size=3), max_size=30))
def test_the_suspects_of_a_delivery_in_batches_are_the_keys_of_its_groups(texts: list[str]) -> None:
    whole = keys(*texts)
    forms = pl.concat([key_forms(whole[:7]), key_forms(whole[7:])])
    found = {texts[position - 1] for position in suspected(forms)}
    assert found == set(lookalike_groups(whole)["key"])
