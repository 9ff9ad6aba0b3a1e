"""A Magento 2 or Adobe Commerce shop as a source: what it has of each product at each of its inventory sources (MSI).

Only reads. Never takes a quantity that Magento itself would not sell from for stock, and never half a catalogue.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeGuard

from pydantic import Field, field_validator

from connectors.addresses import WebAddress
from connectors.magento_items import Catalogue
from connectors.magento_lists import SOURCE_ITEMS, SOURCES, STOCK_ITEMS, products, records, stock_item
from connectors.oauth_signature import OauthKeys, oauth_header
from connectors.rest_session import RestOptions, RestSession, RestSource, read_again
from connectors.storefront_lines import spool_lines
from connectors.web_login import host_of, login_headers
from schemas.connections import Connection, Secret
from schemas.errors import CredentialsError
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen


class MagentoOptions(RestOptions):
    """`[feed.source] type = "magento"`. `url` ends in /V1, with the store's code before it: https://shop.example/rest/all/V1."""

    sources: tuple[str, ...] = ()  # the codes of the sources to read; by default all
    gtin_attribute: str | None = Field(None, pattern=r"^[A-Za-z0-9_]{1,60}$")  # the product attribute that holds the barcode
    page_size: int = Field(200, ge=1, le=10_000)  # records of one page; shops may limit it (300)

    @field_validator("url")
    @classmethod
    def _ends_in_its_version(cls, value: str) -> str:
        if not value.endswith("/V1"):
            msg = 'it ends in /V1: write for example "https://shop.example/rest/all/V1"'
            raise ValueError(msg)
        return value


class MagentoSource(RestSource[MagentoOptions]):
    """The source items of one shop."""

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:  # noqa: ARG002 - the protocol's signature
        """Yield the stock of all sources as one arrival of JSON lines; see `protocols.Source`.

        Raises CredentialsError (401, 403), TransientError (429, 5xx, cut short, changed each time it was read), PermanentError
        (a web page, a redirect, a loop of pages), DeliveryError (larger than `max_size`), ConfigError (no such source).
        """
        options, began = self._options, self._around.now()
        session = RestSession(options, self._connection, _login(self._connection, self._around.now), self._around)
        yield read_again(lambda: self._read(session, spool, began), options.reads)

    def _read(self, session: RestSession, spool: Path, began: datetime) -> Fetched:
        options = self._options
        size, most = options.page_size, options.max_pages
        with Catalogue(spool, session.place, options.gtin_attribute, options.max_size) as catalogue:
            catalogue.choose(records(session, SOURCES, size, most), options.sources)
            for record in records(session, products(with_attributes=options.gtin_attribute is not None), size, most):
                catalogue.add_product(record)
            for record in records(session, STOCK_ITEMS, size, most):
                catalogue.add_stock_item(record)
            for record in records(session, SOURCE_ITEMS, size, most):
                catalogue.add_source_item(record)
            spooled = spool_lines(catalogue.lines(lambda sku: stock_item(session, sku)), spool, session.place, options.limits)
            findings = catalogue.findings()
        host = session.base.host
        # asked again and answered the same is news: it was so at this time, too
        return Fetched(
            spooled.path, spooled.sha256, spooled.size, f"{host}.jsonl", f"{host}.jsonl|{began.isoformat()}", began, {}, findings
        )


def _is_given(value: object) -> TypeGuard[Secret]:
    return isinstance(value, Secret) and value.is_given


def _login(connection: Connection, now: Callable[[], datetime]) -> Callable[[WebAddress], Mapping[str, str]]:
    """Return what gives the headers that prove who we are: the access token, or a signature where all keys are given."""
    if connection.password is None or not connection.password.is_given:
        raise CredentialsError(
            f"connection {connection.name!r} has no access token",
            "Write the integration's access token as password; for OAuth 1.0a also consumer key, consumer_secret and token_secret.",
        )
    consumer_secret, token_secret = connection.extra.get("consumer_secret"), connection.extra.get("token_secret")
    if consumer_secret is None and token_secret is None:
        bearer = replace(connection, login=None)
        return lambda address: login_headers(bearer, address)
    if not (connection.login and _is_given(consumer_secret) and _is_given(token_secret)):
        raise CredentialsError(
            f"connection {connection.name!r}: OAuth 1.0a needs all four credentials of the integration",
            "Write consumer key and access token as login and password, and extra consumer_secret and token_secret.",
        )
    keys = OauthKeys(connection.login, consumer_secret, connection.password, token_secret)

    def signed(address: WebAddress) -> Mapping[str, str]:
        if (address.host, address.port) != host_of(connection, address):
            return {}
        return {"Authorization": oauth_header(keys, address, secrets.token_hex(16), int(now().timestamp()))}

    return signed
