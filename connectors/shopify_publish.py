"""How one batch of quantities is set in a shop: all-or-nothing requests turned into one result per item.

Never decides what to do about a stale item: it says so, and the pipeline computes again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from connectors.http import NoAnswerError
from connectors.shopify_queries import ACTIVATE, SET_AVAILABLE, activate_variables, set_variables
from connectors.shopify_session import ShopSession
from schemas.errors import StockfeedError, TransientError
from schemas.publishing import ItemResult, PublishItem

_STALE = frozenset({"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE"})
_NEEDS_NEW_KEY = frozenset({"IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"})
_STILL_RUNNING = "IDEMPOTENCY_CONCURRENT_REQUEST"
_NOT_STOCKED = "ITEM_NOT_STOCKED_AT_LOCATION"
_KEY_ATTEMPTS = 4
_SECONDS_BETWEEN = 1.0

_REMEDIES: Mapping[str, str] = {
    "INVALID_INVENTORY_ITEM": "The item was deleted in the shop: resolve the SKU again.",
    "INVALID_LOCATION": "The location was deleted in the shop: correct channel.locations.",
    "INVALID_REASON": "Set the channel's reason to one of the values the shop lists.",
    "NON_MUTABLE_INVENTORY_ITEM": "The item is a bundle: publish its components instead.",
    _NOT_STOCKED: "Stock the item at this location in the shop, or set activate = true for the channel.",
}

Outcome = tuple[ItemResult, bool]  # the result, and whether its request had to be repeated


class PublishOptions(Protocol):
    """What this module needs of ShopifyOptions."""

    @property
    def reason(self) -> str:
        """Return Shopify's word for why quantities change."""
        ...

    @property
    def activate(self) -> bool:
        """Return whether an item may be stocked at our location."""
        ...


def screen(items: Sequence[PublishItem], owned: frozenset[str]) -> tuple[list[PublishItem], list[ItemResult]]:
    """Return the items that may be sent, ordered by key, and a "failed" result for each that must never be.

    Refused: negative quantities, locations that are not ours, listings that cannot be written, and all but the newest
    version of a listing that occurs twice (the shop refuses such a call as a whole).
    """
    sendable: dict[tuple[str, str], PublishItem] = {}
    refused: list[ItemResult] = []
    for item in items:
        problem = _problem(item, owned)
        if problem:
            refused.append(ItemResult(item, "failed", *problem))
            continue
        pair = (item.listing.ids["inventory_item"], item.listing.location)
        older, newest = sorted((item, sendable.get(pair, item)), key=lambda rival: rival.version)
        if pair in sendable:
            refused.append(ItemResult(older, "failed", "DUPLICATE-ITEM", "a newer value of this listing is in the same batch"))
        sendable[pair] = newest
    return sorted(sendable.values(), key=lambda item: item.idempotency_key), refused


def _problem(item: PublishItem, owned: frozenset[str]) -> tuple[str, str] | None:
    listing = item.listing
    if item.quantity < 0:
        return "NEGATIVE", f"the quantity {item.quantity} is negative and was not sent; publish 0 instead"
    if listing.location not in owned:
        return "LOCATION-NOT-OWNED", f"{listing.location} is not in channel.locations and is never written"
    if listing.status != "active" or "inventory_item" not in listing.ids:
        return "LISTING-NOT-ACTIVE", listing.message or f"the listing is {listing.status}; resolve the SKU again"
    return None


def publish_batch(
    session: ShopSession, items: Sequence[PublishItem], options: PublishOptions, sleep: Callable[[float], None]
) -> list[Outcome]:
    """Return one outcome per item.

    The shop refuses a request as a whole and names the rows at fault: these get their result, the rest is sent again as
    a new request with a key of its own. Raises only when the first request failed without anything being written.
    """
    outcomes: list[Outcome] = []
    pending = list(items)
    while pending:
        try:
            errors, repeated = _set(session, pending, options.reason, sleep)
        except NoAnswerError as error:
            return outcomes + [(_result(item, "unknown", "NO-ANSWER", str(error), retryable=True), True) for item in pending]
        except StockfeedError as error:
            if not outcomes:
                raise
            again = isinstance(error, TransientError)
            return outcomes + [(_result(item, "failed", "NOT-SENT", str(error), retryable=again), False) for item in pending]
        if not errors:
            return outcomes + [(ItemResult(item, "confirmed"), repeated) for item in pending]
        blamed = _blame(errors, len(pending))
        for index, refusal in blamed.items():
            outcomes.append((_verdict(session, pending[index], refusal, options), repeated))
        pending = [item for index, item in enumerate(pending) if index not in blamed]
    return outcomes


