"""A thin JSON-over-HTTPS client: time-outs on everything, bounded answers, failures sorted by what the caller must do.

Never follows a redirect, never speaks plain http except to this machine, and never puts a secret into a message.
"""

import ipaddress
import json
import logging
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, StockfeedError, TransientError

if TYPE_CHECKING:
    import httpx

Job = TypeVar("Job")
Result = TypeVar("Result")

_UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _UNAVAILABLE = 401, 403, 429, 503
_LOADING = threading.Lock()
_SHORTEST_SECRET = 4  # shorter values would blank out innocent text


class NoAnswerError(TransientError):
    """The request was sent, but whether the other side acted on it is not known."""


class SlowDownError(TransientError):
    """The other side asks us to come back later (HTTP 429, or 503 that says when): nothing was done."""


class UnauthorizedError(CredentialsError):
    """The other side answered 401: the login or token is wrong or has expired."""


class RefusedError(PermanentError):
    """The other side understood and said no (HTTP 3xx or 4xx): the same request gives the same answer."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Seconds to connect, between two received pieces and for a whole answer; bytes of a decoded answer."""

    connect: float = 10.0
    idle: float = 30.0
    deadline: float = 120.0
    max_body: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def check_base_url(url: str) -> str:
    """Return `url` as scheme://host[:port], or raise ConfigError: https is required except for loopback hosts."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        msg = f"the address of {parts.hostname or 'a host without name'} has an impossible port"
        raise ConfigError(msg, "Write a port from 1 to 65535.") from error
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host or parts.username or parts.path.strip("/") or parts.query:
        msg = "an address must be scheme://host or scheme://host:port, without login, path or query"
        raise ConfigError(msg, 'Write for example "https://shop.example.com".')
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(f"refusing plain http to {host}: tokens would travel in the clear", f'Write "https://{host}".')
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "")


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine (127.0.0.0/8, ::1 or the name localhost)."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Return the seconds a Retry-After header asks for (RFC 9110 §10.2.3: seconds or a date), None if absent or unreadable."""
    if value is None:
        return None
    text = value.strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def keep_headers_out_of_logs() -> None:
    """Silence httpcore's events, also at level DEBUG: they show whole answers' headers, with cookies and signed addresses."""
    logging.getLogger("httpcore").setLevel(logging.WARNING)


def _load_without_command_line() -> None:
    """Load httpx as where its own command line is not installed: which would take twice as long."""
    with _LOADING:
        if "httpx" in sys.modules:
            return
        sys.modules["httpx._main"] = None  # type: ignore[assignment]  # Python's way to say that a module cannot be had
        try:
            import httpx  # noqa: F401
        finally:
            sys.modules.pop("httpx._main", None)


def run_concurrently(work: Callable[[Job], Result], jobs: Iterable[Job], workers: int) -> Iterator[Result]:
    """Yield `work(job)` for every job in the order of the jobs, at most `workers` at a time; the first error is raised."""
    waiting = list(jobs)
    if workers == 1 or len(waiting) <= 1:
        yield from map(work, waiting)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=min(workers, len(waiting))) as pool:
        yield from pool.map(work, waiting)


