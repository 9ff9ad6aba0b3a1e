"""A BigCommerce store's REST interface (v3), as its contract files say: state that changes, a quota, traps and faults.

The traps are BigCommerce's own: a product that is not tracked has quantities all the same, a new item has none (null), and a
product's only variant may have no barcode where the product has one.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.feeds import CANARY
from tests.servers.web_server import Line, Request, reply

STORE = "st0re"
PREFIX = f"/stores/{STORE}/v3/"
MODIFIED = "2026-10-01T08:00:00+00:00"
Record = dict[str, Any]


def location(number: int, *, enabled: bool = True) -> Record:
    return {
        "location_id": number, "location_code": f"BC-LOCATION-{number}", "location_name": f"Location {number}",
        "location_enabled": enabled,
    }  # fmt: skip


@dataclass
class BigStore:
    """`before` is called with each request's number, path and page before it is answered; what it gives is answered instead.

    `quota` is how many requests a window allows (None: no limits, and no headers); `now` is the clock, in seconds.
    """

    locations: list[Record] = field(default_factory=lambda: [location(1)])
    products: list[Record] = field(default_factory=list)
    variants: list[Record] = field(default_factory=list)
    items: list[Record] = field(default_factory=list)
    pagination: dict[str, Any] = field(default_factory=dict)  # replaces members of meta.pagination
    before: Callable[[int, str, int], bytes | None] = lambda _number, _path, _page: None
    quota: int | None = None
    window: float = 30.0
    now: Callable[[], float] = lambda: 0.0
    asked: list[str] = field(default_factory=list)
    answered: list[tuple[str, Any]] = field(default_factory=list)
    refused: int = 0
    _window_end: float = 0.0
    _left: int = 0

    def add(self, sku: str, quantity: int | None = 0, tracking: str = "product", **changes: Any) -> Record:
        """Add a product without options, stocked at the first location; give its inventory item."""
        product = {
            "id": 100 + len(self.products), "name": sku, "sku": sku, "inventory_tracking": tracking,
            "upc": "", "gtin": "4006381333931", "date_modified": MODIFIED,
        }  # fmt: skip
        self.products.append(product | changes)
        item = self.vary(self.products[-1], sku, quantity)
        self.products[-1].setdefault("base_variant_id", item["identity"]["variant_id"])
        return item

    def vary(self, product: Record, sku: str, quantity: int | None = 0, upc: str = "") -> Record:
        """Add a variant of a product; give its inventory item."""
        number = 500 + len(self.variants)
        self.variants.append({"id": number, "product_id": product["id"], "sku": sku, "sku_id": None, "upc": upc})
        item = {"identity": {"sku": sku, "variant_id": number, "product_id": product["id"], "sku_id": None}, "locations": []}
        self.items.append(item)
        self.stock(item, self.locations[0], quantity)
        return item

    def stock(self, item: Record, place: Record, quantity: int | None, safety: int = 0) -> None:
        """Stock an item at a location."""
        settings = {"safety_stock": safety, "is_in_stock": bool(quantity), "warning_level": 0, "bin_picking_number": ""}
        on_hand = None if quantity is None else quantity + safety
        stocked = place | {"available_to_sell": quantity, "total_inventory_onhand": on_hand, "settings": settings}
        item["locations"] = [one for one in item["locations"] if one["location_id"] != place["location_id"]] + [stocked]

    def clear(self) -> None:
        """Leave nothing; the next product has the first id again."""
        for records in (self.products, self.variants, self.items):
            records.clear()

    def answer(self, request: Request, line: Line) -> None:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.removeprefix(PREFIX)
        self.asked.append(request.target)
        instead = self.before(len(self.asked), path, int(query.get("page", "1")))
        line.send(instead or self._answer(request, path, query))

    def _answer(self, request: Request, path: str, query: dict[str, str]) -> bytes:
        if request.headers.get("x-auth-token") != CANARY:
            return problem(401, "Unauthorized", {"X_Retry_After": "0"})
        if "accept" not in request.headers:
            return problem(406, "Accept is missing")
        limits = self._spend()
        if limits.pop("over", None):
            self.refused += 1
            return problem(429, "Too many requests", limits)
        lists = {"inventory/items": self.items, "catalog/variants": self.variants, "catalog/products": self.products}
        if path not in lists:
            return problem(404, "Not found")
        return self._page(path, lists[path], query, limits)

    def _spend(self) -> dict[str, str]:
        if self.quota is None:
            return {}
        if self.now() >= self._window_end:
            self._window_end, self._left = self.now() + self.window, self.quota
        over = self._left <= 0
        self._left = max(0, self._left - 1)
        headers = {
            "X_Rate_Limit_Time_Window_Ms": str(int(self.window * 1000)),
            "X_Rate_Limit_Time_Reset_Ms": str(int((self._window_end - self.now()) * 1000)),
            "X_Rate_Limit_Requests_Quota": str(self.quota),
            "X_Rate_Limit_Requests_Left": str(self._left),
        }
        return headers | ({"over": "1"} if over else {})

    def _page(self, path: str, records: list[Record], query: dict[str, str], headers: dict[str, str]) -> bytes:
        most = 1000 if path.startswith("inventory") else 250
        size, page = min(int(query.get("limit", "50")), most), int(query.get("page", "1"))
        shown = records[(page - 1) * size : page * size]
        pages = -(-len(records) // size)
        pagination = {"total": len(records), "count": len(shown), "per_page": size, "current_page": page, "total_pages": pages}
        links = {"current": f"?page={page}&limit={size}"} | ({"next": f"?page={page + 1}&limit={size}"} if page < pages else {})
        document = {"data": shown, "meta": {"pagination": pagination | {"links": links} | self.pagination}}
        self.answered.append((path, json.loads(json.dumps(document))))
        if "include_fields" in query:
            names = {"id", *query["include_fields"].split(",")}
            document["data"] = [{name: one[name] for name in one if name in names} for one in shown]
        return reply(200, json.dumps(document).encode(), Content_Type="application/json", **headers)


def problem(status: int, title: str, headers: dict[str, str] | None = None) -> bytes:
    body = {
        "status": status,
        "title": title,
        "type": "https://developer.bigcommerce.com/docs/start/about/status-codes",
        "errors": {},
    }
    return reply(status, json.dumps(body).encode(), Content_Type="application/problem+json", **(headers or {}))
