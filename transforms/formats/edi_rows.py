"""The table rows of an EDI message, gathered from its line items and given away in batches.

Never adds quantities up, and never takes one for another: what two quantities of one kind disagree about is rejected.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from schemas.records import RawBatch
from schemas.rejections import Rejection, rejection
from transforms.formats.edi_lines import Heading, Line, Quantity
from transforms.formats.edi_options import HEADER, EdiOptions

_SLOT = {"available": 0, "on_hand": 1, "on_order": 2}
_NAMES = ("row", "line", *(f"c{number}" for number in range(len(HEADER))))
_TYPES = (pl.Int64, pl.Int64, *(pl.String,) * len(HEADER))
_KEY = tuple(f"c{HEADER.index(name)}" for name in ("supplier_sku", "buyer_sku", "gtin", "location"))
_TURNED = 500  # rows that are made columns at once: so few are still near the processor


class Rows:
    """Table rows gathered from lines, given away in batches.

    With `in_turns` (a file of several interchanges) all are kept to the end, because what a later interchange says of a key takes
    the place of what an earlier one said: they are applied in order.
    """

    def __init__(self, options: EdiOptions, *, in_turns: bool = False) -> None:
        self._unit, self._splits, self._size = options.unit, options.splits == "locations", options.batch_rows
        self._in_turns = in_turns
        self._turns: list[tuple[int, int]] = []  # the first row of each interchange, and its place
        self.number = 0
        self._begin()

    def _begin(self) -> None:
        self._rows: list[Sequence[Any]] = []
        self._columns: list[list[Any]] = [[] for _ in _NAMES]
        self._rejections: list[Rejection] = []

    @property
    def is_full(self) -> bool:
        """Whether there are enough rows for a batch."""
        return len(self._columns[0]) + len(self._rows) >= self._size and not self._in_turns

    def next_turn(self) -> None:
        """Say that another interchange begins."""
        self._turns.append((self.number, len(self._turns) + 1))

    def extend(self, columns: Sequence[Sequence[Any]], *, after: int) -> None:
        """Add rows that are columns already; they are numbered here, and their lines count from the segment `after`."""
        self._turn()
        count = len(columns[1])
        self._columns[0].extend(range(self.number + 1, self.number + count + 1))
        self._columns[1].extend([after + line for line in columns[1]])
        for column, values in zip(self._columns[2:], columns[2:], strict=True):
            column.extend(values)
        self.number += count

    def alone(self) -> list[list[Any]] | None:
        """Return the rows in hand, and forget them; None when one of them was rejected."""
        rows = None if self._rejections else [list(row) for row in self._rows]
        self._begin()
        return rows

    def _turn(self) -> None:
        """Make columns of the rows in hand."""
        rows, self._rows = self._rows, []
        for column, values in zip(self._columns, zip(*rows, strict=True), strict=False):
            column.extend(values)

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
        self._rows.append(row)
        if len(self._rows) >= _TURNED:
            self._turn()

    def take(self, reading: dict[str, Any], notes: tuple[str, ...] = ()) -> RawBatch:
        """Return the gathered rows as a batch, and begin anew."""
        self._turn()
        series = [_series(name, values, kind) for name, values, kind in zip(_NAMES, self._columns, _TYPES, strict=True)]
        frame, skipped = pl.DataFrame(series), {}
        if self._in_turns:
            last = self._last_of(frame)
            if overtaken := frame.height - last.height:
                skipped["overtaken"] = overtaken
            frame = last
        batch = RawBatch(HEADER, frame, tuple(self._rejections), (), skipped, reading, notes)
        self._begin()
        return batch

    def _last_of(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that no later interchange says something else about."""
        began = pl.DataFrame(self._turns, schema={"before": pl.Int64, "turn": pl.Int64}, orient="row")
        turns = frame.with_columns(before=pl.col("row") - 1).join_asof(began, on="before").get_column("turn").fill_null(0)
        marked = frame.with_columns(turns.alias("turn"))
        return marked.filter(pl.col("turn") == pl.col("turn").max().over(_KEY)).drop("turn")


def _series(name: str, values: Sequence[Any], kind: Any) -> pl.Series:
    """Return a column; one value all over, as most columns of a message have, is not copied cell by cell."""
    if values and values[0] == values[-1] and values.count(values[0]) == len(values):
        return pl.Series(name, values[:1], dtype=kind).new_from_index(0, len(values))
    return pl.Series(name, values, dtype=kind)
