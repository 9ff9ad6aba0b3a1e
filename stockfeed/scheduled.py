"""One verb as a scheduled task runs it: what goes in and out is ids, codes and counts, and each error says whether to retry.

Never imports the scheduler: the task passes in how to look up a connection and its own exception for "do not try again".
Never returns rows, texts of a supplier, or secrets: what a task returns is kept and shown by the scheduler.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from schemas.connections import Connection
from schemas.errors import ConfigError, CredentialsError, PermanentError
from stockfeed.bootstrap import App, open_app
from stockfeed.secrets import connection_from_json
from stockfeed.settings import load_config, load_settings

_FIELDS = ("conn_type", "host", "login", "password", "port", "schema")


def perform(
    verb: str,
    *arguments: Any,
    root: Path,
    connection: Callable[[str], Any],
    missing: type[Exception],
    refuse: type[Exception],
) -> Any:
    """Return what `VERBS[verb]` returns, JSON-ready.

    Relative settings are relative to `root`. `connection(name)` gives the scheduler's own connection object, or raises
    `missing`. ConfigError and PermanentError become `refuse` (trying again gives the same); TransientError goes through.
    """

    def resolve(name: str) -> Connection:
        try:
            found = connection(name)
        except missing as error:
            raise CredentialsError(
                f"connection {name!r} is not set", f"Set AIRFLOW_CONN_{name.upper()}, or add it under Admin → Connections."
            ) from error
        return from_scheduler(name, found)

    try:
        settings = load_settings(cwd=root)
        # each task serves one feed or channel: another one's wrong file is not its business (I10)
        with open_app(settings, config=load_config(settings, isolate=True), resolver=resolve) as app:
            return VERBS[verb](app, *arguments)
    except (ConfigError, PermanentError) as error:
        raise refuse(str(error)) from error


def from_scheduler(name: str, found: Any) -> Connection:
    """Return our Connection for an object with Airflow's connection fields; its `extra` is a JSON text or None."""
    fields = {field: getattr(found, field) for field in _FIELDS} | {"extra": found.extra or {}}
    return connection_from_json(name, json.dumps(fields))


def _collect(app: App, feed: str) -> list[int]:
    from stockfeed.pipeline.collect import collect

    return list(collect(app, feed).delivery_ids)


def _ingest(app: App, delivery_id: int) -> dict[str, Any]:
    from stockfeed.pipeline.ingest import ingest

    result = ingest(app, delivery_id)
    return {
        "delivery": delivery_id,
        "state": result.state,
        "read": result.rows_read,
        "accepted": result.rows_accepted,
        "rejected": result.rows_rejected,
        "changes": result.changes,
    }


def _acknowledge(app: App, delivery_ids: Sequence[int]) -> int:
    from stockfeed.pipeline.acknowledge import acknowledge

    for delivery_id in delivery_ids:
        acknowledge(app, delivery_id)
    return len(delivery_ids)


def _allocate(app: App, channel: str) -> dict[str, Any]:
    from stockfeed.pipeline.allocate import allocate

    return _counts(allocate(app, channel), "computed", "changed")


def _publish(app: App, channel: str) -> dict[str, Any]:
    from stockfeed.pipeline.publish import publish

    counts = ("sent", "confirmed", "failed", "stale", "held", "pending", "sales_seen")
    return _counts(publish(app, channel), "state", "hold_id", *counts)


def _reconcile(app: App, channel: str) -> dict[str, Any]:
    from stockfeed.pipeline.reconcile import reconcile

    return _counts(reconcile(app, channel), "checked", "equal", "sales_seen", "edited", "repaired")


def _sweep(app: App) -> dict[str, Any]:
    from stockfeed.pipeline.sweep import sweep

    result = sweep(app)
    return {"stale": list(result.stale), "fresh": list(result.fresh), "silent": list(result.silent)}


def _retain(app: App) -> dict[str, Any]:
    from stockfeed.pipeline.retention import retain

    return asdict(retain(app))


def _overdue(app: App) -> list[str]:
    """Return the feeds that are stale, or whose supplier is silent, at this moment; and single locations that are stale."""
    from stockfeed import reports
    from stockfeed.pipeline.sweep import overdue, sweep

    silent = set(sweep(app).silent)
    late = [row["feed"] for row in reports.feeds(app) if row["is_stale"] or row["feed"] in silent]
    return late + [place for place in overdue(app) if ": " in place]


def _counts(result: object, *names: str) -> dict[str, Any]:
    return {name: getattr(result, name) for name in names}


VERBS: Mapping[str, Callable[..., Any]] = {
    "collect": _collect,
    "ingest": _ingest,
    "acknowledge": _acknowledge,
    "allocate": _allocate,
    "publish": _publish,
    "reconcile": _reconcile,
    "sweep": _sweep,
    "overdue": _overdue,
    "retain": _retain,
}
