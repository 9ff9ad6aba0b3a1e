"""A Magento shop's REST interface, as Adobe documents it and as its source does it: state that changes, traps and faults.

The traps are Magento's own: a page behind the end is the last page once more, the list of low stock has one item unless asked
for more, and only that list tells of many products whether stock is managed, but not of those without an old quantity.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from oauthlib.oauth1.rfc5849 import signature

from tests.servers.feeds import CANARY
from tests.servers.web_server import Line, Request, reply

CONSUMER_SECRET, TOKEN_SECRET = f"{CANARY}-consumer", f"{CANARY}-token-secret"
PREFIX = "/rest/all/V1/"
Record = dict[str, Any]


@dataclass
class MagentoShop:
    """`before` is called with each request's number, path and page before it is answered; what it gives is answered instead."""

    sources: list[Record] = field(default_factory=lambda: [source("default")])
    products: list[Record] = field(default_factory=list)
    stock: list[Record] = field(default_factory=list)
    items: list[Record] = field(default_factory=list)
    bearer_is_allowed: bool = True
    largest_page: int = 300
    before: Callable[[int, str, int], bytes | None] = lambda _number, _path, _page: None
    asked: list[str] = field(default_factory=list)
    answered: list[tuple[str, Any]] = field(default_factory=list)

    def add(self, sku: str, *quantities: float, manage_stock: bool = True, old_quantity: int | None = 0, **changes: Any) -> Record:
        """Add a product with a quantity at each of the first sources; give the product."""
        number = len(self.products) + 1
        product = {
            "id": number, "sku": sku, "name": f"Product {sku}", "status": 1, "type_id": "simple",
            "updated_at": "2026-10-01 08:00:00", "extension_attributes": {"website_ids": [1]},
            "custom_attributes": [{"attribute_code": "ean", "value": "4006381333931"}],
        } | changes  # fmt: skip
        self.products.append(product)
        self.stock.append(stock_item(number, manage_stock=manage_stock) | {"qty": old_quantity})
        for place, quantity in zip(self.sources, quantities, strict=False):
            self.items.append({"sku": sku, "source_code": place["source_code"], "quantity": quantity, "status": int(quantity > 0)})
        return product

    def clear(self) -> None:
        """Leave the sources only."""
        for records in (self.products, self.stock, self.items):
            records.clear()

    def answer(self, request: Request, line: Line) -> None:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        path = parts.path.removeprefix(PREFIX)
        self.asked.append(request.target)
        page = query.get("searchCriteria[currentPage]") or query.get("currentPage") or "1"
        instead = self.before(len(self.asked), path, int(page))
        line.send(instead or self._answer(request, path, query))

    def _answer(self, request: Request, path: str, query: dict[str, str]) -> bytes:
        if not self._knows(request):
            words = "The consumer isn't authorized to access %resources."
            return self._say(401, {"message": words, "parameters": {"resources": "Magento_InventoryApi::source"}})
        lists = {
            "inventory/sources": self.sources,
            "products": self.products,
            "inventory/source-items": self.items,
            "stockItems/lowStock/": [one for one in self.stock if one["qty"] is not None],
        }
        if path not in lists:
            if (single := self._stock_item(path)) is not None:
                self.answered.append(("stockItems/{productSku}", single))
                return self._say(200, single)
            return self._say(404, {"message": "Request does not match any route.", "trace": "#0 /var/www"})
        low_stock = path == "stockItems/lowStock/"
        size = int(query.get("pageSize" if low_stock else "searchCriteria[pageSize]", "1" if low_stock else "20"))
        if size > self.largest_page:
            words = f"Maximum SearchCriteria pageSize is {self.largest_page}"
            return self._say(400, {"message": words})
        page = int(query.get("currentPage" if low_stock else "searchCriteria[currentPage]", "1"))
        document = self._page(lists[path], page, size) | {"search_criteria": _criteria(page, size, low_stock=low_stock)}
        self.answered.append((path, json.loads(json.dumps(document))))
        return self._say(200, _only(document, query["fields"]) if "fields" in query else document)

    def _stock_item(self, path: str) -> Record | None:
        found = [one["id"] for one in self.products if path == f"stockItems/{quote(one['sku'], safe='')}"]
        return next((one | {"qty": one["qty"] or 0} for one in self.stock if one["product_id"] in found), None)

    @staticmethod
    def _page(records: list[Record], page: int, size: int) -> Record:
        last = max(1, -(-len(records) // size))
        at = (min(page, last) - 1) * size  # behind the end: the last page once more
        return {"items": records[at : at + size], "total_count": len(records)}

    def _knows(self, request: Request) -> bool:
        header = request.headers.get("authorization", "")
        if header == f"Bearer {CANARY}":
            return self.bearer_is_allowed
        return header.startswith("OAuth ") and _is_signed(header, f"https://{request.headers['host']}{request.target}")

    @staticmethod
    def _say(status: int, document: Any) -> bytes:
        return reply(status, json.dumps(document).encode(), Content_Type="application/json; charset=utf-8")


def source(code: str, *, enabled: bool = True) -> Record:
    return {"source_code": code, "name": code.title(), "enabled": enabled, "country_id": "DE", "postcode": "10115"}


def stock_item(product: int, *, manage_stock: bool) -> Record:
    return {
        "item_id": product + 1000, "product_id": product, "stock_id": 1, "qty": 0, "is_in_stock": True, "is_qty_decimal": False,
        "show_default_notification_message": False, "use_config_min_qty": True, "min_qty": 0, "use_config_min_sale_qty": 1,
        "min_sale_qty": 1, "use_config_max_sale_qty": True, "max_sale_qty": 10000, "use_config_backorders": True, "backorders": 0,
        "use_config_notify_stock_qty": True, "notify_stock_qty": 1, "use_config_qty_increments": True, "qty_increments": 0,
        "use_config_enable_qty_inc": True, "enable_qty_increments": False, "use_config_manage_stock": True,
        "manage_stock": manage_stock, "low_stock_date": "2026-10-01 08:00:00", "is_decimal_divided": False,
        "stock_status_changed_auto": 0,
    }  # fmt: skip


def _criteria(page: int, size: int, *, low_stock: bool) -> Record:
    if low_stock:
        return {
            "mapper_interface_name": "mapper",
            "criteria_list": [],
            "filters": [],
            "orders": [],
            "limit": [str(page), str(size)],
        }
    return {"filter_groups": [], "page_size": size, "current_page": page}


def _only(document: Record, fields: str) -> Record:
    """Give what the documented parameter `fields` leaves of an answer: items[a,b],total_count."""
    inside = fields[fields.index("[") + 1 : fields.index("]")].split(",")
    kept = {name: document[name] for name in fields.partition("]")[2].strip(",").split(",") if name in document}
    return {"items": [{name: one[name] for name in inside if name in one} for one in document["items"]], **kept}


def _is_signed(header: str, url: str) -> bool:
    """Give whether a request is signed with the shop's keys; said by a library that has nothing to do with our own code."""
    named = dict(signature.collect_parameters(headers={"Authorization": header}, exclude_oauth_signature=False))
    if (named.get("oauth_consumer_key"), named.get("oauth_token")) != ("acme", CANARY):
        return False
    parameters = signature.collect_parameters(urlsplit(url).query, headers={"Authorization": header})
    asked = SimpleNamespace(uri=url, http_method="GET", params=parameters, signature=named["oauth_signature"])
    return named["oauth_signature_method"] == "HMAC-SHA256" and signature.verify_hmac_sha256(asked, CONSUMER_SECRET, TOKEN_SECRET)
