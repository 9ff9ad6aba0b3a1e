"""The line difference: a new snapshot read by the lines in which it differs from the last applied one (DESIGN §5, gate b).

The result is always that of reading everything; where that is not certain, everything is read. What may be left unread, and
why the rest follows, is docs/decisions/0013.
"""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from sqlalchemy import Connection

from schemas.columns import KEY_COLUMNS
from schemas.errors import DeliveryError, PermanentError
from schemas.feed_config import Feed
from schemas.records import RawBatch
from stockfeed.pipeline import last_reading
from stockfeed.pipeline.batches import reader_options
from stockfeed.pipeline.job import Job
from stockfeed.pipeline.last_reading import LastReading, is_small, summed_up, told_rows
from stockfeed.pipeline.stage import Gathered, Staged, conclude, gather
from stockfeed.pipeline.taking import AtOnce, Taker, Touched, beside_levels
from stockfeed.pipeline.whole_contract import left_to_great_expectations
from stockfeed.store import comparison, staging
from stockfeed.store import last_reading as stored
from stockfeed.store.engine import read
from transforms.contract import Tally, succeeds
from transforms.duplicates import key_hashes
from transforms.expectations import supported
from transforms.formats.delimited_lines import TableLines, hash_lines, read_lines
from transforms.formats.options import DelimitedOptions
from transforms.key_sample import SAMPLED, Smallest, smallest_of
from transforms.line_difference import NotByLine, rows_between, same_lines
from transforms.lookalikes import folded

_NOT_ARCHIVED = "the bytes of the last applied delivery are not in the archive"
_NEW_SKUS = 5_000  # so many are looked up in one statement at the most
_TOTALS = ("records", "units", "zeros", "unknown")


def stage_delivery(job: Job, connection: Connection, path: Path, raw: Iterator[RawBatch]) -> Staged:
    """Return what was read of the job's delivery, by line where that gives the same, and how; see `stage.stage`.

    `raw` are the batches of all of the file at `path`, none of which is taken where its lines are compared.

    Raises DeliveryError when the file as a whole cannot be read as the feed declares.
    """
    feed, keep = job.config, job.app.settings.rejections_kept
    why = words = _why_whole(feed)
    if why is None:
        try:
            return _Difference.of(job, connection, path).stage()
        except (NotByLine, DeliveryError) as reason:  # an error of the file is found again, with its place in the whole file
            words = str(reason)
    with _taking(job, connection) as into:
        gathered = gather(connection, feed, raw, keep=keep, on_batch=job.lease.heartbeat(), into=into)
        staged = conclude(connection, feed, gathered, keep)
    staged.gate = {"kind": "whole", "why": words}
    if why is None:
        rows = gathered.records["row"]
        again = pl.concat([rows_between(rows), _not_plain(staged, gathered)])
        staged.kept = _kept(staged, gathered, again, max(rows.tail(1).to_list(), default=0))
    return staged


def _taking(job: Job, connection: Connection) -> AbstractContextManager[Taker]:
    """Return a context with what takes the records: where all of them are needed in the database, all are staged."""
    feed = job.config
    needs_all = feed.mode != "snapshot" or feed.scope == "location" or feed.wide is not None or feed.while_held == "lower"
    if needs_all or left_to_great_expectations(feed):
        return nullcontext(AtOnce(connection))
    return beside_levels(connection, job.row.id, job.app.settings.spool_dir)


