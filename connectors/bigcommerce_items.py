"""What a BigCommerce store says of its products, variants and stock, brought together as lines of stock.

Never makes a number: what the store does not count, or has not been told yet, has none.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.storefront_lines import SortedFacts, StockLine, TrackedCount
from connectors.storefront_reasons import plain, text_of
from schemas.errors import TransientError
from schemas.rejections import escape_value

_PRODUCT, _VARIANT, _LEVEL = "0", "1", "2"  # in a key behind the product's id: what belongs to a product follows it
_QUANTITIES = ("available_to_sell", "total_inventory_onhand")
_TRACKING = frozenset({"none", "product", "variant"})


def add_product(facts: SortedFacts, record: Mapping[str, Any]) -> None:
    """Keep what a product says of its tracking and its barcode. Raises TransientError for a record that lacks its members."""
    if record.get("inventory_tracking") not in _TRACKING:
        raise _lacks("a product", record, "inventory_tracking")
    kept = {name: record.get(name) for name in ("inventory_tracking", "base_variant_id", "upc", "gtin", "date_modified")}
    facts.add((_number(record, "id", "a product"), _PRODUCT), kept)


def add_variant(facts: SortedFacts, record: Mapping[str, Any]) -> None:
    """Keep a variant's barcode."""
    product, variant = _number(record, "product_id", "a variant"), _number(record, "id", "a variant")
    facts.add((product, _VARIANT, variant), {"upc": record.get("upc")})


def add_level(facts: SortedFacts, record: Mapping[str, Any]) -> None:
    """Keep what lies at each location; a location that is switched off is none."""
    identity, places = record.get("identity"), record.get("locations")
    if not isinstance(identity, dict) or not isinstance(places, list):
        raise _lacks("an inventory item", record, "identity or locations")
    product = _number(identity, "product_id", "an inventory item")
    # stock that is kept for a product as a whole has no variant
    variant = _number(identity, "variant_id", "an inventory item") if identity.get("variant_id") is not None else ""
    for place in places:
        if not isinstance(place, dict) or not isinstance(place.get("location_enabled"), bool):
            raise _lacks("an inventory item", identity, "a location's location_enabled")
        if place["location_enabled"]:
            location = _number(place, "location_id", "a location")
            facts.add((product, _LEVEL, variant, location), {"sku": identity.get("sku"), "place": _place(place)})


def _place(place: Mapping[str, Any]) -> dict[str, Any]:
    settings = place.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    shown = {name: place.get(name) for name in ("location_name", "location_code")}
    numbers = {name: plain(place.get(name)) for name in _QUANTITIES} | {"safety_stock": plain(settings.get("safety_stock"))}
    return shown | {"quantities": numbers, "is_in_stock": settings.get("is_in_stock")}


def stock_lines(facts: SortedFacts, count: TrackedCount) -> Iterator[StockLine]:
    """Yield a line for each variant and location, in the order of their ids; count the items.

    Raises TransientError for what came twice, and for stock of a product that is not in the catalogue.
    """
    number, product = "", dict[str, Any]()
    barcodes: dict[str, Any] = {}
    counted: tuple[str, ...] = ()
    for key, fact in facts:
        if key[1] == _PRODUCT:
            number, product, barcodes, counted = key[0], fact, {}, ()
        elif key[1] == _VARIANT:
            if key[0] == number:
                barcodes[key[2]] = fact["upc"]
        elif key[0] != number:
            raise TransientError(
                f"there is stock of product {int(key[0])}, which the catalogue does not have: it changed while it was read",
                "Nothing was recorded; it is tried again.",
            )
        else:
            tracked, sku = product["inventory_tracking"] != "none", text_of(fact["sku"]) or None
            if counted != key[2:3]:
                counted = key[2:3]
                count.add(sku or f"variant {key[2].lstrip('0')}", tracked=tracked)
            yield _line(key, sku, _gtin(product, key[2], barcodes.get(key[2])), product, fact["place"])


def _line(
    key: tuple[str, ...], sku: str | None, gtin: str | None, product: Mapping[str, Any], place: Mapping[str, Any]
) -> StockLine:
    item = key[2].lstrip("0") or f"product {int(key[0])}"
    tracking = product["inventory_tracking"]
    more = {"product_id": int(key[0]), "inventory_tracking": tracking, "location_code": text_of(place["location_code"])}
    more["is_in_stock"] = place["is_in_stock"] if isinstance(place["is_in_stock"], bool) else None
    at, name = text_of(product["date_modified"]), text_of(place["location_name"])
    return StockLine(item, str(int(key[3])), sku, gtin, tracking != "none", name, place["quantities"], at, more)


def _gtin(product: Mapping[str, Any], variant: str, upc: object) -> str | None:
    """Return the variant's barcode; a product without options has its own for its only variant."""
    own = text_of(upc)
    if own or (variant and str(product["base_variant_id"]) != variant.lstrip("0")):
        return own or None
    return text_of(product["gtin"]) or text_of(product["upc"]) or None


def _number(record: Mapping[str, Any], name: str, what: str) -> str:
    """Return an id as a text that sorts as the number does. Raises TransientError."""
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _lacks(what, record, name)
    return f"{value:020d}"


def _lacks(what: str, record: Mapping[str, Any], name: str) -> TransientError:
    shown = escape_value(str(record.get("id") or record.get("sku") or ""))
    return TransientError(f"{what} {shown} of the store's answer lacks {name}", "Nothing was recorded; it is tried again.")
