"""One prefix of a bucket as `pickup.Folder`, on any file system of fsspec.

Never lists below the prefix, never takes a half-read object for a whole one, and never trusts a cached listing.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.selection import raw_name, shown_name
from connectors.tls import certificate_not_accepted
from schemas.connections import Connection
from schemas.errors import ConfigError, CredentialsError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value
from schemas.transfer import ListedFile

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_PIECE = 8 << 20  # bytes of one request
_TIMES = ("LastModified", "last_modified", "updated", "mtime")  # s3fs, adlfs, gcsfs, others
_SECOND = timedelta(seconds=1)
_UNTRUSTED = re.compile(r"certificate verify failed: ([^(\[\]]+)")  # OpenSSL's words, whatever class carries them


class ObjectFolder:
    """`pickup.Folder` on one prefix. A prefix without objects is an empty folder: stores know no other kind."""

    grain = _SECOND  # S3 and Azure tell whole seconds

    def __init__(self, store: "AbstractFileSystem", scheme: str, path: str, connection: Connection | None = None) -> None:
        self._store, self._path, self._connection = store, path.strip("/"), connection
        self.place = f"{scheme}://{self._path}"

    def list_files(self) -> list[ListedFile]:
        """Return the objects directly under the prefix. Raises ConfigError when there is no such bucket."""
        with self._errors():
            try:
                entries = self._store.ls(self._path, detail=True, refresh=True)
            except FileNotFoundError:
                self._require_bucket()
                return []
        found = (self._listed(entry) for entry in entries)
        return [file for file in found if file]

    def look(self, name: str) -> ListedFile | None:
        """Return one object as it is now, None if there is none."""
        with self._errors():
            try:
                entry = self._store.info(self._full(name), refresh=True)
            except FileNotFoundError:
                return None
        return self._listed({**entry, "name": self._full(name)})

    @contextmanager
    def open(self, name: str, size: int, /) -> Iterator[Callable[[int], bytes]]:
        """Give the function to read with. Raises TransientError when the object was replaced between two requests."""
        at, mark = 0, self._mark(name)

        def read(_most: int) -> bytes:
            nonlocal at
            if at >= size:
                return b""
            with self._errors():
                piece = bytes(self._store.cat_file(self._full(name), start=at, end=min(at + _PIECE, size)))
            at += len(piece)
            return piece

        yield read
        if self._mark(name) != mark:
            raise TransientError(f"{self.place}: {escape_value(name)} was replaced while it was read", "It is fetched again.")

    def _mark(self, name: str) -> object:
        with self._errors():
            return _tag(self._store.info(self._full(name), refresh=True))

    def make_folder(self, path: str) -> None:
        """Do nothing: a prefix is there as soon as an object is."""

    def move(self, name: str, target: str) -> bool:
        """Copy an object, then delete it; False if another one has the target's name.

        The same content there is the copy of a run that was stopped before it could delete.
        """
        source, destination = self._full(name), self._joined(target)
        with self._errors():
            try:
                there = self._store.info(destination, refresh=True)
            except FileNotFoundError:
                self._store.cp_file(source, destination)
            else:
                if there.get("type") == "file" and not self._is_copy(source, there):
                    return False
            self._store.rm_file(source)
        return True

    def remove(self, name: str) -> None:
        """Delete one object if it is there."""
        with self._errors(), suppress(FileNotFoundError):
            self._store.rm_file(self._full(name))

    def put(self, target: str, content: bytes) -> None:
        """Write an object: it appears whole, in place of one that has its name."""
        with self._errors():
            self._store.pipe_file(self._joined(target), content)

    def _is_copy(self, source: str, there: dict[str, Any]) -> bool:
        here = self._store.info(source, refresh=True)
        return here["size"] == there["size"] and _tag(here) is not None and _tag(here) == _tag(there)

    def _require_bucket(self) -> None:
        bucket = self._path.partition("/")[0]
        try:
            self._store.info(bucket, refresh=True)
        except FileNotFoundError as error:
            raise ConfigError(f"{self.place}: there is no bucket {bucket}", "Correct `path` of the source.") from error

    def _full(self, name: str) -> str:
        return self._joined(raw_name(name).decode())

    def _joined(self, below: str) -> str:
        return f"{self._path}/{below}" if not below.startswith("/") else below.strip("/")

    def _listed(self, entry: dict[str, Any]) -> ListedFile | None:
        name = str(entry["name"])[len(self._path) + 1 :]
        if entry.get("type") != "file" or not name:  # "prefix/" itself, as some consoles make it
            return None
        return ListedFile(shown_name(name.encode()), int(entry["size"]), self._modified(entry))

    def _modified(self, entry: dict[str, Any]) -> datetime:
        value = next((entry[key] for key in _TIMES if entry.get(key)), None)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if not isinstance(value, datetime):
            raise PermanentError(f"{self.place}: the store tells no time of {entry['name']}", "It cannot be a source of files.")
        return value.astimezone(UTC)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the libraries raise into our errors, without their words where these could hold what was sent."""
        try:
            yield
        except StockfeedError:
            raise
        except PermissionError as error:
            raise _refused(self.place, self._connection) from error
        except FileNotFoundError as error:
            raise TransientError(f"{self.place}: an object is gone", "The bucket is listed again at the next poll.") from error
        except Exception as error:
            raise _translated(self.place, error, self._connection) from error


def _tag(entry: dict[str, Any]) -> object:
    """Return what stands for the content of an object, None where the store does not say."""
    return next((entry[key] for key in ("ETag", "etag", "md5Hash") if entry.get(key)), None)


def _refused(place: str, connection: Connection | None) -> CredentialsError:
    if connection is None:
        return CredentialsError(f"{place} is not open to everybody", "Add the connection that the supplier gave you.")
    who = f"the login {connection.login!r}" if connection.login else "us"
    return CredentialsError(f"{place} refused {who}", f"Check the key of connection {connection.name!r}, and what it may read.")


def _translated(place: str, error: Exception, connection: Connection | None) -> StockfeedError:
    """Return our error for one of the three client libraries, which have no class in common."""
    status = getattr(error, "status_code", None) or getattr(error, "status", None) or getattr(error, "code", None)
    if str(status) in {"401", "403"} or type(error).__name__ == "AzureSigningError":  # a key that is none: not even sent
        return _refused(place, connection)
    if untrusted := _UNTRUSTED.search(str(error)):
        return certificate_not_accepted(place, untrusted[1])
    if not isinstance(error, OSError) and not _is_of_a_client(error):
        raise error
    words = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    hint = "It is tried again; check host and region of the connection if it stays so."
    return TransientError(f"{place} was cut short or cannot be reached ({words})", hint)


def _is_of_a_client(error: Exception) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in {"botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google", "azure", "requests", "asyncio", "ssl"}
