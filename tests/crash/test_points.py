"""The named points exist, and there are enough of them: a renamed function is noticed here, not quietly passed by."""

import inspect
from argparse import ArgumentTypeError

import pytest

from tests.crash.__main__ import counts
from tests.crash.cases import make, names
from tests.crash.points import BY_NAME, POINTS, SIDES, Point, find, is_code


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_point_names_functions_that_exist(point: Point) -> None:
    for name in filter(None, (point.function, point.within)):
        found = find(name)
        assert is_code(found) or inspect.isbuiltin(found), name


def test_a_name_that_no_longer_exists_is_an_error() -> None:
    with pytest.raises(LookupError, match="there is no no_such in stockfeed"):
        find("stockfeed.store.leases:no_such")
    with pytest.raises(ModuleNotFoundError):
        find("stockfeed.store.no_such:take")


def test_there_are_points_for_every_step_from_the_lease_to_retention() -> None:
    wanted = {
        "lease", "list", "fetch-start", "fetch-mid", "fetch-done", "archive-part", "archive-fsync", "archive-rename", "ledger",
        "parse", "stage-mid", "stage-done", "guard", "apply-begin", "apply-mid", "apply-committed", "outbox-claim", "send",
        "ack-before-mark", "marked", "remote-delete", "remote-move", "acknowledged", "cleanup", "retention-delete",
    }  # fmt: skip
    assert wanted <= BY_NAME.keys()
    assert len(BY_NAME) == len(POINTS) >= 24


def test_the_first_cases_hit_every_point_before_and_after_on_both_databases() -> None:
    cases = [make("points", 1, number) for number in range(4 * len(POINTS))]
    assert {(c.point, c.side, c.database) for c in cases} == {
        (name, side, database) for name in BY_NAME for side in SIDES for database in ("sqlite", "postgresql")
    }


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    assert make("random", 7, 3) == make("random", 7, 3)
    assert make("random", 7, 3) != make("random", 8, 3)


def test_how_many_cases_there_are_is_said_for_all_families_or_for_each() -> None:
    assert list(names({"points": 2, "random": 1}, 3)) == [("points", 3, 0), ("random", 3, 0), ("points", 3, 1)]
    assert counts("280") == {"": 280}
    assert counts("points=1000,random=400") == {"points": 1000, "random": 400}
    with pytest.raises(ArgumentTypeError, match="no family point; there are points"):
        counts("point=3")


def test_a_random_case_is_killed_several_times_and_a_last_delivery_is_crashed_too() -> None:
    cases = [make(family, 1, number) for family in ("points", "random") for number in range(100)]
    assert {case.crashes for case in cases if case.family == "random"} == {2, 3, 4, 5}
    assert 40 <= sum(case.last for case in cases) <= 90
