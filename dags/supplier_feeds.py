"""One DAG per feed: collect, ingest each delivery, acknowledge, announce the asset, and turn red when a person is needed.

Reads the suppliers' TOML and nothing else while it is parsed; each task calls one verb of the installed application. No
logic lives here, and nothing a supplier sends or is called ever reaches a template.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import (
    DAG,
    Asset,
    Connection,
    CronTriggerTimetable,
    RetryDecision,
    RetryPolicy,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException, AirflowSkipException

ROOT = Path(__file__).resolve().parent.parent
SUPPLIERS = ROOT / os.environ.get("STOCKFEED_CONFIG", "config") / "suppliers"
# a task in a pool that does not exist waits for ever, so the pools are used only where they are known to exist
POOL = "stockfeed_feeds" if os.environ.get("STOCKFEED_AIRFLOW_POOLS") == "1" else "default_pool"
INVENTORY = Asset("stockfeed/inventory")
_UNSAFE = re.compile(r"[`|\r\n]+")
_NOT_AN_ID = re.compile(r"[^A-Za-z0-9_]")
MOST_DELIVERIES = 500  # per run, below Airflow's max_map_length; the next run takes the rest


class RetryAfter(RetryPolicy):
    """Waits as long as the supplier's server asked for; otherwise the task's own exponential back-off."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:  # noqa: ARG002 - Airflow's signature
        """Return a retry after `exception.retry_after` seconds when it says so, else Airflow's default."""
        seconds = getattr(exception, "retry_after", None)
        return RetryDecision.retry(timedelta(seconds=seconds), "the server said when") if seconds else RetryDecision.default()


def run_verb(verb: str, *arguments: object) -> Any:
    """Return what one verb of the application returns: ids and counts."""
    from stockfeed.scheduled import perform

    return perform(
        verb, *arguments, root=ROOT, connection=Connection.get, missing=AirflowNotFoundException, refuse=AirflowFailException
    )


@task(execution_timeout=timedelta(minutes=30))
def collect(feed: str) -> list[int]:
    """Return the ids of the deliveries to ingest, oldest first."""
    return run_verb("collect", feed)[:MOST_DELIVERIES]


# one at a time and in order: a delta builds on the one before it
@task(execution_timeout=timedelta(minutes=60), max_active_tis_per_dagrun=1, map_index_template="{{ delivery }}")
def ingest(delivery_id: int) -> dict[str, Any]:
    """Return the delivery's id, state and counts; a held or rejected delivery is a decision, not a failure of this task."""
    get_current_context()["delivery"] = f"delivery {delivery_id}"
    result = run_verb("ingest", delivery_id)
    get_current_context()["delivery"] = f"delivery {delivery_id} · {result['state']}"
    return result


# `ingested[:]` asks Airflow once for all results; iterating asks one by one and logs an error at the end
@task(execution_timeout=timedelta(minutes=15), trigger_rule="all_done_min_one_success")
def acknowledge(ingested: list[dict[str, Any]]) -> int:
    """Return how many deliveries were acknowledged at their source; safe to repeat."""
    return run_verb("acknowledge", [one["delivery"] for one in ingested[:]])


@task(outlets=[INVENTORY], trigger_rule="all_done_min_one_success", execution_timeout=timedelta(minutes=5))
def announce(ingested: list[dict[str, Any]]) -> int:
    """Return how many deliveries changed the inventory; skipped, and so no asset event, when none did."""
    applied = sum(one["state"] in {"applied", "unchanged"} for one in ingested[:])
    if not applied:
        raise AirflowSkipException("nothing was applied, so no channel has to be told")
    return applied


@task(trigger_rule="all_done_min_one_success", retries=0, execution_timeout=timedelta(minutes=5))
def review(ingested: list[dict[str, Any]]) -> str:
    """Return "nothing to review"; fails, once, in the run that brought a held or rejected delivery."""
    waiting = [f"delivery {one['delivery']} is {one['state']}" for one in ingested[:] if one["state"] in {"held", "rejected"}]
    if waiting:
        raise AirflowFailException(
            f"{'; '.join(waiting)}: see `stockfeed deliveries show ID`, then release, reject or ask the supplier"
        )
    return "nothing to review"


