"""The pages of a list, and the proof that they are all of it, each once.

Never sends anything, and never shows what a page holds beyond a name.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import PermanentError, TransientError
from schemas.rejections import escape_value

_ERRORS = ("error", "errors")


def member(document: Any, path: str) -> Any:
    """Return the value at a path of member names with dots between them, None where there is none; "" is the document."""
    found = document
    for name in path.split(".") if path else ():
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def as_utf8(body: bytes) -> bytes:
    """Return a page in UTF-8 without a byte-order mark: pages are handed on one after the other, as one file."""
    encoding = json.detect_encoding(body)
    return body if encoding == "utf-8" else body.decode(encoding).encode()


def read_page(body: bytes, rows: str, place: str) -> tuple[Any, list[Any]]:
    """Return a page's document and its list of records.

    Raises TransientError for half a document, PermanentError for a web page, an error answer or a document without the list.
    """
    if body.lstrip()[:1] == b"<":
        raise PermanentError(
            f"{place} answered with a web page instead of JSON",
            "Check `url`: a log-in, password or maintenance page stands before the interface.",
        )
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise TransientError(f"{place}: a page was cut short or is not JSON", "Nothing was recorded; it is tried again.") from error
    told = next((name for name in _ERRORS if isinstance(document, dict) and document.get(name)), None)
    if told is not None:
        raise PermanentError(
            f"{place} tells of errors in {told!r} although it answers 200", "Ask the supplier.", repr(document[told])[:300]
        )
    found = member(document, rows)
    if not isinstance(found, list):
        has = f"; it has {', '.join(escape_value(str(name)) for name in list(document)[:10])}" if isinstance(document, dict) else ""
        raise PermanentError(f"{place}: a page has no list at {rows or 'its top'!r}{has}", "Correct `rows` of this source.")
    return document, found


@dataclass(slots=True)
class Pages:
    """What has been read of a list: `count` pages and `rows` records. `total` is where a page tells the number of all records."""

    place: str
    total: str
    most: int
    count: int = 0
    rows: int = 0
    declared: int | None = None
    _targets: set[str] = field(default_factory=set)
    _last: bytes = b""

    def add(self, document: Any, rows: list[Any], target: str) -> None:
        """Count a page. Raises PermanentError for a page that was read already, TransientError when the total changes meanwhile.

        A page with exactly the records of the page before is that page again, whatever stands around them (a time, a cursor).
        """
        self._declare(document)
        digest = hashlib.sha256(json.dumps(rows).encode()).digest()
        if target in self._targets or (rows and digest == self._last):
            raise PermanentError(
                f"{self.place}: page {self.count + 1} was read already: the pages go round in a loop",
                "Check `paging`, `next` and `parameter` of this source; else ask the supplier.",
            )
        if self.count >= self.most:
            raise PermanentError(f"{self.place}: more than {self.most} pages", "Raise `max_pages` if that is right.")
        self._targets.add(target)
        self._last = digest
        self.count += 1
        self.rows += len(rows)

    def _declare(self, document: Any) -> None:
        if not self.total:
            return
        found = member(document, self.total)
        if isinstance(found, bool) or not isinstance(found, int):
            raise PermanentError(
                f"{self.place}: page {self.count + 1} has no number at {self.total!r}", "Correct `total` of this source."
            )
        if self.declared not in (None, found):
            raise TransientError(
                f"{self.place}: the list changed while it was read: {self.declared} records, then {found}",
                "Nothing was recorded; it is tried again.",
            )
        self.declared = found

    @property
    def has_all(self) -> bool:
        """Return whether as many records were read as there are."""
        return self.declared is not None and self.rows >= self.declared

    def check_total(self) -> None:
        """Raise TransientError when not exactly as many records were read as there are."""
        if self.declared is not None and self.rows != self.declared:
            raise TransientError(
                f"{self.place}: {self.rows} records came, and there are {self.declared}: pages are missing or overlap",
                "Nothing was recorded; it is tried again. If it stays so, check `paging`.",
            )
