"""Copying a stream into the private spool folder, hashed while it is written, within limits of size and time.

Never uses a remote name, and never leaves a part of a file behind.
"""

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from schemas.errors import DeliveryError, TransientError

PIECE = 1 << 18  # bytes asked for at a time


@dataclass(frozen=True, slots=True)
class Limits:
    """What one transfer may take: bytes, seconds between two pieces, seconds altogether (monotonic clock)."""

    size: int = 1 << 30
    idle: float = 30.0
    deadline: float = 900.0


@dataclass(frozen=True, slots=True)
class Spooled:
    """A file written whole: where, its SHA-256 in hexadecimal, its size in bytes."""

    path: Path
    sha256: str
    size: int


def spool_stream(
    read: Callable[[int], bytes],
    folder: Path,
    label: str,
    *,
    limits: Limits = Limits(),
    monotonic: Callable[[], float] = time.monotonic,
) -> Spooled:
    """Return the spooled copy of everything `read` gives until it gives b"".

    `read(n)` returns up to about n bytes; `label` names the origin in messages. The copy has a random name and mode
    0600. Raises TransientError when time runs out or the disk is full, DeliveryError (FILE-LIMIT) above `limits.size`;
    whatever goes wrong, the part written so far is removed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(16)}.spool"
    digest, size = hashlib.sha256(), 0
    started = monotonic()
    with ExitStack() as undo:
        handle = _create(path)
        undo.callback(path.unlink, missing_ok=True)
        with handle:
            while piece := _next_piece(read, label, limits, started, monotonic):
                size += len(piece)
                if size > limits.size:
                    raise _too_large(label, limits)
                digest.update(piece)
                put(handle, piece, folder)
        undo.pop_all()
    return Spooled(path, digest.hexdigest(), size)


def put(handle: FileIO, piece: bytes, folder: Path) -> None:
    """Write all of `piece`. Raises TransientError with the free space and the remedy when the disk is full."""
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[handle.write(rest) :]
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        free = shutil.disk_usage(folder).free // 1_000_000
        raise TransientError(
            f"disk full while downloading into {folder}: {free} MB free",
            "Free some space or move the spool folder (STOCKFEED_STATE) to a larger disk; the file is fetched again.",
        ) from error


def _create(path: Path) -> FileIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # unbuffered: a full disk shows at the write, and closing has nothing left to write
    return FileIO(os.open(path, flags, 0o600), "w")


def _next_piece(read: Callable[[int], bytes], label: str, limits: Limits, started: float, monotonic: Callable[[], float]) -> bytes:
    asked = monotonic()
    try:
        piece = read(PIECE)
    except TimeoutError as error:
        raise _stalled(label, limits) from error
    answered = monotonic()
    if answered - asked > limits.idle:
        raise _stalled(label, limits)
    if piece and answered - started > limits.deadline:
        raise TransientError(
            f"{label}: the download took longer than {limits.deadline:g} s",
            "It is tried again; if it stays slow, ask the supplier or raise `deadline` for this source.",
        )
    return piece


def _stalled(label: str, limits: Limits) -> TransientError:
    return TransientError(f"{label}: no data for {limits.idle:g} s", "It is tried again; ask the supplier if it happens often.")


def _too_large(label: str, limits: Limits) -> DeliveryError:
    return DeliveryError(
        f"{label}: larger than {limits.size} bytes",
        "Raise `max_size` for this source if the file is right.",
        code="FILE-LIMIT",
    )
