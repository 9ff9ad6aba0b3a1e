"""What must hold of the archived bytes: every delivery's are there and unchanged, and there are no others (I1, I16)."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from stockfeed.checker.faults import Fault, fault

_UNFINISHED = timedelta(days=2)  # retention removes what a killed run left after one day
_KEPT = "SELECT sha256, MIN(id), MIN(size), MAX(size) FROM delivery WHERE discarded_at IS NULL GROUP BY sha256"


def listed(archive: Path) -> dict[str, Path]:
    """Return the archived files by name; to be listed before the ledger is read, as bytes arrive before their row."""
    return {path.name: path for path in archive.glob("??/??/*") if path.is_file()}


def archive_faults(connection: Connection, files: dict[str, Path], archive: Path, now: datetime) -> Iterator[Fault]:
    """Yield the faults of the archive against the ledger of this snapshot."""
    for sha256, delivery_id, smallest, largest in connection.execute(text(_KEPT)):
        path = archive / sha256[:2] / sha256[2:4] / sha256
        problem = _problem(path, sha256, {smallest, largest})
        if problem:
            yield fault("I1", f"delivery {delivery_id}", f"its bytes {sha256[:12]}… {problem}")
    known = {row[0] for row in connection.execute(text("SELECT DISTINCT sha256 FROM delivery"))}
    for name in sorted(files.keys() - known):
        if not _is_old(files[name], now):
            continue  # bytes come before their ledger row: a run that failed in between is repeated, and uses them
        if name.endswith(".part"):
            yield fault("I16", name[:12], "an unfinished file lies in the archive for more than two days")
        else:
            yield fault("I1", name[:12], "bytes in the archive belong to no delivery for more than two days")


def discarded(connection: Connection) -> set[str]:
    """Return the subjects of deliveries whose bytes are known to be removed, by this snapshot."""
    rows = connection.execute(text("SELECT id FROM delivery WHERE discarded_at IS NOT NULL"))
    return {f"delivery {row[0]}" for row in rows}


def _problem(path: Path, sha256: str, sizes: set[int]) -> str | None:
    if not path.is_file():
        return "are not in the archive"
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            return "changed in the archive"
    return None if sizes == {path.stat().st_size} else "have another size than the ledger says"


def _is_old(path: Path, now: datetime) -> bool:
    return path.exists() and now - datetime.fromtimestamp(path.stat().st_mtime, UTC) > _UNFINISHED
