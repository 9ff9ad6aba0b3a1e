"""One pass over the segments of an EDIFACT file: line items of its INVRPT messages, and what the envelope says.

Never takes a movement for a balance, and never reads another message.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from schemas.records import RawBatch
from schemas.rejections import escape_value
from transforms.formats.edi_lines import Heading, Line, Quantity
from transforms.formats.edi_numbers import pointed, says
from transforms.formats.edi_options import EDIFACT_PURPOSES, EDIFACT_QUANTITIES, EdifactOptions
from transforms.formats.edi_report import Fault, Level, Report, unreadable
from transforms.formats.edi_rows import Rows
from transforms.formats.edi_stretches import Stretch, batches, line_items
from transforms.formats.edifact_envelope import Envelope
from transforms.formats.edifact_shapes import EdifactShapes
from transforms.formats.edifact_tokens import Segments, released
from transforms.formats.limits import exceeded

_TAG = re.compile(r"[A-Z][A-Z0-9]{2}")
_ENVELOPE = frozenset({"UNB", "UNG", "UNH", "UNT", "UNE", "UNZ"})
_RELEASES = frozenset({"96A", "96B", "97A", "97B", "98A", "98B", "99A", "99B", "00A", "01A", "01B"})
_STATES = {"2": "unusable", "3": "on_hold", "4": "reserved"}  # element 7491 of INV
_AVAILABLE_DATES = frozenset({"44", "11"})
_INVENTORY_REPORT = "35"


class EdifactReader:
    """One pass over the segments of a file: `rows` gathers the records, `report` what the envelope says."""

    def __init__(self, options: EdifactOptions, *, in_turns: bool = False) -> None:
        self._options = options
        self.report = Report("edifact")
        self.rows = Rows(options, in_turns=in_turns)
        self._kinds: dict[str, str] = {**EDIFACT_QUANTITIES, **options.quantities}
        self._fragments = options.envelope == "optional"
        self._envelope = Envelope(self.report, fragments=self._fragments)
        self._at_segment = 0
        self._line_total = 0
        self._message: Level | None = None
        self._model_reader: EdifactReader | None = None
        self._component, self._decimal = ":", "."
        self._is_stock_seen = False
        self._reset_message()
        self._ids = (
            ("sku", options.sku_qualifiers), ("gtin", options.gtin_qualifiers), ("buyer_sku", options.buyer_qualifiers),
            ("mpn", options.mpn_qualifiers),
        )  # fmt: skip
        self._content: dict[str, Callable[[list[str]], None]] = {
            "BGM": self._bgm, "DTM": self._dtm, "NAD": self._nad, "CUX": self._cux, "PIA": self._pia, "IMD": self._imd,
            "LOC": self._loc, "INV": self._inv, "QTY": self._qty, "PRI": self._pri, "CNT": self._cnt,
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
        self._at_segment += 1
        tag = segment[0][:3]
        finished = self._finished() if self._line is not None and (tag == "LIN" or tag in _ENVELOPE) else None
        if tag == "LIN":
            self._lin(segment)
        elif tag in self._content:
            if self._stock():
                self._content[tag](segment)
        elif tag in _ENVELOPE:
            self._enclosing(tag, segment)
        elif not _TAG.fullmatch(segment[0].split(self._component)[0]):
            self._strange(segment[0])
        return finished

    def end(self) -> tuple[Line, Heading] | None:
        """Take the end of the file; return the line item that it ends. Raises DeliveryError where a character is missing."""
        finished = self._finished() if self._line is not None else None
        if self._segments.unfinished:
            place, what = self._at_segment + 1, escape_value(self._segments.unfinished)
            raise unreadable(
                f"segment {place}: at the end of file stands a release character, {what!r}, alone",
                "Send the whole file again.",
                line=place,
                code="FILE-TRUNCATED",
            )
        self._envelope.end(self._at_segment)
        return finished

    @property
    def room(self) -> int:
        """How many line items may be taken together."""
        is_stock = self._message is not None and self._message.is_stock
        return self._options.limits.rows - self._line_total if is_stock and self._is_read() else 0

    def begin_model(self) -> EdifactShapes:
        """Return what reads models of line items under the present heading."""
        reader = self._model_reader = self._model_reader or EdifactReader(self._options)
        reader.report.notes = self.report.notes
        heading, separators = self._heading, (self._component, self._decimal)
        return EdifactShapes(self._options, heading, separators, lambda model: reader.model_rows(model, heading, *separators))

    def model_rows(self, model: Sequence[list[str]], heading: Heading, component: str, decimal: str) -> list[list[Any]] | None:
        """Return the rows of one line item, which is a model; None when anything is wrong with it or it has no quantity."""
        self._message = level = Level("INVRPT", "", is_stock=True)
        self._component, self._decimal, self._line_total = component, decimal, 0
        self._reset_message()
        self._heading, self._is_stock_seen = heading, False
        for segment in model:
            self.segment(segment)
        self._finished()
        rows = self.rows.alone()
        return rows if self._is_stock_seen and not level.faults else None

    def add(self, stretch: Stretch) -> None:
        """Take the rows of line items that were made together."""
        if self._line is not None:
            self._finished()
        self.rows.extend(stretch.columns, after=self._at_segment)
        self._at_segment += stretch.segments
        self._line_count += stretch.items
        self._line_total += stretch.items
        self.report.has_quantities = self._is_stock_seen = True

    def _stock(self) -> bool:
        if self._message is not None:
            return self._message.is_stock
        if not self._fragments:
            self._strange("a segment outside a message")
            return False
        self._message = Level("INVRPT", "", is_stock=True)
        self.report.interchanges.append(Level("UNB", "", parts=[self._message]))
        self._reset_message()
        self._has_bgm = True
        return True

    def _enclosing(self, tag: str, segment: list[str]) -> None:
        envelope = self._envelope
        if tag == "UNB":
            self._message = None
            separators = self._segments.separators
            envelope.component = self._component = separators.component
            self._decimal, self.report.delimiters = separators.decimal, "".join(separators)
            self.rows.next_turn()
            envelope.open_interchange(segment, self._at_segment)
        elif tag == "UNG":
            envelope.open_group()
        elif tag == "UNH":
            self._message = level = envelope.open_message(segment, self._at_segment)
            self._reset_message()
            self._take_kind(level)
        elif tag == "UNT":
            self._end_message()
            envelope.close_message(segment, self._at_segment)
            self._message = None
        elif tag == "UNZ":
            envelope.close_interchange(segment, self._at_segment)

    def _take_kind(self, level: Level) -> None:
        level.is_stock = level.kind == "INVRPT"
        if level.is_stock:
            self.report.stock_messages += 1
            release = level.header[2] if len(level.header) > 2 else ""  # noqa: PLR2004 - S009: type, version, release
            if release not in _RELEASES:
                self.report.note(f"INVRPT of directory {release or 'unknown'}: read as the nearest one known")
            return
        level.is_ignored = True
        self.report.other_messages[level.kind] = self.report.other_messages.get(level.kind, 0) + 1
        if level.kind == "SLSRPT":
            message = f"message {level.control} is SLSRPT: it has the shape of a stock report, and its quantities are sales"
            level.add(Fault(message, "12", "UNH", 1, element=2, value="SLSRPT", at=self._at_segment, rule="EDI-TYPE"))

    def _reset_message(self) -> None:
        self._heading = Heading()
        self._line: Line | None = None
        self._line_count = 0
        self._group_at, self._group_by_inv, self._state = 0, False, ""
        self._has_bgm = False
        self._purpose = "full"
        self._found_ids: dict[str, str] = {}

    def _end_message(self) -> None:
        level = self._message
        if level is not None and level.is_stock and not self._has_bgm:
            self._fault("segment BGM is missing", "BGM", "13", position=2)

    def _finished(self) -> tuple[Line, Heading]:
        line, self._line = self._line, None
        assert line is not None
        for name, codes in self._ids:
            for code in codes:
                if code in self._found_ids:
                    setattr(line, name, self._found_ids[code])
                    break
        line.quantities = _parts_marked(line.quantities)
        if line.last_wins:
            line.quantities = _last_balances(line.quantities)
        if self._is_read():
            self.rows.add(line, self._heading)
            self._is_stock_seen = self._is_stock_seen or bool(line.quantities)
        return line, self._heading

    def _is_read(self) -> bool:
        """Whether the present message may change stock."""
        return self._purpose != "ignore" and (self._options.test == "read" or not self._envelope.is_test)

    def _fault(self, message: str, segment: str, code: str, *, position: int = 0, element: int = 0, value: str = "") -> None:
        assert self._message is not None
        place = position or self._at_segment - self._envelope.message_began + 1
        told = f"{message} (segment {place} of message {self._message.control})"
        self._message.add(Fault(told, code, segment, place, "", element, code, value, self._at_segment, "EDI-SEGMENT"))

    def _strange(self, tag: str) -> None:
        told = f"segment {self._at_segment}: {released(tag)[:20]!r} is no segment of a message"
        owner = self._message or (self.report.interchanges[-1] if self.report.interchanges else None)
        if owner is not None and not owner.is_ignored:
            owner.add(Fault(told, "18", released(tag)[:3], value=released(tag), at=self._at_segment, rule="EDI-SEGMENT"))

    def _parts(self, segment: list[str], number: int) -> list[str]:
        if len(segment) <= number:
            return [""] * 5
        parts = segment[number].split(self._component)
        if not segment[number].isascii():
            parts = [released(part) for part in parts]
        return [*parts, "", "", "", "", ""]

    def _bgm(self, segment: list[str]) -> None:
        self._has_bgm = True
        code, purpose = self._parts(segment, 1)[0], self._parts(segment, 3)[0]
        if code != _INVENTORY_REPORT:
            self._fault(f"BGM 1001 {code!r} is not an inventory report (35)", "BGM", "12", element=1, value=code)
        self._purpose = self._options.purposes.get(purpose) or EDIFACT_PURPOSES.get(purpose) or ""
        if not self._purpose:
            self._fault(f"BGM 1225 {purpose!r} is no purpose that this feed knows", "BGM", "12", element=3, value=purpose)
        if self._purpose == "changes":
            self.report.is_partial = True
        self.report.add_purpose(purpose)
        self._heading = self._heading._replace(purpose=purpose)

    def _dtm(self, segment: list[str]) -> None:
        code, when, form = self._parts(segment, 1)[:3]
        if self._line is None:
            if code == "366" or (code == "137" and not self._heading.as_of):
                self._heading = self._heading._replace(as_of=f"{when[:8]} {(when[8:12] if form == '203' else '') or '0000'}")
        elif code in _AVAILABLE_DATES and self._line.quantities:
            self._line.quantities[-1] = self._line.quantities[-1]._replace(date=when[:8])

    def _nad(self, segment: list[str]) -> None:
        if self._parts(segment, 1)[0] in self._options.location_parties:
            self._place(self._parts(segment, 2)[0])

    def _loc(self, segment: list[str]) -> None:
        if self._parts(segment, 1)[0] in self._options.location_codes:
            code, _, _, name = self._parts(segment, 2)[:4]
            self._place(" / ".join(filter(None, (code, name))))

    def _place(self, location: str) -> None:
        """Set the location of the open quantity group, of the line before any quantity, or of the whole message."""
        line = self._line
        if line is None:
            self._heading = self._heading._replace(location=location)
        elif not line.quantities[self._group_at :]:
            line.location = location
        else:
            opened = line.quantities[self._group_at :]
            line.quantities[self._group_at :] = [q._replace(location=location) for q in opened]

    def _cux(self, segment: list[str]) -> None:
        currency = self._parts(segment, 1)[1]
        if self._line is None:
            self._heading = self._heading._replace(currency=currency)
        else:
            self._line.currency = currency

    def _lin(self, segment: list[str]) -> None:
        if not self._stock():
            return
        self._line_count += 1
        self._line_total += 1
        if self._line_total > self._options.limits.rows:
            place, limit = self._at_segment, self._options.limits.rows
            raise exceeded(f"segment {place}: more than {limit} line items", limit, "rows", line=place)
        self._begin_line()
        self._take_id(self._parts(segment, 3))

    def _begin_line(self) -> Line:
        self._line = line = Line(self._at_segment)
        self._found_ids = {}
        self._group_at, self._group_by_inv, self._state = 0, False, ""
        return line

    def _take_id(self, parts: list[str]) -> None:
        if parts[0] and parts[1]:
            self._found_ids.setdefault(parts[1], parts[0])

    def _pia(self, segment: list[str]) -> None:
        if self._line is not None:
            for number in range(2, len(segment)):
                self._take_id(self._parts(segment, number))

    def _imd(self, segment: list[str]) -> None:
        if self._line is not None and not self._line.description:
            self._line.description = self._parts(segment, 3)[3]

    def _inv(self, segment: list[str]) -> None:
        """Open a quantity group; one with a direction (4501) is a movement, whose balance replaces the one before it."""
        line = self._line
        if line is None:
            if not self._fragments:
                self._fault("INV stands before the first LIN", "INV", "15")
                return
            line = self._begin_line()
        self._group_at, self._group_by_inv = len(line.quantities), True
        self._state = self._parts(segment, 2)[0]
        line.last_wins = line.last_wins or bool(self._parts(segment, 1)[0])

    def _qty(self, segment: list[str]) -> None:
        self.report.has_quantities = True
        line = self._line
        if line is None:
            self._fault("QTY stands before the first LIN", "QTY", "15")
            return
        code, text, unit = self._parts(segment, 1)[:3]
        kind = self._kinds.get(code) or self.report.undeclared(code)
        if kind in ("on_hand", "available"):
            kind = _STATES.get(self._state, kind)
        if not self._group_by_inv:
            self._group_at = len(line.quantities)
        line.quantities.append(Quantity(kind, code, pointed(text, self._decimal), unit, "", "", self._at_segment))

    def _pri(self, segment: list[str]) -> None:
        code, price = self._parts(segment, 1)[:2]
        if self._line is not None and code in ("AAA", "AAB") and not self._line.cost:
            self._line.cost = price.replace(self._decimal, ".")
            self._line.price_kind = "cost"

    def _cnt(self, segment: list[str]) -> None:
        code, said = self._parts(segment, 1)[:2]
        if code == "2" and not says(said, self._line_count):
            self._fault(f"CNT 2 says {said} lines, there are {self._line_count}", "CNT", "29", element=1, value=said)

    def told(self) -> list[str]:
        """Return the notes for people."""
        is_left_out = self._envelope.is_test and self._options.test == "ignore"
        return self.report.told("INVRPT", "UNB 0035 = 1: a test interchange changes nothing" if is_left_out else "")

    def reading(self) -> dict[str, Any]:
        """Return how the file was read, JSON-ready: separators, interchanges, purposes, and whether it changes stock at all."""
        nothing = "" if self._is_stock_seen else "; ".join(self.told()) or "the file holds no INVRPT with quantities"
        return self.report.reading("EDIFACT", nothing)


def _parts_marked(quantities: list[Quantity]) -> list[Quantity]:
    """Return the quantities, those at a place of their own marked as parts where the line also gives their kind as a whole."""
    whole = {q.kind for q in quantities if not q.location}
    if len(quantities) < 2 or not whole:  # noqa: PLR2004 - one alone is no part
        return quantities
    return [q._replace(is_split=True) if q.location and q.kind in whole else q for q in quantities]


def _last_balances(quantities: list[Quantity]) -> list[Quantity]:
    """Return the quantities without the balances that a later one of the same kind and place replaces."""
    last = {(q.kind, q.location): at for at, q in enumerate(quantities)}
    return [q for at, q in enumerate(quantities) if q.kind == "movement" or last[q.kind, q.location] == at]
