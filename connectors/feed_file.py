"""The feed-file channel: the channel's full current stock as one CSV or NDJSON file in a folder or on an SFTP server.

Never compares before writing (a file does not sell) and never forgets: each publish is merged into the file as it is,
people's edits and other locations' rows included. The export is exact, not made safe for spreadsheets.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from connectors.feed_file_places import FolderPlace, SftpPlace
from connectors.feed_file_rows import FeedRows, FileFormat, Key, parse, render
from connectors.http import NoAnswerError
from schemas.connections import Connection
from schemas.errors import ConfigError
from schemas.publishing import ItemResult, Listing, Observed, PublishItem


class FeedFileOptions(BaseModel):
    """The keys of a `[channel]` of kind "feed_file" beside the general ones. `file` defaults to stock.csv or stock.ndjson."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    path: str = Field(min_length=1)  # folder; it must exist
    to: Literal["folder", "sftp"] = "folder"
    format: FileFormat = "csv"
    file: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")
    max_size: int = Field(256 * 1024 * 1024, ge=1024)  # bytes of the file read back


class FeedFileChannel:
    """One file that another system picks up. Any SKU can be listed; what the file says is what the channel shows."""

    compares = False
    max_batch = 100_000  # every publish writes the file once, so few large batches are best

    def __init__(
        self,
        options: FeedFileOptions,
        connection: Connection | None,
        locations: Sequence[str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._locations, self._format, self._now = tuple(locations), options.format, now
        name = options.file or f"stock.{options.format}"
        self._place: FolderPlace | SftpPlace
        if options.to == "folder":
            self._place = FolderPlace(Path(options.path).expanduser(), name, options.max_size)
        elif connection is not None:
            self._place = SftpPlace(connection, options.path, name, options.max_size)
        else:
            raise ConfigError('a feed_file channel with to = "sftp" needs a connection', 'Add connection = "…" to the channel.')

    def resolve(self, skus: Sequence[str]) -> Iterator[Listing]:
        """Yield an active Listing for each distinct SKU and owned location; only a blank SKU is "missing"."""
        for sku in dict.fromkeys(skus):
            for location in self._locations:
                if sku.strip() and _is_text(sku):
                    yield Listing(sku, location)
                else:
                    yield Listing(sku, location, status="missing", message="a blank or undecodable SKU cannot be listed")

    def publish(self, items: Sequence[PublishItem]) -> Iterator[ItemResult]:
        """Yield one result for every item; the file is replaced once, and not at all if it says all of it already.

        Raises TransientError, ConfigError or PermanentError when nothing was written.
        """
        newest: dict[Key, PublishItem] = {}
        refused: list[ItemResult] = []
        for item in items:
            problem = self._problem(item)
            if problem:
                refused.append(ItemResult(item, "failed", *problem))
                continue
            key = (item.listing.sku, item.listing.location)
            older, winner = sorted((item, newest.get(key, item)), key=lambda rival: rival.version)
            if key in newest:
                refused.append(ItemResult(older, "failed", "DUPLICATE-ITEM", "a newer value of this listing is in the same batch"))
            newest[key] = winner
        unanswered = self._write({key: item.quantity for key, item in newest.items()}) if newest else ""
        yield from refused
        for item in newest.values():
            if unanswered:
                yield ItemResult(item, "unknown", "NO-ANSWER", unanswered, retryable=True)
            else:
                yield ItemResult(item, "confirmed")

    def read_back(self, listings: Sequence[Listing]) -> Iterator[Observed]:
        """Yield what the file says of each listing, in order; None with the reason where it says nothing usable."""
        with self._place.open() as place:
            data = place.read()
        content = parse(data, self._format, self._place.shown) if data is not None else None
        for listing in listings:
            if content is None:
                yield Observed(listing, None, f"{self._place.shown} does not exist")
            else:
                yield Observed(listing, *content.quantity((listing.sku, listing.location)))

    def _write(self, values: dict[Key, int]) -> str:
        """Return "" once the file holds `values`, or a sentence when the server did not say whether it does."""
        with self._place.open() as place:
            data = place.read()
            content = parse(data, self._format, self._place.shown) if data is not None else FeedRows()
            moment = self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if content.merge(values, moment) or data is None:
                try:
                    place.write(render(content, self._format))
                except NoAnswerError as error:
                    return str(error)
        return ""

    def _problem(self, item: PublishItem) -> tuple[str, str] | None:
        if item.quantity < 0:
            return "NEGATIVE", f"the quantity {item.quantity} is negative and was not written; publish 0 instead"
        if item.listing.location not in self._locations:
            return "LOCATION-NOT-OWNED", f"{item.listing.location} is not in channel.locations and is never written"
        if item.listing.status != "active":
            return "LISTING-NOT-ACTIVE", item.listing.message or f"the listing is {item.listing.status}"
        return None


def _is_text(sku: str) -> bool:
    """Return whether `sku` can be written as UTF-8; lone surrogates of a badly decoded name cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in sku)
