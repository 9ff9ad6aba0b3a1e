"""What the demo asks of Airflow's REST API (v2): is it ready, make a pool, start a run, how did the runs end.

Never used by the product itself: there Airflow calls stockfeed, not the other way round.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from schemas.errors import PermanentError, TransientError
from stockfeed.demo.airflow_site import USER, AirflowSite

ENDED = frozenset({"success", "failed"})
_PAUSE = 0.5


class AirflowApi:
    """A signed-in client of one Airflow."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def dag_ids(self) -> set[str]:
        """Return the ids of the DAGs that Airflow has parsed. Raises PermanentError when a DAG file could not be imported."""
        errors = self._get("/importErrors")["import_errors"]
        if errors:
            raise PermanentError(f"Airflow cannot import {errors[0]['filename']}", "See the stack trace.", errors[0]["stack_trace"])
        return {dag["dag_id"] for dag in self._get("/dags", limit=100)["dags"]}

    def make_pools(self, pools: Collection[Mapping[str, object]]) -> None:
        """Make the pools that do not exist yet."""
        known = {pool["name"] for pool in self._get("/pools")["pools"]}
        for pool in pools:
            if pool["name"] not in known:
                self._checked(self._client.post("/api/v2/pools", json=dict(pool)))

    def trigger(self, dag_id: str) -> str:
        """Return the id of a new run of this DAG."""
        answer = self._checked(self._client.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None}))
        return str(answer["dag_run_id"])

    def runs(self, dag_id: str) -> dict[str, str]:
        """Return the state of each run of a DAG by run id."""
        return {run["dag_run_id"]: run["state"] for run in self._get(f"/dags/{dag_id}/dagRuns", limit=100)["dag_runs"]}

    def has_queued_events(self, dag_id: str) -> bool:
        """Return whether asset events wait to start a run of this DAG; one run takes all that wait."""
        answer = self._client.get(f"/api/v2/dags/{dag_id}/assets/queuedEvents")
        return answer.status_code != httpx.codes.NOT_FOUND and bool(self._checked(answer)["queued_events"])

    def _get(self, path: str, **query: Any) -> Any:
        return self._checked(self._client.get(f"/api/v2{path}", params=query))

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        if answer.is_error:
            raise PermanentError(
                f"Airflow answered {answer.status_code} to {answer.request.method} {answer.request.url.path}",
                detail=answer.text[:2000],
            )
        return answer.json()


@contextmanager
def signed_in(
    site: AirflowSite, ended: Callable[[], int | None], patience: float = 120.0, *, answer_seconds: float = 30
) -> Iterator[AirflowApi]:
    """Yield a client once the API server, scheduler and DAG processor are healthy; each request is given `answer_seconds`.

    Raises PermanentError when Airflow ends meanwhile (`ended` gives its exit code), TransientError after `patience` seconds.
    """
    with httpx.Client(base_url=site.url, timeout=answer_seconds, trust_env=False) as client:
        wait_until(lambda: _healthy(client, ended), "Airflow is not ready", patience)
        answer = client.post("/auth/token", json={"username": USER, "password": site.password})
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield AirflowApi(client)


def wait_until(check: Callable[[], bool], what: str, patience: float) -> None:
    """Return as soon as `check()` is true. Raises TransientError ("`what` after N seconds") when `patience` seconds have passed."""
    deadline = time.monotonic() + patience
    while not check():
        if time.monotonic() > deadline:
            raise TransientError(f"{what} after {patience:.0f} seconds", "Is the machine very busy? Run it again.")
        time.sleep(_PAUSE)


def _healthy(client: httpx.Client, ended: Callable[[], int | None]) -> bool:
    code = ended()
    if code is not None:
        raise PermanentError(f"Airflow ended with exit code {code} while it was starting", "See airflow.log in the demo's folder.")
    try:
        answer = client.get("/api/v2/monitor/health")
    except httpx.TransportError:
        return False  # not listening yet
    if answer.is_error:
        return False
    health = answer.json()
    return all((health.get(part) or {}).get("status") == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))
