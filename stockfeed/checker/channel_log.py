"""What a channel received, against what was available to sell: I6, I7 and I8 as the customer's side sees them.

The channel log is JSON lines, oldest first, one event each, with an instant `at`:
{"type": "set", "sku", "location", "quantity"}: a quantity the channel accepted, optionally with its `version`;
{"type": "sold", "sku", "location", "units"} and {"type": "edited", "sku", "location", "quantity"}: what happened there;
{"type": "shown", "sku", "location", "quantity"}: what it shows at the end of the log. Further keys are ignored.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from schemas.errors import ConfigError
from stockfeed.checker.faults import Fault, fault

Listing = tuple[str, str]  # SKU, channel location
_NEEDED = {"set": ("quantity",), "sold": ("units",), "edited": ("quantity",), "shown": ("quantity",)}
_OFFERS = "SELECT sku, channel_location, version, after FROM ats_change WHERE channel = :channel ORDER BY id"
_ROLLED_BACK = (
    "SELECT sku, channel_location, version, quantity FROM publication "
    "WHERE channel = :channel AND cause = 'rollback' AND sent_at IS NOT NULL"
)
_SETTLED = (
    "SELECT a.sku, a.channel_location, a.quantity FROM available_to_sell a JOIN listing l ON l.channel = a.channel "
    "AND l.sku = a.sku AND l.channel_location = a.channel_location AND l.status = 'active' "
    "JOIN channel h ON h.code = a.channel AND h.approved_at IS NOT NULL AND h.paused_at IS NULL "
    "WHERE a.channel = :channel AND a.reason_code <> 'in_shadow' AND NOT EXISTS (SELECT 1 FROM publication p "
    "WHERE p.channel = a.channel AND p.sku = a.sku AND p.channel_location = a.channel_location AND p.state = 'held')"
)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the events of a channel log. Raises ConfigError with the line that is none."""
    events = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                event = json.loads(line)
                is_whole = all(name in event for name in ("sku", "location", *_NEEDED[event["type"]]))
            except (ValueError, KeyError, TypeError):
                is_whole = False
            if not is_whole:
                raise ConfigError(f"{path}, line {number}: not an event of a channel log", "See docs/checker.md for the format.")
            events.append(event)
    return events


def log_faults(connection: Connection, channel: str, events: Iterable[Mapping[str, Any]]) -> Iterator[Fault]:
    """Yield what a channel received that it should not have, and what it shows that it should not show."""
    offered = _offered(connection, channel)
    reached: dict[Listing, int] = defaultdict(int)
    shown: dict[Listing, Any] = {}
    for event in events:
        listing = (str(event["sku"]), str(event["location"]))
        if event["type"] == "set":
            yield from _set_faults(channel, event, offered.get(listing, {}), reached)
        elif event["type"] == "shown":
            shown[listing] = event["quantity"]
    if shown:
        yield from _shown_faults(connection, channel, shown)


def _offered(connection: Connection, channel: str) -> dict[Listing, dict[int, set[int]]]:
    """Return the quantities that each version of each listing may have been sent with."""
    found: dict[Listing, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for query in (_OFFERS, _ROLLED_BACK):
        for sku, location, version, quantity in connection.execute(text(query), {"channel": channel}):
            found[sku, location][version].add(quantity)
    return found


def _set_faults(
    channel: str, event: Mapping[str, Any], offered: Mapping[int, set[int]], reached: dict[Listing, int]
) -> Iterator[Fault]:
    """I7, I8. Where the channel does not know versions, the earliest one that fits what it took before is assumed."""
    listing, quantity = (str(event["sku"]), str(event["location"])), event["quantity"]
    subject = f"{channel}, {listing[0]}, {quantity} at {event.get('at')}"
    fitting = sorted(version for version, quantities in offered.items() if quantity in quantities)
    stated = event.get("version")
    if stated is not None:
        fitting = [version for version in fitting if version == stated]
    if not fitting:
        yield fault("I7", subject, "the channel got a quantity that was never available to sell")
        return
    if fitting[-1] < reached[listing]:
        yield fault("I8", subject, "the channel got an older quantity after a newer one")
        return
    reached[listing] = next(version for version in fitting if version >= reached[listing])


def _shown_faults(connection: Connection, channel: str, shown: Mapping[Listing, Any]) -> Iterator[Fault]:
    for sku, location, quantity in connection.execute(text(_SETTLED), {"channel": channel}):
        if (sku, location) in shown and shown[sku, location] != quantity:
            words = "the channel does not show what is available to sell"
            yield fault("I6", f"{channel}, {sku}: {shown[sku, location]}, not {quantity}", words)
