"""Asking a web interface for page after page: with the login, waiting where it asks us to, renewing a token once.

Never follows a redirect, never asks a server that is not allowed, and never shows a secret or a query.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from connectors.addresses import AllowList, Lookup, WebAddress
from connectors.http import retry_after_seconds
from connectors.tls import client_context
from connectors.web_body import body_reader
from schemas.connections import Connection
from schemas.errors import CredentialsError, DeliveryError, PermanentError, TransientError

if TYPE_CHECKING:
    from connectors.web_transport import Answer, Patience

_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 200, 401, 403, 404, 429, 500
_BAD_REQUEST = 400
_MOST_SAID = 4096  # bytes of a refusal that are read for its sentence
_TRIES = 5
_LONGEST_WAIT = 60.0  # seconds to wait here for one page; for longer, the whole task comes back later


class NotThereError(PermanentError):
    """The other side knows nothing at this address (HTTP 404)."""


class Login(Protocol):
    """How the other side knows us."""

    def headers(self, address: WebAddress, patience: "Patience") -> Mapping[str, str]:
        """Return the headers that prove who we are to this server, got within this time. Raises CredentialsError."""
        ...

    def renew(self) -> bool:
        """Forget a token that was refused; False where there is nothing to renew."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a session may take: bytes of one page, seconds to connect, between two pieces, and for all pages together."""

    page: int = 16_000_000
    connect: float = 15.0
    idle: float = 30.0
    deadline: float = 900.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Time and names, as they are or as a test says."""

    sleep: Callable[[float], object] = time.sleep
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    lookup: Lookup = socket.getaddrinfo


def told_to_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that Retry-After asks for, None without it."""
    return retry_after_seconds(headers.get("retry-after"), now)


class WebSession:
    """One reading of an interface's pages; its deadline runs from here on.

    `busy` are the statuses that ask us to slow down. `said` gives what is shown of a refusal's body (its first bytes), by default
    nothing: it must not show a secret.
    """

    def __init__(
        self,
        allowed: AllowList,
        connection: Connection | None,
        login: Login,
        *,
        bounds: Bounds = Bounds(),
        around: Surroundings = Surroundings(),
        asked_wait: Callable[[Mapping[str, str], datetime], float | None] = told_to_wait,
        busy: frozenset[int] = frozenset({_TOO_MANY}),
        said: Callable[[bytes], str] = lambda _body: "",
    ) -> None:
        from connectors.web_transport import Patience

        self._allowed, self._connection, self._login = allowed, connection, login
        self._bounds, self._around, self._asked_wait = bounds, around, asked_wait
        self._busy, self._said = busy, said
        self._context: ssl.SSLContext | None = None
        self._patience = Patience(bounds.connect, bounds.idle, time.monotonic() + bounds.deadline, bounds.deadline)

    def page(self, address: WebAddress) -> tuple[bytes, Mapping[str, str]]:
        """Return a page's bytes and headers (names in small letters).

        Raises CredentialsError (401, 403), TransientError (429, 5xx, unreachable, cut short), PermanentError (a redirect or other
        refusal, a server that is not allowed), DeliveryError (larger than a page may be).
        """
        renewed = False
        attempt = 0
        while True:
            status, headers, body = self._ask(address)
            if status == _OK:
                return body, headers
            if status == _UNAUTHORIZED and not renewed and self._login.renew():
                renewed = True
                continue
            if status not in self._busy:
                raise self._refused(address, status, headers, body)
            asked = self._asked_wait(headers, self._around.now())
            wait = float(2**attempt) if asked is None else asked
            attempt += 1
            if wait > _LONGEST_WAIT or attempt == _TRIES or self._patience.is_over:
                hint = f"Try again in {wait:g} s."
                raise TransientError(f"{address.shown} asks us to slow down (HTTP {status})", hint, retry_after=wait)
            self._around.sleep(wait)

    def _ask(self, address: WebAddress) -> tuple[int, Mapping[str, str], bytes]:
        from connectors.web_transport import ask

        ips = self._allowed.resolve(address, self._around.lookup)
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "stockfeed"}
        headers |= self._login.headers(address, self._patience)
        # made once: reading the machine's authorities takes longer than most pages
        self._context = self._context or client_context(self._connection)
        with ask(address, ips, headers, self._patience, self._context) as answer:
            body = self._body(address, answer) if answer.status == _OK else _beginning(answer)
            return answer.status, answer.headers, body

    def _body(self, address: WebAddress, answer: "Answer") -> bytes:
        most, remedy = self._bounds.page, "Ask for smaller pages, or raise `max_page`."
        read = body_reader(answer.pieces, answer.headers.get("content-encoding", ""), address.shown, most, remedy)
        body = bytearray()
        while piece := read(1 << 18):
            body += piece
            if len(body) > most:
                raise DeliveryError(f"{address.shown}: a page of more than {most} bytes", remedy, code="FILE-LIMIT")
        return bytes(body)

    def _refused(self, address: WebAddress, status: int, headers: Mapping[str, str], body: bytes) -> Exception:
        connection, said = self._connection, self._said(body)
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            who = f"the login {connection.login!r}" if connection and connection.login else "us"
            named = f"connection {connection.name!r}" if connection else "the source: it has no connection"
            hint = f"Check user, password or token of {named}."
            return CredentialsError(f"{address.shown} refused {who} (HTTP {status}){said}", hint)
        if status >= _SERVER_ERROR:
            wait = self._asked_wait(headers, self._around.now())
            return TransientError(
                f"{address.shown} cannot answer now (HTTP {status}){said}", "It is tried again.", retry_after=wait
            )
        words = f"{address.shown} gave no page (HTTP {status}{said})"
        if status < _BAD_REQUEST:
            return PermanentError(f"{words}; redirects are not followed", "Correct `url`, or ask.")
        if status == _NOT_FOUND:
            return NotThereError(words, "Correct `url`, or ask.")
        return PermanentError(words, "Correct what the server's words name, or `url`, or ask.")


def _beginning(answer: "Answer") -> bytes:
    """Return a short body whole, b"" for a longer one: a web page has nothing that one line could show."""
    body = bytearray()
    for piece in answer.pieces:
        body += piece
        if len(body) > _MOST_SAID:
            return b""
    return bytes(body)
