"""A BigCommerce store as a source: its stock by variant and location (REST v3).

Only reads. Never takes an untracked item's number for stock, and never takes half a list.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydantic import Field, field_validator

from connectors.addresses import WebAddress
from connectors.bigcommerce_items import add_level, add_product, add_variant, stock_lines
from connectors.bigcommerce_lists import PacedLists, asked_wait
from connectors.rest_session import RestOptions, RestSession, RestSource, read_again
from connectors.storefront_lines import SortedFacts, TrackedCount, spool_lines
from connectors.web_login import login_headers
from schemas.errors import CredentialsError
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen

_TRACKING = "Switch on inventory tracking for them in the store, or leave them: they are never taken for 0."


class BigCommerceOptions(RestOptions):
    """`[feed.source] type = "bigcommerce"`. `url` is https://api.bigcommerce.com/stores/STORE_HASH/v3."""

    page_size: int = Field(250, ge=1, le=250)  # products and variants of one page
    items_size: int = Field(1000, ge=1, le=1000)  # inventory items of one page

    @field_validator("url")
    @classmethod
    def _names_a_store(cls, value: str) -> str:
        parts = value.split("/")
        if parts[-1] != "v3" or parts[-3:-2] != ["stores"] or not parts[-2]:
            msg = 'it names a store and ends in /v3: write "https://api.bigcommerce.com/stores/STORE_HASH/v3"'
            raise ValueError(msg)
        return value


class BigCommerceSource(RestSource[BigCommerceOptions]):
    """The inventory of one store."""

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:  # noqa: ARG002 - the protocol's signature
        """Yield the stock of all items as one arrival of JSON lines; see `protocols.Source`.

        Raises CredentialsError (401, 403), TransientError (429, 5xx, cut short, changed each time it was read), PermanentError
        (a web page, a redirect, a loop of pages), DeliveryError (larger than `max_size`).
        """
        began, connection = self._around.now(), self._connection
        if connection.password is None or not connection.password.is_given:
            raise CredentialsError(f"connection {connection.name!r} has no access token", "Write it as the password.")
        token = replace(connection, extra={**connection.extra, "header": "X-Auth-Token"})

        def headers(address: WebAddress) -> Mapping[str, str]:
            return login_headers(token, address)

        session = RestSession(self._options, connection, headers, self._around, asked_wait=asked_wait)
        yield read_again(lambda: self._read(session, spool, began), self._options.reads)

    def _read(self, session: RestSession, spool: Path, began: datetime) -> Fetched:
        options, count = self._options, TrackedCount()
        lists = PacedLists(session, options.max_pages, self._around.sleep)
        with SortedFacts(spool, session.place, most=options.max_size) as facts:
            # Stock first: a product that appears meanwhile has no level yet, one that vanishes is noticed.
            for item in lists.records("inventory/items", (), options.items_size):
                add_level(facts, item)
            fields = "product_id,sku,upc"
            for variant in lists.records("catalog/variants", (("include_fields", fields),), options.page_size):
                add_variant(facts, variant)
            fields = "inventory_tracking,base_variant_id,upc,gtin,date_modified"
            for product in lists.records("catalog/products", (("include_fields", fields), ("sort", "id")), options.page_size):
                add_product(facts, product)
            spooled = spool_lines(stock_lines(facts, count), spool, session.place, options.limits)
        # asked again and answered the same is news: it was so at this time, too
        name = f"{session.base.host}.jsonl"
        identity = f"{name}|{began.isoformat()}"
        return Fetched(spooled.path, spooled.sha256, spooled.size, name, identity, began, {}, count.findings(_TRACKING))
