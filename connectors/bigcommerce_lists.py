"""Lists of a BigCommerce store's REST interface (v3), page by page: each read whole, within the store's quota.

Only asks. Never follows the links of an answer: the next page is the one with the next number.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.http import retry_after_seconds
from connectors.rest_session import RestSession
from connectors.storefront_lines import CountedList
from schemas.errors import PermanentError, TransientError

_LEFT, _RESET = "x-rate-limit-requests-left", "x-rate-limit-time-reset-ms"
_LONGEST_PAUSE = 60.0  # seconds; the quota's window is half of it


def asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a refusal asks for, the longest of those named; None where it names none (platform load)."""
    named = [retry_after_seconds(headers.get(name), now) for name in ("retry-after", "x-retry-after")]
    found = [seconds for seconds in (*named, _until_reset(headers)) if seconds is not None]
    return max(found, default=None)


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the store's quota is whole again, None where that is not told."""
    text = headers.get(_RESET, "").strip()
    return int(text) / 1000 if text.isascii() and text.isdecimal() else None


@dataclass(frozen=True, slots=True)
class PacedLists:
    """The lists of one store; waits when the last request of the quota's window was used, which all apps share."""

    session: RestSession
    most_pages: int
    sleep: Callable[[float], object]

    def records(self, path: str, query: Sequence[tuple[str, str]], size: int) -> Iterator[Mapping[str, Any]]:
        """Yield every record of a list.

        Raises as `RestSession.get`; TransientError when the list is not proven to be whole (`meta.pagination`: the same total
        on each page, and as many records), PermanentError for pages that come again or an answer that is no list.
        """
        proof = CountedList(f"{self.session.place}/{path}", self.most_pages)
        number, told = 0, None
        while not proof.has_all:
            number += 1
            page = self.session.get(path, (*query, ("page", str(number)), ("limit", str(size))))
            rows, pagination = _parts(page.document, proof.place)
            _check_place(pagination, number, len(rows), proof.place)
            proof.page(rows, pagination.get("total"))
            yield from rows
            told = _told_pages(pagination, told, proof)
            if page.headers.get(_LEFT, "").strip() == "0":
                self.sleep(min(_until_reset(page.headers) or 1.0, _LONGEST_PAUSE))


def _told_pages(pagination: Mapping[str, Any], before: Any, proof: CountedList) -> Any:
    """Return how many pages there are, as a page tells it. Raises TransientError where that does not fit what came."""
    told = pagination.get("total_pages")
    if told == proof.pages:
        proof.check()
    if (before is not None and told != before) or (proof.has_all and isinstance(told, int) and told > proof.pages):
        raise TransientError(
            f"{proof.place}: {proof.rows} records came in {proof.pages} pages, and there are {str(told)[:20]} pages",
            "Nothing was recorded; it is tried again.",
        )
    return told


def _parts(document: Any, place: str) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PermanentError(f"{place}: an answer has no list of records in its `data`", "Check `url`, or ask BigCommerce.")
    meta = document.get("meta")
    pagination = meta.get("pagination") if isinstance(meta, dict) else None
    if not isinstance(pagination, dict):
        raise PermanentError(
            f"{place}: an answer has no meta.pagination",
            "Without it, nothing proves that all came: check `url`, or ask BigCommerce.",
        )
    return rows, pagination


def _check_place(pagination: Mapping[str, Any], number: int, rows: int, place: str) -> None:
    """Raise where a page is not the one that was asked for, or not all of it."""
    current = pagination.get("current_page", number)
    if current != number:
        raise PermanentError(
            f"{place}: asked for page {number}, and page {str(current)[:20]} came: the pages go round in a loop",
            "Something before the interface does not pass the page's number on: ask BigCommerce.",
        )
    if pagination.get("count", rows) != rows:
        raise TransientError(
            f"{place}: page {number} has {rows} records and tells of {str(pagination['count'])[:20]}: it was cut short",
            "Nothing was recorded; it is tried again.",
        )