class JsonClient:
    """Posts to one host and returns parsed JSON. Safe to use from several threads; closed with the object."""

    def __init__(
        self,
        base_url: str,
        system: str,
        *,
        limits: HttpLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.base_url = check_base_url(base_url)
        self.system = system  # how messages call the other side, e.g. "Shopify (shop.example.com)"
        self._limits = limits or HttpLimits()
        self._clock = clock
        self._now = now
        self._secrets: set[str] = set()
        self._client: httpx.Client | None = None
        self._opening = threading.Lock()

    def post_json(self, path: str, document: object, headers: Mapping[str, Secret | str] | None = None) -> Any:
        """Return the parsed answer to a JSON document. Raises the errors of `_check`; NoAnswerError when none came."""
        body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        return self._post(path, body, {"Content-Type": "application/json", **(headers or {})})

    def post_form(self, path: str, fields: Mapping[str, Secret | str]) -> Any:
        """Return the parsed answer to an URL-encoded form. Raises as `post_json`."""
        from urllib.parse import urlencode

        body = urlencode({name: self._reveal(value) for name, value in fields.items()}).encode()
        return self._post(path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def clean(self, text: object, limit: int = 300) -> str:
        """Return another system's text as one printable line of at most `limit` characters, our secrets blanked out."""
        line = " ".join(str(text).split())
        for secret in self._secrets:
            line = line.replace(secret, "***")
        line = "".join(c if c.isprintable() else "?" for c in line)
        return line if len(line) <= limit else line[: limit - 1] + "…"

    def close(self) -> None:
        """Close the kept connections; the next request opens new ones."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _reveal(self, value: Secret | str) -> str:
        if isinstance(value, str):
            return value
        text = value.reveal()
        if len(text) >= _SHORTEST_SECRET:
            self._secrets.add(text)
        return text

    def _post(self, path: str, body: bytes, headers: Mapping[str, Secret | str]) -> Any:
        plain = {"Accept": "application/json", **{name: self._reveal(value) for name, value in headers.items()}}
        for name, value in plain.items():
            # The client library would quote the value in its own message.
            if not (value.isascii() and value.isprintable()):
                raise CredentialsError(
                    f"the value of header {name} for {self.system} holds a line break or a non-ASCII character",
                    "Copy the token again into the connection, without spaces or quotes.",
                )
        return self._check(self._send(path, body, plain))

    def _send(self, path: str, body: bytes, headers: Mapping[str, str]) -> _Answer:
        deadline = self._clock() + self._limits.deadline
        received = bytearray()
        with (
            self._sorted_failures(),
            self._open().stream("POST", self.base_url + path, content=body, headers=dict(headers)) as answer,
        ):
            for piece in answer.iter_bytes():
                received += piece
                if len(received) > self._limits.max_body:
                    raise NoAnswerError(f"{self.system} sent more than {self._limits.max_body:,} bytes", "Ask for smaller pages.")
                if self._clock() > deadline:
                    raise NoAnswerError(f"{self.system} took longer than {self._limits.deadline:g} s to answer", "Try again later.")
            return _Answer(answer.status_code, dict(answer.headers), bytes(received))

    def _open(self) -> "httpx.Client":
        with self._opening:
            if self._client is None:
                _load_without_command_line()
                import httpx

                keep_headers_out_of_logs()
                limits = self._limits
                self._client = httpx.Client(
                    timeout=httpx.Timeout(limits.idle, connect=limits.connect),
                    follow_redirects=False,
                    # Reading all certificates takes a while, and plain http (to this machine only) never meets one.
                    verify=self.base_url.startswith("https:"),
                    # Proxy settings are for the outside world; our own machine is reached directly.
                    trust_env=not is_loopback(urlsplit(self.base_url).hostname or ""),
                )
                weakref.finalize(self, self._client.close)
            return self._client

    @contextmanager
    def _sorted_failures(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                hint = "Check the host name; nothing was sent."
                raise PermanentError(f"the certificate of {self.system} is not trusted", hint, type(error).__name__) from error
            raise TransientError(
                f"{self.system} cannot be reached", "Check the host and the network; nothing was sent.", self.clean(error)
            ) from error
        except httpx.TimeoutException as error:
            limit = f"{self._limits.idle:g} s"
            raise NoAnswerError(f"{self.system} did not answer within {limit}", "Try again later.", type(error).__name__) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise NoAnswerError(f"{self.system} broke off the connection", "Try again later.", self.clean(error)) from error

    def _check(self, answer: _Answer) -> Any:
        """Return the parsed body of a 2xx answer.

        Raises UnauthorizedError (401), CredentialsError (403), SlowDownError with retry_after (429, and 503 that says
        when to come back), NoAnswerError (other 5xx, a cut body), RefusedError (other 3xx and 4xx), PermanentError (a web page).
        """
        ok, multiple = 200, 300
        if not ok <= answer.status < multiple:
            raise self._refusal(answer)
        if "html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == b"<":
            raise PermanentError(
                f"{self.system} answered with a web page instead of JSON",
                "Check the host of the connection: a log-in, password or maintenance page stands before the API.",
                self.clean(answer.body[:400].decode("utf-8", "replace")),
            )
        try:
            return json.loads(answer.body)
        except ValueError as error:
            message = f"{self.system} sent an answer that was cut short or is not JSON"
            raise NoAnswerError(message, "Try again later.", f"{len(answer.body)} bytes") from error

    def _refusal(self, answer: _Answer) -> StockfeedError:
        status, server_error = answer.status, 500
        detail = self.clean(answer.body[:1000].decode("utf-8", "replace"))
        wait = retry_after_seconds(answer.headers.get("retry-after"), self._now())
        if status == _UNAUTHORIZED:
            hint = "Check the token or the login in the connection: it is wrong, expired or was withdrawn."
            return UnauthorizedError(f"{self.system} refused the login (HTTP 401)", hint, detail)
        if status == _FORBIDDEN:
            hint = "Give the login the rights this channel needs."
            return CredentialsError(f"{self.system} forbids this request (HTTP 403)", hint, detail)
        if status == _TOO_MANY or (status == _UNAVAILABLE and wait is not None):
            hint = f"Try again in {wait:g} s." if wait is not None else "Try again later."
            return SlowDownError(f"{self.system} asks us to slow down (HTTP {status})", hint, detail, retry_after=wait)
        if status >= server_error:
            return NoAnswerError(f"{self.system} failed (HTTP {status})", "Try again later.", detail, retry_after=wait)
        hint = "Check the host and the version of the API; redirects are not followed."
        return RefusedError(f"{self.system} refused the request (HTTP {status})", hint, detail)
