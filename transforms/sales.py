"""What a difference between our last confirmed value and what a channel shows means: a sale, an edit, or nothing.

A channel lowers its own number when it sells (DESIGN §3, "Sales seen at channels"). Never gives a sold unit back: where two
readings are possible, the one with more units sold is taken unless it would mean that a write of ours landed unseen.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Difference:
    """What happened at a channel since our last confirmed value; `units` is the number of units sold, else 0."""

    kind: Literal["equal", "sale", "edited"]
    units: int = 0


@dataclass(frozen=True, slots=True)
class Settled:
    """How an attempt without a clear answer ended: whether our value `landed`, and what happened beside it."""

    landed: bool
    difference: Difference


def classify(confirmed: int | None, observed: int) -> Difference:
    """Return what `observed` units at the channel mean against the `confirmed` units (None: nothing was ever confirmed).

    A fall is a sale of the missing units; a rise is an edit, never a sale; without a confirmed value there is no difference.
    """
    if confirmed is None or observed == confirmed:
        return Difference("equal")
    if observed > confirmed:
        return Difference("edited")
    return Difference("sale", confirmed - observed)


def settle(confirmed: int | None, sent: int, observed: int) -> Settled:
    """Return how an attempt to move a listing from `confirmed` to `sent` ended when the channel now shows `observed` units.

    The sent value itself: it landed. Between the confirmed and a greater sent value: it landed, and the rest was sold (only
    our own write could have raised it); so too where nothing was shown before the attempt (`confirmed` None). Anything else
    is measured against the confirmed value, which for a lowered listing reads the difference as the larger sale.
    """
    if observed == sent:
        return Settled(landed=True, difference=Difference("equal"))
    if (observed if confirmed is None else confirmed + 1) <= observed < sent:
        return Settled(landed=True, difference=Difference("sale", sent - observed))
    return not_landed(confirmed, observed)


def not_landed(confirmed: int | None, observed: int) -> Settled:
    """Return the ending of an attempt that the channel refused because it shows `observed` instead of `confirmed` units."""
    return Settled(landed=False, difference=classify(confirmed, observed))


def is_contained(as_of: datetime | None, seen_at: datetime, sales_lag: timedelta) -> bool:
    """Return whether a snapshot that is true `as_of` an instant contains a sale seen at `seen_at` (as_of ≥ seen_at + lag)."""
    return as_of is not None and as_of >= seen_at + sales_lag
