"""`feeds try`: what a file would become, as NDJSON objects (DESIGN §10). Needs no server and no database.

The same code that ingests reads the file, into temporary tables of a private SQLite file that is deleted afterwards.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Literal

from schemas.errors import DeliveryError
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.rejections import Rejection, rejection
from stockfeed.pipeline.batches import opened, plain, raw_batches
from stockfeed.pipeline.stage import Staged, stage, stated_as_of
from stockfeed.settings import Settings
from stockfeed.store import staging
from stockfeed.store.engine import make_engine, translated
from transforms.formats.registry import load_observer
from transforms.guard import Against, judge
from transforms.observe import observe
from transforms.plan import plan_for

_VERSION = 1


def try_file(settings: Settings, feed: Feed, path: Path, *, stage: Literal["read", "rules"] = "rules") -> Iterator[dict[str, Any]]:
    """Yield observation lines (stage "read"), or record, rejection and note lines (stage "rules"), then one summary.

    The summary's `outcome` is "applied", "held" or "rejected"; there is no earlier delivery to compare with, so the guard
    judges only what shows in the file itself.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        yield from _observations(feed, path) if stage == "read" else _records(settings, feed, path, sha256)
    except DeliveryError as error:
        problem = rejection(
            error.code,
            row=error.row,
            line=error.line,
            column=error.column,
            value=error.value,
            message=error.message,
            remedy=error.hint,
        )
        yield _problem(problem)
        yield _summary("rejected", Staged(), [Finding(error.code, "reject", error.message, error.hint)])


def _observations(feed: Feed, path: Path) -> Iterator[dict[str, Any]]:
    plan, seen = None, Staged()
    observer = load_observer(feed.format.type)
    if observer is not None:
        with plain(feed, path) as (file, options):
            for observation in observer(lambda: file.open("rb"), options):
                yield {"v": _VERSION, "type": "observation", **observation}
    for raw in raw_batches(feed, path):
        plan = plan or plan_for(feed, raw)
        seen.rows_read += raw.rows_read
        seen.rows_rejected += len(raw.rejections)
        seen.rows_accepted += raw.frame.height
        seen.skipped.update(raw.skipped)
        seen.reading.update(raw.reading)
        for observation in observe(raw, plan) if observer is None else ():
            yield {"v": _VERSION, "type": "observation", **observation}
        for problem in raw.rejections:
            yield _problem(problem)
        for note in raw.notes:
            yield {"v": _VERSION, "type": "note", "message": note}
    yield _summary("ignored" if "ignored" in seen.reading else "applied", seen, [])


def _records(settings: Settings, feed: Feed, path: Path, sha256: str) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="stockfeed-try-") as folder:
        engine = make_engine(f"sqlite:///{folder}/try.sqlite3")
        try:
            with translated(engine), engine.connect() as connection:
                with opened(feed, path) as raw:
                    staged = stage(connection, feed, raw, keep=settings.rejections_kept)
                if feed.order_by == "own":
                    stated_as_of(staged)
                for record in staging.records(connection):
                    yield _record(dict(record), sha256)
        finally:
            engine.dispose()
    for problem in staged.rejections:
        yield _problem(problem)
    for note in staged.notes:
        yield {"v": _VERSION, "type": "note", "message": note}
    assert staged.profile is not None
    findings = staged.findings + list(judge(staged.profile, None, Against(0, 0, 0), limits=feed.guard, delta=feed.mode == "delta"))
    severities = {f.severity for f in findings}
    outcome = "rejected" if "reject" in severities else "held" if "hold" in severities else "applied"
    if "ignored" in staged.reading:
        outcome, findings = "ignored", []
    yield _summary(outcome, staged, findings)


def _record(row: dict[str, Any], sha256: str) -> dict[str, Any]:
    row.pop("n")
    for name, scale in (("on_hand", 1000), ("available", 1000), ("on_order", 1000), ("unit_cost", 10_000)):
        row[name] = decimal_text(row[name], scale)
    if isinstance(row["next_available_on"], date):
        row["next_available_on"] = row["next_available_on"].isoformat()
    return {"v": _VERSION, "type": "record", **row, "sha256": sha256}


def decimal_text(value: int | None, scale: int) -> str | None:
    """Return a scaled integer as an exact decimal text without trailing zeros (12500, 1000 → "12.5")."""
    if value is None:
        return None
    whole, rest = divmod(abs(value), scale)
    digits = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0")
    return ("-" if value < 0 else "") + (f"{whole}.{digits}" if digits else str(whole))


def _problem(problem: Rejection) -> dict[str, Any]:
    kind = "note" if problem.severity == "note" else "rejection"
    return {
        "v": _VERSION, "type": kind, "row": problem.row, "line": problem.line, "column": problem.column,
        "value": problem.value, "code": problem.code, "message": problem.message, "remedy": problem.remedy,
    }  # fmt: skip


def _summary(outcome: str, staged: Staged, findings: list[Finding]) -> dict[str, Any]:
    rows = {
        "read": staged.rows_read, "accepted": staged.rows_accepted,
        "rejected": staged.rows_rejected, "skipped": sum(staged.skipped.values()),
    }  # fmt: skip
    return {
        "v": _VERSION, "type": "summary", "outcome": outcome, "findings": [f.as_dict() for f in findings],
        "reading": staged.reading, "rows": rows, "skipped": dict(staged.skipped),
    }  # fmt: skip
