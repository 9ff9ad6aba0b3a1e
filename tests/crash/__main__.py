"""`make crash`: runs cases, writes one JSON line for each, skips those that its file has already, and tells every violation."""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.crash.cases import DATABASES, FAMILIES, Case, make, names
from tests.crash.damage import can_mount, can_trace
from tests.crash.scenario import Scenarios
from tests.crash.site import outside


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when every case held, else 1."""
    chosen = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and folders are cleared up then too
    if chosen.case:
        return _repeat(chosen)
    wanted = {family: chosen.cases.get(family, chosen.cases.get("", 0)) for family in chosen.families.split(",")}
    for family, able, words in (
        ("calls", can_trace, "no strace here, or no right to use it"),
        ("disk", can_mount, "no right to mount a small disk here (needs root)"),
        ("readonly", can_mount, "no right to mount a read-only disk here (needs root)"),
    ):
        if wanted.get(family) and not able():
            print(f"{words}: the cases of the family {family} are left out")
            del wanted[family]
    chosen.file.parent.mkdir(parents=True, exist_ok=True)
    known = _known(chosen.file)
    cases = [make(*name) for name in names(wanted, chosen.seed) if "{}/{}/{}".format(*name) not in known]
    cases = [case for case in cases if case.database in chosen.databases.split(",")]
    cases = [case for case in cases if case.number % chosen.of == chosen.part]
    print(f"{len(cases)} cases to run, {len(known)} in {chosen.file} already")
    bad = _run(cases, chosen)
    tell_figures(_read(chosen.file))
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--cases", type=counts, default={"": 280}, help="of each family, or e.g. points=1000,random=400")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--databases", default=",".join(DATABASES))
    parser.add_argument("--file", type=Path, default=Path(".state/crash/cases.ndjson"))
    parser.add_argument("--minutes", type=float, default=24 * 60, help="begin no case after this time")
    parser.add_argument("--part", type=int, default=0, help="with --of: run only the cases whose number leaves this remainder")
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--case", help="repeat one case (or several: a comma between them), e.g. points/1/17, and keep its folder")
    return parser


def counts(words: str) -> dict[str, int]:
    """Return family → number of cases from `points=1000,random=400`; a number alone is for every family (named "")."""
    pairs = [word.rpartition("=") for word in words.split(",")]
    unknown = {family for family, _, _ in pairs} - {"", *FAMILIES}
    if unknown:
        msg = f"no family {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}"
        raise argparse.ArgumentTypeError(msg)
    return {family: int(number) for family, _, number in pairs}


def _repeat(chosen: argparse.Namespace) -> int:
    cases = [make(family, int(seed), int(number)) for family, seed, number in (name.split("/") for name in chosen.case.split(","))]
    bad = 0
    with outside(sorted({case.database for case in cases})) as shared:
        for case in cases:
            result = Scenarios(shared).run(case, keep=True)
            bad += bool(result.violations)
            print(json.dumps(result.as_dict(), indent=1, ensure_ascii=False))
            kept = Path(".state/crash") / case.id.replace("/", "-")
            kept.parent.mkdir(parents=True, exist_ok=True)
            _keep(shared.folder / case.id.replace("/", "-"), kept)
            print(f"its folder: {kept}", flush=True)
    return 1 if bad else 0


def _keep(folder: Path, kept: Path) -> None:
    import shutil

    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept)


def _run(cases: Sequence[Case], chosen: argparse.Namespace) -> int:
    bad = 0
    until = time.monotonic() + 60 * chosen.minutes
    with outside(sorted({case.database for case in cases})) as shared, chosen.file.open("a", encoding="utf-8") as file:
        scenarios = Scenarios(shared)
        for done, case in enumerate(cases, start=1):
            if time.monotonic() > until:
                print(f"time is over: {len(cases) - done + 1} cases are left; the same command goes on")
                break
            result = scenarios.run(case)
            file.write(json.dumps(result.as_line(), ensure_ascii=False, separators=(",", ":")) + "\n")
            file.flush()
            if result.violations:
                bad += 1
                print(f"VIOLATION {case.id} ({case.database}): repeat it with  make crash CASE={case.id}")
                print("".join(f"    {words}\n" for words in result.violations[:8]), end="", flush=True)
            elif done % 50 == 0:
                print(f"{done} of {len(cases)}", flush=True)
    return bad


def _known(path: Path) -> set[str]:
    return {row["case"] for row in _read(path)}


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def tell_figures(rows: Iterable[dict[str, Any]]) -> None:
    """Print, for each family and database, the cases, those in which the damage was done, the kills, and the violated cases."""
    figures: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        counter = figures.setdefault((row["case"].split("/")[0], row["database"]), Counter())
        counter.update(cases=1, done=bool(row["done"]), kills=row["kills"], violations=bool(row.get("violations")))
    print(f"{'family':10} {'database':12} {'cases':>7} {'damaged':>8} {'kills':>7} {'violated':>9}")
    for (family, database), counter in sorted(figures.items()):
        print(f"{family:10} {database:12} {counter['cases']:7} {counter['done']:8} {counter['kills']:7} {counter['violations']:9}")


if __name__ == "__main__":
    sys.exit(main())
