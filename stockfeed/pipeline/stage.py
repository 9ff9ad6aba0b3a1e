"""Reads one delivery into the temporary tables: read → normalise → contract → duplicates. Decides nothing, changes no level."""

import queue
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import polars as pl
from sqlalchemy import Connection

from schemas.errors import DeliveryError
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.records import KEY_SCHEMA, NormalisedBatch, RawBatch
from schemas.rejections import Rejection, rejection
from stockfeed.pipeline.taking import AtOnce, Taker, Touched
from stockfeed.pipeline.whole_contract import judge_rest, left_to_great_expectations
from stockfeed.store import staging
from stockfeed.store.loading import loading
from transforms import duplicates
from transforms.contract import Tally, check_batch, finish
from transforms.duplicates import descents
from transforms.guard import Profile, histogram, profile, totals
from transforms.key_sample import SAMPLED, Smallest, no_sample, with_more
from transforms.lookalikes import key_forms, lookalike_groups, suspected
from transforms.normalise import normalise, plan_as_of
from transforms.plan import Plan, plan_for

if TYPE_CHECKING:
    from stockfeed.pipeline.last_reading import LastReading

Severity = Literal["row", "note"]
Batch = TypeVar("Batch")

# A snapshot with more rows whose key cannot be read than this cannot prove which SKUs are missing.
_UNKEYED_SHARE = 0.001
# Up to so many records out of order, an index grows faster without sorting them first.
_DISORDERED_SHARE = 0.01
_NO_ROWS = pl.Series("row", [], dtype=pl.Int64)


@dataclass(slots=True)
class Staged:
    """What was read of one delivery; the records themselves are in the temporary tables. Rows are rows of the file."""

    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejections: list[Rejection] = field(default_factory=list)
    rejections_total: int = 0
    without_key: int = 0
    reading: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)  # of the accepted records, see transforms.guard.totals
    as_of: datetime | None = None
    profile: Profile | None = None
    sample: dict[str, int | None] = field(default_factory=dict)
    sku_column: str = "supplier_sku"  # what the file calls it
    descents: int = 0  # records whose SKU is smaller than the one before
    gate: dict[str, Any] = field(default_factory=dict)  # whether all lines were read, and why
    touched: Touched | None = None  # set where the records that are in the levels as they are were left out
    kept: "LastReading | None" = None  # for the next line difference
    others: int = 0  # levels of the feed that it does not confirm

    @property
    def in_key_order(self) -> bool:
        """Whether the records stand nearly in the order of their keys."""
        return self.descents <= _DISORDERED_SHARE * max(self.rows_accepted, 1)

    @property
    def is_complete(self) -> bool:
        """Whether nearly every row's key could be read, so that an absent key is really absent (EDI may say: changes only)."""
        return not self.reading.get("partial") and self.without_key <= _UNKEYED_SHARE * max(self.rows_read, 1)


def stated_as_of(staged: Staged) -> datetime:
    """Return the supplier's own time of what was staged (aware UTC). Raises DeliveryError when no row says it."""
    if staged.as_of is None:
        raise DeliveryError("no row holds the time of the stock", "Correct `as_of` for this feed.", code="DATE-FORMAT")
    return staged.as_of


def stage(
    connection: Connection, feed: Feed, raw: Iterator[RawBatch], *, keep: int, on_batch: Callable[[int], None] | None = None
) -> Staged:
    """Read the batches of a file into the temporary tables of `connection` and return what was seen.

    At most `keep` rejections are kept (all are counted). `on_batch` is called with the rows read so far. Raises
    DeliveryError when the file as a whole cannot be read as the feed declares.
    """
    return conclude(connection, feed, gather(connection, feed, raw, keep=keep, on_batch=on_batch), keep)


@dataclass(slots=True)
class Gathered:
    """What was read before the delivery as a whole is judged, all records as they were before duplicates were resolved.

    `counts` is the histogram of their quantities; `records` has their `row`, and their keys where asked for; `together` are the
    rows that were looked at beside others: of one key, or of keys that look alike.
    """

    result: Staged
    tallies: list[Tally]
    counts: pl.DataFrame
    smallest: Smallest
    records: pl.DataFrame
    together: pl.Series


