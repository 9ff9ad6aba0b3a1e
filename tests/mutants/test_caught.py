"""Each seeded bug makes its test fail, and for the reason that is said of it: a change of the source may have taken that away."""

import shutil
from pathlib import Path

import pytest

from tests.mutants.patches import Mutant, load_mutants
from tests.mutants.prove import LEFT_OUT, REPOSITORY, catching_tests, judge


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree for one bug after another."""
    copy = tmp_path_factory.mktemp("mutants") / "tree"
    shutil.copytree(REPOSITORY, copy, ignore=LEFT_OUT, symlinks=True)
    return copy


@pytest.mark.parametrize("mutant", load_mutants(), ids=lambda m: m.name)
def test_a_seeded_bug_is_caught(mutant: Mutant, tree: Path):
    assert judge(tree, mutant, catching_tests()[mutant.name]) == "caught"
