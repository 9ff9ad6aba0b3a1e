"""Questions to the REST interface of one shop: the login, waiting where it is told to, and one clear error for each answer.

Only asks (GET). Never follows a redirect, never sends the login to another server than the connection's, and never shows a
query, a header or a secret.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from connectors.addresses import AllowList, Lookup, WebAddress, parse_address
from connectors.http import is_loopback
from connectors.spool import Limits
from connectors.web_login import host_of
from connectors.web_session import Bounds, Surroundings, WebSession, told_to_wait
from schemas.connections import Connection, Secret
from schemas.durations import Duration
from schemas.errors import ConfigError, PermanentError, TransientError
from schemas.rejections import escape_value

if TYPE_CHECKING:
    from connectors.web_transport import Patience

_BUSY = frozenset({429, 503})  # hosts and firewalls before a shop use either
_SHORTEST_SECRET = 4

Result = TypeVar("Result")


class NoPageError(TransientError):
    """A page was not got: reading the list again at once would not help."""


class RestOptions(BaseModel):
    """What every shop's REST interface needs to be told. `url` is the address that all lists are under; no login in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: str
    private_host: bool = False
    reads: int = Field(3, ge=1, le=10)  # how often everything is read when the catalogue changes meanwhile
    max_pages: int = Field(100_000, ge=1)  # of one list
    max_page: int = Field(32_000_000, ge=1)  # bytes of one page
    max_size: int = Field(1 << 30, ge=1)  # bytes of all that is kept
    connect_timeout: Duration = timedelta(seconds=15)
    idle_timeout: Duration = timedelta(seconds=60)
    deadline: Duration = timedelta(minutes=30)  # for everything

    @field_validator("url")
    @classmethod
    def _is_encrypted(cls, value: str) -> str:
        address = parse_address(value.rstrip("/"))
        if address.scheme != "https" and not is_loopback(address.host):
            msg = "http:// is not encrypted; write https://"
            raise ValueError(msg)
        if "?" in address.target:
            msg = "the address has no query: write it up to the version, without ?"
            raise ValueError(msg)
        return value.rstrip("/")

    @property
    def limits(self) -> Limits:
        """Return the limits of the spooled file: waiting for pages is limited where they are asked for."""
        seconds = self.deadline.total_seconds()
        return Limits(self.max_size, seconds, seconds)


Options = TypeVar("Options", bound=RestOptions)


class RestSource(Generic[Options]):
    """What a source that reads a shop's REST interface is made of; `fetch` is each shop's own."""

    def __init__(
        self,
        options: Options,
        connection: Connection,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        self._options, self._connection, self._around = options, connection, Surroundings(sleep, now, lookup)

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Do nothing: a shop is only read."""


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: the parsed document (numbers with a fraction as the texts they were written as), and its headers."""

    document: Any
    headers: Mapping[str, str]


class RestSession:
    """Asks one shop, within one deadline for everything. `headers` gives the headers that prove who we are, for one address."""

    def __init__(
        self,
        options: RestOptions,
        connection: Connection,
        headers: Callable[[WebAddress], Mapping[str, str]],
        around: Surroundings,
        *,
        asked_wait: Callable[[Mapping[str, str], datetime], float | None] = told_to_wait,
    ) -> None:
        self.base = parse_address(options.url)
        host, port = host_of(connection, self.base)
        allowed = AllowList((host, port), private=options.private_host)
        if not allowed.admits(self.base):
            raise ConfigError(
                f"{self.base.origin} is not the host of the connection {connection.name!r}, which is {host}:{port}",
                "Correct `url` or the connection's host and port.",
            )
        connect, idle, whole = (one.total_seconds() for one in (options.connect_timeout, options.idle_timeout, options.deadline))
        bounds = Bounds(options.max_page, connect, idle, whole)
        said = _Sentence(connection)
        login = _Login(headers)
        self._session = WebSession(
            allowed, connection, login, bounds=bounds, around=around, asked_wait=asked_wait, busy=_BUSY, said=said
        )

    @property
    def place(self) -> str:
        """Return the interface's address for messages."""
        return self.base.shown

    def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Page:
        """Return the answer for a path below the base address.

        Raises CredentialsError (401, 403), NoPageError (429, 5xx, silence, cut short), PermanentError (a web page, a redirect,
        any other status), DeliveryError (a page above `max_page`).
        """
        target = f"{self.base.target}/{path}" + (f"?{urlencode(query)}" if query else "")
        address = replace(self.base, target=target)
        try:
            body, headers = self._session.page(address)
        except TransientError as error:
            raise NoPageError(error.message, error.hint, error.detail, error.retry_after) from error
        return Page(_parsed(body, address.shown), headers)


@dataclass(frozen=True, slots=True)
class _Login:
    of: Callable[[WebAddress], Mapping[str, str]]

    def headers(self, address: WebAddress, _patience: "Patience") -> Mapping[str, str]:
        return self.of(address)

    def renew(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _Sentence:
    """What a shop says of a refusal in its member `message` or `title` (RFC 9457), without our secrets."""

    connection: Connection

    def __call__(self, body: bytes) -> str:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return ""
        message = document.get("message") or document.get("title") if isinstance(document, dict) else None
        if not isinstance(message, str):
            return ""
        values = document.get("parameters")  # Magento's sentences have places for them
        for name, value in values.items() if isinstance(values, dict) else ():
            message = message.replace(f"%{name}", str(value))
        for secret in _secrets(self.connection):
            message = message.replace(secret, "***")
        return f": {escape_value(' '.join(message.split()))}"


def read_again(read: Callable[[], Result], times: int) -> Result:
    """Return what `read` gives, read anew when the catalogue changed meanwhile; raises its last error after so many times."""
    for attempt in range(1, times + 1):
        try:
            return read()
        except NoPageError:
            raise
        except TransientError as error:
            if attempt == times:
                again = f"{error.message}; so it was each of {times} times"
                raise TransientError(again if times > 1 else error.message, error.hint, error.detail) from error
    raise AssertionError(times)


def _secrets(connection: Connection) -> list[str]:
    found = [connection.password, *connection.extra.values()]
    texts = [secret.reveal() for secret in found if isinstance(secret, Secret)]
    return sorted((text for text in texts if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)


def _parsed(body: bytes, place: str) -> Any:
    if body.lstrip()[:1] == b"<":
        raise PermanentError(
            f"{place} answered with a web page instead of JSON",
            "Check `url`: a log-in, password or maintenance page, or a plug-in's warning, stands before the interface.",
        )
    try:
        return json.loads(body, parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise NoPageError(f"{place}: a page was cut short or is not JSON", "Nothing was recorded; it is tried again.") from error


def _no_number(text: str) -> Any:
    msg = f"{text} is no JSON"
    raise ValueError(msg)
