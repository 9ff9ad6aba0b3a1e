"""A bulk operation of a Shopify shop: started, waited for, its file read and proven to be all of the stock.

Never uses the partial file of an operation that failed, and never sends the shop's token to where the file is.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from connectors.addresses import AllowList, WebAddress, parse_address
from connectors.http import HttpLimits, is_loopback
from connectors.shopify_stock import BrokenAnswerError, Run, add_item, add_level, add_variant
from connectors.shopify_stock_queries import BULK_STATE, CANCEL_BULK, START_BULK, bulk_query
from connectors.storefront_lines import SortedFacts
from connectors.tls import client_context
from schemas.errors import DeliveryError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 15.0  # seconds between two looks
_LONGEST_LINE = 1 << 20  # bytes
_OK = 200
_REDIRECTS = range(300, 400)
_UNDER_WAY = frozenset({"CREATED", "RUNNING", "CANCELING"})
_FULL = frozenset({"OPERATION_IN_PROGRESS", "LIMIT_REACHED"})
_AGAIN = "Nothing was recorded; it is tried again with a new bulk operation."


@dataclass(frozen=True, slots=True)
class BulkFile:
    """A completed operation: where its file is (None: the shop has nothing), and what the shop says is in it."""

    url: str | None
    objects: int
    roots: int
    size: int | None


class BulkOperation:
    """One bulk operation of the shop behind `run`, with at most `deadline` for all of it."""

    def __init__(
        self,
        run: Run,
        clean: Callable[[object], str],
        deadline: timedelta,
        *,
        sleep: Callable[[float], object],
        now: Callable[[], datetime],
    ) -> None:
        self._run, self._clean, self._sleep, self._now = run, clean, sleep, now
        self._deadline, self._over_at = deadline, now() + deadline

    def completed(self, names: Sequence[str]) -> BulkFile:
        """Return the completed operation for these quantity names.

        Raises TransientError (others are under way, failed, canceled, expired, not done within the deadline: then it is canceled),
        CredentialsError, PermanentError (the shop refuses the query).
        """
        operation = self._start(names)
        wait = _FIRST_WAIT
        while True:
            state = self._run(BULK_STATE, {"id": operation})
            status = state.get("status") if isinstance(state, dict) else None
            if status == "COMPLETED":
                return _file(state)
            if status not in _UNDER_WAY:
                raise self._failed(state if isinstance(state, dict) else {})
            if self._now() >= self._over_at:
                self._cancel(operation)
            self._sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)

    def _start(self, names: Sequence[str]) -> str:
        answer = self._run(START_BULK, {"query": bulk_query(names)})
        errors = answer.get("userErrors") if isinstance(answer, dict) else None
        if errors:
            first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
            text = self._clean(first.get("message", ""))
            if first.get("code") in _FULL:
                raise TransientError(f"the shop runs as many bulk operations as it can: {text}", _AGAIN)
            raise PermanentError(f"the shop refused the bulk operation: {text}", "Correct `quantities` or `api_version`.")
        started = answer.get("bulkOperation") if isinstance(answer, dict) else None
        if not isinstance(started, dict) or not isinstance(started.get("id"), str):
            raise BrokenAnswerError("names no bulk operation")
        return str(started["id"])

    def _failed(self, state: Mapping[str, Any]) -> TransientError:
        status, why = self._clean(state.get("status")), self._clean(state.get("errorCode") or "no reason told")
        part = "; the partial file is not used" if state.get("partialDataUrl") else ""
        return TransientError(f"the shop's bulk operation ended as {status} ({why}){part}", _AGAIN)

    def _cancel(self, operation: str) -> NoReturn:
        done = "was canceled"
        try:
            self._run(CANCEL_BULK, {"id": operation})
        except StockfeedError as error:
            done = f"could not be canceled: {error.message}"
        raise TransientError(
            f"the shop's bulk operation took longer than {self._deadline.total_seconds():g} s and {done}",
            "It is tried again; raise `deadline` for a shop that is so large.",
        )


def _file(state: Mapping[str, Any]) -> BulkFile:
    objects, roots = _number(state, "objectCount"), _number(state, "rootObjectCount")
    size = None if state.get("fileSize") is None else _number(state, "fileSize")
    url = state.get("url")
    if (not isinstance(url, str) and objects) or state.get("partialDataUrl"):
        raise BrokenAnswerError("names no whole file of the bulk operation")
    return BulkFile(url if isinstance(url, str) else None, objects, roots, size)


def _number(state: Mapping[str, Any], name: str) -> int:
    text = str(state.get(name))  # an UnsignedInt64 is a text
    if not (text.isascii() and text.isdecimal()):
        raise BrokenAnswerError(f"has no {name} of the bulk operation")
    return int(text)


@dataclass(frozen=True, slots=True)
class Download:
    """Where the shop's files may be, and how long that may take."""

    allowed: AllowList
    limits: HttpLimits

    @contextmanager
    def pieces(self, url: str) -> Iterator[Iterator[bytes]]:
        """Give the pieces of the file. Raises PermanentError (another host, a redirect), TransientError; none shows the query."""
        from connectors.web_transport import Patience, ask

        address = self._address(url)
        ips = self.allowed.resolve(address)
        most = self.limits
        patience = Patience(most.connect, most.idle, time.monotonic() + most.deadline, most.deadline)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "stockfeed"}
        with ask(address, ips, headers, patience, client_context(None)) as answer:
            if answer.status in _REDIRECTS:
                raise PermanentError(f"{address.shown} redirects; that is not followed", "Report it to the shop.")
            if answer.status != _OK:
                raise TransientError(f"{address.shown}: no file of the bulk operation (HTTP {answer.status})", _AGAIN)
            yield answer.pieces

    def _address(self, url: str) -> WebAddress:
        try:
            address = parse_address(url)
        except ValueError:
            raise PermanentError("the file of the bulk operation has no plain web address", "Report it to the shop.") from None
        if address.scheme != "https" and not is_loopback(address.host):
            raise PermanentError(f"the file of the bulk operation is at {address.origin}: not encrypted", "Report it to the shop.")
        if not self.allowed.admits(address):
            raise PermanentError(
                f"the file of the bulk operation is at {address.origin}, which is not an allowed host",
                "Add it to `download_hosts` if Shopify says so. Nothing was sent to it.",
            )
        return address


