"""The publish gate: which causes of change are held for a person because too much of a channel moves at once (DESIGN §3).

Measured over the last 24 hours, net per listing. Only the offending causes are held, greatest first, until the rest is within
the limits. Never judges staleness zeros, seen sales, or what a person has released: the caller marks those `exempt`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.channel_config import Gate
from schemas.findings import Finding


class Change(NamedTuple):
    """One listing's net change in the window: units before it (None: the listing is new) and now, and the newest cause.

    `exempt`: passes and is not counted. `pending`: not sent yet, so it can be held.
    """

    before: int | None
    now: int
    cause: str
    exempt: bool = False
    pending: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which causes are held, which of these with their zeros too, and each finding with the causes it holds."""

    held: frozenset[str] = frozenset()
    zeros_held: frozenset[str] = frozenset()
    findings: tuple[tuple[Finding, frozenset[str]], ...] = ()


@dataclass(frozen=True, slots=True)
class _Measure:
    """One limit of the gate: the sum that is measured and what each cause that can still be held adds to it."""

    code: str
    total: int
    by_cause: Mapping[str, int]
    limit: float
    sentence: str


def judge(changes: Iterable[Change], *, listings: int, units: int, gate: Gate) -> Verdict:
    """Return what the gate holds, for a channel with `listings` listings that offer `units` units in all now.

    Limits: more than `changed_listings_percent` of listings change by more than `change_is_over_percent`; more than
    `to_zero_percent` (and at least `to_zero_at_least`) go to 0; the total moves by more than `total_change_percent`.
    New listings are not changes. Zeros of a held cause pass unless too many zeros are what it is held for.
    """
    counted = [change for change in changes if not change.exempt and change.before is not None]
    if not gate.enabled or not any(change.pending for change in counted):
        return Verdict()
    held: set[str] = set()
    zeros_held: set[str] = set()
    findings: list[tuple[Finding, frozenset[str]]] = []
    for measure in _measures(counted, listings, units, gate):
        offending = _offending(measure)
        if offending:
            held |= offending
            zeros_held |= offending if measure.code == "TO-ZERO" else set()
            findings.append((_finding(measure, offending), frozenset(offending)))
    return Verdict(frozenset(held), frozenset(zeros_held), tuple(findings))


def _measures(counted: Sequence[Change], listings: int, units: int, gate: Gate) -> Iterable[_Measure]:
    def is_big(change: Change) -> bool:
        before = change.before or 0
        return abs(change.now - before) * 100 > gate.change_is_over_percent * before

    def to_zero(change: Change) -> bool:
        return change.now == 0 and bool(change.before)

    moved = sum(change.now - (change.before or 0) for change in counted)
    sign = -1 if moved < 0 else 1
    before = units - moved
    yield _measure(
        "TO-ZERO",
        counted,
        to_zero,
        max(gate.to_zero_percent * listings / 100, gate.to_zero_at_least - 1),
        f"{{total}} of {listings} listings go to 0 (more than {gate.to_zero_percent:g} % and at least {gate.to_zero_at_least})",
    )
    yield _measure(
        "MANY-CHANGED",
        counted,
        is_big,
        gate.changed_listings_percent * listings / 100,
        f"{{total}} of {listings} listings change by more than {gate.change_is_over_percent:g} %"
        f" (more than {gate.changed_listings_percent:g} % of them)",
    )
    yield _measure(
        "TOTAL-MOVES",
        counted,
        lambda change: sign * (change.now - (change.before or 0)),
        # with nothing offered before there is no total to move; MANY-CHANGED sees that case
        gate.total_change_percent * before / 100 if before > 0 else float("inf"),
        f"the total of {before} units {'falls' if sign < 0 else 'rises'} by {{total}} (more than {gate.total_change_percent:g} %)",
    )


def _measure(code: str, counted: Sequence[Change], weigh: Callable[[Change], int], limit: float, sentence: str) -> _Measure:
    total, by_cause = 0, dict[str, int]()
    for change in counted:
        weight = int(weigh(change))
        total += weight
        if change.pending and weight:
            by_cause[change.cause] = by_cause.get(change.cause, 0) + weight
    return _Measure(code, total, by_cause, limit, sentence)


def _offending(measure: _Measure) -> set[str]:
    """Return the fewest causes, greatest first, without which the sum is within its limit."""
    left, offending = measure.total, set[str]()
    for cause, weight in sorted(measure.by_cause.items(), key=lambda item: (-item[1], item[0])):
        if left <= measure.limit or weight <= 0:
            break
        offending.add(cause)
        left -= weight
    return offending


def _finding(measure: _Measure, offending: set[str]) -> Finding:
    return Finding(
        code=measure.code,
        severity="hold",
        message=f"within 24 hours {measure.sentence.format(total=measure.total)}; held: {', '.join(sorted(offending))}",
        remedy="Look at the changes; release the publish if they are right, undo the delivery if not.",
        measured=str(measure.total),
        limit=f"{measure.limit:g}",
    )
