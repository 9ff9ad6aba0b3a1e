"""The Shopify channel: finds a SKU's inventory item, sets available quantities by compare-and-set, reads them back.

Never writes to a location that is not in the channel's list, never sends a negative quantity, and never takes a
quantity from the answer of a write (Shopify leaves it empty there).
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from connectors.http import HttpLimits, JsonClient, run_concurrently
from connectors.shopify_budget import CostBudget
from connectors.shopify_publish import publish_batch, screen
from connectors.shopify_queries import AVAILABLE_AT, ITEMS_BY_SKU, LOCATIONS, search_chunks, sku_search
from connectors.shopify_session import ShopSession, ShopTokens, TooCostlyError, pages, shop_address
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.errors import ConfigError, StockfeedError, TransientError
from schemas.publishing import ItemResult, Listing, Observed, PublishItem


class ShopifyOptions(BaseModel):
    """The keys of a `[channel]` of kind "shopify" beside the general ones; limits are settings because shops differ."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    api_version: str = Field("2026-10", pattern=r"^\d{4}-\d{2}$")
    batch: int = Field(250, ge=1, le=250)  # quantities per write
    page: int = Field(250, ge=1, le=250)  # nodes per read
    chunk: int = Field(50, ge=1, le=250)  # SKUs per search
    concurrency: int = Field(4, ge=1, le=16)  # requests under way at once
    reason: str = Field("correction", pattern=r"^[a-z_]+$")  # one of Shopify's fixed list
    activate: bool = False  # stock an item at our location when an older API version demands it
    timeout: Duration = timedelta(seconds=30)
    longest_wait: Duration = timedelta(seconds=60)  # for a throttled request


