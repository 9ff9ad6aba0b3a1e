"""What a Magento shop's lists say together: one line for each product and inventory source, and what counts as its stock.

Never asks anything. A quantity that Magento's own stock index leaves out is never a number here: it is a word that means unknown.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connectors.storefront_lines import SortedFacts, StockLine, TrackedCount
from connectors.storefront_reasons import Withheld, is_positive, plain, text_of
from schemas.errors import ConfigError, PermanentError
from schemas.findings import Finding
from schemas.rejections import escape_value

_IN_STOCK = 1
_COMPOSED = frozenset({"configurable", "grouped", "bundle"})  # sold as their parts, which have the stock
_PRODUCT, _STOCK_ITEM, _SOURCE_ITEM = "0", "1", "2"  # in which order the facts about one thing come
_REMEDY = "Switch on Manage Stock for them in the shop (Catalog > Products > Advanced Inventory) if they are to be offered."
#: The words that stand where a quantity would, beside UNTRACKED: what is said of such items, and the remedy.
SENTENCES = {
    "out_of_stock": (
        "quantity unknown, because it is marked out of stock although some are counted, and Magento sells none",
        "Mark them in stock in the shop, or set their quantity to 0.",
    ),
    "source_disabled": (
        "quantity unknown, because its source is switched off",
        "Switch the source on in the shop, or name the others in `sources`.",
    ),
    "no_product": (
        "quantity unknown, because the shop has no product with this SKU",
        "Remove them in the shop: they were left behind by a deleted product or by an import.",
    ),
}


class Catalogue:
    """Brings products, stock items and source items of one reading together on disk. Used as a context, once."""

    def __init__(self, folder: Path, place: str, gtin_attribute: str | None, most: int) -> None:
        self._place, self._attribute = place, gtin_attribute
        self._products = self._with_gtin = 0
        self._by_id = SortedFacts(folder, place, most=most)
        self._by_sku = SortedFacts(folder, place, most=most)
        self._enabled: dict[str, bool] = {}
        self._wanted: frozenset[str] = frozenset()
        self._tracked = TrackedCount()
        self._withheld = Withheld(SENTENCES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._by_id.__exit__(kind, error, trace)
        self._by_sku.__exit__(kind, error, trace)

    def choose(self, sources: Iterable[Mapping[str, Any]], wanted: Sequence[str]) -> None:
        """Note the shop's sources and which of them are read (by default all). Raises ConfigError for one that it does not have."""
        self._enabled = {str(source.get("source_code")): source.get("enabled") is True for source in sources}
        unknown = [code for code in wanted if code not in self._enabled]
        if unknown:
            known = ", ".join(escape_value(code) for code in sorted(self._enabled)[:10])
            raise ConfigError(f"{self._place} has no source {unknown[0]!r}", f"Correct `sources`; the shop has {known or 'none'}.")
        self._wanted = frozenset(wanted)

    def add_product(self, record: Mapping[str, Any]) -> None:
        """Keep what is needed of one product. Raises PermanentError for one without id or SKU, as the others do."""
        self._demand(record, "a product", ("id", "sku"))
        kept = {name: record.get(name) for name in ("id", "sku", "type_id", "status", "updated_at")}
        if self._attribute:
            kept["gtin"] = _attribute(record, self._attribute)
            self._with_gtin += kept["gtin"] is not None
        self._products += 1
        self._by_id.add((str(record.get("id")), _PRODUCT), kept)

    def add_stock_item(self, record: Mapping[str, Any]) -> None:
        """Keep whether a product's stock is managed."""
        self._demand(record, "a stock item", ("product_id",))
        self._by_id.add((str(record.get("product_id")), _STOCK_ITEM), {"manage_stock": record.get("manage_stock")})

    def add_source_item(self, record: Mapping[str, Any]) -> None:
        """Keep what one source has of one SKU, if the source is wanted."""
        self._demand(record, "a source item", ("sku", "source_code"))
        sku, source = str(record["sku"]), str(record["source_code"])
        if self._wanted and source not in self._wanted:
            return
        kept = {"sku": sku, "source": source, "quantity": record.get("quantity"), "status": record.get("status")}
        # letter case does not count in Magento's own comparisons
        self._by_sku.add((sku.casefold(), _SOURCE_ITEM, sku, source), kept)

    def lines(self, ask: Callable[[str], Mapping[str, Any]]) -> Iterator[StockLine]:
        """Yield a line for each source item, in the order of SKU and source. Raises TransientError when the lists overlapped.

        `ask` gives the stock item of a SKU; it is called for products that the list of stock items left out.
        """
        self._file_products_by_sku()
        beginning: str | None = None
        products: dict[str, dict[str, Any]] = {}
        for key, fact in self._by_sku:
            if key[0] != beginning:
                beginning, products = key[0], {}
            if key[1] == _PRODUCT:
                products[key[2]] = fact
            else:
                product = _product_of(fact, products)
                if product is not None and "manage_stock" not in product:
                    product["manage_stock"] = ask(product["sku"]).get("manage_stock")
                yield self._line(fact, product)

    def findings(self) -> tuple[Finding, ...]:
        """Return what there is to tell of the lines that were given."""
        return (*self._tracked.findings(_REMEDY), *self._withheld.findings(), *self._without_gtin())

    def _without_gtin(self) -> tuple[Finding, ...]:
        """Return what to tell when no product has a barcode where it should be: Magento says nothing of a wrong attribute."""
        if self._attribute is None or not self._products or self._with_gtin:
            return ()
        words = f"none of {self._products} products has the attribute {self._attribute!r}, which is to hold the barcode"
        remedy = "Correct `gtin_attribute` (in the shop: Stores > Attributes > Product), or leave it out."
        return (Finding("GTIN-ATTRIBUTE", "warn", words, remedy),)

    def _file_products_by_sku(self) -> None:
        product: dict[str, Any] | None = None
        for key, fact in self._by_id:
            if key[1] == _STOCK_ITEM:
                if product is not None and str(product["id"]) == key[0]:
                    product["manage_stock"] = fact["manage_stock"]
                continue
            self._file(product)
            product = fact
        self._file(product)

    def _file(self, product: dict[str, Any] | None) -> None:
        if product is not None:
            sku = str(product["sku"])
            self._by_sku.add((sku.casefold(), _PRODUCT, sku), product)

    def _demand(self, record: Mapping[str, Any], what: str, names: Sequence[str]) -> None:
        for name in names:
            if not text_of(record.get(name)):
                words = f"{self._place}: {what} has no {name}"
                raise PermanentError(words, "The shop answers otherwise than its interface says: ask its makers.")

    def _line(self, fact: Mapping[str, Any], product: Mapping[str, Any] | None) -> StockLine:
        about, quantity = product or {}, plain(fact["quantity"])
        tracked = product is None or (about.get("manage_stock") is True and about["type_id"] not in _COMPOSED)
        self._tracked.add(fact["sku"], tracked=tracked)
        why = self._why_not(fact, product) if tracked else None
        if why:
            self._withheld.add(why, f"{fact['sku']} at {fact['source']}")
        return StockLine(
            item=str(about.get("id", "")),
            location_id=fact["source"],
            sku=fact["sku"],
            gtin=text_of(about.get("gtin")),
            tracked=tracked,
            location=fact["source"],
            quantities={"quantity": why or quantity},
            updated_at=text_of(about.get("updated_at")),
            more={
                "counted": quantity if why else None,
                "product_status": plain(about.get("status")),
                "status": plain(fact["status"]),
            },
        )

    def _why_not(self, fact: Mapping[str, Any], product: Mapping[str, Any] | None) -> str | None:
        """Return the word for a counted quantity that Magento's stock index leaves out, None for any other."""
        if product is None:
            return "no_product"
        if not self._enabled.get(fact["source"], False):
            return "source_disabled"
        return "out_of_stock" if fact["status"] != _IN_STOCK and is_positive(fact["quantity"]) else None


def _product_of(fact: Mapping[str, Any], products: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Return the product with the item's SKU; one that differs in letter case only, where it is the only one."""
    exact = products.get(fact["sku"])
    return next(iter(products.values())) if exact is None and len(products) == 1 else exact


def _attribute(record: Mapping[str, Any], code: str) -> str | None:
    attributes = record.get("custom_attributes")
    found = (one for one in attributes if isinstance(one, dict)) if isinstance(attributes, list) else ()
    return next((text_of(one.get("value")) for one in found if one.get("attribute_code") == code), None)
