"""One line item of an EDI stock message, and what becomes of it: table rows, or observations.

Never adds quantities up, and never takes one for another: what two quantities of one kind disagree about is rejected.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import polars as pl

from schemas.records import RawBatch
from schemas.rejections import Rejection, rejection
from transforms.formats.edi_options import EdiOptions
from transforms.identifiers import parse_gtins

#: The columns of every EDI file, whatever its syntax.
HEADER = (
    "supplier_sku", "available", "on_hand", "on_order", "location", "unit", "next_available_on", "unit_cost", "price", "currency",
    "gtin", "mpn", "buyer_sku", "description", "status", "lot", "as_of", "purpose",
)  # fmt: skip
_SLOT = {"available": 0, "on_hand": 1, "on_order": 2}
_NAMES = tuple(_SLOT)


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


class Rows:
    """Table rows gathered from lines, given away in batches.

    With `in_turns` (a file of several interchanges) all are kept to the end, because what a later interchange says of a key takes
    the place of what an earlier one said: they are applied in order.
    """

    def __init__(self, options: EdiOptions, *, in_turns: bool = False) -> None:
        self._unit, self._splits, self._size = options.unit, options.splits == "locations", options.batch_rows
        self._rows: list[tuple[Any, ...]] = []
        self._rejections: list[Rejection] = []
        self.number = 0
        self._in_turns, self._turn, self._overtaken = in_turns, 0, 0
        self._kept: dict[tuple[str, str, str, str], tuple[int, list[tuple[Any, ...]]]] = {}

    @property
    def is_full(self) -> bool:
        """Whether there are enough rows for a batch."""
        return len(self._rows) >= self._size and not self._in_turns

    def next_turn(self) -> None:
        """Say that another interchange begins."""
        self._turn += 1

    def _in_order(self, row: tuple[Any, ...], key: tuple[str, str, str, str]) -> None:
        turn, rows = self._kept.get(key, (self._turn, []))
        if turn != self._turn:
            self._overtaken += len(rows)
            rows = []
        rows.append(row)
        self._kept[key] = self._turn, rows

    def add(self, line: Line, heading: Heading) -> None:
        """Add the rows of one line: one for each location it has quantities at, one without quantity if it has none."""
        quantities = line.quantities
        place = line.location or heading.location
        if len(quantities) == 1 and not quantities[0].location:  # nearly all lines
            kind, _, text, unit, _, date, _, _ = quantities[0]
            amounts = ["", "", ""]
            if kind in _SLOT:
                amounts[_SLOT[kind]] = text
            self._append(line, heading, place, amounts, unit=unit, date=date)
            return
        for location, found in self._by_location(quantities, place).items():
            self._add_at(line, heading, location, found)

    def _by_location(self, quantities: list[Quantity], place: str) -> dict[str, list[Quantity]]:
        splits = [q for q in quantities if q.is_split]
        if splits:
            quantities = splits if self._splits else [q for q in quantities if not q.is_split]
        places: dict[str, list[Quantity]] = {}
        for quantity in quantities:
            places.setdefault(quantity.location or place, []).append(quantity)
        return places or {place: []}

    def _add_at(self, line: Line, heading: Heading, location: str, found: list[Quantity]) -> None:
        amounts: list[str] = ["", "", ""]
        unit = date = ""
        for quantity in found:
            date = date or quantity.date
            slot = _SLOT.get(quantity.kind)
            if slot is None:
                continue
            unit = unit or quantity.unit
            if amounts[slot] not in ("", quantity.text) and not line.last_wins:
                self._refuse(line, quantity, amounts[slot])
                return
            amounts[slot] = quantity.text
        self._append(line, heading, location, amounts, unit=unit or (found[0].unit if found else ""), date=date)

    def _refuse(self, line: Line, quantity: Quantity, other: str) -> None:
        self.number += 1
        message = f"{line.sku or line.gtin or 'the line'} says {quantity.kind} twice: {other} and {quantity.text}"
        self._rejections.append(
            rejection(
                "EDI-QTY-TWICE", row=self.number, line=quantity.segment, column=quantity.kind, value=quantity.text, message=message
            )
        )

    def _append(self, line: Line, heading: Heading, location: str, amounts: list[str], *, unit: str, date: str) -> None:
        self.number += 1
        available, on_hand, on_order = amounts
        row = (
            self.number, line.segment, line.sku, available, on_hand, on_order, location, unit or self._unit, date, line.cost,
            line.price, line.currency or heading.currency, line.gtin, line.mpn, line.buyer_sku, line.description, line.status,
            line.lot, heading.as_of, heading.purpose,
        )  # fmt: skip
        if self._in_turns:
            self._in_order(row, (line.sku, line.buyer_sku, line.gtin, location))
        else:
            self._rows.append(row)

    def take(self, reading: dict[str, Any], notes: tuple[str, ...] = ()) -> RawBatch:
        """Return the gathered rows as a batch, and begin anew."""
        if self._in_turns:
            self._rows = sorted(row for _, rows in self._kept.values() for row in rows)
            self._kept = {}
        skipped = {"overtaken": self._overtaken} if self._overtaken else {}
        self._overtaken = 0
        columns: list[Sequence[Any]] = list(zip(*self._rows, strict=True)) or [()] * (len(HEADER) + 2)
        names = ("row", "line", *(f"c{n}" for n in range(len(HEADER))))
        types = (pl.Int64, pl.Int64, *(pl.String,) * len(HEADER))
        series = [_series(name, values, kind) for name, values, kind in zip(names, columns, types, strict=True)]
        batch = RawBatch(HEADER, pl.DataFrame(series), tuple(self._rejections), (), skipped, reading, notes)
        self._rows, self._rejections = [], []
        return batch


def _series(name: str, values: Sequence[Any], kind: Any) -> pl.Series:
    """Return a column; one value all over, as most columns of a message have, is not copied cell by cell."""
    if values and values.count(values[0]) == len(values):
        return pl.repeat(values[0], len(values), dtype=kind, eager=True).alias(name)
    return pl.Series(name, values, dtype=kind)


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


def plain_number(text: str) -> str | None:
    """Return a signed decimal number as an exact text without a plus; None for anything else."""
    body = text[1:] if text[:1] in "+-" and text else text
    whole, point, rest = body.partition(".")
    if not ((whole.isascii() and whole.isdigit()) or (not whole and rest)) or (point and not (rest.isascii() and rest.isdigit())):
        return None
    return ("-" if text.startswith("-") else "") + (whole or "0") + (f".{rest}" if point else "")


def _iso(date: str) -> str | None:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == len("CCYYMMDD") and date.isdigit() else None