class ShopifyChannel:
    """One shop. Connection: host (or loopback `base_url` in extra) and an access token, or client id and secret."""

    compares = True

    def __init__(
        self,
        options: ShopifyOptions,
        connection: Connection | None,
        locations: Sequence[str],
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if connection is None:
            raise ConfigError("a shopify channel needs a connection", 'Add connection = "…" to the channel.')
        self.options, self._locations, self._sleep = options, tuple(locations), sleep
        self.max_batch = options.batch * options.concurrency  # what is under way at once
        http = JsonClient(
            shop_address(connection),
            f"Shopify ({connection.host or connection.name})",
            limits=HttpLimits(idle=options.timeout.total_seconds()),
        )
        budget = CostBudget(sleep, clock, options.longest_wait.total_seconds())
        self._session = ShopSession(http, ShopTokens(connection, http, clock), budget, options.api_version)
        self._checked = False
        self._checking = threading.Lock()

    def close(self) -> None:
        """Close the kept connections; the channel stays usable."""
        self._session.http.close()

    def resolve(self, skus: Sequence[str]) -> Iterator[Listing]:
        """Yield one Listing for each distinct SKU and owned location, in the order of the SKUs.

        Shopify's search is fuzzy, so only items whose SKU is equal letter for letter count. Raises ConfigError when one
        of our locations is unknown or inactive in this shop.
        """
        self.check_locations()
        distinct = list(dict.fromkeys(skus))
        searchable = [sku for sku in distinct if sku.strip()]
        found: dict[str, dict[str, bool]] = defaultdict(dict)  # SKU → item id → tracked
        chunks = search_chunks(searchable, self.options.chunk)
        for nodes in run_concurrently(self._search, chunks, self.options.concurrency):
            for node in nodes:
                if isinstance(node.get("sku"), str):  # an item without SKU is null, never the text "None"
                    found[node["sku"]][str(node.get("id"))] = node.get("tracked") is True
        for sku in distinct:
            for location in self._locations:
                yield _listing(sku, location, found.get(sku, {}))

    def publish(self, items: Sequence[PublishItem]) -> Iterator[ItemResult]:
        """Yield one result for every item; `batch` items go in one request, more are split and sent concurrently.

        Raises TransientError, CredentialsError or PermanentError only when the shop said nothing about any item, and
        then nothing was written. A request whose answer never came gives "unknown", after one repeat with its own key.
        """
        sendable, refused = screen(items, frozenset(self._locations))
        size = self.options.batch
        batches = [sendable[start : start + size] for start in range(0, len(sendable), size)]
        answered: list[ItemResult] = []
        unsent: list[tuple[list[PublishItem], StockfeedError]] = []
        for batch, outcome in zip(batches, run_concurrently(self._publish, batches, self.options.concurrency), strict=True):
            if isinstance(outcome, StockfeedError):
                unsent.append((batch, outcome))
            else:
                answered.extend(outcome)
        if unsent and not answered:
            raise unsent[0][1]
        yield from refused
        yield from answered
        for batch, error in unsent:
            for item in batch:
                yield _not_sent(item, error)

    def read_back(self, listings: Sequence[Listing]) -> Iterator[Observed]:
        """Yield what the shop shows as available at each listing's location, in order; None with the reason otherwise."""
        shown: dict[tuple[str, str], Any] = {}
        by_location: dict[str, dict[str, None]] = defaultdict(dict)
        for listing in listings:
            if listing.location in self._locations and "inventory_item" in listing.ids:
                by_location[listing.location][listing.ids["inventory_item"]] = None
        jobs = [
            (location, list(ids)[start : start + self.options.page])
            for location, ids in by_location.items()
            for start in range(0, len(ids), self.options.page)
        ]
        for (location, _), nodes in zip(jobs, run_concurrently(self._levels, jobs, self.options.concurrency), strict=True):
            shown.update({(location, str(node.get("id"))): node for node in nodes})
        for listing in listings:
            node = shown.get((listing.location, listing.ids.get("inventory_item", "")))
            yield _observed(listing, node)

    def check_locations(self) -> None:
        """Return when every owned location exists and is active, else raise ConfigError with the shop's list; asks once."""
        with self._checking:
            if self._checked:
                return
            nodes = pages(self._session, LOCATIONS, {}, min(self.options.page, 50))
            active = {str(node.get("id")) for node in nodes if node.get("isActive") is True}
            wrong = [location for location in self._locations if location not in active]
            if wrong:
                clean = self._session.http.clean
                offered = "; ".join(
                    f"{clean(n.get('id'), 80)} = {clean(n.get('name'), 60)}" + ("" if n.get("isActive") is True else " (inactive)")
                    for n in nodes
                )
                raise ConfigError(
                    f"{self._session.http.system} has no active location {', '.join(wrong)}",
                    f"Use one of the shop's locations in channel.locations: {offered or 'none'}.",
                )
            self._checked = True

    def _search(self, chunk: list[str]) -> list[dict[str, Any]]:
        # Twice the SKUs: most answers fit into one page without paying for a large one.
        first = min(self.options.page, 2 * len(chunk) + 10)
        try:
            return pages(self._session, ITEMS_BY_SKU, {"search": sku_search(chunk)}, first)
        except TooCostlyError:
            if len(chunk) == 1:
                raise
            middle = len(chunk) // 2
            return self._search(chunk[:middle]) + self._search(chunk[middle:])

    def _levels(self, job: tuple[str, list[str]]) -> list[dict[str, Any]]:
        location, ids = job
        try:
            nodes = self._session.run(AVAILABLE_AT, {"ids": ids, "location": location})
        except TooCostlyError:
            if len(ids) == 1:
                raise
            middle = len(ids) // 2
            return self._levels((location, ids[:middle])) + self._levels((location, ids[middle:]))
        return [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []

    def _publish(self, batch: list[PublishItem]) -> list[ItemResult] | StockfeedError:
        """Return the batch's results, or the error when the shop said nothing: other batches must still be counted."""
        try:
            outcomes = publish_batch(self._session, batch, self.options, self._sleep)
        except StockfeedError as error:
            return error
        return self._with_observed(outcomes)

    def _with_observed(self, outcomes: list[tuple[ItemResult, bool]]) -> list[ItemResult]:
        """Return the results, stale ones completed by what the shop shows now."""
        stale = [result.item.listing for result, _ in outcomes if result.status == "stale"]
        try:
            shown = {id(seen.listing): seen.quantity for seen in self.read_back(stale)}
        except StockfeedError:
            shown = {}  # the outcomes of the write must not be lost; the caller reads back before it sends again
        return [_settled(result, shown.get(id(result.item.listing)), repeated=repeated) for result, repeated in outcomes]


def _settled(result: ItemResult, observed: int | None, *, repeated: bool) -> ItemResult:
    if result.status != "stale":
        return result
    if repeated and observed == result.item.quantity:
        # The first attempt was accepted though its answer was lost; the repeat then compared with our own new value.
        return ItemResult(result.item, "confirmed", message="accepted at the first attempt, seen by reading back")
    if repeated:
        # Or it was accepted and has sold since: "stale" would say that the value never got there.
        return ItemResult(result.item, "unknown", result.code, result.message, observed=observed, retryable=True)
    return ItemResult(result.item, "stale", result.code, result.message, observed=observed, retryable=True)


def _not_sent(item: PublishItem, error: StockfeedError) -> ItemResult:
    return ItemResult(item, "failed", "NOT-SENT", str(error), retryable=isinstance(error, TransientError))


def _listing(sku: str, location: str, found: Mapping[str, bool]) -> Listing:
    if not found:
        return Listing(sku, location, status="missing", message=f"the shop has no inventory item with SKU {sku!r}")
    if len(found) > 1:
        some = ", ".join(sorted(found)[:3])
        message = f"{len(found)} inventory items carry SKU {sku!r}: {some}; give each its own SKU in the shop"
        return Listing(sku, location, status="ambiguous", message=message)
    item, tracked = next(iter(found.items()))
    ids = {"inventory_item": item}
    if not tracked:
        message = f"the shop does not track the quantity of SKU {sku!r}; switch on “Track quantity” for it"
        return Listing(sku, location, ids, "untracked", message)
    return Listing(sku, location, ids)


def _observed(listing: Listing, node: Mapping[str, Any] | None) -> Observed:
    if node is None:
        return Observed(listing, None, "the shop has no such inventory item")
    if node.get("tracked") is not True:
        return Observed(listing, None, "the shop does not track this item")
    level = node.get("inventoryLevel")
    if not isinstance(level, dict):
        return Observed(listing, None, "the item is not stocked at this location")
    for entry in level.get("quantities") or ():
        quantity = entry.get("quantity") if isinstance(entry, dict) and entry.get("name") == "available" else None
        if isinstance(quantity, int) and not isinstance(quantity, bool):
            return Observed(listing, quantity)
    return Observed(listing, None, "the shop named no available quantity")
