"""Loads dags/ with Airflow's own DagBag and prints what is in it as JSON: run in a process of its own by test_dags.py."""

import json
import runpy
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization


def facts_of_a_task(task):
    inner = task.partial_kwargs if task.is_mapped else vars(task)
    return {
        "owner": task.owner,
        "retries": task.retries,
        "backoff": float(task.retry_exponential_backoff),
        "retry_delay": task.retry_delay.total_seconds(),
        "pool": task.pool,
        "timeout": task.execution_timeout.total_seconds() if task.execution_timeout else None,
        "rule": task.trigger_rule.value,
        "one_at_a_time": inner.get("max_active_tis_per_dagrun"),
        "upstream": sorted(task.upstream_task_ids),
        "outlets": [asset.name for asset in task.outlets],
    }


def facts_of_a_dag(dag):
    return {
        "doc_md": dag.doc_md,
        "tags": sorted(dag.tags),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "schedule": type(dag.timetable).__name__,
        "serializes": len(json.dumps(DagSerialization.to_dict(dag))) > 0,
        "tasks": {task.task_id: facts_of_a_task(task) for task in dag.tasks},
    }


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except AirflowFailException as error:
        return f"fails: {error}"
    except AirflowSkipException as error:
        return f"skips: {error}"


def decisions(feeds, channels):
    applied, held, unchanged = ({"delivery": n, "state": s} for n, s in ((1, "applied"), (2, "held"), (3, "unchanged")))
    sent = {"state": "published", "hold_id": None, "failed": 0, "held": 0}
    policy = feeds["RetryAfter"]()
    return {
        "review good": outcome(feeds["review"].function, [applied, unchanged]),
        "review held": outcome(feeds["review"].function, [applied, held]),
        "announce applied": outcome(feeds["announce"].function, [applied, held]),
        "announce held": outcome(feeds["announce"].function, [held]),
        "publish good": outcome(channels["review"].function, sent),
        "publish held": outcome(channels["review"].function, {**sent, "hold_id": 4, "held": 12}),
        "publish blocked": outcome(channels["review"].function, {**sent, "state": "held"}),
        "publish failed": outcome(channels["review"].function, {**sent, "failed": 2}),
        "repair nothing": outcome(channels["repair"].function, "shop", {"repaired": 0, "edited": 0, "sales_seen": 0}),
        "retry as told": policy.evaluate(SimpleNamespace(retry_after=90.0), 1, 4).retry_delay.total_seconds(),
        "retry as usual": str(policy.evaluate(SimpleNamespace(retry_after=None), 1, 4).action),
    }


def parsed(path, times=7):
    """What the file defines, and the least processor seconds that one of several readings took.

    Not the wall, and not the mean: other tests share the machine, and a core that runs two programs counts more seconds for each.
    """
    taken = []
    for _ in range(times):
        began = time.process_time()
        space = runpy.run_path(str(path))
        taken.append(time.process_time() - began)
    return space, min(taken)


def main(dags):
    bag = DagBag(dags)
    seconds, spaces = {}, {}
    for name in ("supplier_feeds", "channel_publications", "housekeeping"):
        spaces[name], seconds[name] = parsed(Path(dags) / f"{name}.py")
    answer = {
        "errors": bag.import_errors,
        "seconds": seconds,
        "dags": {dag_id: facts_of_a_dag(dag) for dag_id, dag in bag.dags.items()},
        "decisions": decisions(spaces["supplier_feeds"], spaces["channel_publications"]),
        "imported": sorted({name.split(".")[0] for name in sys.modules} & {"stockfeed", "connectors", "transforms", "schemas"}),
    }
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
