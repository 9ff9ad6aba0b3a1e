"""A paged JSON interface over HTTP as a source: every page is fetched, and what is handed on is proven to be all of them.

The pages are spooled as they came, one document after the other (format json_doc with lines = true). Never follows a redirect,
never sends the login to another server than the connection's, and never hands on a part of the pages.
"""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode, urljoin

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.addresses import AllowList, Lookup, WebAddress, parse_address, parse_host
from connectors.http import is_loopback
from connectors.spool import Limits, spool_stream
from connectors.web_login import host_of, login_headers
from connectors.web_pages import Pages, as_utf8, member, read_page
from connectors.web_session import Bounds, Surroundings, WebSession
from connectors.web_token import client_token
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.errors import ConfigError, PermanentError
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen

if TYPE_CHECKING:
    from connectors.web_transport import Patience


class WebApiOptions(BaseModel):
    """`[feed.source] type = "web_api"`. Paths are members with dots between them, "" the answer itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: str  # of the first page; no login in it
    rows: str = ""  # where a page's list of records is
    paging: Literal["none", "next", "cursor", "page", "offset"] = "next"
    next: str = "next"  # paging next, cursor: where the next page's address or cursor is
    parameter: str = ""  # of the query: cursor, page number or offset; by default the name of the paging
    first: int = 1  # the first page's number
    total: str = ""  # where the number of all records is, if the interface tells it
    query: dict[str, str] = Field(default_factory=dict)  # sent with every page; no secrets
    token_url: str | None = None  # OAuth2 client credentials: login and password of the connection are the client's
    scope: str | None = None
    hosts: tuple[str, ...] = ()
    private_host: bool = False
    max_pages: int = Field(10_000, ge=1)
    max_page: int = Field(16_000_000, ge=1)  # bytes of one page
    max_size: int = Field(1 << 30, ge=1)  # bytes of all
    connect_timeout: Duration = timedelta(seconds=15)
    idle_timeout: Duration = timedelta(seconds=30)
    deadline: Duration = timedelta(minutes=15)

    @field_validator("url", "token_url")
    @classmethod
    def _encrypted(cls, value: str | None) -> str | None:
        if value is not None:
            address = parse_address(value)
            if address.scheme != "https" and not is_loopback(address.host):
                msg = "http:// is not encrypted; write https://"
                raise ValueError(msg)
        return value

    @field_validator("hosts")
    @classmethod
    def _plain_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            parse_host(host)
        return value

    @model_validator(mode="after")
    def _token_needs_its_host(self) -> Self:
        own = parse_address(self.url)
        if self.token_url is not None:
            token = parse_address(self.token_url)
            known = {(own.host, own.port), *((host, port or 443) for host, port in map(parse_host, self.hosts))}
            if (token.host, token.port) not in known:
                msg = "token_url is on another host than url: add it to `hosts`"
                raise ValueError(msg)
        return self


class WebApiSource:
    """One list behind a paged JSON interface."""

    def __init__(
        self,
        options: WebApiOptions,
        connection: Connection | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        self._options, self._connection, self._around = options, connection, Surroundings(sleep, now, lookup)
        self._first = parse_address(options.url)

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:  # noqa: ARG002 - the protocol's signature
        """Yield all pages as one arrival; see `protocols.Source`.

        Raises CredentialsError (401, 403), TransientError (429, 5xx, cut short, changed while it was read), PermanentError (a web
        page, a loop of pages, another host), DeliveryError (larger than `max_size`).
        """
        began = self._around.now()
        pieces = self._pages()
        limits = Limits(self._options.max_size, self._options.deadline.total_seconds(), self._options.deadline.total_seconds())
        spooled = spool_stream(lambda _most: next(pieces, b""), spool, self._first.shown, limits=limits)
        name = f"{self._first.host}.json"
        # Asked again and answered the same is news: it was so at this time, too.
        yield Fetched(spooled.path, spooled.sha256, spooled.size, name, f"{name}|{began.isoformat()}", began)

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Do nothing: an interface is only read."""

    def _pages(self) -> Iterator[bytes]:
        """Yield every page's bytes with a line end; raises where they are not proven to be all."""
        session = _open(self._options, self._connection, self._around)
        pages = Pages(self._first.shown, self._options.total, self._options.max_pages)
        address: WebAddress | None = _with_query(self._first, self._options.query | self._start())
        while address is not None:
            body, headers = session.page(address)
            document, rows = read_page(body, self._options.rows, self._first.shown)
            pages.add(document, rows, address.origin + address.target)
            yield as_utf8(body) + b"\n"
            address = self._following(address, document, headers, len(rows), pages)
        pages.check_total()

    def _start(self) -> dict[str, str]:
        options = self._options
        if options.paging == "page":
            return {options.parameter or "page": str(options.first)}
        return {options.parameter or "offset": "0"} if options.paging == "offset" else {}

    def _following(
        self, address: WebAddress, document: Any, headers: Mapping[str, str], rows: int, pages: Pages
    ) -> WebAddress | None:
        """Return the next page's address, None after the last one."""
        options = self._options
        if options.paging == "none":
            return None
        if options.paging in {"page", "offset"}:
            if not rows or pages.has_all:
                return None
            step = options.first + pages.count if options.paging == "page" else pages.rows
            return _with_query(address, {options.parameter or options.paging: str(step)})
        found = member(document, options.next) if options.next else None
        is_last = found is None or found is False or found == ""
        if options.paging == "next":
            if not is_last and not isinstance(found, str):
                raise PermanentError(f"{address.shown}: {options.next!r} is no address of a page", "Correct `next` of this source.")
            link = _link_header(headers) if is_last else str(found)
            return self._linked(address, link) if link else None
        if is_last:
            return None
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise PermanentError(f"{address.shown}: {options.next!r} is no cursor", "Correct `next` of this source.")
        return _with_query(address, {options.parameter or "cursor": str(found)})

    def _linked(self, address: WebAddress, link: str) -> WebAddress:
        try:
            following = parse_address(urljoin(address.origin + address.target, link))
        except ValueError:
            raise PermanentError(
                f"{address.shown}: the link to the next page is no plain web address", "Ask the supplier."
            ) from None
        if address.scheme == "https" and following.scheme != "https":
            raise PermanentError(f"{address.shown}: the next page is not encrypted", "Ask the supplier for https links.")
        return following


