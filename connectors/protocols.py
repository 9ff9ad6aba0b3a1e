"""What a source and a channel must do; no base classes: any object with these methods is one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from schemas.feed_config import Feed
from schemas.publishing import ItemResult, Listing, Observed, PublishItem
from schemas.transfer import Fetched, Seen


class Source(Protocol):
    """A place where a supplier puts stock."""

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        """Yield each new arrival, oldest first, downloaded whole into the private folder `spool`.

        Leaves the source as it is: deleting, moving or marking happens in `acknowledge`, after our commit. Raises
        CredentialsError (login, host key), TransientError (unreachable, short or growing file), ConfigError.
        """
        ...

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Do at the source what the feed declares for a committed arrival (leave, move, delete); safe to repeat."""
        ...


@runtime_checkable
class Answering(Protocol):
    """A source that can also send something back to who delivered (EDI acknowledgements)."""

    def answer(self, name: str, content: bytes) -> bool:
        """Put one file where the feed declares answers go; False where it declares nothing. Safe to repeat: the same file."""
        ...


class Channel(Protocol):
    """A place where we sell."""

    max_batch: int  # items per publish call
    compares: bool  # True: honours PublishItem.expected

    def resolve(self, skus: Sequence[str]) -> Iterator[Listing]:
        """Yield one Listing for each SKU and owned channel location; unknown SKUs come back as status "missing"."""
        ...

    def publish(self, items: Sequence[PublishItem]) -> Iterator[ItemResult]:
        """Send at most `max_batch` items and yield each item's own result, in any order, one for every item."""
        ...

    def read_back(self, listings: Sequence[Listing]) -> Iterator[Observed]:
        """Yield what the channel shows now, one for every listing."""
        ...
