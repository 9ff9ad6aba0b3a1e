"""What the product should do, in plain dictionaries: no SQL, no frames, no clock. The model-based test compares with it.

It knows one feed at a time. Files are what the test itself wrote, so no parser can hide a mistake from it.
"""

import copy
from dataclasses import dataclass, field

HOUR = 3600
STALE_AFTER = 24 * HOUR


@dataclass(frozen=True)
class File:
    """One file as it was written: cells as texts, and its time at the source (seconds)."""

    name: str
    rows: tuple[tuple[str, str], ...]
    time: int

    def read(self, duplicates: str) -> tuple[dict[str, int], set[str]]:
        """The quantities by key, and the keys that stand only in rejected rows."""
        cells: dict[str, list[str]] = {}
        for sku, quantity in self.rows:
            cells.setdefault(sku.strip(" \t"), []).append(quantity)
        good: dict[str, int] = {}
        for key, texts in cells.items():
            numbers = [int(text) for text in texts if text.isdigit()]
            if numbers and (duplicates == "first" or len(set(numbers)) == 1):
                good[key] = numbers[0]
        return good, cells.keys() - good.keys()


@dataclass
class Applied:
    """A delivery in force or under one, with all that undoing it needs."""

    id: int
    rows: tuple
    version: str
    levels_before: dict
    place_before: tuple
    missing: set = field(default_factory=set)
    unconfirmed: set = field(default_factory=set)


@dataclass
class FeedOracle:
    """One feed. Levels are key → [units, times missing, times unconfirmed]."""

    mode: str  # snapshot: ordered by source time; delta: by arrival
    missing_after: int = 2
    duplicates: str = "reject"
    buffer: int = 0
    levels: dict = field(default_factory=dict)
    states: dict = field(default_factory=dict)  # delivery id → state
    files: dict = field(default_factory=dict)  # delivery id → File
    open: set = field(default_factory=set)  # deliveries with an open hold
    stack: list = field(default_factory=list)  # Applied, oldest first
    undone: list = field(default_factory=list)  # (id, rows)
    place: tuple = (None, None)  # (order position, as_of)
    in_shadow: bool = True

    def arrive(self, number: int, file: File) -> None:
        self.files[number], self.states[number] = file, "received"

    def position(self, number: int) -> int:
        return self.files[number].time if self.mode == "snapshot" else number

    def ingest(self, number: int, now: int, *, forced: bool = False, attempts: int = 0) -> str:
        """Bring a delivery to its end and return the state."""
        state = self._decide(number, now, forced=forced, attempts=attempts)
        self.states[number] = state
        if state != "received":
            self.open.discard(number)
        if state == "held":
            self._hold(number)
        if state == "rejected" and self.mode == "delta":
            self.open.add(number)
        if state in ("applied", "unchanged") and self.mode == "snapshot":
            self._overtake(number, "superseded")
        return self.states[number]

    def _decide(self, number: int, now: int, *, forced: bool, attempts: int) -> str:  # noqa: PLR0911 (one line an end)
        if attempts >= 3 and not forced:
            return "rejected"
        if self.mode == "delta" and not forced and self._blocked(number):
            return "received"
        if self.place[0] is not None and self.position(number) < self.place[0]:
            return "superseded"
        is_ahead = self.files[number].time > now + 600
        if not forced and (known := self._same_bytes(number, is_ahead=is_ahead)):
            return known
        good, refused = self.files[number].read(self.duplicates)
        if not good and refused and not self.stack:
            return "rejected"
        all_zero = bool(good) and not any(good.values()) and self.mode == "snapshot"
        if (is_ahead or all_zero or not good) and not forced:
            return "held"
        self._apply(number, good, refused)
        return "applied"

    def _blocked(self, number: int) -> bool:
        waiting = any(state == "received" and other < number for other, state in self.states.items())
        return waiting or any(other < number for other in self.open)

    def _same_bytes(self, number: int, *, is_ahead: bool) -> str | None:
        rows = self.files[number].rows
        alike = [(one.id, "applied") for one in self.stack if one.rows == rows]
        alike += [(other, "undone") for other, old in self.undone if old == rows]
        if not alike:
            return None
        top = self.stack[-1] if self.stack else None
        if top is not None and top.rows == rows:
            if top.version != self.duplicates:
                return None
            if is_ahead:
                return "held"
            self._unchanged(number, top)
            return "unchanged"
        if max(alike)[1] == "undone":
            return "held"
        return None if self.mode == "delta" else "held"

    def _apply(self, number: int, good: dict[str, int], refused: set[str]) -> None:
        one = Applied(number, self.files[number].rows, self.duplicates, copy.deepcopy(self.levels), self.place)
        absent = [key for key in self.levels if key not in good]
        for key, units in good.items():
            self.levels[key] = [units, 0, 0]
        if self.mode == "snapshot":
            one.missing = {key for key in absent if key not in refused and self._count(key, 1)}
            one.unconfirmed = {key for key in absent if key in refused and self._count(key, 2)}
        self.stack.append(one)
        self.place = (self.position(number), self.files[number].time)
        self.in_shadow = False  # both feeds say trust_first

    def _count(self, key: str, which: int) -> bool:
        level = self.levels[key]
        if level[which] >= self.missing_after:
            return False
        level[which] += 1
        if which == 2:
            level[1] = 0  # it is in the delivery: no longer missing in a row
        if which == 1 and level[1] >= self.missing_after:
            level[0] = 0
        return True

    def _unchanged(self, number: int, top: Applied) -> None:
        for keys, which in ((top.missing, 1), (top.unconfirmed, 2)):
            for key in keys:
                self._count(key, which)
        self.place = (self.position(number), max(self.files[number].time, self.place[1]))

    def _hold(self, number: int) -> None:
        if self.mode == "snapshot":
            if any(self.position(other) > self.position(number) for other in self.held()):
                self.states[number] = "superseded"
                return
            self._overtake(number, "superseded")
            self.states[number] = "held"
        self.open.add(number)

    def held(self) -> list[int]:
        return [number for number, state in self.states.items() if state == "held" and number in self.open]

    def _overtake(self, number: int, state: str) -> None:
        for other in self.held():
            if other != number and self.position(other) <= self.position(number):
                self.states[other] = state
                self.open.discard(other)

    # what a person does

    def reject(self, number: int) -> None:
        self.states[number] = "rejected"
        self.open.discard(number)

    def undo(self) -> None:
        top = self.stack.pop()
        self.levels, self.place = top.levels_before, top.place_before
        self.undone.append((top.id, top.rows))
        self.states[top.id] = "undone"
        self.in_shadow = self.in_shadow or not self.stack

    # what may be sold

    def units(self, key: str, now: int, sold: int = 0) -> int | None:
        """What the feed contributes to a SKU's offer; None when it contributes nothing."""
        level = self.levels.get(key)
        if level is None or self.in_shadow or self.place[1] is None or self.place[1] + STALE_AFTER <= now:
            return None
        gone = level[1] >= self.missing_after or level[2] >= self.missing_after
        return max((0 if gone else level[0]) - sold - self.buffer, 0)
