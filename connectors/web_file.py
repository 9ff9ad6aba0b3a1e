"""One file at a web address as a source: fetched when it changed, from allowed hosts only, with the connection's login.

Never sends the login to another server than the connection's, never shows the query of an address, changes nothing there.
"""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.addresses import AllowList, Lookup, WebAddress, follow, parse_address, parse_host
from connectors.http import is_loopback, retry_after_seconds
from connectors.selection import shown_name, unsafe_reason
from connectors.spool import Limits, spool_stream
from connectors.tls import client_context
from connectors.web_body import body_reader
from connectors.web_login import host_of, login_headers
from connectors.web_version import is_new, last_version, note, version_of
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, StockfeedError, TransientError
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.transfer import Fetched, Seen

if TYPE_CHECKING:
    from connectors.web_transport import Answer

MOST_REDIRECTS = 5
_OK, _NOT_MODIFIED, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _GONE = 200, 304, 401, 403, 404, 410
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429})
_SERVER_ERROR = 500
_LONGEST_WAIT = 86_400.0  # seconds; a server that asks for more is not believed


class WebFileOptions(BaseModel):
    """`[feed.source] type = "web_file"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: str  # of the file; no login in it
    hosts: tuple[str, ...] = ()  # "host" or "host:port": where redirects may lead beside the connection's host
    private_host: bool = False  # the source's own host may be this machine or inside our networks
    plain: bool = False  # http:// to another machine: login and data can be read and changed on the way
    allow_unknown_length: bool = False  # take answers that do not tell their length, so that a cut would go unseen
    max_size: int = Field(1 << 30, ge=1)  # bytes, on the wire and unpacked
    connect_timeout: Duration = timedelta(seconds=15)
    idle_timeout: Duration = timedelta(seconds=30)
    deadline: Duration = timedelta(minutes=15)  # for everything

    @field_validator("url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        parse_address(value)
        return value

    @field_validator("hosts")
    @classmethod
    def _plain_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            parse_host(host)
        return value

    @model_validator(mode="after")
    def _encrypted_or_said_so(self) -> Self:
        encrypted, here = self.address.scheme == "https", is_loopback(self.address.host)
        if not (encrypted or here or self.plain):
            msg = "http:// is not encrypted; write https://, or plain = true if the supplier has nothing better"
            raise ValueError(msg)
        if encrypted and self.plain:
            msg = "plain = true goes with http:// only"
            raise ValueError(msg)
        return self

    @property
    def address(self) -> WebAddress:
        """Return the parts of `url`."""
        return parse_address(self.url)


class WebFileSource:
    """One file at a web address."""

    def __init__(
        self,
        options: WebFileOptions,
        connection: Connection | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        self._options, self._connection, self._sleep, self._now, self._lookup = options, connection, sleep, now, lookup
        self._key = f"{options.address.shown}#{hashlib.sha256(options.url.encode()).hexdigest()[:16]}"

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:  # noqa: ARG002 - the protocol's signature
        """Yield the file if it is new, downloaded into `spool`; see `protocols.Source`.

        Raises ConfigError (404), CredentialsError (401, 403), TransientError (429 and 5xx with Retry-After, unreachable, cut
        short), PermanentError (refused address or certificate), DeliveryError (larger than `max_size`).
        """
        with ExitStack() as stack:
            final, answer = self._answer(seen, stack)
            if answer.status == _NOT_MODIFIED and last_version(seen, self._key) is None:
                raise PermanentError(
                    f"{final.shown} says that nothing changed, although nothing is known of it", "Ask the supplier."
                )
            fetched = None if answer.status == _NOT_MODIFIED else self._download(final, answer, seen, spool)
        if fetched:
            yield fetched

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Do nothing: a web address is only read."""

    def _answer(self, seen: Seen, stack: ExitStack) -> "tuple[WebAddress, Answer]":
        """Return the first answer that is no redirect, and where it came from; its connection ends with the stack."""
        from connectors.web_transport import Patience, ask

        options, address = self._options, self._options.address
        seconds = options.deadline.total_seconds()
        patience = Patience(
            options.connect_timeout.total_seconds(), options.idle_timeout.total_seconds(), time.monotonic() + seconds, seconds
        )
        allowed, context = self._allowed(), client_context(self._connection)
        for _ in range(MOST_REDIRECTS + 1):
            ips = allowed.resolve(address, self._lookup)
            headers = self._headers(seen) | login_headers(self._connection, address)
            with ExitStack() as hop:
                answer = hop.enter_context(ask(address, ips, headers, patience, context))
                if answer.status not in _REDIRECTS:
                    self._check(address, answer)
                    stack.push(hop.pop_all())
                    return address, answer
            address = _next_hop(address, answer)
        raise PermanentError(
            f"{options.address.shown} redirects more than {MOST_REDIRECTS} times", "Ask the supplier for the file's own address."
        )

    def _allowed(self) -> AllowList:
        options, connection = self._options, self._connection
        own = (options.address.host, options.address.port)
        if connection is not None:
            own = host_of(connection, options.address)
        allowed = AllowList(own, tuple(parse_host(host) for host in options.hosts), private=options.private_host)
        if not allowed.admits(options.address):
            raise ConfigError(
                f"{options.address.origin} is not the host of connection {connection.name if connection else ''!r}",
                "Correct `url` or the connection's host and port; the login goes to that host only. Or add the host to `hosts`.",
            )
        return allowed

    def _headers(self, seen: Seen) -> dict[str, str]:
        headers = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "stockfeed"}
        known = last_version(seen, self._key)
        return headers | (known.condition if known else {})

    def _check(self, address: WebAddress, answer: "Answer") -> None:
        """Raise what the status means for the caller, unless it is 200 or 304."""
        if answer.status not in {_OK, _NOT_MODIFIED}:
            raise _refused(address, answer, self._connection, self._now())
        if answer.status == _NOT_MODIFIED:
            return
        length, most = answer.headers.get("content-length", ""), self._options.max_size
        if length.isdecimal() and int(length) > most:
            raise DeliveryError(
                f"{address.shown}: {length} bytes, larger than {most}",
                "Raise `max_size` for this source if the file is right.",
                code="FILE-LIMIT",
            )
        if not (_tells_its_length(answer) or self._options.allow_unknown_length):
            raise PermanentError(
                f"{address.shown} does not tell its length, so a file that is cut short would go unseen",
                "Ask the supplier for a Content-Length; or write allow_unknown_length = true, and every delivery is marked.",
            )

    def _download(self, address: WebAddress, answer: "Answer", seen: Seen, spool: Path) -> Fetched | None:
        version = version_of(_file_name(self._options.address), answer.headers)
        if not is_new(version, seen, self._key):
            return None
        options = self._options
        read = body_reader(answer.pieces, answer.headers.get("content-encoding", ""), address.shown, options.max_size)
        limits = Limits(options.max_size, options.idle_timeout.total_seconds(), options.deadline.total_seconds())
        spooled = spool_stream(read, spool, address.shown, limits=limits)
        version = replace(version, sha256=spooled.sha256)
        if not is_new(version, seen, self._key):
            spooled.path.unlink()
            return None
        identity = note(version, seen, self._key, size=spooled.size, at=self._now())
        findings = tuple(self._findings(answer))
        return Fetched(spooled.path, spooled.sha256, spooled.size, version.name, identity, version.modified_at, {}, findings)

    def _findings(self, answer: "Answer") -> Iterator[Finding]:
        origin = self._options.address.origin
        if self._options.plain and not is_loopback(self._options.address.host):
            yield Finding(
                "PLAIN-TRANSFER",
                "warn",
                f"fetched without encryption from {origin}: anybody on the way can read and change it",
                "Ask the supplier for https, then correct `url` and remove `plain = true`.",
            )
        if not _tells_its_length(answer):
            yield Finding(
                "LENGTH-UNKNOWN",
                "warn",
                f"{origin} does not tell the length of the file: a cut at the end of a row would go unseen",
                "Ask the supplier for a Content-Length, then remove `allow_unknown_length = true`.",
            )


