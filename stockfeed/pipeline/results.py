"""What the verbs return: ids, counts, states and findings. Never rows, never secrets."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CollectResult:
    """Deliveries of a feed that wait to be ingested, in order; `waiting` names files left for the next poll, with why."""

    feed: str
    delivery_ids: tuple[int, ...]
    waiting: dict[str, str] = field(default_factory=dict)
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class IngestResult:
    """How one delivery ended: its state, the sentence why, counts in rows of the file, and findings."""

    delivery_id: int
    feed: str
    state: str
    reason: str
    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    changes: int = 0
    findings: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionResult:
    """What retention removed: archived files and their bytes, spool files left by stopped runs, spent marks."""

    files: int
    bytes: int
    spooled: int
    marks: int


@dataclass(frozen=True, slots=True)
class SweepResult:
    """Feeds that became stale or fresh in this sweep, feeds whose supplier is silent, and whether it looks like our outage.

    `stale_locations` are single locations ("acme.stock: L2") that became stale, of feeds with scope = "location".
    """

    stale: tuple[str, ...]
    fresh: tuple[str, ...]
    silent: tuple[str, ...]
    outage: bool = False
    stale_locations: tuple[str, ...] = ()