def _why_whole(feed: Feed) -> str | None:
    """Return why lines of this feed can never be told apart; None when they may be."""
    if feed.format.type != "delimited":
        return f"a file of format {feed.format.type} is not compared line by line"
    o = _options(feed)
    selects = o.skip_rows or o.skip_blank_in or o.end or o.group_rows or o.footer or o.trailer
    reasons = {
        "only a snapshot is compared with the one before": feed.mode != "snapshot",
        "each location has its own last delivery": feed.scope == "location",
        "a row gives several records": feed.wide is not None,
        "the rows say the time of the stock": feed.as_of is not None or feed.order_by == "own",
        "the levels of held deliveries are offered": feed.while_held == "lower",
        "the contract needs all records": bool(left_to_great_expectations(feed)),
        "the file is an archive": o.archive != "none",
        "some rows say which others are records": bool(selects),
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _options(feed: Feed) -> DelimitedOptions:
    options = reader_options(feed)
    assert isinstance(options, DelimitedOptions)
    return options


def _kept(staged: Staged, gathered: Gathered, again: pl.Series, last_row: int) -> LastReading | None:
    """Return what the next difference needs to know, None when none could be told."""
    is_told = staged.rejections_total == len(staged.rejections) and all(r.row is not None for r in staged.rejections)
    again = again.unique()
    if not (is_told and is_small(again.len(), staged.rows_read)):
        return None
    return summed_up(again, last_row, gathered)


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two files: its path, its lines, and which of them are the same in the other."""

    path: Path
    lines: TableLines
    same: pl.Series


@dataclass(frozen=True, slots=True)
class _Difference:
    """The new delivery beside the last applied one. Lines that are the same in both gave, and give, one record each."""

    job: Job
    connection: Connection
    options: DelimitedOptions
    last: LastReading
    old: _Side
    new: _Side

    @classmethod
    def of(cls, job: Job, connection: Connection, path: Path) -> "_Difference":
        """Return the difference. Raises NotByLine where there is nothing to compare with, or too little is the same."""
        last, before = _last(job), job.last
        assert before is not None
        options = _options(job.config)
        old_path = job.app.archive.path(before.sha256)
        if not old_path.is_file():
            raise NotByLine(_NOT_ARCHIVED)
        old, new = _hash_both(job, before.sha256, path, options)
        if (old.layout, old.encoding) != (new.layout, new.encoding):
            raise NotByLine("the header, or what stands above it, is another one")
        if old.hashes.len() != (before.rows_read or 0) - old.layout.preamble_rows:
            raise NotByLine("a record of the last applied delivery takes more than one line")
        same_old, same_new = same_lines(old.hashes, new.hashes, _again(old, last), _last_line(new))
        different = int((~same_old).sum()), int((~same_new).sum())
        if not is_small(max(different), max(old.hashes.len(), new.hashes.len())):
            raise NotByLine(f"{max(different)} lines would have to be read")
        return cls(job, connection, options, last, _Side(old_path, old, same_old), _Side(path, new, same_new))

    def stage(self) -> Staged:
        """Read the lines that differ, first as they were, then as they are, and return what the whole new delivery is."""
        with ThreadPoolExecutor(1) as beside:  # it finds the new lines while the old ones are staged; both are few
            coming = beside.submit(lambda: list(self._read(self.new)))
            was = self._gather(self._read(self.old))
            now = self._gather(iter(coming.result()))
        self._refuse_met_keys(was.records, now.records)
        keep, same = self.job.app.settings.rejections_kept, int(self.new.same.sum())
        read_again = now.result.rows_read
        profile = (self.job.last and self.job.last.profile) or {}
        whole = Gathered(
            result=now.result,
            tallies=self._tallies(was, now),
            counts=self._counts(was, now),
            smallest=self._smallest(was, now),
            records=now.records,
            together=now.together,
        )
        whole.result.totals.update({name: profile[name] - was.result.totals[name] for name in _TOTALS})
        whole.result.rows_read += same
        whole.result.rows_accepted += same
        if whole.result.rejections_total > keep:
            raise NotByLine("more rows have problems than are kept")
        staged = conclude(self.connection, self.job.config, whole, keep)
        staged.touched = Touched(known=profile["records"], others=self.last.others)
        staged.gate = {"kind": "lines", "read_again": read_again}
        staged.kept = _kept(staged, whole, self._again(staged, whole), self._last_row(whole))
        return staged

    def _read(self, side: _Side) -> Iterator[RawBatch]:
        try:
            yield from read_lines(lambda: side.path.open("rb"), self.options, ~side.same)
        except OSError as error:  # of the old file; the new one is read as a whole then, and says it again
            raise NotByLine(_NOT_ARCHIVED) from error

    def _gather(self, batches: Iterator[RawBatch]) -> Gathered:
        feed, keep = self.job.config, self.job.app.settings.rejections_kept
        return gather(self.connection, feed, batches, keep=keep, on_batch=self.job.lease.heartbeat(), with_keys=True)

    def _refuse_met_keys(self, was: pl.DataFrame, now: pl.DataFrame) -> None:
        """Raise NotByLine when a key that was read may meet that of a line that was not; leave the keys that were, touched."""
        keys = list(KEY_COLUMNS)
        known, came = was.select(keys).unique(), now.select(keys).unique()
        came = came.join(known, on=keys, how="anti")
        staging.load_touched_keys(self.connection, came)
        feed_id = self.job.row.id
        if came.height and comparison.hold_levels(self.connection, feed_id):
            raise NotByLine("a key occurs in a line that is new and in one that is not")
        skus = pl.Series("key", comparison.unknown_skus(self.connection, feed_id) if came.height else [], dtype=pl.String)
        skus = skus.filter(~skus.is_in(known["supplier_sku"].implode()))
        if skus.len():
            forms = folded(skus).unique()
            if forms.len() > _NEW_SKUS:
                raise NotByLine(f"more than {_NEW_SKUS} SKUs are new")
            similar = pl.Series("key", comparison.similar_skus(self.connection, feed_id, forms.to_list()), dtype=pl.String)
            if folded(similar).is_in(forms.implode()).any():
                raise NotByLine("a new SKU looks like one of another line")
        staging.load_touched_keys(self.connection, known)

    def _tallies(self, was: Gathered, now: Gathered) -> list[Tally]:
        tallies = []
        for number, expectation in enumerate(self.job.config.expect):
            whole, less, more = self.last.tally(number), was.tallies[number], now.tallies[number]
            same = Tally(whole.rows - less.rows, whole.considered - less.considered, whole.unexpected - less.unexpected)
            tallies.append(more + same)
            by_row = expectation.severity == "row" or not supported(expectation)
            if same.unexpected and not by_row and not succeeds(expectation, tallies[-1]):
                raise NotByLine("the first row that fails the contract may be one that is not read")
        return tallies

    def _counts(self, was: Gathered, now: Gathered) -> pl.DataFrame:
        """Return how often each quantity occurs in the whole new delivery."""
        whole = pl.DataFrame(self.last.quantities, schema={"quantity": pl.Int64, "count": pl.Int64}, orient="row")
        less = was.counts.with_columns(pl.col("count").neg())
        counted = pl.concat([whole, less, now.counts]).group_by("quantity").agg(pl.col("count").sum())
        return counted.filter(pl.col("count") != 0)

    def _smallest(self, was: Gathered, now: Gathered) -> Smallest:
        """Return the smallest key hashes of the whole new delivery. Raises NotByLine when too few of them are known."""
        known = pl.DataFrame(self.last.smallest, schema={"key": pl.UInt64, "quantity": pl.Int64}, orient="row")
        upto = self.last.smallest_upto
        stays = known.filter(~pl.col("key").is_in(key_hashes(was.records).implode()))
        comes = now.smallest.keys if upto is None else now.smallest.keys.filter(pl.col("key") <= upto)
        found = smallest_of(pl.concat([stays, comes]), upto)
        if found.upto is not None and found.keys.height < SAMPLED:
            raise NotByLine("too many of the keys by which deliveries are compared are gone")
        return found

    def _again(self, staged: Staged, whole: Gathered) -> pl.Series:
        """Return the rows of the new delivery that the next difference has to read again: those that were read, but plain ones."""
        plain = whole.records["row"].filter(~whole.records["row"].is_in(_not_plain(staged, whole).implode()))
        rows = self.new.lines.rows(~self.new.same)
        return rows.filter(~rows.is_in(plain.implode()))

    def _last_row(self, whole: Gathered) -> int:
        return max(self.new.lines.rows(self.new.same).tail(1).to_list() + whole.records["row"].tail(1).to_list(), default=0)


def _not_plain(staged: Staged, gathered: Gathered) -> pl.Series:
    return pl.concat([told_rows(staged.rejections), gathered.together])


def _last(job: Job) -> LastReading:
    """Return what is kept of the last applied delivery. Raises NotByLine when nothing is, or it meant something else."""
    if job.release is not None:
        raise NotByLine("a person released it")
    if job.last is None or not job.last.profile:
        raise NotByLine("nothing was applied before")
    with read(job.app.engine) as connection:
        content = stored.load(connection, job.row.id, job.last.id, last_reading.meaning(job.config))
    if content is None:
        raise NotByLine("the last applied delivery was read in another meaning, or gave too many rows to read again")
    return last_reading.from_bytes(content)


def _hash_both(job: Job, old_sha256: str, new: Path, options: DelimitedOptions) -> tuple[TableLines, TableLines]:
    """Return the lines of both files, hashed with a seed that no supplier can know; the old bytes must be those that arrived."""
    seed, archive = secrets.randbits(63), job.app.archive

    def hash_old() -> TableLines:
        try:
            if not archive.verify(old_sha256):
                raise NotByLine(_NOT_ARCHIVED)
            return hash_lines(lambda: archive.open(old_sha256), options, seed)
        except (OSError, PermanentError) as error:
            raise NotByLine(_NOT_ARCHIVED) from error

    with ThreadPoolExecutor(1) as beside:
        old = beside.submit(hash_old)
        mine = hash_lines(lambda: new.open("rb"), options, seed)
        return old.result(), mine


def _again(old: TableLines, last: LastReading) -> pl.Series:
    """Return which lines of the last applied delivery have to be read again, whatever the new one says."""
    at = old.positions(pl.Series(last.again, dtype=pl.Int64))
    below = old.rows(_all(old)) > last.last_row
    return below.scatter(at, values=True)


def _last_line(lines: TableLines) -> pl.Series:
    """Mark the last line, which may be cut off, as one that has to be read."""
    return pl.concat([_all(lines).head(max(lines.hashes.len() - 1, 0)) & False, _all(lines).head(min(lines.hashes.len(), 1))])


def _all(lines: TableLines) -> pl.Series:
    return pl.repeat(value=True, n=lines.hashes.len(), eager=True, dtype=pl.Boolean)