def gather(
    connection: Connection,
    feed: Feed,
    raw: Iterator[RawBatch],
    *,
    keep: int,
    on_batch: Callable[[int], None] | None = None,
    with_keys: bool = False,
    into: Taker | None = None,
) -> Gathered:
    """Read these batches into the temporary tables of `connection`, up to the rules that look at rows together.

    `into` takes the records; by default all of them are staged.
    """
    staging.create(connection)
    taker = into or AtOnce(connection)
    result, tallies = Staged(), [Tally()] * len(feed.expect)
    hashes: list[pl.Series] = []
    quantities: list[pl.Series] = []
    forms: list[pl.DataFrame] = []
    seen = no_sample()
    records: list[pl.DataFrame] = []
    columns = ["row", *(KEY_SCHEMA if with_keys else ())]
    number = 1
    with (
        loading(connection) as load,
        closing(_ahead(raw, 1)) as cells,  # also where normalising ends with an error, which keeps what it reads from alive
        closing(_ahead(_normalised(feed, cells, result), 2)) as batches,
    ):
        for batch in batches:
            verdict, counted = check_batch(batch, feed.expect)
            tallies = [a + b for a, b in zip(tallies, counted, strict=True)]
            load(partial(_hand_over, connection, taker, verdict, number))
            number += verdict.records.height
            hashes.append(duplicates.key_hashes(verdict.records))
            quantities.append(_effective(verdict.records))
            result.totals.update(totals(quantities[-1]))
            forms.append(key_forms(verdict.records["supplier_sku"]))
            seen = with_more(seen, pl.DataFrame({"key": hashes[-1], "quantity": quantities[-1]}))
            records.append(verdict.records.select(columns))
            result.descents += descents(verdict.records["supplier_sku"])
            _count(result, verdict, keep)
            if on_batch:
                on_batch(result.rows_read)
    if not hashes:
        raise DeliveryError("the file has no header and no rows", "Send the file again.", code="FILE-EMPTY")
    doubled, alike = duplicates.doubled_numbers(pl.concat(hashes)), suspected(pl.concat(forms))
    taker.end(pl.concat([doubled, alike]), (lambda: on_batch(result.rows_read)) if on_batch else (lambda: None))
    result.touched = taker.touched
    together = [
        _resolve_duplicates(connection, feed, doubled, result, keep),
        _note_lookalikes(connection, feed, alike, result, keep),
    ]
    counts = histogram(pl.concat(quantities))
    return Gathered(result, tallies, counts, seen, pl.concat(records), pl.concat(together))


def _hand_over(connection: Connection, taker: Taker, batch: NormalisedBatch, first: int) -> None:
    taker.take(batch.records, first)
    staging.load_rejected_keys(connection, batch.rejected_keys)


def conclude(connection: Connection, feed: Feed, read: Gathered, keep: int) -> Staged:
    """Judge what was read as a whole: the contract, and what the delivery looks like."""
    result = read.result
    result.findings += finish(feed.expect, read.tallies)
    _judge_rest(connection, feed, result, keep)
    result.rejections.sort(key=lambda r: r.row or 0)
    rows = result.rows_read - sum(result.skipped.values())
    result.profile = profile(read.counts, rows=rows, rejected=result.rows_rejected, totals=result.totals)
    result.sample = {str(key): quantity for key, quantity in read.smallest.keys.head(SAMPLED).iter_rows()}
    return result


def _effective(records: pl.DataFrame) -> pl.Series:
    """Return the quantity of each record that counts: available, else on hand."""
    return records.select(pl.coalesce("available", "on_hand")).to_series()


def _normalised(feed: Feed, batches: Iterator[RawBatch], result: Staged) -> Iterator[NormalisedBatch]:
    plan: Plan | None = None
    for raw in batches:
        if plan is None:
            plan = plan_for(feed, raw)
            result.sku_column = plan.fields["supplier_sku"].label
        _take_notes(result, raw)
        if feed.as_of is not None:
            stated = plan_as_of(raw, plan)
            result.as_of = max(filter(None, (result.as_of, stated)), default=None)
        yield normalise(raw, plan)


def _take_notes(result: Staged, raw: RawBatch) -> None:
    result.reading.update(raw.reading)
    result.notes += [note for note in raw.notes if note not in result.notes]


