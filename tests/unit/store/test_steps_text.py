"""Steps are written by hand as the engine would write them: equal texts must be equal steps."""

import json

from hypothesis import given
from hypothesis import strategies as st

from stockfeed.store.availability import steps_text
from stockfeed.store.engine import to_json
from transforms.availability import Step

STEPS = st.lists(st.builds(Step, st.text(), st.text(), st.integers()), max_size=5)


@given(STEPS)
def test_the_text_of_steps_is_what_the_engine_writes(steps: list[Step]):
    plain = [{"step": step.step, "detail": step.detail, "value": step.value} for step in steps]
    assert steps_text(steps) == to_json(plain)
    assert json.loads(steps_text(steps)) == plain