def _set(
    session: ShopSession, items: Sequence[PublishItem], reason: str, sleep: Callable[[float], None]
) -> tuple[list[dict[str, Any]], bool]:
    """Return the request's userErrors and whether it had to be repeated; a key the shop will not take is replaced."""
    generation, repeated = 0, False
    for _ in range(_KEY_ATTEMPTS):
        payload, again = _send_twice(session, set_variables(items, reason, generation), sleep)
        repeated = repeated or again
        errors = _user_errors(payload)
        codes = {str(error.get("code")) for error in errors}
        if codes & _NEEDS_NEW_KEY:
            generation += 1
        elif _STILL_RUNNING in codes:
            sleep(_SECONDS_BETWEEN)
            repeated = True
        else:
            return errors, repeated
    raise NoAnswerError(f"{session.http.system} accepts none of our idempotency keys for this batch", "Read back, then try again.")


def _send_twice(session: ShopSession, variables: Mapping[str, Any], sleep: Callable[[float], None]) -> tuple[Any, bool]:
    """Return the payload, and whether it took a second request: the same one with the same key, so it acts once.

    Raises NoAnswerError when neither was answered: whatever the second failure was, the first may have been accepted.
    """
    try:
        return _complete(session, session.run(SET_AVAILABLE, variables)), False
    except NoAnswerError:
        sleep(_SECONDS_BETWEEN)
    try:
        return _complete(session, session.run(SET_AVAILABLE, variables)), True
    except StockfeedError as error:
        raise NoAnswerError(error.message, "Read back before sending again.", error.detail) from error


def _complete(session: ShopSession, payload: object) -> object:
    """Return the payload if it says what happened; success without a list of errors is not taken for success."""
    if isinstance(payload, dict) and isinstance(payload.get("userErrors"), list):
        return payload
    raise NoAnswerError(f"{session.http.system} answered a write without saying what became of it", "Read back, then try again.")


def _user_errors(payload: object) -> list[dict[str, Any]]:
    errors = payload.get("userErrors") if isinstance(payload, dict) else None
    return [error if isinstance(error, dict) else {"message": error} for error in errors or ()]


def _blame(errors: Sequence[Mapping[str, Any]], count: int) -> dict[int, Mapping[str, Any]]:
    """Return index → error. An error without a usable index concerns the whole request, hence every item."""
    blamed: dict[int, Mapping[str, Any]] = {}
    for error in errors:
        index = _index(error.get("field"))
        if index is None or index >= count:
            return dict.fromkeys(range(count), error)
        if index not in blamed or str(blamed[index].get("code")) in _STALE:
            blamed[index] = error  # a refusal outweighs a stale compare: sending again would not help
    return blamed


def _index(field: object) -> int | None:
    """Return 3 for ["input", "quantities", "3", "quantity"], None for any other path."""
    if isinstance(field, list) and len(field) > 2 and field[:2] == ["input", "quantities"]:  # noqa: PLR2004 - length of that path
        text = str(field[2])
        return int(text) if text.isdecimal() else None
    return None


def _verdict(session: ShopSession, item: PublishItem, error: Mapping[str, Any], options: PublishOptions) -> ItemResult:
    code, message = session.http.clean(error.get("code") or "", 60), session.http.clean(error.get("message") or "")
    if code in _STALE:
        return _result(item, "stale", code, message, retryable=True)
    if code == _NOT_STOCKED and options.activate:
        return _activate(session, item)
    return _result(item, "failed", code, f"{message} {_REMEDIES.get(code, '')}".strip())


def _activate(session: ShopSession, item: PublishItem) -> ItemResult:
    try:
        errors = _user_errors(session.run(ACTIVATE, activate_variables(item)))
    except NoAnswerError as error:
        return _result(item, "unknown", "NO-ANSWER", str(error), retryable=True)
    except StockfeedError as error:
        return _result(item, "failed", "NOT-SENT", str(error), retryable=isinstance(error, TransientError))
    if errors:
        return _result(item, "failed", _NOT_STOCKED, session.http.clean(errors[0].get("message") or ""))
    return ItemResult(item, "confirmed")


def _result(item: PublishItem, status: Any, code: str, message: str, *, retryable: bool = False) -> ItemResult:
    return ItemResult(item, status, code, message, retryable=retryable)
