"""An older delta that arrives after newer ones: what no newer one speaks of still counts, the rest is left out.

The result is the one that the right order would have given (docs/decisions/0010). Changes no level itself.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from schemas.errors import DeliveryError, PermanentError
from schemas.findings import Finding
from stockfeed.pipeline.batches import opened
from stockfeed.pipeline.job import Job
from stockfeed.pipeline.ordering import LATE_DELTA, newer_than
from stockfeed.store import overtaken
from stockfeed.store.deliveries import Delivery

if TYPE_CHECKING:
    from stockfeed.pipeline.stage import Staged

    Placed = tuple[Job, Staged, list[Finding]]

_MOST = 100  # newer deliveries that are read again; a delta later than that is decided by a person
OVERTAKEN = "overtaken by a newer delta"


def keep_the_rest(job: Job, connection: Connection, restage: "Callable[[], tuple[Job, Staged]]") -> "Placed | None":
    """Return the delivery, staged without the keys that newer ones speak of; None when nothing of it is left to apply.

    What cannot be told apart is held: a newer delivery whose bytes are gone or unreadable now, or too many of them.
    """
    newer = newer_than(job, _MOST + 1)
    too_many = len(newer) > _MOST
    if not too_many and any(one.mode == "snapshot" for one in newer):
        return None
    problem = f"more than {_MOST} newer deliveries are applied" if too_many else _note_keys(job, connection, newer)
    job, staged = restage()
    if problem:
        overtaken.drop(connection)
        return None if job.forced else (job, staged, [_undecidable(problem)])
    left, gone = overtaken.leave_out(connection)
    overtaken.drop(connection)
    connection.commit()
    if gone and not left and not staged.rows_rejected:
        return None
    staged.rows_accepted -= gone
    if gone:
        staged.skipped[OVERTAKEN] += gone
    words = f"older than {len(newer)} applied deliveries; {gone} of its rows are left out, because newer ones speak of their keys"
    return job, staged, [Finding(LATE_DELTA, "warn", words)]


def _note_keys(job: Job, connection: Connection, newer: list[Delivery]) -> str | None:
    """Note the keys of every newer delivery, read again; return why that is not possible, if so."""
    from stockfeed.pipeline.stage import stage  # here, as in ingest: most runs do without the frame library

    overtaken.create(connection)
    connection.commit()
    beat = job.lease.heartbeat()
    for one in newer:
        if one.mode is None:
            return f"it is not known whether delivery {one.id}, which is newer, was a full snapshot"
        try:
            path = job.app.archive.verified(one.sha256)
            with opened(job.config, path) as raw:
                stage(connection, job.config, raw, keep=0, on_batch=beat)
        except (DeliveryError, PermanentError) as error:
            return f"delivery {one.id}, which is newer, cannot be read again: {error.message}"
        overtaken.note(connection)
        connection.commit()
    return None


def _undecidable(problem: str) -> Finding:
    words = f"older than the applied delivery, and what it says that no newer one does cannot be found out: {problem}"
    return Finding(LATE_DELTA, "hold", words, "Ask for a full export and reject this one; a release ends it as superseded.")
