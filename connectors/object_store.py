"""Object stores (S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage) as a source of files, through fsspec.

Never takes the machine's own identity unless the connection says so, and never sends a login over an unencrypted line.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import model_validator

from connectors.http import is_loopback
from connectors.object_folder import ObjectFolder, StoreTimes
from connectors.pickup import Poll, clear_up, fetch_new, put_answer
from connectors.selection import SelectionOptions
from connectors.spool import Limits
from schemas.connections import Connection, Secret
from schemas.durations import Duration
from schemas.errors import ConfigError, CredentialsError
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Store = Literal["s3", "gs", "az"]

#: What each store needs beside stockfeed: the name of the extra, and its library.
_LIBRARIES: Mapping[str, tuple[str, str]] = {"s3": ("s3", "s3fs"), "gs": ("gcs", "gcsfs"), "az": ("azure", "adlfs")}
_TALKATIVE = ("botocore", "aiobotocore", "s3fs", "fsspec", "gcsfs", "adlfs", "azure", "google.auth", "asyncio")
_TRIES = 2


class ObjectStoreOptions(SelectionOptions):
    """`[feed.source] type = "object_store"`; `path` is "bucket/prefix". An object appears whole, so none has to settle."""

    store: Store
    settle: Duration = timedelta(0)
    connect_timeout: Duration = timedelta(seconds=15)
    idle_timeout: Duration = timedelta(seconds=30)
    deadline: Duration = timedelta(minutes=15)  # for one file

    @model_validator(mode="after")
    def _names_a_bucket(self) -> Self:
        if not self.path.strip("/") or "://" in self.path:
            msg = '`path` is the bucket and the prefix in it, such as "nordwind-export/stock"; `store` says where it is'
            raise ValueError(msg)
        return self


class ObjectStoreSource:
    """Supplier files under one prefix of a bucket."""

    def __init__(
        self,
        options: ObjectStoreOptions,
        connection: Connection | None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options, self._connection, self._sleep, self._now = options, connection, sleep, now
        self._opened: ObjectFolder | None = None

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        """Yield each new object, oldest first, downloaded into `spool`; see `protocols.Source`."""
        o = self._options
        limits = Limits(idle=o.idle_timeout.total_seconds(), deadline=o.deadline.total_seconds())
        poll = Poll(o, limits, self._now, self._sleep, in_order=feed.mode == "delta")
        yield from fetch_new(self._folder(), poll, seen, spool)

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Leave, move or delete a committed object; safe to repeat, and new content under the same name stays."""
        if self._options.after != "leave":
            clear_up(self._folder(), self._options, reference)

    def answer(self, name: str, content: bytes) -> bool:
        """Put an acknowledgement into `answers_to`, if there is one; see `protocols.Answering`."""
        return self._options.answers_to is not None and put_answer(self._folder(), self._options, name, content)

    def _folder(self) -> ObjectFolder:
        if self._opened is None:  # a client of S3 takes half a second of processor time to make
            store = open_store(self._options, self._connection)
            self._opened = ObjectFolder(store, self._options.store, self._options.path, self._connection, _times(self._options))
        return self._opened


def open_store(options: ObjectStoreOptions, connection: Connection | None) -> "AbstractFileSystem":
    """Return the store's file system, not yet connected: anonymous without a connection.

    Raises ConfigError when its library is not installed or the connection does not fit, CredentialsError without a key.
    """
    for name in _TALKATIVE:  # they log signed headers and tokens
        logging.getLogger(name).setLevel(logging.WARNING)
    extra, library = _LIBRARIES[options.store]
    makers = {"s3": _s3_arguments, "gs": _gs_arguments, "az": _az_arguments}
    try:
        arguments = makers[options.store](options, connection)
        kind = _kind(options.store)
    except ImportError:
        raise ConfigError(
            f"the object store {options.store} needs the library {library}, which is not installed",
            f"Install stockfeed with it: pip install 'stockfeed[{extra}]', or in its source folder pip install -e '.[{extra}]'.",
        ) from None
    with _machine_errors(connection):
        store = kind(**arguments, skip_instance_cache=True, use_listings_cache=False)
    if options.store == "s3":
        store.retries = 1  # s3fs would repeat what its library has repeated already
    return store


