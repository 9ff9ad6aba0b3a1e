"""A Shopify shop as a source: its stock by item and location, read by a bulk operation or page by page.

Never changes the shop's stock, and never hands on a part of it. What it hands on are the lines of `storefront_lines`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from connectors.addresses import AllowList, WebAddress, parse_address, parse_host
from connectors.http import HttpLimits, JsonClient, SlowDownError, UnauthorizedError, is_loopback
from connectors.shopify_budget import CostBudget
from connectors.shopify_bulk import BulkOperation, Download, read_file
from connectors.shopify_queries import Operation
from connectors.shopify_session import ShopSession, ShopTokens, shop_address
from connectors.shopify_stock import PagedStock, Run, stock_lines
from connectors.spool import Limits
from connectors.storefront_lines import SortedFacts, TrackedCount, spool_lines
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.errors import ConfigError, CredentialsError, TransientError
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen

_TRIES = 5
SCOPES = "read_inventory, read_products and read_locations"
_NAMES = ("available", "on_hand", "committed", "reserved", "incoming", "damaged", "safety_stock", "quality_control")
_TRACKING = "Switch on “Track quantity” for them in the shop, or leave them: they are never taken for 0."


class ShopifySourceOptions(BaseModel):
    """`[feed.source] type = "shopify"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    read: Literal["bulk", "paged"] = "bulk"
    quantities: tuple[Annotated[str, Field(pattern=r"^[a-z_]+$", max_length=60)], ...] = Field(_NAMES, min_length=1, max_length=20)
    api_version: str = Field("2026-10", pattern=r"^\d{4}-\d{2}$")
    page: int = Field(50, ge=1, le=250)  # paged: inventory items in one answer; fewer where that is too costly
    levels: int = Field(20, ge=1, le=250)  # paged: locations of an item in one answer
    download_hosts: tuple[str, ...] = ("storage.googleapis.com",)  # bulk: where the shop's files may be
    max_size: int = Field(1 << 30, ge=1)  # bytes of everything
    timeout: Duration = timedelta(seconds=30)  # between two pieces of an answer
    longest_wait: Duration = timedelta(seconds=60)  # for one throttled request
    deadline: Duration = timedelta(minutes=30)  # for everything

    @field_validator("download_hosts")
    @classmethod
    def _plain_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            parse_host(host)
        return value


class ShopifySource:
    """The stock of one shop. Connection: as for the channel; reading asks for the right to read only."""

    def __init__(
        self,
        options: ShopifySourceOptions,
        connection: Connection,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options, self._connection, self._sleep, self._now = options, connection, sleep, now
        self._address = _origin(connection)

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:  # noqa: ARG002 - the protocol's signature
        """Yield the shop's whole stock as one arrival; see `protocols.Source`.

        Raises CredentialsError, TransientError (throttled for long, a read that is not proven to be whole), PermanentError (a web
        page, a loop of pages, a file on another host), DeliveryError (larger than `max_size`).
        """
        began, options = self._now(), self._options
        place = f"Shopify ({self._address.authority})"
        http = JsonClient(self._address.origin, place, limits=HttpLimits(idle=options.timeout.total_seconds()))
        count = TrackedCount()
        try:
            with SortedFacts(spool, place, most=options.max_size) as facts, _named_login(self._connection, place):
                self._read(http, facts)
                limits = Limits(options.max_size, float("inf"), options.deadline.total_seconds())
                spooled = spool_lines(stock_lines(facts, count), spool, place, limits)
        finally:
            http.close()
        name = f"{self._address.host}.jsonl"
        # Asked again and answered the same is news: it was so at this time, too.
        identity = f"{name}|{began.isoformat()}"
        yield Fetched(spooled.path, spooled.sha256, spooled.size, name, identity, began, {}, count.findings(_TRACKING))

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Do nothing: a shop's stock is only read."""

    def _read(self, http: JsonClient, facts: SortedFacts) -> None:
        options = self._options
        run = self._patient(http)
        if options.read == "paged":
            PagedStock(run, options.quantities, options.page, options.levels).read(facts)
            return
        operation = BulkOperation(run, http.clean, options.deadline, sleep=self._sleep, now=self._now)
        file = operation.completed(options.quantities)
        own = (self._address.host, self._address.port)
        allowed = AllowList(own, tuple(map(parse_host, options.download_hosts)), private=is_loopback(self._address.host))
        limits = HttpLimits(idle=options.timeout.total_seconds(), deadline=options.deadline.total_seconds())
        read_file(file, Download(allowed, limits), facts, options.max_size)

    def _patient(self, http: JsonClient) -> Run:
        """Return the function that runs an operation and waits where the shop asks for it."""
        options, began = self._options, self._now()

        def clock() -> float:
            return self._now().timestamp()  # tokens and budget measure on the clock that `sleep` moves

        longest = options.longest_wait.total_seconds()
        session = ShopSession(
            http, ShopTokens(self._connection, http, clock), CostBudget(self._sleep, clock, longest), options.api_version, SCOPES
        )

        def run(operation: Operation, variables: Mapping[str, Any]) -> Any:
            attempt = 0
            while True:
                if options.read == "paged" and self._now() - began > options.deadline:  # a bulk operation is timed by itself
                    message = f"{http.system} took longer than {options.deadline.total_seconds():g} s"
                    raise TransientError(message, "It is tried again; raise `deadline` for a shop that is so large.")
                try:
                    return session.run(operation, variables)
                except SlowDownError as error:
                    wait = float(2**attempt) if error.retry_after is None else error.retry_after
                    attempt += 1
                    if wait > longest or attempt == _TRIES:
                        raise
                    self._sleep(wait)

        return run


@contextmanager
def _named_login(connection: Connection, place: str) -> Iterator[None]:
    """Let errors of the login name it and its connection."""
    try:
        yield
    except CredentialsError as error:
        who = f"{place} refused the login {connection.login!r}" if connection.login else f"{place} refused us"
        if isinstance(error, UnauthorizedError):
            message = f"{who} (HTTP 401)"
        else:
            message = error.message if error.message.startswith(place) else f"{who}: {error.message}"
        raise CredentialsError(message, f"{error.hint} It is connection {connection.name!r}.", error.detail) from error


def _origin(connection: Connection) -> WebAddress:
    try:
        return parse_address(shop_address(connection))
    except ValueError as error:
        raise ConfigError(f"connection {connection.name!r}: {error}", 'Set host to "your-shop.myshopify.com".') from None
