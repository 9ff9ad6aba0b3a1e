"""What time alone makes due: the staleness sweep each minute, the alarm for silent suppliers, and retention each night.

Reads no configuration while it is parsed; each task calls one verb of the installed application. No logic lives here.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, Connection, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException

ROOT = Path(__file__).resolve().parent.parent
# a task in a pool that does not exist waits for ever, so the pools are used only where they are known to exist
POOL = "stockfeed_housekeeping" if os.environ.get("STOCKFEED_AIRFLOW_POOLS") == "1" else "default_pool"
INVENTORY = Asset("stockfeed/inventory")
DEFAULTS = {"owner": "stockfeed", "pool": POOL, "retries": 2, "retry_delay": timedelta(seconds=20), "retry_exponential_backoff": 2}


def run_verb(verb: str, *arguments: object) -> Any:
    """Return what one verb of the application returns: ids, codes and counts."""
    from stockfeed.scheduled import perform

    return perform(
        verb, *arguments, root=ROOT, connection=Connection.get, missing=AirflowNotFoundException, refuse=AirflowFailException
    )


@dag(
    dag_id="housekeeping.sweep",
    schedule="* * * * *",
    catchup=False,
    max_active_runs=1,
    tags=["housekeeping"],
    default_args=DEFAULTS,
    doc_md="Judges each minute which feeds have gone stale or come back, and has the channels told.",
)
def sweep_dag() -> None:
    """Return the DAG of the minute: ages, and the asset only when something changed by age."""

    @task(outlets=[INVENTORY], execution_timeout=timedelta(minutes=5))
    def sweep() -> dict[str, Any]:
        found = run_verb("sweep")
        if not (found["stale"] or found["fresh"]):
            raise AirflowSkipException("no feed changed by age in this minute")
        return found

    sweep()


@dag(
    dag_id="housekeeping.alarm",
    schedule="*/15 * * * *",
    catchup=False,
    max_active_runs=1,
    tags=["housekeeping", "alarm"],
    default_args=DEFAULTS,
    doc_md="Red while a supplier is silent or stale: `stockfeed feeds list` shows which, and since when.",
)
def alarm_dag() -> None:
    """Return the DAG whose colour means one thing: red while a feed is silent or stale."""

    @task(execution_timeout=timedelta(minutes=5), retries=0)
    def silent_suppliers() -> str:
        overdue = run_verb("overdue")
        if overdue:
            raise AirflowFailException(f"silent or stale: {', '.join(overdue)}; see `stockfeed feeds list`, then ask the supplier")
        return "every feed is fresh"

    silent_suppliers()


@dag(
    dag_id="housekeeping.retention",
    schedule="10 2 * * *",
    catchup=False,
    max_active_runs=1,
    tags=["housekeeping"],
    default_args=DEFAULTS,
    doc_md="Removes what is older than its retention; never what an undo or a replay of the present levels needs.",
)
def retention_dag() -> None:
    """Return the DAG of the night."""

    @task(execution_timeout=timedelta(hours=1))
    def retain() -> dict[str, Any]:
        return run_verb("retain")

    retain()


sweep_dag()
alarm_dag()
retention_dag()
