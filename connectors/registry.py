"""Every connector by name: one line each. A connector is one file, one line here, one fake server.

Never imports a connector or a client library before it is asked for.
"""

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from schemas.errors import ConfigError, CredentialsError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from connectors.protocols import Channel, Source
    from schemas.channel_config import Channel as ChannelConfig
    from schemas.connections import Connection
    from schemas.feed_config import Feed


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a connector's class and its options model are ("module:name"), and whether it needs a connection."""

    connector: str
    options: str
    needs_connection: bool


SOURCES: Mapping[str, Entry] = {
    "bigcommerce": Entry(
        "connectors.bigcommerce:BigCommerceSource", "connectors.bigcommerce:BigCommerceOptions", needs_connection=True
    ),
    "folder": Entry("connectors.folder:FolderSource", "connectors.folder:FolderOptions", needs_connection=False),
    "ftp": Entry("connectors.ftp:FtpSource", "connectors.ftp:FtpOptions", needs_connection=True),
    "google_sheets": Entry(
        "connectors.google_sheets:GoogleSheetsSource", "connectors.google_sheets:GoogleSheetsOptions", needs_connection=True
    ),
    "object_store": Entry(
        "connectors.object_store:ObjectStoreSource", "connectors.object_store:ObjectStoreOptions", needs_connection=False
    ),
    "imap": Entry("connectors.imap:ImapSource", "connectors.imap:ImapOptions", needs_connection=True),
    "magento": Entry("connectors.magento:MagentoSource", "connectors.magento:MagentoOptions", needs_connection=True),
    "sftp": Entry("connectors.sftp:SftpSource", "connectors.sftp:SftpOptions", needs_connection=True),
    "shopify": Entry(
        "connectors.shopify_source:ShopifySource", "connectors.shopify_source:ShopifySourceOptions", needs_connection=True
    ),
    "woocommerce": Entry(
        "connectors.woocommerce:WooCommerceSource", "connectors.woocommerce:WooCommerceOptions", needs_connection=True
    ),
    "upload": Entry("connectors.upload:UploadSource", "connectors.upload:UploadOptions", needs_connection=False),
    "web_api": Entry("connectors.web_api:WebApiSource", "connectors.web_api:WebApiOptions", needs_connection=False),
    "web_file": Entry("connectors.web_file:WebFileSource", "connectors.web_file:WebFileOptions", needs_connection=False),
}

CHANNELS: Mapping[str, Entry] = {
    "shopify": Entry("connectors.shopify:ShopifyChannel", "connectors.shopify:ShopifyOptions", needs_connection=True),
    "feed_file": Entry("connectors.feed_file:FeedFileChannel", "connectors.feed_file:FeedFileOptions", needs_connection=False),
}


def source_options_model(name: str) -> "type[BaseModel]":
    """Return the pydantic model of a source's options. Raises ConfigError, with a suggestion, for an unknown name."""
    return cast("type[BaseModel]", _load(_entry(SOURCES, name, "source type").options))


def channel_options_model(name: str) -> "type[BaseModel]":
    """Return the pydantic model of a channel's options. Raises ConfigError, with a suggestion, for an unknown name."""
    return cast("type[BaseModel]", _load(_entry(CHANNELS, name, "channel kind").options))


def load_source(
    feed: "Feed",
    connection: "Connection | None",
    *,
    sleep: Callable[[float], object] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> "Source":
    """Return the feed's source, ready to fetch. Raises ConfigError for wrong options, CredentialsError without its connection."""
    entry = _entry(SOURCES, feed.source.type, "source type")
    _require(entry, connection, f"feed {feed.code}: source {feed.source.type}")
    options = _options(entry, feed.source.options, f"feed {feed.code}: source")
    return cast("Source", _load(entry.connector)(options, connection, sleep=sleep, now=now))


def load_channel(channel: "ChannelConfig", connection: "Connection | None") -> "Channel":
    """Return the channel's connector for the locations we own. Raises ConfigError, CredentialsError as `load_source`."""
    entry = _entry(CHANNELS, channel.kind, "channel kind")
    _require(entry, connection, f"channel {channel.code}: kind {channel.kind}")
    options = _options(entry, channel.options, f"channel {channel.code}")
    return cast("Channel", _load(entry.connector)(options, connection, tuple(place.id for place in channel.locations)))


def _entry(entries: Mapping[str, Entry], name: str, what: str) -> Entry:
    if name in entries:
        return entries[name]
    close = difflib.get_close_matches(name, entries, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(f"unknown {what} {name!r}", f"{guess}known: {', '.join(sorted(entries))}".capitalize())


def _require(entry: Entry, connection: "Connection | None", who: str) -> None:
    if entry.needs_connection and connection is None:
        raise CredentialsError(f"{who} needs a connection", 'Name it with `connection = "…"` and set AIRFLOW_CONN_<NAME>.')


def _options(entry: Entry, written: Mapping[str, Any], who: str) -> "BaseModel":
    from pydantic import ValidationError

    try:
        return cast("type[BaseModel]", _load(entry.options)).model_validate(written)
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, e['loc'])) or 'options'}: {e['msg']}" for e in error.errors(include_input=False)]
        raise ConfigError(f"{who}: {'; '.join(mistakes)}", "Correct these keys of the configuration file.") from None


def _load(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    return getattr(import_module(module), name)
