"""A feed's contract where it needs the whole delivery: expectations left to Great Expectations, and the audit of ours.

Great Expectations is imported only when a feed asks for an expectation that we do not evaluate, or by the audit.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import polars as pl
import structlog
from sqlalchemy import insert

from schemas.errors import PermanentError
from schemas.feed_config import Expectation, Feed
from schemas.findings import Finding
from schemas.rejections import Rejection
from schemas.tables import contract_audit
from stockfeed.bootstrap import App
from stockfeed.pipeline.batches import raw_batches
from stockfeed.pipeline.collect import feed_row
from stockfeed.store import checks, deliveries
from stockfeed.store.engine import read, write
from transforms.contract import Tally, check_rows, succeeds
from transforms.expectations import supported
from transforms.normalise import normalise
from transforms.plan import plan_for

log = structlog.get_logger()


def left_to_great_expectations(feed: Feed) -> list[Expectation]:
    """Return the expectations of a feed that we do not evaluate ourselves."""
    return [e for e in feed.expect if not supported(e)]


def judge_rest(records: pl.DataFrame, expectations: Sequence[Expectation]) -> tuple[tuple[Rejection, ...], tuple[Finding, ...]]:
    """Return the rejections and findings of expectations that Great Expectations evaluates, on all accepted records.

    As everywhere, rows that fail an expectation of severity "row" are out before the delivery as a whole is judged.
    """
    from stockfeed import quality

    by_row = [e for e in expectations if e.severity == "row"]
    whole = [e for e in expectations if e.severity != "row"]
    refused = quality.row_rejections(records, by_row, quality.run_great_expectations(records, by_row))
    rows = pl.Series("row", [r.row for r in refused], dtype=pl.Int64)
    left = records.join(rows.unique().to_frame(), on="row", how="anti", maintain_order="left")
    return refused, quality.findings(whole, quality.run_great_expectations(left, whole))


def audit_feed(app: App, feed_code: str) -> dict[str, Any]:
    """Return how real Great Expectations judges the feed's last applied delivery beside our own verdict, and store it.

    {"feed", "delivery_id", "agrees", "expectations": [{type, column, severity, ours, theirs, …}]}. Raises PermanentError
    when nothing was applied yet.
    """
    feed, row = app.config.feed(feed_code), feed_row(app, feed_code)
    with read(app.engine) as connection:
        last = deliveries.load(connection, row.last_applied_id) if row.last_applied_id else None
    if last is None:
        raise PermanentError(f"feed {feed_code} has no applied delivery yet", f"Run `stockfeed sync {feed_code}` first.")
    records = _records(app, feed, last.sha256)
    judged = _compare(records, feed.expect)
    agrees = all(one["agrees"] for one in judged)
    answer = {"feed": feed_code, "delivery_id": last.id, "records": records.height, "agrees": agrees, "expectations": judged}
    with write(app.engine) as connection:
        connection.execute(insert(contract_audit).values(delivery_id=last.id, at=app.clock(), agrees=agrees, result=answer))
        checks.ran(connection, f"contract audit {feed_code}", at=app.clock(), outcome="fine" if agrees else "disagrees")
    if not agrees:
        log.error("contract_audit_disagrees", feed=feed_code, delivery=last.id)
    return answer


def _records(app: App, feed: Feed, sha256: str) -> pl.DataFrame:
    """Return every normalised record of an archived delivery, before the contract."""
    plan, frames = None, []
    for raw in raw_batches(feed, app.archive.existing(sha256)):
        plan = plan or plan_for(feed, raw)
        frames.append(normalise(raw, plan).records)
    return pl.concat(frames)


def _compare(records: pl.DataFrame, expectations: Sequence[Expectation]) -> list[dict[str, Any]]:
    """Judge twice. Rows that fail an expectation of severity "row" are out before the others are judged, in both."""
    from stockfeed import quality

    ours = check_rows(records, expectations)
    by_row = [e for e in expectations if e.severity == "row"]
    whole = [e for e in expectations if e.severity != "row"]
    theirs_by_row = iter(quality.run_great_expectations(records, by_row).results)
    theirs_whole = iter(quality.run_great_expectations(ours.records, whole).results)
    judged = []
    for expectation, tally, failed in zip(expectations, ours.tallies, ours.failed, strict=True):
        theirs = next(theirs_by_row if expectation.severity == "row" else theirs_whole)
        judged.append(_one(expectation, tally, failed, theirs))
    return judged


def _one(expectation: Expectation, tally: Tally, failed: pl.Series, theirs: Any) -> dict[str, Any]:
    mine = supported(expectation)
    met = succeeds(expectation, tally) if mine else theirs.success
    same_rows = not mine or sorted(failed.to_list()) == sorted(theirs.unexpected_rows)
    return {
        "type": expectation.type,
        "column": theirs.column,
        "severity": expectation.severity,
        "evaluated_by": "stockfeed" if mine else "great_expectations",
        "ours": {"success": met, **({k: v for k, v in asdict(tally).items() if k != "first_row"} if mine else {})},
        "theirs": {"success": theirs.success, "unexpected": theirs.unexpected_count},
        "agrees": met == theirs.success and same_rows,
    }
