"""One delivery on its way through ingest: what every step needs to know of it. Never changes; a step makes a new one."""

from dataclasses import dataclass, replace
from datetime import datetime

from schemas.feed_config import Feed
from schemas.findings import Finding
from stockfeed.bootstrap import App
from stockfeed.pipeline.lease import Lease
from stockfeed.store.deliveries import Delivery
from stockfeed.store.feeds import FeedRow


@dataclass(frozen=True, slots=True)
class Release:
    """A person's decision to apply a held delivery."""

    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Job:
    """A delivery, its feed as configured and as the database has it, and the feed's last applied delivery.

    `release`: a person released it, so findings of severity "hold" do not count.
    """

    app: App
    config: Feed
    row: FeedRow
    delivery: Delivery
    last: Delivery | None
    lease: Lease
    release: Release | None = None

    @property
    def forced(self) -> bool:
        """Whether a person decided that the guard's findings do not count."""
        return self.release is not None

    @property
    def arrived_with(self) -> list[Finding]:
        """What the source found about the arrival, whatever was judged since."""
        return [Finding(**found) for found in self.delivery.arrival_findings or ()]

    @property
    def as_of(self) -> datetime:
        """The instant the delivery's stock is of: its own, else its source's, else when it arrived (aware UTC)."""
        return self.delivery.as_of or self.delivery.source_time or self.delivery.received_at

    def at(self, *, as_of: datetime | None, order_key: int | None) -> "Job":
        """Return the same job with the delivery's place in time."""
        return replace(self, delivery=replace(self.delivery, as_of=as_of, order_key=order_key))

    def covering(self, locations: list[str] | None) -> "Job":
        """Return the same job with the locations the delivery covers (None: the whole feed)."""
        return replace(self, delivery=replace(self.delivery, locations=locations))

    def holding(self, delivery: Delivery) -> "Job":
        """Return the same job about another delivery of the feed."""
        return replace(self, delivery=delivery)
