"""The lists of a WooCommerce shop's REST interface (wc/v3) that stock is made of: page by page, to the proven end.

Goes by page numbers, never by the links of an answer. Knows no stock rules.
"""

from collections.abc import Iterator
from typing import Any

from connectors.rest_session import Page, RestSession
from connectors.storefront_lines import CountedList
from connectors.web_session import NotThereError
from schemas.errors import PermanentError, TransientError
from schemas.rejections import escape_value

_OF_BOTH = ("id", "sku", "global_unique_id", "status", "manage_stock", "stock_quantity", "stock_status", "date_modified_gmt")
_MOST_PAGES = 1000  # of one product's variations
_ANY = "any"


def products(session: RestSession, status: str, size: int, most_pages: int) -> Iterator[dict[str, Any]]:
    """Yield every product in this state ("publish", "any", …). Raises TransientError when the list changed while it was read."""
    return _records(session, "products", (*_OF_BOTH, "type"), status, (size, most_pages))


def variations(session: RestSession, product: int, status: str, size: int) -> Iterator[dict[str, Any]]:
    """Yield every variation of a product; only those that are switched on, unless products in any state are asked for.

    Raises TransientError when they changed while they were read, or the product is gone.
    """
    path = f"products/{product}/variations"
    try:
        yield from _records(session, path, _OF_BOTH, status if status == _ANY else "publish", (size, _MOST_PAGES))
    except NotThereError as error:
        words = f"{session.place}: product {product} is gone: the catalogue changed while it was read"
        raise TransientError(words, "Nothing was recorded; it is tried again.", error.message) from error


def _records(
    session: RestSession, path: str, names: tuple[str, ...], status: str, pages: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """Yield the members `names` of every record; `pages` are the size of a page and the most pages."""
    size, most = pages
    # an id never changes: what is edited meanwhile stays where it is
    fixed = [("status", status), ("orderby", "id"), ("order", "asc"), ("_fields", ",".join(names)), ("per_page", str(size))]
    place = f"{session.place}/{path}"
    counted, last = CountedList(place, most), 1
    while counted.pages < last:
        number = counted.pages + 1
        page = session.get(path, [*fixed, ("page", str(number))])
        rows = _rows(page, place)
        counted.page(rows, _number(page, "x-wp-total"))
        last = _last_page(page, place, counted.total or 0, size)
        # a shop whose plug-ins do not know `_fields` gives everything: nothing else is kept
        yield from ({name: row.get(name) for name in names} for row in rows)
    counted.check()


def _last_page(page: Page, place: str, total: int, size: int) -> int:
    """Return the number of pages that an answer tells of. Raises TransientError when so many do not hold `total` records."""
    told = _number(page, "x-wp-totalpages")
    if told is None:
        raise PermanentError(
            f"{place}: a page does not tell how many pages there are (X-WP-TotalPages)",
            "Something before the shop removes its headers: ask the shop.",
        )
    if told != -(-total // size):
        words = f"{place}: {told} pages of {size} for {total} records: the list changed while it was counted"
        raise TransientError(words, "Nothing was recorded; it is tried again.")
    return told


def _rows(page: Page, place: str) -> list[dict[str, Any]]:
    document = page.document
    if isinstance(document, list) and all(isinstance(row, dict) for row in document):
        return document
    has = f"; it has {', '.join(escape_value(str(name)) for name in list(document)[:10])}" if isinstance(document, dict) else ""
    raise PermanentError(f"{place}: a page is no list of objects{has}", "Check `url`: it ends in /wc/v3.")


def _number(page: Page, header: str) -> int | None:
    """Return a header's whole number, None where it has none."""
    text = page.headers.get(header, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None  # noqa: PLR2004 (more is no count)