@contextmanager
def _machine_errors(connection: Connection | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "DefaultCredentialsError":
            raise
        name = connection.name if connection else ""
        raise CredentialsError(f"connection {name!r}: this machine has no identity of its own at the store", str(error)) from error


def _kind(store: Store) -> "type[AbstractFileSystem]":
    if store == "gs":
        from connectors.google_objects import GoogleObjects

        return GoogleObjects
    if store == "az":
        from connectors.azure_blobs import AzureBlobs

        return AzureBlobs
    import fsspec

    return cast("type[AbstractFileSystem]", fsspec.get_filesystem_class(store))


def _times(options: ObjectStoreOptions) -> StoreTimes:
    waits = (options.connect_timeout, options.idle_timeout, options.deadline)
    return StoreTimes(*(wait.total_seconds() for wait in waits))


def _bounds(options: ObjectStoreOptions, connection: Connection | None) -> dict[str, Any]:
    return {"times": _times(options), "ca_file": _extra(connection, "ca_file") if connection else None}


def _s3_arguments(options: ObjectStoreOptions, connection: Connection | None) -> dict[str, Any]:
    times = {"connect_timeout": options.connect_timeout.total_seconds(), "read_timeout": options.idle_timeout.total_seconds()}
    # checksums behind the content are new with Amazon, and unknown to many who speak like S3
    config: dict[str, Any] = {"retries": {"total_max_attempts": _TRIES}, "request_checksum_calculation": "when_required", **times}
    if connection is None:
        return {"anon": True, "config_kwargs": config}
    client = {name: value for name in ("region_name", "verify") if (value := _extra(connection, _S3_EXTRAS[name]))}
    arguments: dict[str, Any] = {"config_kwargs": config, "client_kwargs": client}
    if connection.host:
        # one server has all buckets in its paths; names of hosts are AWS's own way
        arguments |= {"endpoint_url": _endpoint(connection), "config_kwargs": {**config, "s3": {"addressing_style": "path"}}}
    if not _is_the_machine(connection):
        arguments |= {"key": _login(connection), "secret": _password(connection), "token": _extra(connection, "session_token")}
    return arguments


_S3_EXTRAS = {"region_name": "region", "verify": "ca_file"}


def _gs_arguments(options: ObjectStoreOptions, connection: Connection | None) -> dict[str, Any]:
    bounds = _bounds(options, connection)
    if connection is None:
        return {"token": "anon", **bounds}
    arguments = {"endpoint_url": _endpoint(connection), **bounds} if connection.host else bounds
    if _is_the_machine(connection):
        return {"token": "google_default", **arguments}
    return {"token": _google_account(connection), **arguments}


def _google_account(connection: Connection) -> object:
    from connectors.google_objects import account

    key = _extra(connection, "keyfile_json")
    if key is None:
        raise CredentialsError(
            f"connection {connection.name!r} has no service account key", "Add the key file's text as the extra `keyfile_json`."
        )
    try:
        token = json.loads(key)
    except ValueError:  # nothing of the key may reach a traceback
        raise CredentialsError(f"connection {connection.name!r}: `keyfile_json` is not JSON", "Paste the whole key file.") from None
    if not isinstance(token, dict) or not token.keys() >= {"client_email", "private_key", "token_uri"}:
        words = f"connection {connection.name!r}: `keyfile_json` is no service account's key"
        raise CredentialsError(words, "Paste the whole key file.")
    there = urlsplit(str(token["token_uri"]))
    if there.scheme != "https" and not is_loopback(str(there.hostname)):
        words = f"connection {connection.name!r}: `token_uri` in `keyfile_json` is no https address"
        raise ConfigError(words, "Keys are sent over https only: paste the key file as Google gave it.")
    try:
        return account(token)
    except ValueError:
        words = f"connection {connection.name!r}: the private key in `keyfile_json` cannot be read"
        raise CredentialsError(words, "Paste the whole key file.") from None


def _az_arguments(options: ObjectStoreOptions, connection: Connection | None) -> dict[str, Any]:
    if connection is None:
        raise ConfigError(
            'store = "az" needs a connection', "Its login is the storage account's name; without a password it is anonymous."
        )
    arguments: dict[str, Any] = {"account_name": _login(connection), **_bounds(options, connection)}
    if connection.host:
        arguments["account_host"] = connection.host if connection.port is None else f"{connection.host}:{connection.port}"
    if _is_the_machine(connection):
        return {**arguments, "machine": True}
    if token := _extra(connection, "sas_token"):
        return {**arguments, "sas": token}
    return arguments if connection.password is None else {**arguments, "key": connection.password.reveal()}


def _endpoint(connection: Connection) -> str:
    host = str(connection.host).rpartition("://")[2]
    plain = bool(_extra(connection, "plain"))
    if plain and not is_loopback(host):
        raise ConfigError(
            f"connection {connection.name!r}: plain = true is for this machine only, and {host} is another one",
            "Remove it: keys and stock are sent over https.",
        )
    return f"{'http' if plain else 'https'}://{host}" + (f":{connection.port}" if connection.port else "")


def _is_the_machine(connection: Connection) -> bool:
    identity = _extra(connection, "identity")
    if identity not in (None, "machine"):
        raise ConfigError(f"connection {connection.name!r}: identity is {identity!r}", 'The only one is "machine".')
    return identity == "machine"


def _login(connection: Connection) -> str:
    if not connection.login:
        raise CredentialsError(
            f"connection {connection.name!r} has no login",
            "Add the key's id (S3) or the account's name (Azure), or identity = \"machine\".",
        )
    return connection.login


def _password(connection: Connection) -> str:
    if connection.password is None:
        raise CredentialsError(f"connection {connection.name!r} has no password", "Add the secret that belongs to the key's id.")
    return connection.password.reveal()


def _extra(connection: Connection, name: str) -> str | None:
    value = connection.extra.get(name)
    return value.reveal() if isinstance(value, Secret) else str(value or "") or None
