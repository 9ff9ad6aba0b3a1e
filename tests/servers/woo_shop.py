"""A WooCommerce shop's REST interface (wc/v3), as its documents and source say: state that changes, traps and faults.

The traps are WooCommerce's own: a variation without a SKU shows its product's, one that is not tracked shows 0, one that shares
its product's stock shows that number, and records that the key's user may not see are counted and left out.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.feeds import CANARY
from tests.servers.web_server import Line, Request, reply

PREFIX = "/wp-json/wc/v3/"
Record = dict[str, Any]


@dataclass
class WooShop:
    """`before` is called with each request's number, path and page before it is answered; what it gives is answered instead."""

    products: list[Record] = field(default_factory=list)
    variations: dict[int, list[Record]] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    keeps_order: bool = True  # as it is asked for; plug-ins may list otherwise
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[int, str, int], bytes | None] = lambda _number, _path, _page: None
    asked: list[str] = field(default_factory=list)
    answered: list[tuple[str, Any]] = field(default_factory=list)
    last_id: int = 0

    def add(self, sku: str, quantity: float | None = None, **changes: Any) -> Record:
        """Add a product that is tracked if it has a quantity; give it."""
        product = self._record(sku, quantity) | {"type": "simple", "parent_id": 0, "variations": []} | changes
        self.products.append(product)
        return product

    def vary(self, product: Record, sku: str, quantity: float | None = None, **changes: Any) -> Record:
        """Add a variation, which shares the stock of a tracked product unless it has a quantity of its own; give it."""
        variation = self._record(sku or product["sku"], quantity) | changes
        product["type"] = "variable"
        product["variations"].append(variation["id"])
        if quantity is None and product["manage_stock"]:
            variation |= {"manage_stock": "parent", "stock_quantity": product["stock_quantity"]}
        elif quantity is None:
            variation["stock_quantity"] = 0
        self.variations.setdefault(product["id"], []).append(variation)
        return variation

    def clear(self) -> None:
        """Leave nothing; the next product has the first id again."""
        self.products.clear()
        self.variations.clear()
        self.last_id = 0

    def _record(self, sku: str, quantity: float | None) -> Record:
        self.last_id += 1
        return {
            "id": self.last_id, "sku": sku, "global_unique_id": "4006381333931", "status": "publish",
            "manage_stock": quantity is not None, "stock_quantity": quantity, "stock_status": "instock", "backorders": "no",
            "date_modified": "2026-10-01T10:00:00", "date_modified_gmt": "2026-10-01T08:00:00", "price": "9.00",
        }  # fmt: skip

    def answer(self, request: Request, line: Line) -> None:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.removeprefix(PREFIX)
        self.asked.append(request.target)
        instead = self.before(len(self.asked), path, int(query.get("page", "1")))
        line.send(instead or self._answer(request, path, query))

    def _answer(self, request: Request, path: str, query: dict[str, str]) -> bytes:
        wanted = "Basic " + b64encode(f"acme:{CANARY}".encode()).decode()
        if request.headers.get("authorization") != wanted:
            return _refusal(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        if path == "products":
            return self._page(path, self.products, query)
        number = path.removeprefix("products/").removesuffix("/variations")
        if f"products/{number}/variations" != path or not any(str(one["id"]) == number for one in self.products):
            return _refusal(404, "woocommerce_rest_product_invalid_id", "Invalid ID.")
        return self._page(path, self.variations.get(int(number), []), query)

    def _page(self, path: str, records: list[Record], query: dict[str, str]) -> bytes:
        size, page = int(query.get("per_page", "10")), int(query.get("page", "1"))
        if not 1 <= size <= 100:
            return _refusal(400, "rest_invalid_param", "Invalid parameter(s): per_page")
        status = query.get("status", "any")
        found = [one for one in records if status in {"any", one["status"]}]
        if self.keeps_order and query.get("orderby") == "id":
            found = sorted(found, key=lambda one: one["id"], reverse=query.get("order", "desc") == "desc")
        shown = [one for one in found[(page - 1) * size : page * size] if one["id"] not in self.hidden]
        self.answered.append((path, json.loads(json.dumps(shown))))
        if "_fields" in query:
            names = query["_fields"].split(",")
            shown = [{name: one[name] for name in names if name in one} for one in shown]
        headers = {"X_WP_Total": str(len(found)), "X_WP_TotalPages": str(-(-len(found) // size))} | self.headers
        return reply(200, json.dumps(shown).encode(), Content_Type="application/json; charset=UTF-8", **headers)


def _refusal(status: int, code: str, message: str) -> bytes:
    body = json.dumps({"code": code, "message": message, "data": {"status": status}}).encode()
    return reply(status, body, Content_Type="application/json; charset=UTF-8")
