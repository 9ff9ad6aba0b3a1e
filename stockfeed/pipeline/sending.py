"""Sending outbox rows in batches: read back where needed, claim, send, record each item's own result.

A batch is stored before it is sent, and nothing is sent inside a transaction. While one is under way, what came of the one
before is recorded. After a crash the stored attempts are repeated with their keys, or read back.
Never sends a value blindly over a sale, and never more than once at a time for a listing.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from connectors.protocols import Channel as Door
from schemas.errors import StockfeedError
from schemas.publishing import ItemResult, Listing
from stockfeed.pipeline.accounting import Finding, Tally, account
from stockfeed.pipeline.channel_work import ChannelWork
from stockfeed.store import channels, leases, publications
from stockfeed.store.pieces import pieces
from stockfeed.store.publications import Ending, Waiting
from transforms.sales import classify, not_landed, settle

Key = tuple[str, str]  # SKU, channel location


@dataclass(slots=True)
class Sending:
    """One run of sending to one channel."""

    work: ChannelWork
    door: Door
    tally: Tally = field(default_factory=Tally)
    stops_when_paused: bool = True  # a rollback pauses the channel and sends all the same

    def is_stopped(self, connection: Connection) -> bool:
        """Return whether the channel was paused. Raises TransientError when it was lost to another worker."""
        row = channels.load(connection, self.work.code)
        if row.fence != self.work.fence:
            raise leases.lost("channel", self.work.code)
        return self.stops_when_paused and row.paused_at is not None

    def observe(self, wanted: Sequence[Listing]) -> dict[Key, int | None]:
        """Return what the channel shows now, by listing; None where it does not say."""
        return {(o.listing.sku, o.listing.location): o.quantity for o in self.door.read_back(wanted)} if wanted else {}


@dataclass(slots=True)
class _Queue:
    """The rows that wait, zeros only or all but zeros: each is claimed once, batch by batch, at most `limit` in all."""

    run: Sending
    zeros: bool
    limit: int | None = None
    _after: int = 0  # the row that was read last
    _claimed: int = 0
    _ahead: list[Waiting] = field(default_factory=list)  # read, and not claimed

    def claim(self) -> list[Waiting]:
        """Return the next batch, stored as sent; [] when nothing waits any more or the channel was paused."""
        while rows := self._next():
            unsure = [row.listing for row in rows if row.confirmed is None or not self.run.door.compares]
            claimed = _claim(self.run, rows, self.run.observe(unsure))
            self._claimed += len(claimed)
            if claimed:
                return claimed
        return []

    def look_ahead(self) -> None:
        """Read the next batch. It is not stored: that happens when it goes out at once, and with what is true then."""
        with self.run.work.read() as connection:
            self._ahead = self._read(connection)

    def _next(self) -> list[Waiting]:
        while True:
            with self.run.work.read() as connection:
                if self.run.is_stopped(connection):
                    return []
                rows = self._ahead or self._read(connection)  # again where none waited: some may do by now
            self._ahead = []
            untried = [row for row in rows if row.id not in self.run.tally.tried]
            if untried or not rows:
                return untried

    def _read(self, connection: Connection) -> list[Waiting]:
        work, size = self.run.work, self.run.door.max_batch
        if self.limit is not None:
            size = min(size, self.limit - self._claimed)
        if size <= 0:
            return []
        rows = publications.pending(connection, work.code, work.locations, zeros=self.zeros, after=self._after, limit=size)
        self._after = rows[-1].id if rows else self._after
        return rows


def send_waiting(run: Sending, *, zeros: bool, limit: int | None = None) -> list[Waiting]:
    """Send the waiting zeros, or all others, batch by batch (at most `limit` rows), and return the rows that were sent.

    Each row is tried once. A channel that is paused meanwhile gets no further batch. Raises the channel's error after
    recording what was answered.
    """
    from concurrent.futures import ThreadPoolExecutor  # only where something is sent

    queue, sent = _Queue(run, zeros, limit), list[Waiting]()
    unrecorded: list[_Answers] = []
    with ThreadPoolExecutor(max_workers=1) as line:  # the door is never used by two threads at once
        try:
            while claimed := queue.claim():
                run.tally.sent += len(claimed)
                asking = line.submit(_ask, run, claimed)
                try:
                    _note_all(run, unrecorded)
                    queue.look_ahead()
                finally:  # whatever happens to us, what the channel answers is kept
                    unrecorded.append(answers := asking.result())
                sent += claimed
                if not answers.are_final:
                    _note_all(run, unrecorded)
                    _finish(run, claimed, answers)
        finally:
            _note_all(run, unrecorded)
    return sent


def _note_all(run: Sending, unrecorded: "list[_Answers]") -> None:
    """Record what was answered, batch by batch, and empty the list."""
    while unrecorded:
        _note(run, unrecorded[0])
        del unrecorded[0]


def _finish(run: Sending, rows: Sequence[Waiting], answers: "_Answers") -> None:
    """Settle what had no clear answer. Raises the channel's error."""
    if answers.error is not None:
        raise answers.error
    if not answers.are_final:
        settle_open(run, [row.id for row in rows])