def _ahead(batches: Iterator[Batch], most: int) -> Generator[Batch]:
    """Yield the same batches, made in a thread of their own while those before them are used; at most so many wait."""
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=most)
    stopped = threading.Event()

    def work() -> None:
        try:
            for batch in batches:
                if not _offer(ready, batch, stopped):
                    return
            _offer(ready, None, stopped)
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread, below)
            _offer(ready, error, stopped)
        finally:
            close = getattr(batches, "close", None)
            if close:
                close()

    worker = threading.Thread(target=work, name="normalise", daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        item = None  # an error knows the frames it came through, and so itself: this thread would wait for a search for garbage
        stopped.set()
        worker.join()


def _offer(ready: "queue.Queue[Any]", item: Any, stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            ready.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


def _count(result: Staged, batch: NormalisedBatch, keep: int) -> None:
    result.rows_read += batch.rows_read
    result.rows_accepted += batch.rows_accepted
    result.rows_rejected += batch.rows_rejected
    result.without_key += batch.rejected_without_key
    result.skipped.update(batch.skipped)
    _keep(result, list(batch.rejections), keep)


def _keep(result: Staged, rejections: list[Rejection], keep: int, *, total: int | None = None) -> None:
    """Keep as many of these as there is room for; `total` counts those that were not even made."""
    result.rejections_total += len(rejections) if total is None else total
    result.rejections += rejections[: _room(result, keep)]


def _room(result: Staged, keep: int) -> int:
    return max(0, keep - len(result.rejections))


def _resolve_duplicates(connection: Connection, feed: Feed, doubled: pl.Series, result: Staged, keep: int) -> pl.Series:
    """Keep one record of each key, or none, as the feed says; return the rows that share a key with another."""
    if not doubled.len():
        return _NO_ROWS
    staging.pick(connection, doubled)
    rows = staging.picked_records(connection)
    found = duplicates.resolve(rows, feed.duplicates, limit=_room(result, keep), column=result.sku_column)
    staging.pick(connection, found.drop)
    staging.delete_picked(connection)
    staging.set_quantities(connection, found.quantities)
    staging.load_rejected_keys(connection, found.rejected_keys)
    for gone in (found.drop, found.quantities["n"]):
        result.totals.subtract(totals(_effective(rows.join(gone.to_frame("n"), on="n", how="semi"))))
    result.totals.update(totals(_effective(found.quantities)))
    _keep(result, found.rejections, keep, total=found.total)
    _recount(connection, feed, rows, found, result)
    return rows["row"]


def _recount(connection: Connection, feed: Feed, rows: pl.DataFrame, found: duplicates.Resolution, result: Staged) -> None:
    """Move rows that lost all their records from accepted to rejected or skipped (wide rows have several records)."""
    dropped = rows.select("n", "row").join(found.drop.to_frame("n"), on="n", how="semi")
    dropped = dropped.with_columns(refused=pl.col("n").is_in(found.refused.implode()))
    gone = dropped.group_by("row").agg(pl.col("refused").any())
    if feed.wide is not None:
        left = staging.rows_left(connection, gone["row"])
        gone = gone.filter(~pl.col("row").is_in(left.implode()))
    rejected = int(gone["refused"].sum())
    result.rows_accepted -= gone.height
    result.rows_rejected += rejected
    if gone.height > rejected:
        result.skipped["duplicate"] += gone.height - rejected


def _note_lookalikes(connection: Connection, feed: Feed, suspects: pl.Series, result: Staged, keep: int) -> pl.Series:
    """Tell of keys that look alike, and return the rows in question; `suspects` are the numbers of those that may."""
    if not suspects.len():
        return _NO_ROWS
    staging.pick(connection, suspects)
    rows = staging.picked_records(connection)
    in_question = rows["row"]
    rows = rows.filter(pl.col("supplier_sku").is_in(lookalike_groups(rows["supplier_sku"])["key"].implode()))
    if not rows.height:
        return in_question
    severity: Severity = "row" if feed.sku_case == "fold" else "note"
    told, column = rows.unique("row", keep="first", maintain_order=True), result.sku_column
    staging.pick(connection, rows["n"])
    found = [
        rejection("SKU-LOOKALIKE", row=r["row"], line=r["line"], column=column, value=r["supplier_sku"], severity=severity)
        for r in told.head(_room(result, keep)).iter_rows(named=True)
    ]
    _keep(result, found, keep, total=told.height)
    if severity == "row":
        staging.delete_picked(connection)
        staging.load_rejected_keys(connection, rows.select(list(KEY_SCHEMA)).unique())
        result.totals.subtract(totals(_effective(rows)))
        refused = rows["row"].n_unique()
        result.rows_accepted -= refused
        result.rows_rejected += refused
    return in_question


def _judge_rest(connection: Connection, feed: Feed, result: Staged, keep: int) -> None:
    """Let Great Expectations judge what is left to it; rows that fail leave as a whole."""
    rest = left_to_great_expectations(feed)
    if not rest:
        return
    records = staging.all_records(connection)
    rejections, findings = judge_rest(records, rest)
    result.findings += findings
    _keep(result, list(rejections), keep)
    refused = {r.row for r in rejections}
    leaving = records.filter(pl.col("row").is_in(list(refused)))
    staging.pick(connection, leaving["n"])
    staging.delete_picked(connection)
    staging.load_rejected_keys(connection, leaving.select(list(KEY_SCHEMA)).unique())
    result.totals.subtract(totals(_effective(leaving)))
    result.rows_accepted -= len(refused)
    result.rows_rejected += len(refused)