def describe(supplier: dict[str, Any], feed: dict[str, Any], path: Path) -> str:
    """Return the DAG's page in Markdown: what the configuration says, as literal text."""
    facts = {
        "supplier": supplier.get("name"),
        "kind": supplier.get("kind", "supplier"),
        "source": feed.get("source", {}).get("type"),
        "connection": feed.get("source", {}).get("connection"),
        "format": feed.get("format", {}).get("type"),
        "mode": feed.get("mode", "snapshot"),
        "schedule": f"{feed.get('schedule', 'by hand')} ({feed.get('timezone')})",
        "stale after": feed.get("stale_after"),
        "written in": f"config/suppliers/{path.name}",
    }
    rows = "\n".join(f"| {name} | {_literal(value)} |" for name, value in facts.items() if value is not None)
    return f"""| | |\n|---|---|\n{rows}

Collects, checks and applies this feed's deliveries. A red run brought a delivery that was held or rejected:
`stockfeed deliveries list --feed {supplier["code"]}.{feed["code"]}` shows it, the following runs are judged by themselves.
"""


def _literal(value: object) -> str:
    # a code span shows anything as it is, but a backtick ends it and a bar ends the table's cell
    return f"`{_UNSAFE.sub(' ', str(value))}`"


def feed_dag(supplier: dict[str, Any], feed: dict[str, Any], path: Path) -> DAG:
    """Return the DAG of one feed. Raises KeyError or ValueError when the configuration lacks what a DAG needs."""
    code = f"{supplier['code']}.{feed['code']}"
    if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", code):
        raise ValueError(f"a code has small letters, digits and _ only (got {code!r})")
    cron = feed.get("schedule")
    with DAG(
        dag_id=f"feed.{code}",
        description="collect ≫ ingest ≫ acknowledge",
        doc_md=describe(supplier, feed, path),
        schedule=CronTriggerTimetable(cron, timezone=feed["timezone"]) if cron else None,
        catchup=False,
        auto_register=False,  # module globals do; a DAG that turns out wrong below must not be seen
        max_active_runs=1,  # saves work; the lease in the database is the lock
        tags=["feed", f"supplier:{supplier['code']}", *feed.get("tags", [])],
        default_args={
            "owner": feed.get("owner", "stockfeed"),
            "pool": POOL,
            "retries": 4,
            "retry_delay": timedelta(minutes=1),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=30),
            "retry_policy": RetryAfter(),
        },
    ) as dag:
        ingested = ingest.expand(delivery_id=collect(code))
        acknowledge(ingested) >> review(ingested)
        announce(ingested)
    dag.validate()  # a wrong cron becomes this file's broken DAG, not an import error of all
    return dag


def broken_dag(path: Path, problem: str) -> DAG:
    """Return a DAG that fails each hour and says which file cannot be read, so that the other suppliers' DAGs live on."""
    with DAG(
        dag_id=f"config_error.{_NOT_AN_ID.sub('_', path.stem)}",
        description="this supplier's file cannot be read",
        doc_md=f"{_literal(path.name)}: {_literal(problem)}\n\nRun `stockfeed feeds check`; it names file, line and remedy.\n",
        schedule=timedelta(hours=1),
        catchup=False,
        auto_register=False,  # module globals do; a DAG that turns out wrong below must not be seen
        max_active_runs=1,
        tags=["feed", "config-error"],
        default_args={"owner": "stockfeed", "pool": POOL, "retries": 0},
    ) as dag:

        @task(execution_timeout=timedelta(minutes=5))
        def tell() -> None:
            raise AirflowFailException(f"{path.name} cannot be read: run `stockfeed feeds check`")

        tell()
    return dag


def feed_dags(folder: Path) -> Iterator[DAG]:
    """Yield one DAG for each feed of each supplier file; names that begin with `_` are templates."""
    for path in sorted(folder.glob("[!_]*.toml")):
        try:
            document = tomllib.loads(path.read_text("utf-8"))
            yield from [feed_dag(document["supplier"], feed, path) for feed in document["feed"]]
        except (OSError, KeyError, TypeError, ValueError, AttributeError, AirflowException) as error:
            yield broken_dag(path, f"{type(error).__name__}: {error}")


globals().update({dag.dag_id: dag for dag in feed_dags(SUPPLIERS)})
