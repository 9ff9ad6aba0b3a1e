"""What a WooCommerce shop says of its products and variations: one line for each thing that has a stock of its own.

Never asks anything. A number that several variations share is said once, with the product that has it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.storefront_lines import StockLine, TrackedCount
from connectors.storefront_reasons import Withheld, is_positive, plain, text_of
from schemas.errors import PermanentError
from schemas.findings import Finding

_PARENT = "parent"  # what a variation's manage_stock is when the product's stock counts for it
_WITHOUT_STOCK = frozenset({"grouped", "external"})
_REMEDY = "Switch on Track stock quantity for them in the shop (Product data > Inventory) if they are to be offered."
#: The words that stand where a quantity would, beside UNTRACKED: what is said of such items, and the remedy.
SENTENCES = {
    "out_of_stock": (
        "quantity unknown, because the shop takes it for out of stock although some are counted (its threshold)",
        "Lower the threshold in the shop (Settings > Products > Inventory) if they are to be offered.",
    ),
    "shared": (
        "quantity unknown, because the variation shares its product's stock, which is told once, with the product",
        "Offer the product's own SKU, or let the shop track the stock of each variation.",
    ),
}


def is_variable(product: Mapping[str, Any]) -> bool:
    """Return whether a product is sold as variations. Plug-ins have kinds of their own: variable-subscription."""
    return str(product.get("type", "")).startswith("variable")


def id_of(record: Mapping[str, Any], place: str) -> int:
    """Return the id of a product or variation. Raises PermanentError without one."""
    found = record.get("id")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise PermanentError(f"{place}: a record has no id", "The shop answers otherwise than its interface says: ask its makers.")
    return found


@dataclass(slots=True)
class Shelf:
    """Makes lines, and counts what they do not tell. `place` names the shop in messages."""

    place: str
    tracked: TrackedCount = field(default_factory=TrackedCount)
    withheld: Withheld = field(default_factory=lambda: Withheld(SENTENCES))

    def lines(self, product: Mapping[str, Any], variations: Iterable[Mapping[str, Any]]) -> Iterator[StockLine]:
        """Yield the line of a product, or those of its variations, with the product's own where they share its stock."""
        if not is_variable(product):
            yield self._line(product, product)
            return
        each = list(variations)
        if any(one.get("manage_stock") == _PARENT for one in each):
            yield self._line(product, product)
        for one in each:
            # without a SKU of its own a variation shows the product's: then it is the line that was given already
            if one.get("manage_stock") != _PARENT or one.get("sku") != product.get("sku"):
                yield self._line(one, product)

    def findings(self) -> tuple[Finding, ...]:
        """Return what there is to tell of the lines that were given."""
        return (*self.tracked.findings(_REMEDY), *self.withheld.findings())

    def _line(self, record: Mapping[str, Any], product: Mapping[str, Any]) -> StockLine:
        quantity, managed = plain(record.get("stock_quantity")), record.get("manage_stock")
        tracked = managed in (True, _PARENT) and quantity is not None and product.get("type") not in _WITHOUT_STOCK
        sku, identity = text_of(record.get("sku")), id_of(record, self.place)
        self.tracked.add(sku or f"id {identity}", tracked=tracked)
        word = self._word(record) if tracked else None
        if word:
            self.withheld.add(word, sku or f"id {identity}")
        more = {"status": record.get("status"), "stock_status": record.get("stock_status")}
        return StockLine(
            item=str(identity),
            location_id="",
            sku=sku,
            gtin=text_of(record.get("global_unique_id")),
            tracked=tracked,
            location=None,
            quantities={"stock_quantity": word or quantity},
            updated_at=text_of(record.get("date_modified_gmt")),
            more={
                **{name: plain(value) for name, value in more.items()},
                "product": str(id_of(product, self.place)),
                "product_sku": text_of(product.get("sku")),
                "counted": quantity if word else None,
            },
        )

    @staticmethod
    def _word(record: Mapping[str, Any]) -> str | None:
        """Return the word for a counted quantity that is not this record's to sell, None for any other."""
        if record.get("manage_stock") == _PARENT:
            return "shared"
        return "out_of_stock" if record.get("stock_status") == "outofstock" and is_positive(record.get("stock_quantity")) else None
