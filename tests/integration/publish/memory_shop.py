"""A shop in memory that keeps stock, sells it, remembers idempotency keys and fails on command. It is the truth of a test."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from schemas.errors import TransientError
from schemas.publishing import ItemResult, Listing, Observed, PublishItem

PLACE = "main"


class PowerCutError(BaseException):
    """The process dies: nothing of ours may catch it."""


@dataclass(frozen=True)
class Accepted:
    """One quantity the shop took."""

    sku: str
    location: str
    quantity: int
    version: int
    before: int
    key: str


@dataclass
class MemoryShop:
    """Stock by (SKU, location). `faults` are used up one per publish call."""

    stock: dict[tuple[str, str], int] = field(default_factory=dict)
    compares: bool = True
    max_batch: int = 250
    faults: list[str] = field(default_factory=list)
    refused: dict[str, tuple[str, bool]] = field(default_factory=dict)  # SKU → code, retryable
    unlisted: set[str] = field(default_factory=set)
    log: list[Accepted] = field(default_factory=list)
    answered: dict[str, ItemResult] = field(default_factory=dict)
    sold: dict[str, int] = field(default_factory=dict)
    resolved: list[str] = field(default_factory=list)
    calls: list[list[PublishItem]] = field(default_factory=list)
    frozen: bool = False  # confirms everything and stores nothing
    locations: tuple[str, ...] = (PLACE,)

    def list_skus(self, *skus: str, quantity: int = 0) -> None:
        for sku in skus:
            for location in self.locations:
                self.stock[sku, location] = quantity

    def sell(self, sku: str, units: int = 1, location: str = PLACE) -> int:
        """Sell what there is, at most `units`."""
        units = min(units, max(self.stock[sku, location], 0))
        self.stock[sku, location] -= units
        self.sold[sku] = self.sold.get(sku, 0) + units
        return units

    def shows(self, sku: str, location: str = PLACE) -> int:
        return self.stock[sku, location]

    def write_log(self, path: Path) -> Path:
        """Write the channel log: every quantity taken, in order, then what is shown now."""
        events = [{"type": "set", **asdict(taken)} for taken in self.log]
        shown = [{"type": "shown", "sku": sku, "location": place, "quantity": n} for (sku, place), n in self.stock.items()]
        path.write_text("".join(json.dumps(event) + "\n" for event in events + shown), encoding="utf-8")
        return path

    # the channel protocol

    def resolve(self, skus: Sequence[str]) -> Iterator[Listing]:
        self.resolved += skus
        for sku in skus:
            for location in self.locations:
                if sku in self.unlisted or (sku, location) not in self.stock:
                    yield Listing(sku, location, status="missing", message=f"the shop has no item {sku}")
                else:
                    yield Listing(sku, location, {"item": f"item-{sku}"})

    def publish(self, items: Sequence[PublishItem]) -> Iterator[ItemResult]:
        assert len(items) <= self.max_batch
        self.calls.append(list(items))
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "unreachable":
            raise TransientError("the shop does not answer", "Try again.")
        if fault == "die before":
            raise PowerCutError
        results = [self._set(item) for item in items]
        if fault == "die after":
            raise PowerCutError
        if fault == "answer lost":
            raise TransientError("the shop's answer was lost", "Try again.")
        for result in results:
            yield ItemResult(result.item, "unknown", "NO-ANSWER") if fault == "no answer" else result

    def _set(self, item: PublishItem) -> ItemResult:
        if self.compares and item.idempotency_key in self.answered:
            return self.answered[item.idempotency_key]
        key = (item.listing.sku, item.listing.location)
        now = self.stock[key]
        if item.listing.sku in self.refused:
            code, retryable = self.refused[item.listing.sku]
            return ItemResult(item, "failed", code, "the shop refuses this item", retryable=retryable)
        if self.compares and item.expected is not None and item.expected != now:
            return ItemResult(item, "stale", "STALE", "another quantity")
        if not self.frozen:
            self.stock[key] = item.quantity
        self.log.append(Accepted(*key, item.quantity, item.version, now, item.idempotency_key))
        self.answered[item.idempotency_key] = ItemResult(item, "confirmed")
        return self.answered[item.idempotency_key]

    def read_back(self, listings: Sequence[Listing]) -> Iterator[Observed]:
        for one in listings:
            yield Observed(one, self.stock.get((one.sku, one.location)))
