"""What a Shopify shop says about its stock, as facts that belong together and as lines of stock.

Never sends anything that changes the shop, and never takes a page for the last one that does not say so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.shopify_queries import Operation
from connectors.shopify_session import page_nodes
from connectors.shopify_stock_queries import MORE_LEVELS, MORE_VARIANTS, STOCK_PAGE
from connectors.storefront_lines import SortedFacts, StockLine, TrackedCount
from schemas.errors import TransientError
from schemas.rejections import escape_value

Run = Callable[[Operation, Mapping[str, Any]], Any]

_ITEM, _VARIANT, _LEVEL = "0", "1", "2"  # in a key behind the item's id: what belongs to an item follows it


class BrokenAnswerError(TransientError):
    """An answer of the shop lacks what its contract promises: it was cut, or something stands between us."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the shop's answer {what}", "Nothing was recorded; it is tried again.")


def add_item(facts: SortedFacts, node: Mapping[str, Any]) -> str:
    """Keep what an inventory item says of itself and return its id. Raises BrokenAnswerError."""
    item, sku, tracked = node.get("id"), node.get("sku"), node.get("tracked")
    if not isinstance(item, str) or not isinstance(tracked, bool) or not (sku is None or isinstance(sku, str)):
        raise BrokenAnswerError("has an inventory item without id or without saying whether it is tracked")
    facts.add((item, _ITEM), {"sku": sku, "tracked": tracked})
    return item


def add_variant(facts: SortedFacts, item: str, node: Mapping[str, Any]) -> None:
    """Keep a variant that the item is sold as."""
    facts.add((item, _VARIANT, _text(node, "id")), {"barcode": node.get("barcode")})


def add_level(facts: SortedFacts, item: str, node: Mapping[str, Any]) -> None:
    """Keep what is at one location; an inactive level or location is none. Raises BrokenAnswerError."""
    place = node.get("location")
    if not isinstance(place, dict) or not isinstance(node.get("isActive"), bool) or not isinstance(place.get("isActive"), bool):
        raise BrokenAnswerError(f"has a level of {escape_value(item)} without a location")
    if not (node["isActive"] and place["isActive"]):
        return
    fact = {"name": place.get("name"), "updated_at": node.get("updatedAt"), "quantities": _quantities(item, node)}
    facts.add((item, _LEVEL, _text(place, "id")), fact)


@dataclass(frozen=True, slots=True)
class PagedStock:
    """The stock read page by page: `page` items and, inside each, `levels` locations at a time."""

    run: Run
    names: Sequence[str]
    page: int
    levels: int

    def read(self, facts: SortedFacts) -> None:
        """Keep all inventory items with their variants and levels, also of long lists inside a page.

        Raises whatever `run` raises, PermanentError for pages in a circle, TransientError for answers that lack something.
        """
        names = list(self.names)
        for node in page_nodes(self.run, STOCK_PAGE, {"levels": self.levels, "names": names}, self.page, shrink=True):
            item = add_item(facts, node)
            if node.get("variants") is not None:
                for variant in self._inner(node, "variants", MORE_VARIANTS, {"id": item}):
                    add_variant(facts, item, variant)
            for level in self._inner(node, "inventoryLevels", MORE_LEVELS, {"id": item, "names": names}):
                add_level(facts, item, level)

    def _inner(
        self, node: Mapping[str, Any], field: str, more: Operation, variables: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        """Yield all nodes of a connection inside a node, asking for the pages that the first answer does not hold."""

        def following(operation: Operation, asked: Mapping[str, Any]) -> Any:
            if asked["after"] is None:
                return node.get(field)  # the first page is here already
            answer = self.run(operation, asked)
            return answer.get(field) if isinstance(answer, dict) else None

        return page_nodes(following, more, variables, self.levels)


def stock_lines(facts: SortedFacts, count: TrackedCount) -> Iterator[StockLine]:
    """Yield a line for each item and location, in the order of their ids; count the items.

    Raises TransientError for what came twice, and for a level or variant whose item never came.
    """
    item, own = "", dict[str, Any]()
    barcodes: dict[str, None] = {}
    for key, fact in facts:
        if key[1] == _ITEM:
            item, own, barcodes = key[0], fact, {}
            count.add(own["sku"] or item, tracked=own["tracked"])
        elif key[0] != item:
            raise BrokenAnswerError(f"has parts of {escape_value(key[0])} and not the item itself")
        elif key[1] == _VARIANT:
            barcodes |= {fact["barcode"]: None} if fact["barcode"] else {}
        else:
            gtin = next(iter(barcodes)) if len(barcodes) == 1 else None  # of several none is the item's own
            place, at = fact["name"], fact["updated_at"]
            yield StockLine(item, key[2], own["sku"], gtin, own["tracked"], place, fact["quantities"], at)


def _quantities(item: str, node: Mapping[str, Any]) -> dict[str, int]:
    listed = node.get("quantities")
    if not isinstance(listed, list):
        raise BrokenAnswerError(f"has a level of {escape_value(item)} without quantities")
    found: dict[str, int] = {}
    for one in listed:
        name, quantity = (one.get("name"), one.get("quantity")) if isinstance(one, dict) else (None, None)
        if not isinstance(name, str) or isinstance(quantity, bool) or not isinstance(quantity, int):
            raise BrokenAnswerError(f"has a quantity of {escape_value(item)} that is no whole number")
        found[name] = quantity
    return found


def _text(node: Mapping[str, Any], name: str) -> str:
    value = node.get(name)
    if not isinstance(value, str) or not value:
        raise BrokenAnswerError(f"has a node without {name}")
    return value
