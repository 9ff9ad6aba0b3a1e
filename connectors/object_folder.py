"""One prefix of a bucket as `pickup.Folder`, on any file system of fsspec.

Never lists below the prefix, never takes a half-read object for a whole one, and never trusts a cached listing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.http import retry_after_seconds
from connectors.selection import raw_name, shown_name
from connectors.tls import certificate_not_accepted, why_untrusted
from schemas.connections import Connection
from schemas.errors import ConfigError, CredentialsError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value
from schemas.transfer import ListedFile

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_PIECE = 8 << 20  # bytes of one request
_TIMES = ("LastModified", "last_modified")  # of s3fs and google_objects, of adlfs
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class StoreTimes:
    """Seconds to reach a store, between two pieces of its answer, and for one call altogether."""

    connect: float = 15.0
    idle: float = 30.0
    deadline: float = 900.0


class NoBucketError(FileNotFoundError):
    """The store says that there is no such bucket, not only nothing in it."""


class BusyStoreError(ConnectionError):
    """The store asks to come again later, after `retry_after` (as in its header) if it says when."""

    def __init__(self, words: str, retry_after: str | None = None) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class ObjectFolder:
    """`pickup.Folder` on one prefix. A prefix without objects is an empty folder: stores know no other kind."""

    grain = _SECOND  # S3 and Azure tell whole seconds

    def __init__(
        self,
        store: "AbstractFileSystem",
        scheme: str,
        path: str,
        connection: Connection | None = None,
        times: StoreTimes = StoreTimes(),
    ) -> None:
        self._store, self._path, self._connection, self._longest = store, path.strip("/"), connection, times.deadline
        self.place = f"{scheme}://{self._path}"

    def _do(self, act: Callable[..., Any], *what: object, **how: object) -> Any:
        """Return what a call of the store gives; it is broken off when it takes longer than a file may take."""
        return act(*what, **how, timeout=self._longest)

    def list_files(self) -> list[ListedFile]:
        """Return the objects directly under the prefix. Raises ConfigError when there is no such bucket."""
        with self._errors():
            try:
                entries = self._do(self._store.ls, self._path, detail=True, refresh=True)
            except NoBucketError as error:
                raise self._no_bucket() from error
            except FileNotFoundError:
                self._require_bucket()
                return []
        found = (self._listed(entry) for entry in entries)
        return [file for file in found if file]

    def look(self, name: str) -> ListedFile | None:
        """Return one object as it is now, None if there is none."""
        with self._errors():
            try:
                entry = self._info(self._full(name))
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
                piece = self._piece(self._full(name), at, size)
            at += len(piece)
            return piece

        yield read
        if self._mark(name) != mark:
            raise TransientError(f"{self.place}: {escape_value(name)} was replaced while it was read", "It is fetched again.")

    def _mark(self, name: str) -> object:
        with self._errors():
            return _version(self._info(self._full(name)))

    def _info(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._do(self._store.info, path, refresh=True)
        return found

    def _piece(self, path: str, at: int, size: int) -> bytes:
        return bytes(self._do(self._store.cat_file, path, start=at, end=min(at + _PIECE, size)))

    def make_folder(self, path: str) -> None:
        """Do nothing: a prefix is there as soon as an object is."""

    def move(self, name: str, target: str) -> bool:
        """Copy an object, then delete it; False if another one has the target's name.

        The same content there is the copy of a run that was stopped before it could delete.
        """
        source, destination = self._full(name), self._joined(target)
        with self._errors():
            try:
                there = self._info(destination)
            except FileNotFoundError:
                self._do(self._store.cp_file, source, destination)
            else:
                if there.get("type") == "file" and not self._is_copy(source, destination, there):
                    return False
            self._do(self._store.rm_file, source)
        return True

    def remove(self, name: str) -> None:
        """Delete one object if it is there."""
        with self._errors(), suppress(FileNotFoundError):
            self._do(self._store.rm_file, self._full(name))

    def put(self, target: str, content: bytes) -> None:
        """Write an object: it appears whole, in place of one that has its name."""
        with self._errors():
            self._do(self._store.pipe_file, self._joined(target), content)

    def _is_copy(self, source: str, target: str, there: dict[str, Any]) -> bool:
        """Compare hashes where the store knows them and they agree, else contents: a hash may tell how it was sent, too."""
        here = self._info(source)
        size = here["size"]
        if size != there["size"]:
            return False
        if _hash(here) is not None and _hash(here) == _hash(there):
            return True
        return all(self._piece(source, at, size) == self._piece(target, at, size) for at in range(0, size, _PIECE))

    def _require_bucket(self) -> None:
        try:
            self._info(self._bucket)
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def _no_bucket(self) -> ConfigError:
        return ConfigError(f"{self.place}: there is no bucket {self._bucket}", "Correct `path` of the source.")

    @property
    def _bucket(self) -> str:
        return self._path.partition("/")[0]

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


def _version(entry: dict[str, Any]) -> object:
    """Return what changes with each new content of an object, None where the store does not say."""
    return entry.get("version") or entry.get("ETag")


def _hash(entry: dict[str, Any]) -> object:
    """Return what equal contents have in common, None where the store does not say."""
    return entry.get("hash") or entry.get("ETag")


def _refused(place: str, connection: Connection | None) -> CredentialsError:
    if connection is None:
        return CredentialsError(f"{place} is not open to everybody", "Add the connection that the supplier gave you.")
    who = f"the login {connection.login!r}" if connection.login else "us"
    return CredentialsError(f"{place} refused {who}", f"Check the key of connection {connection.name!r}, and what it may read.")


def _translated(place: str, error: Exception, connection: Connection | None) -> StockfeedError:
    """Return our error for one of the three client libraries, which have no class in common."""
    status = getattr(error, "status_code", None) or getattr(error, "status", None) or getattr(error, "code", None)
    if str(status) in {"401", "403"} or _is_refusal(error):
        return _refused(place, connection)
    if untrusted := why_untrusted(error):
        return certificate_not_accepted(place, untrusted)
    if not isinstance(error, OSError) and not _is_of_a_client(error):
        raise error
    words = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    wait = retry_after_seconds(_retry_after(error), datetime.now(UTC))
    hint = "It is tried again; check host and region of the connection if it stays so."
    return TransientError(f"{place} was cut short or cannot be reached ({words})", hint, retry_after=wait)


def _is_refusal(error: Exception) -> bool:
    """Return whether Azure's library could not sign with the key, or the account is closed to everybody without one."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "ClientAuthenticationError" in names or getattr(error, "error_code", None) == "PublicAccessNotPermitted"


def _retry_after(error: BaseException) -> str | None:
    """Return the header Retry-After of the answer that an error of a client library tells of, None where there is none."""
    if isinstance(error, BusyStoreError):
        return error.retry_after
    answer = getattr(error, "response", None)
    if isinstance(answer, Mapping):  # of botocore
        return _text(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after"))
    headers = getattr(answer, "headers", None)
    if headers is not None:
        return _text(headers.get("Retry-After"))
    return None if error.__cause__ is None else _retry_after(error.__cause__)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_of_a_client(error: Exception) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in {"botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google", "azure", "requests", "asyncio", "ssl"}
