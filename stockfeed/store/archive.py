"""The archive of delivered bytes: content-addressed files, written once, never changed.

Never uses a remote name as a path, and never lets the ledger know bytes that are not yet safe on disk.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, BinaryIO

from schemas.errors import PermanentError, TransientError

_CHUNK = 1 << 20
_CHECK_THE_DISK = "Check the folder's access rights and its disk, then run the same command again; nothing was lost."


class Archive:
    """Files at <root>/ab/cd/<sha256>, mode 0600."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Return where the bytes with this hash are kept."""
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def store(self, spooled: Path, sha256: str) -> Path:
        """Move a spooled file into the archive and return its path; both file and folder are on disk when it returns.

        Bytes that are already there and still right are left alone; damaged ones are written anew. Raises TransientError
        when the disk is full, PermanentError when the spooled bytes do not have the stated hash.
        """
        target = self.path(sha256)
        try:
            if not (target.is_file() and self.verify(sha256)):
                self._write(spooled, target, sha256)
            spooled.unlink(missing_ok=True)
        except OSError as error:
            raise self._disk_error(error) from error
        return target

    def remove(self, sha256: str) -> int:
        """Remove archived bytes, if they are there, and return how many that were. Raises PermanentError when the disk refuses."""
        path = self.path(sha256)
        try:
            size = path.stat().st_size if path.exists() else 0
            path.unlink(missing_ok=True)
        except OSError as error:
            raise not_removed(path, error) from error
        return size

    def _write(self, spooled: Path, target: Path, sha256: str) -> None:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = target.with_name(f"{sha256}.{os.getpid()}.part")
        try:
            with spooled.open("rb") as source, part.open("wb") as sink:
                os.fchmod(sink.fileno(), 0o600)
                if _copy_hashed(source, sink) != sha256:
                    raise PermanentError(
                        f"the spooled bytes of {sha256[:12]}… changed on disk", "Check the disk, then collect again."
                    )
                sink.flush()
                os.fsync(sink.fileno())
            part.replace(target)
            for folder in (target.parent, target.parent.parent, self.root):
                _fsync_folder(folder)
        finally:
            part.unlink(missing_ok=True)

    def open(self, sha256: str) -> BufferedReader:
        """Open archived bytes for reading. Raises PermanentError when they are not there."""
        return self.existing(sha256).open("rb")

    def existing(self, sha256: str) -> Path:
        """Return the path of archived bytes. Raises PermanentError when they are missing."""
        path = self.path(sha256)
        if not path.is_file():
            raise PermanentError(
                f"the archive has no file {sha256[:12]}…", f"Restore {path} from a backup; the ledger says it was received."
            )
        return path

    def verified(self, sha256: str) -> Path:
        """Return the path of archived bytes after hashing them. Raises PermanentError when they are missing or changed."""
        path = self.existing(sha256)
        if not self.verify(sha256):
            raise PermanentError(
                f"the archived bytes of {sha256[:12]}… are not those that arrived", f"Restore {path} from a backup, then try again."
            )
        return path

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While this context is open nothing is removed from the archive: bytes found there stay until the ledger knows them."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def removing(self) -> Iterator[None]:
        """While this context is open nobody relies on bytes that the ledger does not know yet; waits for those who do."""
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._disk_error(error) from error
        try:
            fcntl.flock(folder, kind)  # ends with the process at the latest
            yield
        finally:
            os.close(folder)

    def verify(self, sha256: str) -> bool:
        """Return whether the archived bytes still have their hash."""
        with self.open(sha256) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def _disk_error(self, error: OSError) -> TransientError | PermanentError:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            place = next(p for p in (self.root, *self.root.parents) if p.exists())
            free = shutil.disk_usage(place).free
            return TransientError(
                f"the disk of the archive {self.root} is full ({free // 1_000_000} MB free)",
                "Free some space, then run the same command again; nothing was lost.",
                str(error),
            )
        return PermanentError(
            f"the archive {self.root} cannot be written: {error.strerror}", "Check the folder's access rights.", str(error)
        )


def not_removed(path: Path, error: OSError) -> PermanentError:
    """Return the error for a file that the disk does not let go of."""
    return PermanentError(f"{path} cannot be removed: {error.strerror}", _CHECK_THE_DISK, str(error))


def not_listed(folder: Path, error: OSError) -> PermanentError:
    """Return the error for a folder of which the disk does not say what is in it."""
    return PermanentError(f"the folder {folder} cannot be listed: {error.strerror}", _CHECK_THE_DISK, str(error))


def _copy_hashed(source: IO[bytes], sink: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        sink.write(chunk)
    return digest.hexdigest()


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