def _claim(run: Sending, rows: Sequence[Waiting], observed: Mapping[Key, int | None]) -> list[Waiting]:
    """Account for what was read back, confirm what is shown already, and store the rest as sent.

    A listing that sold meanwhile is left for the next round: its quantity must be computed again first.
    """
    now = run.work.now()
    with run.work.write() as connection:
        findings = [
            Finding(row.listing, seen, classify(row.confirmed, seen)) for row in rows if (seen := observed.get(row.key)) is not None
        ]
        account(run.work, connection, findings, run.tally)
        sold = {(f.listing.sku, f.listing.location) for f in findings if f.difference.kind == "sale"}
        # as they are now: superseded rows are gone, and `confirmed` is what was just read back
        waiting = publications.still_pending(connection, rows)
        ready = [row for row in waiting if row.key not in sold]
        # a listing that was read back and shows nothing is written, whatever was confirmed before
        equal = [row for row in ready if row.confirmed == row.quantity and observed.get(row.key, row.confirmed) is not None]
        _confirm(run, connection, equal, "the channel shows this quantity already")
        run.tally.confirmed += len(equal)
        done = {row.id for row in equal}
        batch = hashlib.sha256(f"{run.work.code}\0{run.work.fence}\0{[row.id for row in ready]}".encode()).hexdigest()
        claimed = publications.claim(connection, run.work.code, [r for r in ready if r.id not in done], batch=batch, at=now)
    run.tally.stale += len(sold)
    return claimed


def _confirm(run: Sending, connection: Connection, rows: Sequence[Waiting], sentence: str = "") -> None:
    publications.confirm(connection, [row.id for row in rows], sentence, run.work.now())


@dataclass(frozen=True, slots=True)
class _Answers:
    """What came back of one batch: each row with its answer, and the channel's error if it broke off."""

    given: Sequence[tuple[Waiting, ItemResult]]
    error: StockfeedError | None
    are_final: bool  # every row is answered, and no look at the channel is needed to record what the answers mean


def _ask(run: Sending, rows: Sequence[Waiting]) -> _Answers:
    """Send claimed rows and return what came back: the channel alone is touched."""
    answers: dict[Key, ItemResult] = {}
    error: StockfeedError | None = None
    try:
        for result in run.door.publish([row.item(compares=run.door.compares) for row in rows]):
            answers[result.item.listing.sku, result.item.listing.location] = result
    except StockfeedError as caught:  # raised again by the caller once every answer is recorded
        error = caught
    given = [(row, answer) for row in rows if (answer := answers.get(row.key)) is not None]
    return _Answers(given, error, error is None and len(given) == len(rows) and all(map(_is_final, answers.values())))


def _is_final(answer: ItemResult) -> bool:
    return answer.status in {"confirmed", "failed"} or (answer.status == "stale" and answer.observed is not None)


def _note(run: Sending, answers: _Answers, *, is_repeat: bool = False) -> None:
    """Record each answer. Rows without one stay sent."""
    stale = [(row, answer) for row, answer in answers.given if answer.status == "stale"]
    observed = run.observe([row.listing for row, answer in stale if answer.observed is None])
    shown = [(row, observed.get(row.key) if answer.observed is None else answer.observed) for row, answer in stale]
    with run.work.write() as connection:
        _record(run, connection, [pair for pair in answers.given if pair[1].status != "stale"])
        _settle(run, connection, shown, "STALE", may_have_landed=is_repeat)


