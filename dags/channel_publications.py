"""One DAG per channel: allocate and publish when the inventory has changed, and once a day read the channel back.

Reads the channels' TOML and nothing else while it is parsed; each task calls one verb of the installed application. No
logic lives here.
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
    AssetOrTimeSchedule,
    Connection,
    CronTriggerTimetable,
    RetryDecision,
    RetryPolicy,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException, AirflowSkipException

ROOT = Path(__file__).resolve().parent.parent
CHANNELS = ROOT / os.environ.get("STOCKFEED_CONFIG", "config") / "channels"
# a task in a pool that does not exist waits for ever, so the pools are used only where they are known to exist
POOL = "stockfeed_channels" if os.environ.get("STOCKFEED_AIRFLOW_POOLS") == "1" else "default_pool"
INVENTORY = Asset("stockfeed/inventory")
_UNSAFE = re.compile(r"[`|\r\n]+")
_NOT_AN_ID = re.compile(r"[^A-Za-z0-9_]")
TRUE_UP = "30 3 * * *"  # when the channel's file names no time, UTC


class RetryAfter(RetryPolicy):
    """Waits as long as the channel asked for; otherwise the task's own exponential back-off."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:  # noqa: ARG002 - Airflow's signature
        """Return a retry after `exception.retry_after` seconds when it says so, else Airflow's default."""
        seconds = getattr(exception, "retry_after", None)
        return RetryDecision.retry(timedelta(seconds=seconds), "the channel said when") if seconds else RetryDecision.default()


def run_verb(verb: str, *arguments: object) -> Any:
    """Return what one verb of the application returns: ids and counts."""
    from stockfeed.scheduled import perform

    return perform(
        verb, *arguments, root=ROOT, connection=Connection.get, missing=AirflowNotFoundException, refuse=AirflowFailException
    )


@task(execution_timeout=timedelta(minutes=30))
def allocate(channel: str) -> dict[str, Any]:
    """Return how many SKUs were computed and how many values changed."""
    return run_verb("allocate", channel)


@task(execution_timeout=timedelta(minutes=60))
def publish(channel: str) -> dict[str, Any]:
    """Return how many values were sent, confirmed, failed and held, and the id of the hold."""
    return run_verb("publish", channel)


@task(execution_timeout=timedelta(minutes=60))
def reconcile(channel: str) -> dict[str, Any]:
    """Return how many listings were read back and how they differed; skipped when the inventory, not the clock, started the run."""
    if get_current_context().get("triggering_asset_events"):
        raise AirflowSkipException("the channel is read back once a day, and when started by hand")
    return run_verb("reconcile", channel)


@task(execution_timeout=timedelta(minutes=60))
def repair(channel: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return what publishing again did; skipped when the channel showed what it should."""
    if not (found["repaired"] or found["edited"] or found["sales_seen"]):
        raise AirflowSkipException("the channel shows what it should")
    return run_verb("publish", channel)


@task(retries=0, execution_timeout=timedelta(minutes=5))
def review(published: dict[str, Any]) -> str:
    """Return "nothing to review"; fails while values wait for a person or were refused by the channel."""
    if published["state"] == "held":
        raise AirflowFailException(
            "the channel is paused or was never approved: see `stockfeed channels list`, then approve or resume"
        )
    if published["hold_id"] is not None or published["failed"]:
        raise AirflowFailException(
            f"{published['held']} values are held, {published['failed']} were refused: see `stockfeed channels preview CHANNEL`, "
            "then release them, or correct the listing"
        )
    return "nothing to review"


def describe(channel: dict[str, Any], path: Path) -> str:
    """Return the DAG's page in Markdown: what the configuration says, as literal text."""
    facts = {
        "channel": channel.get("name"),
        "kind": channel.get("kind"),
        "connection": channel.get("connection"),
        "offers stock of": ", ".join(channel.get("sources", ["*"])),
        "daily true-up": f"{channel.get('schedule', TRUE_UP)} (UTC)",
        "written in": f"config/channels/{path.name}",
    }
    rows = "\n".join(f"| {name} | {_literal(value)} |" for name, value in facts.items() if value is not None)
    return f"""| | |\n|---|---|\n{rows}

Computes what may be sold and tells the channel, after every applied delivery. A red run left values that wait for a
person: `stockfeed channels preview {channel["code"]}` shows them.
"""


def _literal(value: object) -> str:
    # a code span shows anything as it is, but a backtick ends it and a bar ends the table's cell
    return f"`{_UNSAFE.sub(' ', str(value))}`"


def channel_dag(channel: dict[str, Any], path: Path) -> DAG:
    """Return the DAG of one channel. Raises KeyError or ValueError when the configuration lacks what a DAG needs."""
    code = channel["code"]
    if not re.fullmatch(r"[a-z0-9_]+", code):
        raise ValueError(f"a code has small letters, digits and _ only (got {code!r})")
    with DAG(
        dag_id=f"channel.{code}",
        description="allocate ≫ publish ≫ reconcile ≫ repair",
        doc_md=describe(channel, path),
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable(channel.get("schedule", TRUE_UP), timezone="UTC"), assets=[INVENTORY]
        ),
        catchup=False,
        auto_register=False,  # module globals do; a DAG that turns out wrong below must not be seen
        max_active_runs=1,  # saves work; the lease in the database is the lock
        tags=["channel", f"kind:{channel.get('kind')}", *channel.get("tags", [])],
        default_args={
            "owner": channel.get("owner", "stockfeed"),
            "pool": POOL,
            "retries": 4,
            "retry_delay": timedelta(minutes=1),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=30),
            "retry_policy": RetryAfter(),
        },
    ) as dag:
        published = publish(code)
        found = reconcile(code)
        allocate(code) >> published >> found
        repair(code, found)
        review(published)
    dag.validate()  # a wrong cron becomes this file's broken DAG, not an import error of all
    return dag


def broken_dag(path: Path, problem: str) -> DAG:
    """Return a DAG that fails each hour and says which file cannot be read, so that the other channels' DAGs live on."""
    with DAG(
        dag_id=f"config_error.channel.{_NOT_AN_ID.sub('_', path.stem)}",
        description="this channel's file cannot be read",
        doc_md=f"{_literal(path.name)}: {_literal(problem)}\n\nRun `stockfeed feeds check`; it names file, line and remedy.\n",
        schedule=timedelta(hours=1),
        catchup=False,
        auto_register=False,  # module globals do; a DAG that turns out wrong below must not be seen
        max_active_runs=1,
        tags=["channel", "config-error"],
        default_args={"owner": "stockfeed", "pool": POOL, "retries": 0},
    ) as dag:

        @task(execution_timeout=timedelta(minutes=5))
        def tell() -> None:
            raise AirflowFailException(f"{path.name} cannot be read: run `stockfeed feeds check`")

        tell()
    return dag


def channel_dags(folder: Path) -> Iterator[DAG]:
    """Yield one DAG for each channel file; names that begin with `_` are templates."""
    for path in sorted(folder.glob("[!_]*.toml")):
        try:
            document = tomllib.loads(path.read_text("utf-8"))
            yield channel_dag(document["channel"], path)
        except (OSError, KeyError, TypeError, ValueError, AttributeError, AirflowException) as error:
            yield broken_dag(path, f"{type(error).__name__}: {error}")


globals().update({dag.dag_id: dag for dag in channel_dags(CHANNELS)})
