"""What must hold of the ledger: ends, holds, order, counts, evidence. Goes through one feed's deliveries at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from stockfeed.checker.faults import Fault, fault
from stockfeed.checker.reading import as_json, instant

_UNENDED_AFTER = timedelta(minutes=10)  # a delivery in work may be without an end state for so long
_AHEAD = timedelta(minutes=10)  # stock of a time further in the future is held
_LONGEST_LEASE = timedelta(days=1)
_WAITS = "WAITS"  # the reason code of a delta that waits behind another one
_FIRST_INSTANT = 10**12  # smaller order positions are arrival numbers, greater ones microseconds
_COUNTED = frozenset({"applied", "unchanged", "undone"})  # deliveries that change levels


class Entry(NamedTuple):
    """One row of the ledger."""

    id: int
    feed_id: int
    state: str
    reason: str | None
    reason_code: str | None
    received_at: datetime
    ended_at: datetime | None
    as_of: datetime | None
    order_key: int | None
    applied_before_id: int | None
    feed_before: Any
    rows_read: int | None
    rows_accepted: int | None
    rows_rejected: int | None
    rows_skipped: int | None
    skipped: Any
    changes: int | None
    locations: Any
    findings: Any
    acknowledgement: str

    @property
    def came_late(self) -> bool:
        """Return whether it is an older delta, applied for what no newer one speaks of."""
        return any(found.get("code") == "LATE-DELTA" for found in self.findings or ())

    @property
    def name(self) -> str:
        """Return how a fault names it."""
        return f"delivery {self.id}"


class HoldRow(NamedTuple):
    """One hold of a delivery."""

    id: int
    state: str
    decided_at: datetime | None
    findings: Any


class Written(NamedTuple):
    """The block of history that a delivery wrote: its first and last change id, and how many changes."""

    first: int
    last: int
    changes: int


@dataclass(frozen=True, slots=True)
class Book:
    """Everything about the ledger that is looked up while its rows go by."""

    now: datetime
    feeds: Mapping[int, Any]
    holds: Mapping[int, Sequence[HoldRow]]  # by delivery
    replayed: Mapping[int, datetime]  # when a person last asked for it to be read again
    written: Mapping[int, Written]  # by delivery


def ledger_faults(connection: Connection, now: datetime) -> Iterator[Fault]:
    """Yield the faults of the ledger, the holds and the feeds' leases as of `now`."""
    book = Book(now, _feeds(connection), _holds(connection), _replayed(connection), _written(connection))
    yield from _leases(connection, now)
    yield from _interleaved(book.written)
    names = ", ".join(Entry._fields)
    query = text(f"SELECT {names} FROM delivery ORDER BY feed_id, id")  # noqa: S608 (our own names)
    rows = connection.execute(query, execution_options={"yield_per": 1000})
    for feed_id, entries in groupby(map(_entry, rows), key=lambda entry: entry.feed_id):
        yield from _feed_faults(book, feed_id, list(entries))


def _entry(row: Any) -> Entry:
    values = dict(zip(Entry._fields, row, strict=True))
    values |= {name: instant(values[name]) for name in ("received_at", "ended_at", "as_of")}
    return Entry(**values | {name: as_json(values[name]) for name in ("feed_before", "skipped", "locations", "findings")})


def _feeds(connection: Connection) -> dict[int, Any]:
    rows = connection.execute(text("SELECT id, code, last_applied_id, order_key, order_by FROM feed"))
    return {row.id: row for row in rows}


def _holds(connection: Connection) -> dict[int, list[HoldRow]]:
    found: dict[int, list[HoldRow]] = {}
    rows = connection.execute(text("SELECT delivery_id, id, state, decided_at, findings FROM hold WHERE delivery_id IS NOT NULL"))
    for delivery_id, number, state, decided_at, findings in rows:
        found.setdefault(delivery_id, []).append(HoldRow(number, state, instant(decided_at), as_json(findings)))
    return found