def _record(run: Sending, connection: Connection, answered: Sequence[tuple[Waiting, ItemResult]]) -> None:
    """Store the results that need no look at the channel: confirmed, accepted, failed and unknown."""
    confirmed = [row for row, answer in answered if answer.status == "confirmed"]
    _confirm(run, connection, confirmed)
    failed = [(row, answer) for row, answer in answered if answer.status == "failed"]
    endings = [Ending(row.id, "pending" if a.retryable else "failed", a.code or "FAILED", a.message) for row, a in failed]
    endings += [
        Ending(row.id, "sent", "ACCEPTED" if a.status == "accepted" else "UNKNOWN", a.message)
        for row, a in answered
        if a.status in {"accepted", "unknown"}
    ]
    publications.end(connection, endings, run.work.now())
    run.tally.confirmed += len(confirmed)
    run.tally.failed += len(failed)
    run.tally.tried.update(row.id for row, _ in failed)


def _settle(
    run: Sending, connection: Connection, seen: Sequence[tuple[Waiting, int | None]], code: str, *, may_have_landed: bool
) -> None:
    """End attempts by what the channel shows: landed → confirmed, else the row waits again and the difference is accounted.

    A first attempt that came back stale did not land (`may_have_landed` False): whatever the channel shows is not ours.
    """
    landed: list[Waiting] = []
    endings: list[Ending] = []
    findings: list[Finding] = []
    for row, observed in seen:
        if observed is None:
            endings.append(Ending(row.id, "pending", code, "the channel does not say what it shows"))
            run.tally.tried.add(row.id)
            continue
        ending = settle(row.confirmed, row.quantity, observed) if may_have_landed else not_landed(row.confirmed, observed)
        if ending.landed:
            landed.append(row)
        else:
            endings.append(Ending(row.id, "pending", code, f"the channel shows {observed}, not {row.confirmed}"))
        if not ending.landed or ending.difference.units:
            findings.append(Finding(row.listing, observed, ending.difference))
    _confirm(run, connection, landed)
    publications.end(connection, endings, run.work.now())
    account(run.work, connection, findings, run.tally)
    run.tally.confirmed += len(landed)
    run.tally.stale += len(endings)


def settle_open(run: Sending, ids: Collection[int] | None = None, *, may_write: bool = True) -> None:
    """End the attempts without a clear answer (of these rows, or all of an earlier run): same key once, then read back.

    Without `may_write` (a paused channel) nothing is repeated.

    Not repeated but only read back: raises over a value that has fallen meanwhile, and attempts without a comparison (a
    repeat could overwrite a sale). Raises the channel's error when it breaks off again; the rows then stay sent.
    """
    rows = _open_rows(run, ids)
    if run.door.compares and may_write:
        for batch in pieces([row for row in rows if _is_repeatable(row)], run.door.max_batch):
            answers = _ask(run, batch)
            _note(run, answers, is_repeat=True)
            if answers.error is not None:
                raise answers.error
        rows = _open_rows(run, ids)
    for batch in pieces(rows, run.door.max_batch):
        observed = run.observe([row.listing for row in batch])
        seen = [(row, observed.get(row.key)) for row in batch if not _is_awaited(run, row, observed.get(row.key))]
        with run.work.write() as connection:
            _settle(run, connection, seen, "READ-BACK", may_have_landed=True)
    if ids is None:  # attempts of an earlier run: this run may try them anew
        run.tally.tried.clear()


def _open_rows(run: Sending, ids: Collection[int] | None) -> list[Waiting]:
    with run.work.read() as connection:
        rows = publications.in_flight(connection, run.work.code)
    owned, wanted = run.work.locations, None if ids is None else set(ids)
    return [row for row in rows if row.listing.location in owned and (wanted is None or row.id in wanted)]


def _is_repeatable(row: Waiting) -> bool:
    is_raise = row.confirmed is None or row.quantity > row.confirmed
    has_fallen = row.offered is not None and row.offered < row.quantity
    return row.answer_code != "ACCEPTED" and row.confirmed is not None and not (is_raise and has_fallen)


def _is_awaited(run: Sending, row: Waiting, observed: int | None) -> bool:
    """Return whether an accepted value may still become visible: within the channel's declared lag."""
    lag = run.work.channel.lag
    if row.answer_code != "ACCEPTED" or observed == row.quantity or lag is None or row.sent_at is None:
        return False
    return run.work.now() < row.sent_at + lag
