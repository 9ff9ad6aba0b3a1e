"""A slice of the concurrency programme: a few cases of each kind in processes of their own; `make concurrency` runs many."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["two_runs", "zombie", "any_order", "clock_jump", "config_change"])
def test_processes_that_meet_break_no_rule(kind, tmp_path):
    out = tmp_path / "cases.ndjson"
    command = [sys.executable, "-m", "tests.concurrency.campaign", "--cases", "2", "--kinds", kind, "--out", str(out)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["database"], line["violations"]) for line in lines] == [("sqlite", []), ("postgresql", [])]
