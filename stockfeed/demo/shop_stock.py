"""What the demo shop has in stock: items, locations, sales, and every quantity it was told.

Never speaks HTTP or GraphQL, and starts empty: nothing outlives the process.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

LOWEST, HIGHEST = -1_000_000_000, 1_000_000_000
REASONS = (
    "correction, cycle_count_available, damaged, movement_canceled, movement_created, movement_received, movement_updated, "
    "other, promotion, quality_control, received, reservation_created, reservation_deleted, reservation_updated, restock, "
    "safety_stock, shrinkage"
)
_PHYSICAL = ("committed", "reserved", "damaged", "safety_stock", "quality_control")  # what is on hand and not available
DEFAULT_LOCATION = "gid://shopify/Location/1"


@dataclass(frozen=True, slots=True)
class ShopLocation:
    """A place the shop keeps stock at."""

    id: str
    name: str
    active: bool = True


@dataclass(slots=True)
class ShopItem:
    """One inventory item; `available` holds the locations it is stocked at.

    `barcodes` has one entry for each variant that is this item. `others` holds the further quantities of a location (committed,
    incoming …), `inactive` the locations whose level is switched off, `changed` when a location's quantity last changed.
    """

    id: str
    sku: str | None
    tracked: bool = True
    bundle: bool = False  # a bundle's own quantity cannot be written
    available: dict[str, int] = field(default_factory=dict)
    sold: int = 0
    barcodes: list[str | None] = field(default_factory=lambda: [None])
    others: dict[str, dict[str, int]] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    changed: dict[str, datetime] = field(default_factory=dict)

    def quantity(self, place: str, name: str) -> int | None:
        """Return one quantity at a location by Shopify's name; None for a name that does not exist."""
        others = self.others.get(place, {})
        if name == "available":
            return self.available[place]
        if name == "on_hand":
            return self.available[place] + sum(others.get(part, 0) for part in _PHYSICAL)
        return others.get(name, 0) if name in _PHYSICAL or name == "incoming" else None


@dataclass(frozen=True, slots=True)
class AcceptedSet:
    """One quantity the shop accepted: a line of the channel log."""

    at: datetime
    key: str
    item: str
    sku: str | None
    location: str
    before: int | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Sale:
    """Units sold to a customer."""

    at: datetime
    sku: str
    location: str
    units: int


@dataclass(frozen=True, slots=True)
class Edit:
    """A quantity that a person set in the shop's own admin."""

    at: datetime
    sku: str
    location: str
    quantity: int


