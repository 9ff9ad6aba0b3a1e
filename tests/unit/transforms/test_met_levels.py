"""Which records are in the levels already."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from transforms.met_levels import HASHES, hashed, met

_NUMBERS = st.integers(0, 2**64 - 1)
_FEW = st.sampled_from([0, 1, 2**60 - 1, 2**60, 2**63, 2**64 - 1])
_PAIRS = st.tuples(st.one_of(_FEW, _NUMBERS), st.one_of(_FEW, _NUMBERS))


def frame(pairs: list[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema=HASHES, orient="row")


@given(records=st.lists(st.tuples(_PAIRS, st.booleans()), max_size=20), levels=st.lists(_PAIRS, max_size=20, unique=True))
def test_a_record_meets_the_level_that_has_both_its_hashes(records, levels):
    pairs, apart = [pair for pair, _ in records], [is_apart for _, is_apart in records]
    same, confirmed = met(frame(pairs), frame(levels), pl.Series(apart, dtype=pl.Boolean))
    looked_at = {pair for pair, is_apart in records if not is_apart}
    assert same.to_list() == [pair in levels and not is_apart for pair, is_apart in records]
    assert confirmed.to_list() == [level in looked_at for level in levels]


def test_the_two_hashes_of_a_line_are_independent():
    found = hashed(pl.Series(["a", "b", "a"]), (1, 2))
    assert found.row(0) == found.row(2)
    assert len({*found.row(0), *found.row(1)}) == 4
