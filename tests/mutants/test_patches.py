"""The seeded bugs of `make mutants` fit the present source, and each has a test that is there."""

import re
import shutil
from pathlib import Path

import pytest

from tests.mutants.patches import FOLDER, Mutant, StalePatchError, load_mutants
from tests.mutants.prove import catching_tests

REPOSITORY = FOLDER.parent.parent
MUTANTS = load_mutants()


def test_there_are_fifteen_seeded_bugs_and_each_names_its_test():
    assert [m.name[:2] for m in MUTANTS] == [f"{n:02}" for n in range(1, 16)]
    assert set(catching_tests()) == {m.name for m in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_seeded_bug_fits_the_source_and_is_still_python(mutant: Mutant, tmp_path: Path):
    assert mutant.sentence.endswith(".")
    for hunk in mutant.hunks:
        target = tmp_path / hunk.file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / hunk.file, target)
    mutant.apply(tmp_path)
    for hunk in mutant.hunks:
        compile((tmp_path / hunk.file).read_text("utf-8"), hunk.file, "exec")


@pytest.mark.parametrize("name", sorted(catching_tests()))
def test_the_test_that_must_catch_it_exists(name: str):
    path, _, function = catching_tests()[name]["test"].partition("::")
    assert re.search(rf"^def {re.escape(function.split('[')[0])}\(", (REPOSITORY / path).read_text("utf-8"), re.MULTILINE)


def test_a_patch_that_no_longer_fits_is_an_error_that_names_it(tmp_path: Path):
    (hunk,) = MUTANTS[0].hunks
    (tmp_path / hunk.file).parent.mkdir(parents=True)
    (tmp_path / hunk.file).write_text("something else\n")
    with pytest.raises(StalePatchError, match=MUTANTS[0].name):
        MUTANTS[0].apply(tmp_path)