def _open(options: WebApiOptions, connection: Connection | None, around: Surroundings) -> WebSession:
    first = parse_address(options.url)
    own = host_of(connection, first) if connection else (first.host, first.port)
    allowed = AllowList(own, tuple(parse_host(host) for host in options.hosts), private=options.private_host)
    if not allowed.admits(first):
        name = connection.name if connection else ""
        words = f"{first.origin} is not the host of the connection {name!r}, which is {own[0]}:{own[1]}"
        raise ConfigError(words, "Correct `url` or the connection's host and port.")
    bounds = Bounds(
        options.max_page,
        options.connect_timeout.total_seconds(),
        options.idle_timeout.total_seconds(),
        options.deadline.total_seconds(),
    )
    login = _Login(options, connection, allowed, around)
    return WebSession(allowed, connection, login, bounds=bounds, around=around)


class _Login:
    """The connection's own login, or a token that is got with it."""

    def __init__(self, options: WebApiOptions, connection: Connection | None, allowed: AllowList, around: Surroundings) -> None:
        self._options, self._connection, self._allowed, self._around = options, connection, allowed, around
        self._token: str | None = None

    def headers(self, address: WebAddress, patience: "Patience") -> Mapping[str, str]:
        """Return the header for the connection's own server, nothing for any other. Raises as `client_token`."""
        if self._options.token_url and self._token is None:
            self._token = self._fresh_token(patience)
        return login_headers(self._connection, address, self._token)

    def renew(self) -> bool:
        """Forget the token; False where the login is no token."""
        self._token = None
        return self._options.token_url is not None

    def _fresh_token(self, patience: "Patience") -> str:
        """Return a token for the client's credentials. Raises as `client_token`."""
        options = self._options
        assert options.token_url is not None
        address = parse_address(options.token_url)
        ips = self._allowed.resolve(address, self._around.lookup)
        return client_token(address, ips, self._connection, options.scope, patience, now=self._around.now)


def _with_query(address: WebAddress, changes: Mapping[str, str]) -> WebAddress:
    path, _, query = address.target.partition("?")
    fields = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in changes]
    encoded = urlencode([*fields, *changes.items()])
    return WebAddress(address.scheme, address.host, address.port, path + (f"?{encoded}" if encoded else ""))


def _link_header(headers: Mapping[str, str]) -> str | None:
    """Return the target of rel="next" in a Link header (RFC 8288), None without one."""
    for part in headers.get("link", "").split(",<"):
        target, *parameters = part.strip().lstrip("<").split(";")
        if any(one.strip().replace('"', "").lower() == "rel=next" for one in parameters):
            return target.strip().rstrip(">")
    return None
