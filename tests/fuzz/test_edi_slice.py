"""A short slice of `make fuzz`: the same runs each time, and those that once found something."""

import pytest

from tests.fuzz.edi import run


@pytest.mark.parametrize("part", range(4))
def test_damaged_edi_files_end_in_an_outcome_wherever_blocks_end(part):
    for number in range(part * 60, part * 60 + 60):
        run(number, 1)
