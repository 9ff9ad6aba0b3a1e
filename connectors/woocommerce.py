"""A WooCommerce shop as a source: the stock of its products and variations (REST wc/v3).

Only reads. Never takes an untracked item's number for stock, never counts shared stock twice, and never takes half a catalogue.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from connectors.rest_session import RestOptions, RestSession, RestSource, read_again
from connectors.storefront_lines import SortedFacts, StockLine, spool_lines
from connectors.web_login import login_headers
from connectors.woocommerce_items import Shelf, id_of, is_variable
from connectors.woocommerce_lists import products, variations
from schemas.errors import CredentialsError, TransientError
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen


class WooCommerceOptions(RestOptions):
    """`[feed.source] type = "woocommerce"`. `url` ends in /wc/v3: https://shop.example/wp-json/wc/v3."""

    status: Literal["any", "draft", "pending", "private", "publish"] = "publish"  # of the products that are read
    page_size: int = Field(100, ge=1, le=100)  # records of one page

    @field_validator("url")
    @classmethod
    def _ends_in_its_version(cls, value: str) -> str:
        if not value.endswith("/wc/v3"):
            msg = 'it ends in /wc/v3: write for example "https://shop.example/wp-json/wc/v3"'
            raise ValueError(msg)
        return value


class WooCommerceSource(RestSource[WooCommerceOptions]):
    """The products and variations of one shop."""

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:  # noqa: ARG002 - the protocol's signature
        """Yield the stock of all products as one arrival of JSON lines; see `protocols.Source`.

        Raises CredentialsError (401, 403), TransientError (429, 5xx, cut short, changed each time it was read), PermanentError
        (a web page, a redirect, a loop of pages), DeliveryError (larger than `max_size`).
        """
        began, connection = self._around.now(), self._connection
        if not connection.login or connection.password is None or not connection.password.is_given:
            raise CredentialsError(
                f"connection {connection.name!r} has no consumer key and secret", "Write them as login and password."
            )
        session = RestSession(self._options, connection, lambda address: login_headers(connection, address), self._around)
        yield read_again(lambda: self._read(session, spool, began), self._options.reads)

    def _read(self, session: RestSession, spool: Path, began: datetime) -> Fetched:
        options, shelf = self._options, Shelf(session.place)
        with SortedFacts(spool, session.place, most=options.max_size) as found:
            for product in products(session, options.status, options.page_size, options.max_pages):
                found.add((f"{id_of(product, session.place):020d}",), product)
            lines = self._lines(session, shelf, (product for _, product in found))
            spooled = spool_lines(lines, spool, session.place, options.limits)
        host = session.base.host
        # asked again and answered the same is news: it was so at this time, too
        identity = f"{host}.jsonl|{began.isoformat()}"
        return Fetched(spooled.path, spooled.sha256, spooled.size, f"{host}.jsonl", identity, began, {}, shelf.findings())

    def _lines(self, session: RestSession, shelf: Shelf, found: Iterator[dict[str, Any]]) -> Iterator[StockLine]:
        """Yield the lines in the order of the products' ids, asking for variations on the way."""
        options = self._options
        for product in found:
            each: dict[int, dict[str, Any]] = {}
            if is_variable(product):
                number = id_of(product, session.place)
                for one in variations(session, number, options.status, options.page_size):
                    if each.setdefault(id_of(one, session.place), one) is not one:
                        raise TransientError(
                            f"{session.place}: a variation of product {number} came twice: pages overlap",
                            "Nothing was recorded; it is tried again.",
                        )
            yield from shelf.lines(product, [each[identity] for identity in sorted(each)])
