"""What passes between the pipeline and a channel connector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ItemStatus = Literal["confirmed", "accepted", "stale", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Listing:
    """The channel's own ids of one SKU at one of our channel locations.

    `status`: "active" can be written; "untracked", "ambiguous" (several items with this SKU) and "missing" cannot, with
    the sentence in `message`.
    """

    sku: str
    location: str  # the channel's location id, as in channel.locations
    ids: Mapping[str, str] = field(default_factory=dict)  # e.g. {"inventory_item": "gid://shopify/InventoryItem/1"}
    status: Literal["active", "untracked", "ambiguous", "missing"] = "active"
    message: str = ""


@dataclass(frozen=True, slots=True)
class PublishItem:
    """One quantity to set. `expected` is the value the channel must show now (compare-and-set), None to skip the check."""

    listing: Listing
    quantity: int
    version: int
    idempotency_key: str
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What the channel said of one item, never of the batch as a whole.

    confirmed: the channel stored it · accepted: it will (asynchronous) · stale: it showed another value than `expected`
    (`observed`, when it says) · failed: it refused, with code and sentence · unknown: no answer came.
    """

    item: PublishItem
    status: ItemStatus
    code: str = ""
    message: str = ""
    observed: int | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What a channel shows now for one listing; quantity None when the channel does not track or know it."""

    listing: Listing
    quantity: int | None
    message: str = ""
