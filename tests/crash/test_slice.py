"""A slice of the crash programme: every named point once, and some of each other family. `make crash` runs the rest.

The cases are the same in each run; only the moment of a random kill depends on how fast the machine is.
"""

from dataclasses import replace

import pytest

from tests.crash.cases import make
from tests.crash.damage import can_trace
from tests.crash.points import POINTS
from tests.crash.scenario import Result, Scenarios

SEED = 1
_PIECES = 14  # so that two workers share the points evenly
pytestmark = pytest.mark.slow


def _point_numbers() -> list[int]:
    """Each point once; the sides and databases take turns, shifted at each second point."""
    sides = 2 * len(POINTS)
    return [2 * index + index // 2 % 2 + sides * (index % 2) for index in range(len(POINTS))]


def _run(scenarios: Scenarios, family: str, numbers: list[int]) -> list[Result]:
    results = [scenarios.run(make(family, SEED, number)) for number in numbers]
    told = [f"make crash CASE={r.case.id}: {words}" for r in results for words in r.violations]
    assert told == []
    return results


@pytest.mark.parametrize("piece", range(_PIECES))
def test_a_run_killed_at_a_named_point_is_made_good(scenarios: Scenarios, piece: int) -> None:
    results = _run(scenarios, "points", _point_numbers()[piece::_PIECES])
    assert [r.case.id for r in results if not r.done] == []  # every point was reached


@pytest.mark.parametrize("piece", range(2))
def test_a_run_killed_at_any_moment_is_made_good(scenarios: Scenarios, piece: int) -> None:
    results = _run(scenarios, "random", list(range(4 * piece, 4 * piece + 4)))
    assert sum(r.kills for r in results) >= 2


@pytest.mark.parametrize("number", range(2))
def test_a_parked_delivery_may_be_overtaken_before_a_person_replays_it(scenarios: Scenarios, number: int) -> None:
    """The newer snapshot lacks some of its SKUs: their levels are those of before, which the parked one never changed."""
    parse = next(index for index, point in enumerate(POINTS) if point.name == "parse")
    killed = make("points", SEED, 2 * parse + number)
    result = scenarios.run(replace(killed, source="delete", mode="snapshot", merged=True, last=False, two=False, crashes=3))
    assert (result.kills, result.violations) == (3, [])


@pytest.mark.parametrize("piece", range(2))
def test_a_system_call_that_kills_or_fails_is_made_good(scenarios: Scenarios, piece: int) -> None:
    if not can_trace():
        pytest.skip("no strace here, or no right to use it")
    _run(scenarios, "calls", list(range(5 * piece, 5 * piece + 5)))


def test_a_connection_lost_between_commit_and_its_answer_is_made_good(scenarios: Scenarios) -> None:
    _run(scenarios, "commits", list(range(4)))


@pytest.mark.parametrize("family", ["disk", "readonly"])
def test_a_full_or_read_only_disk_is_made_good(scenarios: Scenarios, family: str) -> None:
    _run(scenarios, family, list(range(2)))
