"""The sample of key hashes: read in batches it is that of the whole, and it says how far it is complete."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import key_sample
from transforms.key_sample import no_sample, with_more


@given(st.lists(st.integers(0, 40), max_size=40), st.integers(1, 40))
def test_the_sample_of_a_delivery_in_batches_is_that_of_the_whole(hashes, size):
    keys = pl.DataFrame({"key": pl.Series(hashes, dtype=pl.UInt64), "quantity": pl.Series(range(len(hashes)), dtype=pl.Int64)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_sample, "RESERVE", size)
        seen = no_sample()
        for start in range(0, len(hashes), 7):
            seen = with_more(seen, keys[start : start + 7])
    known = sorted(set(hashes))
    assert seen.keys.rows() == [(key, hashes.index(key)) for key in known[:size]]
    assert seen.upto == (known[size - 1] if len(known) >= size else None)