def _replayed(connection: Connection) -> dict[int, datetime]:
    rows = connection.execute(text("SELECT subject, MAX(at) FROM audit WHERE act = 'replay_delivery' GROUP BY subject"))
    return {int(subject.removeprefix("delivery ")): at for subject, when in rows if (at := instant(when))}


def _written(connection: Connection) -> dict[int, Written]:
    query = "SELECT delivery_id, MIN(id), MAX(id), COUNT(*) FROM level_change WHERE kind <> 'undone' GROUP BY delivery_id"
    return {row[0]: Written(*row[1:]) for row in connection.execute(text(query))}


def _leases(connection: Connection, now: datetime) -> Iterator[Fault]:
    for table in ("feed", "channel"):
        rows = connection.execute(text(f"SELECT code, lease_holder, lease_until FROM {table}"))  # noqa: S608 (our own names)
        for code, holder, until in rows:
            ends = instant(until)
            if (holder is None) != (ends is None):
                yield fault("I11", f"{table} {code}", "a lease has a holder without an end, or an end without a holder")
            if ends is not None and ends > now + _LONGEST_LEASE:
                yield fault("I11", f"{table} {code}", "a lease reaches more than a day ahead: nobody else could work")


def _interleaved(written: Mapping[int, Written]) -> Iterator[Fault]:
    """One commit takes its change ids in one go, so no two deliveries' blocks may overlap."""
    for (_, before), (delivery_id, block) in pairwise(sorted(written.items(), key=lambda item: item[1].first)):
        if block.first <= before.last:
            yield fault("I4", f"delivery {delivery_id}", "its changes lie between those of another one: it was not one commit")


def _feed_faults(book: Book, feed_id: int, entries: list[Entry]) -> Iterator[Fault]:
    feed = book.feeds.get(feed_id)
    if feed is None:
        yield fault("I15", entries[0].name, "belongs to no feed")
        return
    undecided = [e for e in entries if any(h.state == "open" for h in book.holds.get(e.id, ()))]
    received = [e for e in entries if e.state == "received"]
    settled = max((e.ended_at for e in entries if e.ended_at), default=None)
    for entry in entries:
        yield from _end_faults(book, entry)
        yield from _hold_faults(book, entry)
        yield from _count_faults(book, entry)
    for entry in received:
        if not _waits_rightly(entry, undecided, received) and _is_overdue(book, entry, settled, entries):
            yield fault("I1", entry.name, "has no end state since more than 10 minutes")
    yield from _order_faults(book, feed, [e for e in entries if e.state == "applied"])


def _waits_rightly(entry: Entry, undecided: Iterable[Entry], received: Iterable[Entry]) -> bool:
    """A delta behind an undecided one waits for as long as that takes; the first received one has nobody to wait for."""
    place = (entry.order_key or entry.id, entry.id)
    ahead = [e for e in received if (e.order_key or e.id, e.id) <= place]
    return entry.reason_code == _WAITS and any(blocker.id < one.id for one in ahead for blocker in undecided)


def _is_overdue(book: Book, entry: Entry, settled: datetime | None, entries: Iterable[Entry]) -> bool:
    """Count from when it could end: its arrival, a person's replay, or the last decision it waited for."""
    since = max(filter(None, (entry.received_at, book.replayed.get(entry.id))))
    if entry.reason_code == _WAITS:
        decided = [h.decided_at for e in entries for h in book.holds.get(e.id, ()) if h.decided_at]
        since = max(filter(None, (since, settled, *decided)))
    return book.now - since > _UNENDED_AFTER


def _end_faults(book: Book, entry: Entry) -> Iterator[Fault]:
    if entry.state == "received":
        if entry.acknowledgement == "done" and entry.id not in book.replayed:
            yield fault("I14", entry.name, "was acknowledged at its source before it ended")
        return
    if entry.ended_at is None:
        yield fault("I1", entry.name, f"is {entry.state}, but it is not known since when")
    if entry.state in {"rejected", "held"} and not (entry.reason or "").strip():
        yield fault("I12", entry.name, f"is {entry.state} without a reason")


