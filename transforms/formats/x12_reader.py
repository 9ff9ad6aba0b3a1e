"""One pass over the segments of an X12 file: line items of its 846 messages, and what the envelope says.

Never adds quantities, and never reads another transaction set.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from schemas.records import RawBatch
from transforms.formats.edi_lines import Heading, Line, Quantity
from transforms.formats.edi_numbers import amount, says, total
from transforms.formats.edi_options import X12_PURPOSES, X12_QUANTITIES, X12Options
from transforms.formats.edi_report import Fault, Level, Report
from transforms.formats.edi_rows import Rows
from transforms.formats.edi_stretches import Stretch, batches, line_items
from transforms.formats.limits import exceeded
from transforms.formats.x12_elements import (
    ENVELOPE,
    FUTURE_DATES,
    KNOWN,
    LINE_DATES,
    OTHER_PRICES,
    OUR_COST,
    Plan,
    element_at,
    first_wrong_qualifier,
    is_date,
    plan_of,
)
from transforms.formats.x12_envelope import Envelope
from transforms.formats.x12_shapes import X12Shapes
from transforms.formats.x12_tokens import Segments

_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{1,2}")
_MOST_PLANS = 1_000  # of different patterns of qualifiers


class X12Reader:
    """One pass over the segments of a file: `rows` gathers the records, `report` what the envelope says."""

    def __init__(self, options: X12Options, *, in_turns: bool = False) -> None:
        self._options = options
        self.report = Report("x12")
        self.rows = Rows(options, in_turns=in_turns)
        self._kinds: dict[str, str] = {**X12_QUANTITIES, **options.quantities}
        self._fragments = options.envelope == "optional"
        self._envelope = Envelope(self.report, options.tolerate, fragments=self._fragments)
        self._at = self._line_count = 0
        self._part = ":"
        self._is_stock_seen = self._is_stock = False
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._model_reader: X12Reader | None = None
        self._message: Level | None = None
        self._reset_message()
        skus, gtins = options.sku_qualifiers, options.gtin_qualifiers
        self._wanted = (
            ("sku", skus), ("gtin", gtins), ("buyer_sku", options.buyer_qualifiers), ("mpn", options.mpn_qualifiers),
            ("location", ("DV",)), ("lot", ("LT",)),
        )  # fmt: skip
        self._content: dict[str, Callable[[list[str]], None]] = {
            "BIA": self._bia, "CUR": self._cur, "N1": self._n1, "REF": self._ref, "QTY": self._qty, "UIT": self._uit,
            "SDQ": self._sdq, "SCH": self._sch, "CTP": self._ctp, "PID": self._pid, "DTM": self._dtm, "LS": self._ls,
            "LE": self._le, "CTT": self._ctt,
        }  # fmt: skip

    def lines(self, pieces: Iterator[str]) -> Iterator[tuple[Line, Heading]]:
        """Yield each line item once it is complete; its rows are in `rows` by then."""
        self._segments = Segments(pieces, self._options.limits.line_bytes, fragments=self._fragments)
        return line_items(self._segments, self)

    def batches(self, pieces: Iterator[str]) -> Iterator[RawBatch]:
        """Yield the rows in batches, but for those that `rows` still has at the end."""
        self._segments = Segments(pieces, self._options.limits.line_bytes, fragments=self._fragments, items=True)
        return batches(self._segments, self)

    def segment(self, segment: list[str]) -> tuple[Line, Heading] | None:
        """Take one segment; return the line item that it ends."""
        self._at += 1
        tag = segment[0]
        finished = self._finished() if self._line is not None and (tag == "LIN" or tag in ENVELOPE) else None
        if tag == "LIN":
            self._lin(segment)
        elif tag in self._content:
            if self._is_stock or self._stock():
                self._content[tag](segment)
        elif tag not in KNOWN:
            self._other(tag, segment)
        return finished

    def end(self) -> tuple[Line, Heading] | None:
        """Take the end of the file; return the line item that it ends."""
        finished = self._finished() if self._line is not None else None
        self._envelope.end(self._at)
        return finished

    @property
    def room(self) -> int:
        """How many line items may be taken together."""
        return self._options.limits.rows - self._line_count if self._is_stock and self._is_read() else 0

    def begin_model(self) -> X12Shapes:
        """Return what reads models of line items under the present heading."""
        reader = self._model_reader = self._model_reader or X12Reader(self._options)
        reader.report.notes = self.report.notes
        heading, part = self._heading, self._part
        return X12Shapes(self._options, heading, part, lambda model: reader.model_rows(model, heading, part))

    def model_rows(self, model: Sequence[list[str]], heading: Heading, component: str) -> list[list[Any]] | None:
        """Return the rows of one line item, which is a model; None when anything is wrong with it or it has no quantity."""
        self._message = level = Level("846", "", is_stock=True)
        self._is_stock, self._part, self._line_count = True, component, 0
        self._reset_message()
        self._heading = heading
        for segment in model:
            self.segment(segment)
        self._finished()
        rows = self.rows.alone()
        return rows if self._has_quantity and not level.faults else None

    def add(self, stretch: Stretch) -> None:
        """Take the rows of line items that were made together."""
        if self._line is not None:
            self._finished()
        self.rows.extend(stretch.columns, after=self._at)
        self._at += stretch.segments
        self._line_count += stretch.items
        for code, texts in stretch.quantities:
            found = total(texts)
            self._total += found
            if self._kinds.get(code) == "available":
                self._total_available += found
        self._has_quantity = self.report.has_quantities = self._is_stock_seen = True

    def _other(self, tag: str, segment: list[str]) -> None:
        if tag in ENVELOPE:
            self._enclosing(tag, segment)
        elif not _SEGMENT_ID.fullmatch(tag):
            self._strange(tag)

    def _stock(self) -> bool:
        """Return whether the present segment belongs to a stock message; a fragment may begin without ST."""
        if self._message is not None:
            return self._message.is_stock
        if not self._fragments:
            self._strange_place()
            return False
        self._message = Level("846", "", is_stock=True)
        self._is_stock = True
        self.report.interchanges.append(Level("ISA", "", parts=[self._message]))
        self.report.stock_messages += 1
        self._reset_message()
        self._has_bia = True
        return True

    def _strange_place(self) -> None:
        owner = self.report.interchanges[-1] if self.report.interchanges else None
        if owner is not None:
            owner.add(Fault(f"segment {self._at} stands in no transaction set", "022", at=self._at))

    def _enclosing(self, tag: str, segment: list[str]) -> None:
        envelope = self._envelope
        if tag == "ST":
            self._message = level = envelope.open_message(segment, self._at)
            self._reset_message()
            self._is_stock = level.is_stock = level.kind == "846"
            if level.is_stock:
                self.report.stock_messages += 1
            else:
                level.is_ignored = True
                self.report.other_messages[level.kind] = self.report.other_messages.get(level.kind, 0) + 1
        elif tag == "SE":
            self._end_message()
            envelope.close_message(segment, self._at)
            self._message, self._is_stock = None, False
        elif tag == "GS":
            envelope.open_group(segment, self._at)
        elif tag == "GE":
            envelope.close_group(segment, self._at)
        elif tag == "ISA":
            self._message, self._is_stock = None, False
            self.rows.next_turn()
            delimiters = self._segments.delimiters
            self._part = delimiters.component or ":"
            envelope.open_interchange(segment, delimiters, self._at)
        else:
            envelope.close_interchange(segment, self._at)

    def _reset_message(self) -> None:
        self._heading = Heading()
        self._line: Line | None = None
        self._line_count_before = self._line_count
        self._has_bia = self._has_quantity = False
        self._purpose = "full"
        self._loop_location, self._in_loop, self._last_pending = "", False, False
        self._total: int | Fraction = 0
        self._total_available: int | Fraction = 0

    def _end_message(self) -> None:
        """Judge a stock message as a whole."""
        level = self._message
        if level is None or not level.is_stock:
            return
        if not self._has_bia:
            self._fault("segment BIA is missing", "BIA", segment_code="3", position=2)
        if not self._has_quantity:
            level.is_ignored = True
            self.report.note(f"846 {level.control}: no quantity in any line, so it is an inquiry or another list: ignored")

    def _finished(self) -> tuple[Line, Heading]:
        line, self._line = self._line, None
        assert line is not None
        self._loop_location, self._in_loop = "", False
        if self._is_read():
            self.rows.add(line, self._heading)
            self._is_stock_seen = self._is_stock_seen or bool(line.quantities)
        return line, self._heading

    def _is_read(self) -> bool:
        """Whether the present message may change stock."""
        return self._purpose != "ignore" and (self._options.test == "read" or not self._envelope.is_test)

    def _fault(self, message: str, segment: str, *, segment_code: str = "8", position: int = 0, element: int = 0,
               element_code: str = "", value: str = "", habit: str = "") -> None:  # fmt: skip
        assert self._message is not None
        place = position or self._at - self._envelope.message_began + 1
        told = f"{message} (segment {place} of 846 {self._message.control})"
        tolerated, rule = habit in self._options.tolerate, "EDI-SEGMENT"
        fault = Fault(told, "5", segment, place, segment_code, element, element_code, value, self._at, rule, tolerated, habit)
        self._message.add(fault)

    def _strange(self, tag: str) -> None:
        if self._message is None:
            self._strange_place()
        elif self._message.is_stock:
            self._fault(
                f"{tag[:20]!r} is no segment: text between segments, or a separator in the data",
                tag[:3],
                segment_code="1",
                value=tag,
            )

    def _bia(self, segment: list[str]) -> None:
        self._has_bia = True
        code, when = element_at(segment, 1), element_at(segment, 4)
        self._purpose = self._options.purposes.get(code) or X12_PURPOSES.get(code) or ""
        if not self._purpose:
            self._fault(f"BIA01 {code!r} is no purpose that this feed knows", "BIA", element=1, element_code="7", value=code)
        if self._purpose == "changes":
            self.report.is_partial = True
        if when and not is_date(when):
            self._fault(f"BIA04 {when!r} is not a date", "BIA", element=4, element_code="8", value=when)
        self.report.add_purpose(code)
        time = (element_at(segment, 5) + "0000")[:4]
        self._heading = self._heading._replace(as_of=f"{when} {time}" if when else "", purpose=code)

    def _cur(self, segment: list[str]) -> None:
        if self._line is not None:
            self._line.currency = element_at(segment, 2)
        else:
            self._heading = self._heading._replace(currency=element_at(segment, 2))

    def _n1(self, segment: list[str]) -> None:
        if element_at(segment, 1) in self._options.location_entities:
            self._set_location(element_at(segment, 4) or element_at(segment, 2))

    def _ref(self, segment: list[str]) -> None:
        code, value = element_at(segment, 1), element_at(segment, 2)
        if code in self._options.location_references:
            self._set_location(value)
        elif self._line is not None and code == "LT":
            self._line.lot = value
        elif self._line is not None and code == "ACC":
            self._line.status = value

    def _set_location(self, place: str) -> None:
        if self._in_loop:
            self._loop_location = place
        elif self._line is not None:
            self._line.location = place
        else:
            self._heading = self._heading._replace(location=place)

    def _lin(self, segment: list[str]) -> None:
        if not (self._is_stock or self._stock()):
            return
        self._line_count += 1
        if self._line_count > self._options.limits.rows:
            limit = self._options.limits.rows
            raise exceeded(f"segment {self._at}: more than {limit} line items", limit, "rows", line=self._at)
        self._line = line = Line(self._at)
        pattern = tuple(segment[2::2])
        plan = self._plans.get(pattern)
        if plan is None:
            plan = self._plan(pattern)
        for name, at in plan:
            if at < len(segment):
                setattr(line, name, segment[at].strip())
        if not line.sku and line.gtin and not line.gtin.isdigit():
            line.sku = line.gtin  # a SKU under a barcode's qualifier

    def _plan(self, pattern: tuple[str, ...]) -> Plan:
        """Return which element gives which field, for lines with these qualifiers; suppliers use few patterns."""
        if number := first_wrong_qualifier(pattern):
            code = pattern[number // 2 - 1]
            told = f"LIN{number:02} {code!r} is no qualifier: pairs are shifted"
            self._fault(told, "LIN", element=number, element_code="7", value=code)
            return ()
        plan = plan_of(pattern, self._wanted)
        if len(self._plans) < _MOST_PLANS:
            self._plans[pattern] = plan
        return plan

    def _qty(self, segment: list[str]) -> None:
        line = self._line
        self._has_quantity = self.report.has_quantities = True
        if line is None:
            self._fault("QTY stands before the first LIN", "QTY", segment_code="7")
            return
        code, text, unit, *_ = segment[1:4] if len(segment) > 3 else [*segment[1:], "", "", ""]  # noqa: PLR2004 - QTY03
        if unit and self._part in unit:
            unit = unit.split(self._part)[0]
        kind = self._kinds.get(code) or self.report.undeclared(code)
        line.quantities.append(Quantity(kind, code, text.strip(), unit, self._loop_location, "", self._at))
        number = amount(text.strip())
        self._total += number
        if kind == "available":
            self._total_available += number

    def _uit(self, segment: list[str]) -> None:
        if self._line is not None and self._line.quantities and not self._line.quantities[-1].unit:
            self._line.quantities[-1] = self._line.quantities[-1]._replace(unit=element_at(segment, 1).split(self._part)[0])

    def _sdq(self, segment: list[str]) -> None:
        line = self._line
        if line is None:
            return
        kind, code = (line.quantities[-1][:2]) if line.quantities else ("available", "SDQ")
        for at in range(3, len(segment) - 1, 2):
            if segment[at]:
                line.quantities.append(
                    Quantity(kind, code, segment[at + 1], element_at(segment, 1), segment[at], "", self._at, is_split=True)
                )
                self._has_quantity = self.report.has_quantities = True

    def _sch(self, segment: list[str]) -> None:
        """Take SCH as future supply by its date qualifier, else, where it names a place, as that place's share."""
        line = self._line
        if line is None:
            return
        text, unit, code, when = element_at(segment, 1), element_at(segment, 2), element_at(segment, 5), element_at(segment, 6)
        if code in FUTURE_DATES:
            line.quantities.append(Quantity("future", "SCH", text, unit, "", when, self._at))
        elif place := element_at(segment, 4):
            kind = line.quantities[0].kind if line.quantities else "available"
            line.quantities.append(Quantity(kind, "SCH", text, unit, place, "", self._at, is_split=True))

    def _ctp(self, segment: list[str]) -> None:
        code, price = element_at(segment, 2), element_at(segment, 3)
        if self._line is None:
            return
        if code in OUR_COST and not self._line.cost:
            self._line.cost, self._line.price_kind = price, "cost"
        elif code in OTHER_PRICES and not self._line.price:
            self._line.price = price
            self._line.price_kind = self._line.price_kind or "list"

    def _pid(self, segment: list[str]) -> None:
        if self._line is not None and not self._line.description:
            self._line.description = element_at(segment, 5)

    def _dtm(self, segment: list[str]) -> None:
        line = self._line
        if line is None or not line.quantities or element_at(segment, 1) not in LINE_DATES:
            return
        line.quantities[-1] = line.quantities[-1]._replace(date=element_at(segment, 2))

    def _ls(self, _segment: list[str]) -> None:
        self._in_loop = self._line is not None

    def _le(self, _segment: list[str]) -> None:
        self._loop_location, self._in_loop = "", False

    def _ctt(self, segment: list[str]) -> None:
        said, hashed = element_at(segment, 1), element_at(segment, 2)
        count = self._line_count - self._line_count_before
        if not says(said, count):
            self._fault(f"CTT01 {said} against {count} LIN", "CTT", element=1, element_code="7", value=said, habit="CTT01")
        if hashed and amount(hashed) not in (self._total, self._total_available):
            self.report.note(f"segment {self._at}: CTT02 {hashed} is not the sum of the quantities ({float(self._total):g})")

    def told(self) -> list[str]:
        """Return the notes for people, tolerated faults first."""
        is_left_out = self._envelope.is_test and self._options.test == "ignore"
        return self.report.told("846", "ISA15 = T: a test interchange changes nothing" if is_left_out else "")

    def reading(self) -> dict[str, Any]:
        """Return how the file was read, JSON-ready: separators, interchanges, purposes, and whether it changes stock at all."""
        return self.report.reading("X12", "" if self._is_stock_seen else "; ".join(self.told()) or "the file holds no 846")
