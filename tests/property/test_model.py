"""A short slice of the model-based test on both databases; `make model STEPS=50000` runs a long one."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property.campaign import copies
from tests.property.machine import Machine
from tests.property.model_world import emptied


@pytest.mark.slow
def test_random_lives_end_as_the_oracle_says(database_url, tmp_path):
    if database_url.startswith("sqlite"):
        make_url = copies(tmp_path / "stockfeed.sqlite3", tmp_path)
    else:

        def make_url(folder):
            emptied(database_url)
            return database_url

    class Short(Machine):
        pass

    Short.make_url = staticmethod(make_url)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Short,
        settings=settings(max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=checks, derandomize=True),
    )
    assert Short.steps > 60
