"""One line item of an EDI stock message while it is read, and what each of its quantities says before any rule.

Never adds quantities up; table rows are made in `edi_rows`.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import polars as pl

from transforms.formats.edi_numbers import plain_number
from transforms.formats.edi_options import EdiOptions
from transforms.identifiers import parse_gtins


class Quantity(NamedTuple):
    """One quantity as the message gives it; `is_split`: part of the line's quantity, at its own location."""

    kind: str
    qualifier: str
    text: str
    unit: str
    location: str
    date: str
    segment: int
    is_split: bool = False


class Line:
    """A line item while its segments are read. `last_wins`: later balances replace earlier ones (after movements)."""

    # defaults of the class: most lines set few of them
    sku = buyer_sku = gtin = mpn = location = lot = status = description = cost = price = price_kind = currency = ""
    last_wins = False

    def __init__(self, segment: int) -> None:
        self.segment = segment
        self.quantities: list[Quantity] = []


class Heading(NamedTuple):
    """What a message says once for all of its lines."""

    location: str = ""
    currency: str = ""
    as_of: str = ""
    purpose: str = ""


def observations(line: Line, heading: Heading, options: EdiOptions, number: int) -> Iterator[dict[str, Any]]:
    """Yield what each quantity of a line says, before any rule of the feed; `number` counts the lines of the file."""
    gtin = parse_gtins(pl.Series([line.gtin])).values[0] if line.gtin else None
    bad_gtin = line.gtin if line.gtin and gtin is None else None
    for quantity in line.quantities:
        number_text = plain_number(quantity.text)
        yield {
            "supplier_sku": line.sku or None,
            "gtin": gtin,
            "gtin_raw": bad_gtin,
            "gtin_note": "check digit or length wrong" if bad_gtin else None,
            "mpn": line.mpn or None,
            "buyer_sku": line.buyer_sku or None,
            "condition": None,
            "unit": quantity.unit or options.unit or None,
            "price": line.cost or line.price or None,
            "currency": line.currency or heading.currency or None,
            "available_date": _iso(quantity.date),
            "quantity": number_text,
            "quantity_text": quantity.text if number_text is None and quantity.text else None,
            "quantity_kind": quantity.kind,
            "qualifier": quantity.qualifier,
            "warehouse": quantity.location or ("" if quantity.is_split else _place(line, heading)) or None,
            "price_kind": line.price_kind or None,
            "row": number,
            "line": quantity.segment,
        }


def _place(line: Line, heading: Heading) -> str:
    """Return where the line's own quantities lie: a line whose quantity is split has it all over."""
    return "" if any(q.is_split for q in line.quantities) else line.location or heading.location


def _iso(date: str) -> str | None:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == len("CCYYMMDD") and date.isdigit() else None
