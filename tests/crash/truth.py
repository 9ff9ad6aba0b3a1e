"""What the supplier meant, in plain dictionaries: the oracle. Shares nothing with the product and reads no database."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field

MISSING_AFTER = 2
MOST_SOLD = 9  # units of one SKU in one scenario: less than the step between two quantities


@dataclass(frozen=True)
class Sent:
    """One file as the supplier wrote it. `state` is how its delivery must end."""

    name: str
    content: bytes
    hours_ago: float
    kind: str
    rows: Mapping[str, int] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()


@dataclass
class Truth:
    """Levels as they must be, every earlier state of them, and units sold at the shop."""

    mode: str
    levels: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    doubtful: dict[str, int] = field(default_factory=dict)
    sold: dict[str, int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)  # file name → state
    sent: dict[str, Sent] = field(default_factory=dict)
    history: list[dict[str, int]] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    _before: list[tuple[dict[str, int], dict[str, int], dict[str, int]]] = field(default_factory=list)

    def deliver(self, one: Sent) -> None:
        """Let a file have its effect; files are given in the order of their times."""
        self.sent[one.name] = one
        if one.kind == "stale":
            self.states[one.name] = "superseded"
        elif one.kind in {"held", "rejected"}:
            self.states[one.name] = one.kind
        elif one.kind == "unchanged":
            self.states[one.name] = "unchanged"
        else:
            self._apply(one)

    def _apply(self, one: Sent) -> None:
        self._before.append((dict(self.levels), dict(self.missing), dict(self.doubtful)))
        for name, state in self.states.items():
            if state == "held":
                self.states[name] = "superseded"
        for sku, quantity in one.rows.items():
            self.levels[sku] = quantity
            self.missing[sku] = self.doubtful[sku] = 0
        if self.mode == "snapshot":
            self._count_absent(one)
        self.states[one.name] = "applied"
        self.applied.append(one.name)
        self.history.append(self.offered())

    def _count_absent(self, one: Sent) -> None:
        for sku in self.levels.keys() - one.rows.keys():
            if sku in one.unreadable:
                self.doubtful[sku] += 1
            else:
                self.missing[sku] += 1
                if self.missing[sku] >= MISSING_AFTER:
                    self.levels[sku] = 0

    def was_overtaken(self, name: str) -> None:
        """A delivery was read only after those that followed it: it never had its effect, and theirs is as if it had not been.

        A snapshot without a SKU leaves the level in force at first, and the overtaken one's never was.
        """
        if self.states[name] != "applied" or self.applied[-1:] == [name]:
            return
        at = self.applied.index(name)
        later = [self.sent[one] for one in self.applied[at + 1 :]]
        self.levels, self.missing, self.doubtful = self._before[at]
        del self.applied[at:], self._before[at:], self.history[at:]
        for one in later:
            self._apply(one)
        self.states[name] = "superseded"

    def undo(self) -> str:
        """Take the last applied file back and return its name."""
        name = self.applied.pop()
        self.levels, self.missing, self.doubtful = self._before.pop()
        self.states[name] = "undone"
        self.history.append(self.offered())
        return name

    def offered(self) -> dict[str, int]:
        """Return SKU → units the supplier has, as far as we may rely on them; 0 of what an undo took away altogether."""
        gone = dict.fromkeys((sku for state in self.history for sku in state), 0)
        return gone | {sku: 0 if self.doubtful[sku] >= MISSING_AFTER else level for sku, level in self.levels.items()}

    def shown(self) -> dict[str, int]:
        """Return what the shop must show in the end."""
        return {sku: max(0, units - self.sold.get(sku, 0)) for sku, units in self.offered().items()}

    def copy(self) -> "Truth":
        return deepcopy(self)


def never_true_or_too_old(sku: str, values: Iterable[int], history: list[dict[str, int]], sold: int) -> list[str]:
    """Return a sentence for each value the shop was told that was never true, or that is older than one it was told before.

    Quantities of one SKU are distinct multiples of ten (or 0), and fewer than ten units are sold: each value says which
    delivery it is of.
    """
    at, faults = 0, []
    for value in values:
        found = next((n for n in range(at, len(history)) if _fits(history[n].get(sku), value, sold)), None)
        if found is None:
            faults.append(f"{sku}: the shop was told {value}, which was never true or is older than what it was told before")
        else:
            at = found
    return faults


def _fits(level: int | None, value: int, sold: int) -> bool:
    return level is not None and (0 <= level - value <= sold or (value == 0 and level <= sold))