def _next_hop(address: WebAddress, answer: "Answer") -> WebAddress:
    location = answer.headers.get("location")
    if not location:
        raise PermanentError(f"{address.shown} redirects to nowhere (HTTP {answer.status})", "Ask the supplier.")
    following = follow(address, location)
    if address.scheme == "https" and following.scheme != "https":
        raise PermanentError(
            f"{address.shown} redirects to {following.origin}, which is not encrypted", "Ask the supplier for an https address."
        )
    return following


def _file_name(address: WebAddress) -> str:
    name = shown_name(address.file_name)
    return address.host if unsafe_reason(name) else name


def _tells_its_length(answer: "Answer") -> bool:
    headers = answer.headers
    by_itself = "gzip" in headers.get("content-encoding", "").lower()  # gzip has an end mark with size and checksum
    return by_itself or "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def _refused(address: WebAddress, answer: "Answer", connection: Connection | None, now: datetime) -> StockfeedError:
    status, place = answer.status, address.shown
    asked = retry_after_seconds(answer.headers.get("retry-after"), now)
    wait = None if asked is None else min(asked, _LONGEST_WAIT)
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        who = f"the login {connection.login!r}" if connection and connection.login else "us"
        named = f"connection {connection.name!r}" if connection else "the source: it has no connection"
        return CredentialsError(
            f"{place} refused {who} (HTTP {status})", f"Check user, password or token of {named}, with the supplier."
        )
    if status in {_NOT_FOUND, _GONE}:
        return ConfigError(f"{place}: there is no such file (HTTP {status})", "Correct `url`, or ask the supplier.")
    if status in _PASSING or status >= _SERVER_ERROR:
        hint = f"Try again in {wait:g} s." if wait is not None else "It is tried again."
        return TransientError(f"{place} cannot answer now (HTTP {status})", hint, retry_after=wait)
    return PermanentError(f"{place} gave no file (HTTP {status})", "Check `url`, and ask the supplier.")
