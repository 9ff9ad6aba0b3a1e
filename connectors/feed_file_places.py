"""Where a feed file lies: a folder of this machine, or a folder of an SFTP server. Whole files only.

Never leaves a half-written file under the final name, and never creates the folder: a missing mount must not be hidden.
"""

import errno
import fcntl
import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from connectors.http import NoAnswerError
from schemas.connections import Connection
from schemas.errors import ConfigError, PermanentError, TransientError

if TYPE_CHECKING:
    import paramiko

_READABLE = 0o644  # the reader of the file is another program, often of another user
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class OpenPlace(Protocol):
    """A place nobody else of us writes to while it is open."""

    def read(self) -> bytes | None:
        """Return the whole file, None if there is none."""
        ...

    def write(self, data: bytes) -> None:
        """Replace the file by `data`: readers see the old or the new file, never a part."""
        ...


class FolderPlace:
    """A file in a local folder, replaced by fsync and rename."""

    def __init__(self, folder: Path, name: str, largest: int) -> None:
        self.shown = str(folder / name)
        self._folder, self._name, self._largest = folder, name, largest

    @contextmanager
    def open(self) -> Iterator[OpenPlace]:
        """Give the place, locked against our other processes."""
        with self._sorted_failures():
            handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield self
        finally:
            os.close(handle)

    def read(self) -> bytes | None:
        """Return the whole file, None if there is none."""
        with self._sorted_failures():
            try:
                with (self._folder / self._name).open("rb") as file:
                    return _within(file.read(self._largest + 1), self._largest, self.shown)
            except FileNotFoundError:
                return None

    def write(self, data: bytes) -> None:
        """Replace the file by `data`, safe against a crash at any moment."""
        final, part = self._folder / self._name, self._folder / f".{self._name}.{secrets.token_hex(6)}.part"
        try:
            with self._sorted_failures():
                for left in self._folder.glob(f".{self._name}.*.part"):  # of a run that was killed: we hold the lock
                    left.unlink(missing_ok=True)
                with part.open("xb") as file:
                    file.write(data)
                    file.flush()
                    part.chmod(final.stat().st_mode & 0o777 if final.exists() else _READABLE)
                    os.fsync(file.fileno())
                part.replace(final)
                _sync_folder(self._folder)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def _sorted_failures(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            hint = "Create the folder or mount it, or correct the channel's path."
            raise ConfigError(f"the folder {self._folder} does not exist", hint) from error
        except (PermissionError, NotADirectoryError, IsADirectoryError) as error:
            hint = "Give this user the right to write there, or correct the channel's path and file."
            raise ConfigError(f"{self.shown} cannot be used: {error.strerror}", hint) from error
        except OSError as error:
            if error.errno in _FULL:
                free = shutil.disk_usage(self._folder).free
                hint = "Free some space; the old file is unchanged."
                raise TransientError(f"disk full: {self.shown} could not be written ({free:,} bytes free)", hint) from error
            raise TransientError(
                f"{self.shown} could not be used: {error.strerror}", "Try again; check the disk or mount."
            ) from error


class SftpPlace:
    """A file in a folder of an SFTP server, replaced by upload, size check and atomic rename."""

    def __init__(self, connection: Connection, folder: str, name: str, largest: int) -> None:
        from connectors.sftp import endpoint

        self._connection, self._folder, self._largest, self._name = connection, folder.rstrip("/"), largest, name
        self._path = f"{self._folder}/{name}"
        self.shown = f"{endpoint(connection)}/{self._path.lstrip('/')}"

    @contextmanager
    def open(self) -> Iterator[OpenPlace]:
        """Give the place over one session; the channel's lease keeps our other processes out."""
        from connectors.sftp import open_sftp

        with open_sftp(self._connection) as client:
            yield _OpenSftpPlace(client, self)

    def read_with(self, client: "paramiko.SFTPClient") -> bytes | None:
        """Return the whole file, None if there is none. Raises ConfigError if the folder is not there either."""
        from connectors.sftp import remote_errors

        with remote_errors(self.shown):
            try:
                with client.open(self._path, "rb") as file:
                    size = int(file.stat().st_size or 0)
                    file.prefetch(min(size, self._largest + 1))
                    data = file.read(self._largest + 1)
            except FileNotFoundError:
                self._require_folder(client)
                return None
        if len(data) < min(size, self._largest):
            raise TransientError(f"{self.shown} was cut short: {len(data)} of {size} bytes", "It is read again at the next try.")
        return _within(data, self._largest, self.shown)

    def write_with(self, client: "paramiko.SFTPClient", data: bytes) -> None:
        """Replace the file. Raises NoAnswerError when the last step, the rename, was not answered."""
        import paramiko

        from connectors.sftp import remote_errors

        part = f"{self._folder}/.{self._name}.{secrets.token_hex(6)}.part"
        try:
            with remote_errors(self.shown):
                client.putfo(io.BytesIO(data), part, file_size=len(data), confirm=True)  # asks for the stored size
            self._rename(client, part)
        except (TransientError, ConfigError, PermanentError):
            # Best effort: what broke the upload often breaks the clean-up, and the first error is the one to show.
            with suppress(OSError, EOFError, paramiko.SSHException):
                client.remove(part)
            raise

    def _rename(self, client: "paramiko.SFTPClient", part: str) -> None:
        from connectors.sftp import remote_errors

        try:
            with remote_errors(self.shown):
                client.posix_rename(part, self._path)
        except TransientError as error:
            if "unsupported" in error.message.lower():
                hint = "The server must offer posix-rename@openssh.com, as OpenSSH does."
                raise PermanentError(f"{self.shown} cannot be replaced in one step", hint) from error
            raise NoAnswerError(error.message, "Read back before sending again.", error.detail) from error

    def _require_folder(self, client: "paramiko.SFTPClient") -> None:
        try:
            client.stat(self._folder or "/")
        except FileNotFoundError as error:
            hint = "Create the folder on the server, or correct the channel's path."
            raise ConfigError(f"{self.shown}: the folder does not exist", hint) from error


class _OpenSftpPlace:
    """An SFTP place with its session."""

    def __init__(self, client: "paramiko.SFTPClient", place: SftpPlace) -> None:
        self._client, self._place = client, place

    def read(self) -> bytes | None:
        return self._place.read_with(self._client)

    def write(self, data: bytes) -> None:
        self._place.write_with(self._client, data)


def _within(data: bytes, largest: int, shown: str) -> bytes:
    if len(data) > largest:
        raise PermanentError(f"{shown} is larger than {largest:,} bytes", "Raise the channel's max_size if the file is right.")
    return data


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable (a file system may keep it in memory)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