def _hold_faults(book: Book, entry: Entry) -> Iterator[Fault]:
    """A held delivery has one open hold. A rejected delta keeps one until a person decides; nothing else has any."""
    holds = book.holds.get(entry.id, ())
    opened = [h for h in holds if h.state == "open"]
    if entry.state == "held" and len(opened) != 1:
        yield fault("I1", entry.name, f"is held, but {len(opened)} holds of it are open")
    for hold in opened if entry.state != "held" else ():
        if entry.state != "rejected" or "DELTA-REJECTED" not in {f.get("code") for f in hold.findings}:
            yield fault("I1", f"hold {hold.id}, {entry.name}", "a hold is open although its delivery is not held")
    for hold in holds:
        if not hold.findings or any(not (f.get("message") and f.get("code")) for f in hold.findings):
            yield fault("I12", f"hold {hold.id}, {entry.name}", "a hold does not say what was found")


def _count_faults(book: Book, entry: Entry) -> Iterator[Fault]:
    if entry.rows_read is not None:
        parts = (entry.rows_accepted or 0) + (entry.rows_rejected or 0) + (entry.rows_skipped or 0)
        if entry.rows_read != parts:
            yield fault("I9", entry.name, "rows read are not accepted + rejected + skipped")
        if sum((entry.skipped or {}).values()) != (entry.rows_skipped or 0):
            yield fault("I9", entry.name, "the reasons of its skipped rows do not add up")
    written = book.written.get(entry.id)
    if entry.state in _COUNTED and (entry.changes or 0) != (written.changes if written else 0):
        yield fault("I4", entry.name, "changed another number of levels than its history has")


def _order_faults(book: Book, feed: Any, applied: Sequence[Entry]) -> Iterator[Fault]:
    """The applied deliveries form one chain: each replaced the one before it, none from an earlier place in the order."""
    by_id = {entry.id: entry for entry in applied}
    replaced_by: dict[int | None, Entry] = {}
    for entry in applied:
        before = entry.applied_before_id
        if before in replaced_by:
            words = f"replaced the same delivery as delivery {replaced_by[before].id} did: two workers wrote at once"
            yield fault("I11", entry.name, words)
        replaced_by[before] = entry
        if before is not None and before not in by_id:
            yield fault("I3", entry.name, "replaced a delivery that is not applied")
    for entry in applied:
        later = replaced_by.get(entry.id)
        if later is None and feed.last_applied_id != entry.id:
            yield fault("I3", entry.name, "is applied, but the feed does not stand at it and nothing replaced it")
        if later is not None and _wrote_later(book.written.get(entry.id), book.written.get(later.id)):
            yield fault("I3", later.name, "replaced a delivery that was written after it")
        yield from _place_faults(book, entry, later.feed_before if later else {"order_by": feed.order_by})


def _wrote_later(earlier: Written | None, later: Written | None) -> bool:
    return earlier is not None and later is not None and earlier.first > later.first


def _place_faults(book: Book, entry: Entry, feed_after: Any) -> Iterator[Fault]:
    before = entry.feed_before
    if not isinstance(before, dict):
        yield fault("I17", entry.name, "is applied, but the feed's place before it is not known: it could not be undone")
        return
    # what one location's late file has not reached, another location's may have
    if entry.locations is None and not entry.came_late and _is_before(entry.order_key, before, feed_after):
        yield fault("I3", entry.name, "is older than what was applied before it")
    judged_at = max(filter(None, (entry.received_at, entry.ended_at)))
    released = any(h.state == "released" for h in book.holds.get(entry.id, ()))
    if entry.as_of is not None and entry.as_of > judged_at + _AHEAD and not released:
        yield fault("I3", entry.name, "holds stock of a future time, and nobody released it")


def _is_before(place: int | None, before: dict[str, Any], after: Any) -> bool:
    """Return whether a place in the order is before the one the feed had reached, where both count the same."""
    order, reached = before.get("order_by"), before.get("order_key")
    if place is None or reached is None or not isinstance(after, dict) or after.get("order_by") != order:
        return False
    return place < int(reached) and (order == "arrival" or place >= _FIRST_INSTANT)