class ShopStock:
    """The shop's state. Every method is one step for all threads."""

    def __init__(self, locations: Sequence[ShopLocation] = (), now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.locations = {place.id: place for place in locations or (ShopLocation(DEFAULT_LOCATION, "Main warehouse"),)}
        self.items: dict[str, ShopItem] = {}
        self.log: list[AcceptedSet] = []
        self.sales: list[Sale] = []
        self.edits: list[Edit] = []
        self.remembers_keys = True  # False: a shop whose idempotency does not work
        self._folded: dict[str, list[ShopItem]] = {}
        self._keys: dict[str, tuple[Any, bool]] = {}
        self._now = now
        self.lock = threading.RLock()

    def add(self, sku: str | None, available: int = 0, *, tracked: bool = True, bundle: bool = False) -> ShopItem:
        """Return a new item, stocked with `available` units at the first location."""
        with self.lock:
            item = ShopItem(f"gid://shopify/InventoryItem/{len(self.items) + 1}", sku, tracked, bundle)
            self.put(item, next(iter(self.locations)), available)
            self.items[item.id] = item
            self._folded.setdefault((sku or "").casefold(), []).append(item)
            return item

    def search(self, skus: Sequence[str]) -> list[ShopItem]:
        """Return the items whose SKU equals one of `skus` when case is ignored: like the real search, it finds too much."""
        with self.lock:
            found = {item.id: item for sku in skus for item in self._folded.get(sku.casefold(), ())}
            return list(found.values())

    def item(self, sku: str) -> ShopItem:
        """Return the first item with exactly this SKU. Raises KeyError."""
        for item in self.search([sku]):
            if item.sku == sku:
                return item
        raise KeyError(sku)

    def available(self, sku: str, location: str | None = None) -> int | None:
        """Return what the shop shows as available, None where the item is not stocked."""
        with self.lock:
            return self.item(sku).available.get(location or next(iter(self.locations)))

    def sell(self, sku: str, units: int = 1, location: str | None = None) -> int:
        """Return the units sold: at most what is available, as a customer could not order more. Raises KeyError."""
        with self.lock:
            place = location or next(iter(self.locations))
            item = self.item(sku)
            sold = max(0, min(units, item.available.get(place, 0)))
            if sold:
                self.put(item, place, item.available[place] - sold)
                item.sold += sold
                self.sales.append(Sale(self._now(), sku, place, sold))
            return sold

    def edit(self, sku: str, quantity: int, location: str | None = None) -> None:
        """Set a quantity as a person in the shop's own admin would: it is no sale, and nothing that we sent."""
        with self.lock:
            place = location or next(iter(self.locations))
            self.put(self.item(sku), place, quantity)
            self.edits.append(Edit(self._now(), sku, place, quantity))

    def events(self) -> list[dict[str, Any]]:
        """Return the channel log (see stockfeed.checker.channel_log): what was set, sold and edited, then what is shown now."""
        with self.lock:
            kinds = (("set", self.log), ("sold", self.sales), ("edited", self.edits))
            happened = [(entry.at, {"type": kind, **asdict(entry)}) for kind, entries in kinds for entry in entries]
            ordered = [{**event, "at": at.isoformat()} for at, event in sorted(happened, key=lambda pair: pair[0])]
            at = self._now().isoformat()
            return ordered + [
                {"type": "shown", "at": at, "sku": item.sku, "location": place, "quantity": quantity}
                for item in self.items.values()
                for place, quantity in item.available.items()
            ]

    def once(self, key: str, request: object, act: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Return the errors of `act`, run once per key: a repeat gets the first answer, and a failed key needs a new one."""
        with self.lock:
            known = self._keys.get(key) if self.remembers_keys else None
            if known is not None:
                before, succeeded = known
                if before != request:
                    text = "The same idempotency key cannot be used with different operation parameters."
                    return [_error("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", text)]
                if succeeded:
                    return []
                text = "A previous request with this idempotency key failed. Retry with a new idempotency key."
                return [_error("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", text)]
            errors = act()
            self._keys[key] = (request, not errors)
            return errors

    def set_available(self, request: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        """Return the userErrors of inventorySetQuantities; with any of them nothing is changed."""
        with self.lock:
            errors = _request_errors(request) or self._row_errors(request["quantities"])
            for row in [] if errors else request["quantities"]:
                item, place = self.items[row["inventoryItemId"]], row["locationId"]
                before = item.available.get(place)
                self.put(item, place, row["quantity"])  # an unconnected location is connected by the write
                self.log.append(AcceptedSet(self._now(), key, item.id, item.sku, place, before, row["quantity"]))
            return errors

    def activate(self, item_id: str, location: str, available: int | None, key: str) -> list[dict[str, Any]]:
        """Return the userErrors of inventoryActivate; an already stocked item takes no quantity."""
        with self.lock:
            item, place = self.items.get(item_id), self.locations.get(location)
            if item is None or place is None or not place.active:
                return [{"field": ["inventoryItemId"], "message": "The product couldn't be stocked because it wasn't found."}]
            if location in item.available:
                text = "Not allowed to set available quantity when the item is already active at the location."
                return [{"field": ["available"], "message": text}] if available is not None else []
            self.put(item, location, available or 0)
            self.log.append(AcceptedSet(self._now(), key, item.id, item.sku, location, None, available or 0))
            return []

    def put(self, item: ShopItem, place: str, quantity: int) -> None:
        """Set what is available of an item at a location, now; nobody set, sold or edited it."""
        item.available[place] = quantity
        item.changed[place] = self._now()

    def _row_errors(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        pairs = [(row["inventoryItemId"], row["locationId"]) for row in rows]
        seen: dict[tuple[str, str], int] = {}
        for pair in pairs:
            seen[pair] = seen.get(pair, 0) + 1
        errors = []
        for index, (row, pair) in enumerate(zip(rows, pairs, strict=True)):
            problem = self._row_problem(row)
            if problem is None and seen[pair] > 1:
                text = "The combination of inventoryItemId and locationId must be unique."
                problem = "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", "locationId", text
            if problem is not None:
                code, name, text = problem
                errors.append(_error(code, text, "quantities", str(index), name))
        return errors

    def _row_problem(self, row: Mapping[str, Any]) -> tuple[str, str, str] | None:
        item, place = self.items.get(row["inventoryItemId"]), self.locations.get(row["locationId"])
        if item is None:
            return "INVALID_INVENTORY_ITEM", "inventoryItemId", "The specified inventory item could not be found."
        if place is None or not place.active:
            return "INVALID_LOCATION", "locationId", "The specified location could not be found."
        if item.bundle:
            text = "The specified inventory item is not allowed to be adjusted via API."
            return "NON_MUTABLE_INVENTORY_ITEM", "inventoryItemId", text
        if not LOWEST <= row["quantity"] <= HIGHEST:
            side, than = ("HIGH", f"higher than {HIGHEST:,}") if row["quantity"] > 0 else ("LOW", f"lower than {LOWEST:,}")
            return f"INVALID_QUANTITY_TOO_{side}", "quantity", f"The quantity can't be {than}."
        expected = row["changeFromQuantity"]
        if expected is not None and expected != item.available.get(place.id, 0):
            text = "The changeFromQuantity value does not match persisted value."
            return "CHANGE_FROM_QUANTITY_STALE", "changeFromQuantity", text
        return None


def _request_errors(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    if request["name"] != "available":
        return [_error("INVALID_NAME", "The quantity name must be either 'available' or 'on_hand'.", "name")]
    if request["reason"] not in REASONS.split(", "):
        return [_error("INVALID_REASON", f"The specified reason is invalid. Valid values are: {REASONS}.", "reason")]
    scheme, separator, rest = (request.get("referenceDocumentUri") or "app://none").partition("://")
    if not (scheme and separator and rest):
        return [_error("INVALID_REFERENCE_DOCUMENT", "The specified reference document is not valid.", "referenceDocumentUri")]
    return []


def _error(code: str, message: str, *path: str) -> dict[str, Any]:
    return {"code": code, "field": ["input", *path] if path else None, "message": message}
