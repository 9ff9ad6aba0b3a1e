"""How `stockfeed why` tells where a quantity comes from: levels, reservations, each step to what a channel may offer.

Never computes: every number was stored when it was computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stockfeed.cli.output import Columns, emit, render_table

Rows = Sequence[Mapping[str, Any]]

_LEVELS = (
    ("feed", "feed"), ("supplier_sku", "supplier SKU"), ("location", "location"), ("condition", "condition"),
    ("on_hand", "on hand"), ("available", "available"), ("as_of", "as of (UTC)"), ("is_stale", "stale"), ("in_shadow", "shadow"),
    ("file", "file"), ("source_row", "row"),
)  # fmt: skip
_CHANGES = (
    ("changed_at", "at (UTC)"), ("feed", "feed"), ("supplier_sku", "supplier SKU"), ("location", "location"),
    ("condition", "condition"), ("kind", "change"), ("on_hand_before", "on hand was"), ("on_hand_after", "on hand is"),
    ("available_before", "available was"), ("available_after", "available is"), ("delivery_id", "delivery"), ("file", "file"),
)  # fmt: skip
_LINKS = (
    ("feed", "feed"),
    ("supplier_sku", "supplier SKU"),
    ("factor_numerator", "units"),
    ("factor_denominator", "per supplier unit"),
)
_RESERVATIONS = (("kind", "kind"), ("units", "units"), ("channel", "channel"), ("seen_at", "since (UTC)"))
_STEPS = (("step", "step"), ("detail", "how"), ("value", "units"))
_PUBLICATIONS = (
    ("channel", "channel"), ("quantity", "quantity"), ("version", "version"), ("state", "state"), ("sent_at", "sent (UTC)"),
    ("answer", "the channel's answer"),
)  # fmt: skip


def tell_why(explained: Mapping[str, Any]) -> None:
    """Write everything that led to the numbers of one SKU, for people."""
    emit(f"SKU {explained['sku']}")
    if not (explained["levels"] or explained["changes"] or explained["available_to_sell"]):
        emit("No feed has a level of this SKU, and no channel offers it.")
        return
    _section("Levels", explained["levels"], _LEVELS)
    named_otherwise = any(change["supplier_sku"] != explained["sku"] for change in explained["changes"])
    _section("Last changes", explained["changes"], [(k, n) for k, n in _CHANGES if named_otherwise or k != "supplier_sku"])
    _section("Links to suppliers' SKUs", explained["links"], _LINKS)
    _section("Reservations", explained["reservations"], _RESERVATIONS)
    for offer in explained["available_to_sell"]:
        emit("")
        emit(f"{offer['channel']} · {offer['channel_location']}: {offer['quantity']:,} available to sell ({offer['reason_code']})")
        shown = offer["published_quantity"]
        emit("  never published" if shown is None else f"  published: {shown:,}")
        emit(render_table(offer["steps"], _STEPS))
    _section("Last publications", explained["publications"], _PUBLICATIONS)


def _section(title: str, rows: Rows, columns: Columns) -> None:
    if rows:
        used = [(key, name) for key, name in columns if any(row.get(key) not in (None, "", False) for row in rows)]
        emit(f"\n{title}")
        emit(render_table(rows, used))
