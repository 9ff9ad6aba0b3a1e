"""`make airflow-celery`: forty feeds at once on PostgreSQL, Redis and Celery workers; one worker is killed at its work.

Ends by itself: 0 when every feed ended right without a hand, every rule holds and no process is left; else 1.
"""

import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))  # a program, not a test: nobody else puts the tree there

from sqlalchemy import Engine, text

from stockfeed.demo.airflow_api import ENDED, AirflowApi, signed_in, wait_until
from stockfeed.demo.airflow_site import BIN, free_port, make_site, repository
from stockfeed.demo.process_group import ProcessGroup
from stockfeed.store.engine import make_engine, read
from tests.airflow_celery.feeds import FEEDS, write_feeds
from tests.airflow_celery.servers import Databases, postgresql, redis, run
from tests.airflow_celery.services import WORKERS, freeze, has_machines, kill, services

PATIENCE = 2400.0  # seconds for all runs, on a machine that is busy with other things
LEASE = 60  # seconds; what a dead worker held on another machine is free after that
_AT_WORK = """
SELECT f.code, f.lease_holder, d.id FROM feed f JOIN delivery d ON d.feed_id = f.id
WHERE f.lease_holder IS NOT NULL AND d.state = 'received' AND d.attempts > 0
"""


def say(words: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {words}", flush=True)


def settings(folder: Path, databases: Databases, broker: str) -> dict[str, str]:
    """Return the environment by which the services differ from `make airflow`, as docker-compose.yml sets it."""
    return {
        "STOCKFEED_CONFIG": str(folder / "config"),
        "STOCKFEED_STATE": str(folder / "state"),
        "STOCKFEED_DATABASE_URL": databases.programs,
        "STOCKFEED_LEASE_SECONDS": str(LEASE),
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__PARALLELISM": "32",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": databases.airflow,
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": "db+" + databases.airflow.replace("+psycopg2", ""),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    }


def migrate(environment: dict[str, str], databases: Databases, folder: Path) -> None:
    """Do what the service `migrate` of docker-compose.yml does. Raises RuntimeError with the output of what failed."""
    owner = {**environment, "STOCKFEED_DATABASE_URL": databases.owner}
    for words in (["stockfeed", "db", "upgrade"], ["stockfeed", "db", "roles"], ["airflow", "db", "migrate"]):
        done = run([str(BIN / words[0]), *words[1:]], owner, folder)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    engine = make_engine(databases.owner)
    with engine.begin() as connection:
        connection.execute(text("GRANT stockfeed_ingest, stockfeed_publisher TO stockfeed_app"))
    engine.dispose()


def kill_a_worker_at_work(engine: Engine, groups: dict[str, ProcessGroup]) -> tuple[str, int]:
    """Wait until a worker is inside an ingest, kill it there, and return its name and the delivery."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for feed, holder, delivery in _rows(engine, _AT_WORK):
            name = next((w for w in WORKERS if int(holder.split("/")[1]) in groups[w].alive()), None)
            if name is None:
                continue
            freeze(groups[name], frozen=True)
            if (feed, holder, delivery) in _rows(engine, _AT_WORK):  # still at it, and now it cannot end
                say(f"{name} is at delivery {delivery} of {feed}: its {kill(groups[name])} processes are killed.")
                return name, delivery
            freeze(groups[name], frozen=False)
        time.sleep(0.05)
    raise RuntimeError("no worker was ever seen at an ingest")


def _rows(engine: Engine, query: str) -> list[tuple[str, str, int]]:
    with read(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def wait_for_all(airflow: AirflowApi, runs: dict[str, str]) -> dict[str, str]:
    """Return how each run ended, saying now and then how many have."""
    states: dict[str, str] = {}
    told = [0]

    def ended() -> bool:
        for dag in sorted(set(runs) - {d for d, s in states.items() if s in ENDED}):
            states[dag] = airflow.runs(dag)[runs[dag]]
        done = sum(state in ENDED for state in states.values())
        if done >= told[0] + 10:
            told[0] = done
            say(f"{done} of {len(runs)} runs have ended.")
        return done == len(runs)

    wait_until(ended, "the runs have not ended", PATIENCE)
    return states


def judge(engine: Engine, wanted: dict[str, tuple[int, int]], states: dict[str, str], killed: int) -> list[str]:
    """Return what is wrong, an empty list when nothing is."""
    wrong = [f"the run of {dag} ended {state}" for dag, state in states.items() if state != "success"]
    with read(engine) as connection:
        levels = "SELECT feed, count(*), sum(on_hand) FROM inventory_v1 GROUP BY feed"
        found = {feed: (count, int(units)) for feed, count, units in connection.execute(text(levels))}
        ends = connection.execute(text("SELECT state, count(*) FROM delivery GROUP BY state")).all()
        attempts = connection.execute(text("SELECT attempts FROM delivery WHERE id = :id"), {"id": killed}).scalar_one()
        held = connection.execute(text("SELECT code FROM feed WHERE lease_holder IS NOT NULL")).scalars().all()
    wrong += [
        f"{feed} has {found.get(feed)} SKUs and units, not {right}" for feed, right in wanted.items() if found.get(feed) != right
    ]
    if [tuple(row) for row in ends] != [("applied", FEEDS)]:
        wrong.append(f"the ledger has {[tuple(row) for row in ends]}, not {FEEDS} applied deliveries")
    if attempts < 2:
        wrong.append(f"delivery {killed} was ended by attempt {attempts}: nothing was interrupted")
    return wrong + [f"the lease of {feed} was never given back" for feed in held]


def prove(life: ExitStack, folder: Path) -> list[str]:
    """Run everything once in `folder` and return what is wrong."""
    wanted = write_feeds(folder)
    databases = life.enter_context(postgresql())
    broker = life.enter_context(redis(folder))
    site = make_site(folder / "airflow", port=free_port(), settings=settings(folder, databases, broker))
    environment = dict(site.environment)
    migrate(environment, databases, repository())
    say("PostgreSQL and Redis run, both databases are migrated. Airflow's services start …")
    engine = make_engine(databases.owner)
    life.callback(engine.dispose)
    groups = life.enter_context(services(environment, folder))
    airflow = life.enter_context(signed_in(site, lambda: groups["api-server"].ended))
    airflow.make_pools([{"name": "stockfeed_feeds", "slots": 8, "include_deferred": False}, *_other_pools()])
    dags = [f"feed.{feed}" for feed in wanted]
    wait_until(lambda: set(dags) <= airflow.dag_ids(), "Airflow has not parsed the DAGs", 600)
    machines = "with host names of their own" if has_machines() else "on one host name"
    say(f"{FEEDS} feeds are started at once, for {len(WORKERS)} workers {machines}.")
    began = time.monotonic()
    runs = {dag: airflow.trigger(dag) for dag in dags}
    name, delivery = kill_a_worker_at_work(engine, groups)
    states = wait_for_all(airflow, runs)
    say(f"All runs have ended, {time.monotonic() - began:.0f} s after they were started.")
    wrong = judge(engine, wanted, states, delivery)
    checked = run([str(BIN / "stockfeed"), "db", "check"], environment, folder)
    say(f"stockfeed db check: {checked.stdout.strip() or checked.stderr.strip()}")
    wrong += [f"`stockfeed db check` ended with {checked.returncode}"] if checked.returncode else []
    wrong += [f"processes of {each} are left: {left}" for each, group in groups.items() if (left := group.stop(60))]
    return wrong + ([f"{name} was not killed"] if groups[name].ended is None else [])


def _other_pools() -> list[dict[str, object]]:
    return [{"name": f"stockfeed_{name}", "slots": 1, "include_deferred": False} for name in ("channels", "housekeeping")]


def main() -> int:
    """Return 0 when all went right, 1 when not; then the folder with every log stays."""
    folder = Path(tempfile.mkdtemp(prefix="stockfeed-celery-"))
    folder.chmod(0o700)
    try:
        with ExitStack() as life:
            wrong = prove(life, folder)
    except BaseException:
        say(f"It did not come to an end; every log is in {folder}.")
        raise
    for line in wrong:
        say(f"WRONG: {line}")
    if wrong:
        say(f"Every log is in {folder}.")
        return 1
    shutil.rmtree(folder)
    say(f"All {FEEDS} feeds ended right without a hand, every rule holds, and no process is left.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
