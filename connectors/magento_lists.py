"""The lists of a Magento shop's REST interface that stock is made of: what is asked for, page by page, to the proven end.

Never asks for a page behind the last one: Magento would give the last page once more. Knows no stock rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.rest_session import RestSession
from connectors.storefront_lines import CountedList
from connectors.web_session import NotThereError
from schemas.errors import PermanentError
from schemas.rejections import escape_value

_MOST_STOCK = "100000000"  # above the largest quantity that Magento's column holds: the list "low stock" is then all stock


@dataclass(frozen=True, slots=True)
class MagentoList:
    """One list: its path, the queries that are the same for every page, and how page size and page number are called."""

    path: str
    fixed: Sequence[tuple[str, str]]
    size: str = "searchCriteria[pageSize]"
    number: str = "searchCriteria[currentPage]"

    def query(self, page: int, size: int) -> list[tuple[str, str]]:
        """Return the query for a page, counted from 1."""
        return [*self.fixed, (self.size, str(size)), (self.number, str(page))]


def _sorted_by(field: str) -> list[tuple[str, str]]:
    return [("searchCriteria[sortOrders][0][field]", field), ("searchCriteria[sortOrders][0][direction]", "ASC")]


SOURCES = MagentoList("inventory/sources", _sorted_by("source_code"))
#: What the shop has of each product at each source.
SOURCE_ITEMS = MagentoList("inventory/source-items", _sorted_by("source_item_id"))
#: The only list that tells of many products whether their stock is managed; asked without a page size it gives one item. It
#: leaves out what has no quantity in Magento's old stock table, as products may that are at other sources than the default.
STOCK_ITEMS = MagentoList("stockItems/lowStock/", [("scopeId", "0"), ("qty", _MOST_STOCK)], "pageSize", "currentPage")


def products(*, with_attributes: bool) -> MagentoList:
    """Return the list of products, with no more of each than is needed (the documented parameter `fields`)."""
    wanted = "id,sku,type_id,status,updated_at" + (",custom_attributes" if with_attributes else "")
    return MagentoList("products", [*_sorted_by("entity_id"), ("fields", f"items[{wanted}],total_count")])


def records(session: RestSession, listing: MagentoList, size: int, most_pages: int) -> Iterator[dict[str, Any]]:
    """Yield every record of a list.

    Raises TransientError when the list changed while it was read, PermanentError for an answer without its list, and as
    `RestSession.get`.
    """
    place = f"{session.place}/{listing.path.rstrip('/')}"
    counted = CountedList(place, most_pages)
    while not counted.has_all:
        document = session.get(listing.path, listing.query(counted.pages + 1, size)).document
        rows = document.get("items") if isinstance(document, dict) else None
        if rows is None and isinstance(document, dict) and document.get("total_count") == 0:
            rows = []  # of no record, some versions give null
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            has = ", ".join(escape_value(str(name)) for name in list(document)[:10]) if isinstance(document, dict) else "no object"
            raise PermanentError(f"{place}: a page has no list of objects at 'items'; it has {has}", "Check `url`: it ends in /V1.")
        counted.page(rows, document.get("total_count"))
        yield from rows
    counted.check()


def stock_item(session: RestSession, sku: str) -> dict[str, Any]:
    """Return the stock item of one product; nothing where the shop has none. Raises as `RestSession.get`."""
    try:
        document = session.get(f"stockItems/{quote(sku, safe='')}").document
    except NotThereError:
        return {}
    return document if isinstance(document, dict) else {}