def read_file(file: BulkFile, download: Download, facts: SortedFacts, most: int) -> None:
    """Keep everything of a completed operation's file.

    Raises TransientError when it is not exactly what the shop says: its bytes, its objects, its root objects, its last line.
    """
    if file.url is None:
        return
    if file.size is not None and file.size > most:
        raise _too_large(file.size, most)
    count = _Count()
    with download.pieces(file.url) as pieces:
        for line in _lines(pieces, count, most):
            _add(line, facts, count)
    told = [(count.lines, file.objects, "objects"), (count.roots, file.roots, "root objects")]
    told += [(count.bytes, file.size, "bytes")] if file.size is not None else []
    for came, there, what in told:
        if came != there:
            raise TransientError(f"the file of the bulk operation has {came} {what}, and the shop counts {there}", _AGAIN)


@dataclass(slots=True)
class _Count:
    bytes: int = 0
    lines: int = 0
    roots: int = 0


def _lines(pieces: Iterator[bytes], count: _Count, most: int) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        count.bytes += len(piece)
        if count.bytes > most:
            raise _too_large(count.bytes, most)
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
        if len(rest) > _LONGEST_LINE:
            raise BrokenAnswerError(f"has a line of more than {_LONGEST_LINE} bytes in the file of the bulk operation")
    if rest:
        yield rest


def _add(line: bytes, facts: SortedFacts, count: _Count) -> None:
    """Keep one object; a child says to which item it belongs, and may come long after or before it."""
    count.lines += 1
    try:
        node = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BrokenAnswerError(f"was cut short: line {count.lines} of the file of the bulk operation is no JSON") from error
    if not isinstance(node, dict):
        raise BrokenAnswerError(f"has no object in line {count.lines} of the file of the bulk operation")
    parent, kind = node.get("__parentId"), str(node.get("id")).removeprefix("gid://shopify/").partition("/")[0]
    if parent is None:
        count.roots += 1
        add_item(facts, node)
    elif kind == "InventoryLevel" and isinstance(parent, str):
        add_level(facts, parent, node)
    elif kind == "ProductVariant" and isinstance(parent, str):
        add_variant(facts, parent, node)
    else:
        raise BrokenAnswerError(f"has an object of unknown kind in line {count.lines}: {escape_value(kind)}")


def _too_large(size: int, most: int) -> StockfeedError:
    message = f"the file of the bulk operation: {size} bytes, and {most} are allowed"
    return DeliveryError(message, "Raise `max_size` if the shop is so large.", code="FILE-LIMIT")
