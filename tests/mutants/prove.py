"""Shows that the tests catch each seeded bug: `make mutants`.

Works on a copy of the tree, never on the tree itself. First the named tests must pass without any bug; then each must fail
with its bug, and say what caught_by.toml expects. Ends with 0 when every bug is caught, else with 1.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # a program, not a test: nobody else puts the tree there

from tests.mutants.patches import FOLDER, Mutant, StalePatchError, load_mutants

REPOSITORY = FOLDER.parent.parent
TIME_OUT = 600  # seconds for one bug
_ALL_TESTS = 3000  # seconds for every named test without a bug, on a machine that is busy with other things
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".state", "__pycache__", ".*_cache", ".hypothesis", "*.sqlite3*")


def catching_tests() -> dict[str, dict[str, str]]:
    """Return for each seeded bug the test that must fail and what its failure says."""
    return tomllib.loads((FOLDER / "caught_by.toml").read_text("utf-8"))


def run_tests(tree: Path, tests: Iterable[str], time_out: float = TIME_OUT) -> tuple[int, str]:
    """Return pytest's exit code and its report, with every package taken from `tree`."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    where = [sys.executable, "-c", "import connectors, schemas, stockfeed, transforms as t; print(stockfeed.__file__, t.__file__)"]
    found = subprocess.run(where, cwd=tree, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert all(Path(place).is_relative_to(tree) for place in found), found
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=time_out, check=False)
    return done.returncode, done.stdout + done.stderr


def judge(tree: Path, mutant: Mutant, caught_by: dict[str, str]) -> str:
    """Return "caught", or what went otherwise; the tree is as before afterwards."""
    before = {hunk.file: (tree / hunk.file).read_text("utf-8") for hunk in mutant.hunks}
    try:
        mutant.apply(tree)
        code, report = run_tests(tree, [caught_by["test"]])
    except StalePatchError as error:
        return f"PATCH IS STALE: {error}"
    except subprocess.TimeoutExpired:
        return f"UNDECIDED: the test did not end within {TIME_OUT} s"
    finally:
        for file, text in before.items():
            (tree / file).write_text(text, "utf-8")
    if code == 0:
        return "MISSED: the test passes"
    if code != 1 or not re.search(r"^FAILED ", report, re.MULTILINE):  # the checker may find the bug as well, when the test is over
        return f"UNDECIDED: the test could not run (pytest ended with {code})\n{report}"
    if not re.search(caught_by["says"], report):
        return f"FAILED FOR ANOTHER REASON: no {caught_by['says']!r} in its report\n{report}"
    return "caught"


def main(names: list[str]) -> int:
    """Judge the seeded bugs whose names begin with one of `names` (all of them by default) and return the exit code."""
    table = catching_tests()
    mutants = [m for m in load_mutants() if not names or m.name.startswith(tuple(names))]
    if not mutants:
        print(f"there is no seeded bug named {' or '.join(names)}")
        return 1
    with tempfile.TemporaryDirectory(prefix="stockfeed-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(REPOSITORY, tree, ignore=LEFT_OUT, symlinks=True)
        code, report = run_tests(tree, sorted({table[m.name]["test"] for m in mutants}), _ALL_TESTS)
        if code != 0:
            print(f"The tests fail without any seeded bug, so they prove nothing:\n{report}")
            return 1
        caught = 0
        for mutant in mutants:
            started = time.monotonic()
            verdict = judge(tree, mutant, table[mutant.name])
            caught += verdict == "caught"
            print(f"{mutant.name:34} {time.monotonic() - started:5.1f} s  {verdict}", flush=True)
    print(f"{caught} of {len(mutants)} seeded bugs caught")
    return 0 if caught == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
