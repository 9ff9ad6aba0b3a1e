"""What the Shopify tests share: a channel on a demo shop, items to publish, a clock moved by its own sleep."""

from collections.abc import Mapping, Sequence

from connectors.shopify import ShopifyChannel, ShopifyOptions
from schemas.connections import Connection, Secret
from schemas.publishing import Listing, PublishItem
from stockfeed.demo.shop import DEFAULT_LOCATION, Shop


class SleepClock:
    """A monotonic clock in seconds that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def shop_connection(shop: Shop, **parts) -> Connection:
    extra = {"base_url": shop.url, **parts.pop("extra", {})}
    return Connection("shop", host="demo.example", password=parts.pop("password", Secret(shop.token)), extra=extra, **parts)


def shop_channel(
    shop: Shop,
    *,
    clock: SleepClock | None = None,
    connection: Connection | None = None,
    locations: Sequence[str] = (DEFAULT_LOCATION,),
    **options,
) -> ShopifyChannel:
    clock = clock or SleepClock()
    options.setdefault("timeout", "5s")
    return ShopifyChannel(
        ShopifyOptions(**options), connection or shop_connection(shop), tuple(locations), sleep=clock.sleep, clock=clock
    )


def publish_items(
    channel, quantities: Mapping[str, int], *, expected: Mapping[str, int] | None = None, version: int = 1
) -> list[PublishItem]:
    """One item for each SKU, on the listings the channel resolves."""
    listings = {listing.sku: listing for listing in channel.resolve(list(quantities))}
    return [item(listings[sku], quantity, version, (expected or {}).get(sku)) for sku, quantity in quantities.items()]


def item(listing: Listing, quantity: int, version: int = 1, expected: int | None = None) -> PublishItem:
    return PublishItem(listing, quantity, version, f"{listing.sku}|{listing.location}|{version}", expected)


def statuses(results) -> dict[str, str]:
    return {result.item.listing.sku: result.status for result in results}
