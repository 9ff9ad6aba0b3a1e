"""Questions to the REST interface of one shop: the login, waiting where it is told to, and one clear error for each answer.

Only asks (GET). Never follows a redirect, never sends the login to another server than the connection's, and never shows a
query, a header or a secret.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from connectors.addresses import AllowList, Lookup, WebAddress, parse_address
from connectors.http import is_loopback, retry_after_seconds
from connectors.spool import Limits
from connectors.tls import client_context
from connectors.web_body import body_reader
from connectors.web_login import host_of
from schemas.connections import Connection, Secret
from schemas.durations import Duration
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value

if TYPE_CHECKING:
    from connectors.web_transport import Answer

_OK, _REDIRECT, _BAD, _UNAUTHORIZED, _FORBIDDEN, _SERVER_ERROR = 200, 300, 400, 401, 403, 500
_BUSY = frozenset({429, 503})
_TRIES = 5
_LONGEST_WAIT = 60.0  # seconds to wait here for one page; for longer, the whole task comes back later
_MOST_SAID = 4096  # bytes of a refusal that are read for its sentence
_SHORTEST_SECRET = 4

Result = TypeVar("Result")
#: Gives the headers that prove who we are, for one address.
Sign = Callable[[WebAddress], Mapping[str, str]]


class NoPageError(TransientError):
    """A page was not got: reading the list again at once would not help."""


class RestOptions(BaseModel):
    """What every shop's REST interface needs to be told. `url` is the address that all lists are under; no login in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: the parsed document (numbers with a fraction as the texts they were written as), and its headers."""

    document: Any
    headers: Mapping[str, str]


class RestSession:
    """Asks one shop, within one deadline for everything."""

    def __init__(
        self,
        options: RestOptions,
        connection: Connection,
        sign: Sign,
        *,
        sleep: Callable[[float], object],
        now: Callable[[], datetime],
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        from connectors.web_transport import Patience

        self.base = parse_address(options.url)
        self._options, self._connection, self._sign = options, connection, sign
        self._sleep, self._now, self._lookup = sleep, now, lookup
        self._allowed = AllowList(host_of(connection, self.base), private=options.private_host)
        if not self._allowed.admits(self.base):
            raise ConfigError(
                f"{self.base.origin} is not the host of the connection", "Correct `url` or the connection's host and port."
            )
        seconds = options.deadline.total_seconds()
        self._patience = Patience(
            options.connect_timeout.total_seconds(), options.idle_timeout.total_seconds(), time.monotonic() + seconds, seconds
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
        for attempt in range(_TRIES):
            status, headers, body = self._ask(address)
            if status == _OK:
                return Page(_parsed(body, address.shown), headers)
            if status not in _BUSY:
                raise self._refused(address, status, headers, body)
            asked = retry_after_seconds(headers.get("retry-after"), self._now())
            wait = float(2**attempt) if asked is None else asked
            if wait > _LONGEST_WAIT or attempt == _TRIES - 1 or self._patience.is_over:
                break
            self._sleep(wait)
        words = f"{address.shown} asks us to slow down (HTTP {status})"
        raise NoPageError(words, f"Try again in {wait:g} s.", retry_after=wait)

    def _ask(self, address: WebAddress) -> tuple[int, Mapping[str, str], bytes]:
        from connectors.web_transport import ask

        try:
            ips = self._allowed.resolve(address, self._lookup)
            headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "stockfeed", **self._sign(address)}
            with ask(address, ips, headers, self._patience, client_context(self._connection)) as answer:
                if answer.status == _OK:
                    return answer.status, answer.headers, self._body(address, answer)
                return answer.status, answer.headers, _beginning(answer)
        except TransientError as error:
            raise NoPageError(error.message, error.hint, error.detail, error.retry_after) from error

    def _body(self, address: WebAddress, answer: "Answer") -> bytes:
        most = self._options.max_page
        read = body_reader(answer.pieces, answer.headers.get("content-encoding", ""), address.shown, most)
        body = bytearray()
        while piece := read(1 << 18):
            body += piece
            if len(body) > most:
                raise DeliveryError(
                    f"{address.shown}: a page of more than {most} bytes",
                    "Lower `page_size`, or raise `max_page`.",
                    code="FILE-LIMIT",
                )
        return bytes(body)

    def _refused(self, address: WebAddress, status: int, headers: Mapping[str, str], body: bytes) -> StockfeedError:
        said, name = self._sentence(body), self._connection.name
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            who = f"the login {self._connection.login!r}" if self._connection.login else "the token"
            hint = f"Check the keys of connection {name!r}: wrong, expired, withdrawn, or without the right to read this."
            return CredentialsError(f"{address.shown} refused {who} (HTTP {status}){said}", hint)
        if status >= _SERVER_ERROR:
            wait = retry_after_seconds(headers.get("retry-after"), self._now())
            return NoPageError(f"{address.shown} cannot answer now (HTTP {status}){said}", "It is tried again.", retry_after=wait)
        if _REDIRECT <= status < _BAD:
            hint = "Redirects are not followed: write the address that the shop itself uses (https, with or without www.) as `url`."
            return PermanentError(f"{address.shown} sends us elsewhere (HTTP {status})", hint)
        return PermanentError(f"{address.shown} gave no page (HTTP {status}){said}", "Correct `url` or the options of this source.")

    def _sentence(self, body: bytes) -> str:
        """Return what the shop says of its refusal, as ": …" without our secrets; nothing where it is no JSON."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return ""
        message = document.get("message") if isinstance(document, dict) else None
        if not isinstance(message, str):
            return ""
        values = document.get("parameters")
        for key, value in values.items() if isinstance(values, dict) else ():
            message = message.replace(f"%{key}", str(value))
        for secret in _secrets(self._connection):
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


def _beginning(answer: "Answer") -> bytes:
    said = bytearray()
    for piece in answer.pieces:
        said += piece
        if len(said) > _MOST_SAID:
            return b""  # a whole web page: nothing that one line could show
    return bytes(said)


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
