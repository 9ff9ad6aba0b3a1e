"""What passes between a source connector and the pipeline: fetched bytes, and what was seen before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from schemas.findings import Finding


@dataclass(frozen=True, slots=True)
class Fetched:
    """One arrival, downloaded whole to a private spool file and hashed while it was written.

    `identity` names the arrival at its source for ever (name + source time + size, Message-ID + part, ISA13 …).
    `source_time` is the source's own aware UTC time of the content, None where it has none. `reference` is what
    `Source.acknowledge` needs later; it is stored, so it may hold no secret.
    """

    path: Path
    sha256: str
    size: int
    name: str
    identity: str
    source_time: datetime | None = None
    reference: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a listing: name relative to the feed's folder, size in bytes, the server's modification time (UTC)."""

    name: str
    size: int
    modified_at: datetime


@dataclass(slots=True)
class Seen:
    """What this feed has already delivered, and the last listing (for the settle rule).

    `identities` are those of recorded deliveries. `listing` maps name → (size, modified_at ISO, first seen so at ISO);
    a source updates it in place and the pipeline stores it. `waiting` collects the names left for a later poll, with why.
    """

    identities: frozenset[str] = frozenset()
    listing: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
