"""Line items read by their shape and the same read segment by segment: always the same rows, faults, sums and notes."""

import io
import random
from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import DeliveryError
from tests.unit.formats.edi_making import invrpt, lines, x12
from transforms.formats import edi_x12, edifact
from transforms.formats.edi_options import EdifactOptions, X12Options
from transforms.formats.edi_shapes import Shapes
from transforms.formats.edi_text import blocks, holds_several
from transforms.formats.edifact_reader import EdifactReader
from transforms.formats.limits import Limits
from transforms.formats.x12_reader import X12Reader

# "#" is the number of the item; a pool of values is drawn from for each item, one of codes mostly once for a form
VALUES = ["#", "#", "#", "A-#", "", "0", " 5", "x", "4006381333931", "A B ", "NA", "é", "\u0663", "\x013", "9" * 40]
QUANTITIES = ["#", "#", "0", "12.5", "-3", "", "many", "9" * 31, " 4 "]
PLACES = ["W1", "W1", "W2", "", "Köln"]
UNITS = ["EA", "EA", "CS", "", "EA>1", " EA"]
DATES = ["20261201", "20261201", "202612011200", ""]
X12_ITEM = [
    ("QTY", ["33", "17", "63", "V2", "QA"], QUANTITIES, UNITS),
    ("QTY", ["33", "17"], QUANTITIES),
    ("PID", "F", "", "", "", VALUES),
    ("PID", "F", "", "", "", VALUES, "X"),
    ("CTP", "", ["UCP", "MSR", "ZZZ"], VALUES),
    ("UIT", UNITS),
    ("DTM", ["018", "002"], DATES),
    ("REF", ["LT", "WS", "ACC", "ZZ"], PLACES),
    ("N1", ["WH", "ST"], PLACES, "92", PLACES),
    ("SDQ", "EA", "92", PLACES, QUANTITIES, PLACES, QUANTITIES),
    ("SDQ", "EA", "92", PLACES, QUANTITIES, PLACES),
    ("SCH", QUANTITIES, "EA", "", PLACES, ["018", ""], DATES),
    ("LS", "9"), ("REF", "WS", PLACES), ("LE", "9"), ("MEA", VALUES), ("CUR", "SE", ["USD", "EUR"]),
]  # fmt: skip
X12_ODD = [("Q1#", "1"), ("LIN",), ("LIN", ""), ("SE", "9", "1"), ("",), ("ST", "846", "0002"), ("BIA", "13"), ("CTT", "9")]
X12_IDS = ["VP", "UP", "BP", "LT", "DV", "EN", "vp", ""]
EDIFACT_ITEM = [
    ("QTY", (["145", "21", "156", "33", "1?45"], QUANTITIES, ["PCE", ""])),
    ("QTY", (["145", "17"], ["1", "2,5", "2.5", "#"])),
    ("LOC", ["14", "18", "99"], (PLACES, "", "92", PLACES)),
    ("LOC", "14", (PLACES, "", "92")),
    ("NAD", ["WH", "BY"], (PLACES, "", "92")),
    ("PIA", "5", (VALUES, ["SA", "EN", "BP", ""])),
    ("PIA", "1", (VALUES, "SA"), (VALUES, "IN")),
    ("IMD", "F", "", ("", "", "", VALUES)),
    ("DTM", (["44", "137"], DATES, "102")),
    ("PRI", (["AAA", "AAE"], [*VALUES, "1,5", "1.5"])),
    ("INV", ["", "1", "2"], ["", "1", "2", "3"]),
    ("CUX", ("2", ["EUR", "USD"])),
    ("RFF", "ON:1"),
]
EDIFACT_ODD = [("qty", "1"), ("LIN",), ("CNT", "2:30"), ("UNT", "9", "1"), ("UNS", "S"), ("",), ("QTY",), ("QTYX", "145:1")]


class Forms:
    """Line items of a few forms, made at random; `released`: what has to stand before a separator in data."""

    def __init__(self, rng: random.Random, syntax: str) -> None:
        self.rng, self.is_x12 = rng, syntax == "x12"
        self.element, self.component = "*+"[syntax != "x12"], ">:"[syntax != "x12"]
        self.segments, self.odd = (X12_ITEM, X12_ODD) if self.is_x12 else (EDIFACT_ITEM, EDIFACT_ODD)

    def form(self):
        """A line item in which a cell is fixed or still a pool."""
        quantity = self.segments[0]
        rest = [quantity, *self.rng.choices(self.segments, k=self.rng.choice((0, 0, 1, 2, 4)))]
        self.rng.shuffle(rest)
        if self.is_x12:
            pairs = [cell for code in self.rng.choices(X12_IDS, k=self.rng.randrange(4)) for cell in (code, VALUES)]
            start = ("LIN", "1", *pairs)
        else:
            start = ("LIN", "1", "", (VALUES, self.rng.choice(["EN", "SA", ""])))
        return [tuple(self.settled(cell) for cell in segment) for segment in (start, *rest)]

    def settled(self, cell):
        if isinstance(cell, tuple):
            return tuple(self.settled(part) for part in cell)
        if not isinstance(cell, list):
            return cell
        if self.rng.random() < (0.4 if "#" in cell else 0.85):
            return self.rng.choice(cell)
        return self.rng.sample(cell, min(len(cell), self.rng.choice((2, 2, 9))))

    def cell(self, cell, number):
        if isinstance(cell, tuple):
            return self.component.join(self.cell(part, number) for part in cell)
        text = (self.rng.choice(cell) if isinstance(cell, list) else cell).replace("#", str(number % 7 if number % 2 else number))
        return text if self.is_x12 else text.replace("A B", "A?'?:?+B??")

    def body(self):
        """The segments of a hundred line items and more, few of them odd."""
        forms = [self.form() for _ in range(self.rng.choice((1, 1, 2, 3)))]
        made = []
        for _ in range(self.rng.randint(1, 4)):
            mixed = self.rng.random() < 0.3
            chosen = self.rng.choice(forms)
            for number in range(self.rng.choice((1, 15, 17, 60))):
                item = self.rng.choice(forms) if mixed else chosen
                made += [self.element.join(self.cell(cell, number) for cell in segment) for segment in item]
                if self.rng.random() < 0.01:
                    made.append(self.element.join(self.rng.choice(self.odd)))
        return made


def seen(reader_type, mark, content, options):
    """What the file gives by shape, and segment by segment."""
    found = []
    for by_shape in (True, False):
        with io.BytesIO(content) as stream:
            reader = reader_type(options, in_turns=holds_several(stream, mark))
        pieces = blocks(io.BytesIO(content), options, "utf-8")
        batches = []
        try:
            if by_shape:
                batches += reader.batches(pieces)
            else:
                assert all(line is not None for line in reader.lines(pieces))
        except DeliveryError as error:
            found.append((error.code, error.message))
            continue
        batches.append(reader.rows.take({}))
        rows = pl.concat([batch.frame for batch in batches]).rows()
        rejections = [(r.row, r.line, r.code, r.message) for batch in batches for r in batch.rejections]
        faults = [(fault.message, fault.code, fault.at, fault.position) for fault in reader.report.faults]
        skipped = sum((Counter(batch.skipped) for batch in batches), Counter())
        found.append((rows, rejections, faults, skipped, reader.reading(), reader.told(), reader.report.has_quantities))
    return found


def options_of(rng, model):
    limits = Limits(rows=rng.choice((60, 2_000_000, 2_000_000)))
    size, splits = rng.choice((200, 5000, 1 << 20)), rng.choice(("locations", "locations", "total"))
    return model(block_bytes=size, splits=splits, batch_rows=50, limits=limits, unit=rng.choice(("", "PK")), encoding="utf-8")


@pytest.mark.parametrize("part", range(5))
@given(st.integers(0, 1 << 32))
def test_846_line_items_read_by_shape_are_those_read_one_by_one(part, seed):
    rng = random.Random(f"{part}-{seed}")
    body = [*rng.choice(([], ["N1*WH*Köln"], ["N1*WH*W1", "CUR*SE*EUR"])), *Forms(rng, "x12").body(), "CTT*40*250"]
    content = b"".join(x12(*body, control=number) for number in range(1, rng.choice((2, 2, 3))))
    content = content.replace(b"~", rng.choice((b"~", b"~\n", b"~\r\n", b"\n", b" ~", b"~~")))
    by_shape, one_by_one = seen(X12Reader, b"ISA", content, options_of(rng, X12Options))
    assert by_shape == one_by_one


@pytest.mark.parametrize("part", range(5))
@given(st.integers(0, 1 << 32))
def test_invrpt_line_items_read_by_shape_are_those_read_one_by_one(part, seed):
    rng = random.Random(f"{part}-{seed}")
    body = [*rng.choice(([], ["NAD+WH+Köln"], ["NAD+WH+W1", "CUX+2:EUR"])), *Forms(rng, "edifact").body()]
    una = rng.choice(("UNA:+.? '", "UNA:+,? '", ""))
    end = rng.choice((b"'", b"'\n", b" '", b"''"))
    content = b""
    for number in range(1, rng.choice((2, 2, 3))):
        content += una.encode() + invrpt(*body, control=str(number), una="", encoding="utf-8").replace(b"'", end)
    by_shape, one_by_one = seen(EdifactReader, b"UNB", content, options_of(rng, EdifactOptions))
    assert by_shape == one_by_one


SPECIAL = {
    "a place of the line is one of its parts'": ("LIN*1*VP*A#*DV*W%", "QTY*33*#*EA", "SDQ*EA*92*W0*#*W1*#"),
    "a code looks like a mark": ("LIN*1*VP*A#", "QTY*33*#*EA", "SDQ*EA*92*\x010*#*W1*#"),
    "a place of the heading looks like a mark": ("LIN*1*VP*A#", "QTY*33*#*EA"),
    "a place of the line is that of a quantity": ("LIN*1*VP*A#*DV*W%", "QTY*33*#", "LS*1", "REF*WS*W1", "QTY*33*1#"),
    "one place of two says it twice": ("LIN*1*VP*A#", "LS*1", "REF*WS*W1", "QTY*33*#", "QTY*33*1#", "REF*WS*W2", "QTY*33*#"),
    "two places of a loop are sometimes the same": ("LIN*1*VP*A#", "LS*1", "REF*WS*W%", "QTY*33*5", "REF*WS*W1", "QTY*33*5"),
    "a barcode that is none is the SKU": ("LIN*1*UP*%A#", "QTY*33*#"),
}  # fmt: skip


@pytest.mark.parametrize("form", SPECIAL.values(), ids=SPECIAL)
def test_what_decides_something_is_no_value_of_a_shape(form):
    body = [segment.replace("#", str(number)).replace("%", str(number % 2)) for number in range(60) for segment in form]
    for heading in ((), ("N1*WH*\x010",), ("N1*WH*\u0660",)):
        by_shape, one_by_one = seen(X12Reader, b"ISA", x12(*heading, *body), X12Options())
        assert by_shape == one_by_one


def test_a_date_with_a_time_is_its_day_by_shape_too():
    body = [part for n in range(60) for part in (f"LIN+{n}++A{n}:SA", f"QTY+145:{n}", f"DTM+44:202612{n % 28 + 1:02}1200:203")]
    by_shape, one_by_one = seen(EdifactReader, b"UNB", invrpt(*body), EdifactOptions(encoding="utf-8"))
    assert by_shape == one_by_one
    assert "20261201" in by_shape[0][0]


def test_items_of_many_forms_are_read_by_shape(monkeypatch):
    taken = []
    find = Shapes.find
    monkeypatch.setattr(Shapes, "find", lambda *arguments: [taken.append(len(s.numbers)) or s for s in find(*arguments)])
    forms = {
        "split": [part for n in range(99) for part in (f"LIN*{n}*VP*A{n}", f"QTY*33*{n}*EA", f"SDQ*EA*92*W1*{n}*W2*{n + 1}")],
        "places": [part for n in range(99) for part in (f"LIN**UP*40063813339{n:02}", "LS*1", "REF*WS*W1", f"QTY*33*{n}", "LE*1")],
        "buckets": [part for n in range(99) for part in (f"LIN**VP*A{n}", f"QTY*33*{n}*EA", f"QTY*63*{n}*EA", "DTM*018*20261201")],
        "plain": lines(99),
    }
    for body in forms.values():
        taken.clear()
        list(edi_x12.read(lambda body=body: io.BytesIO(x12(*body)), X12Options()))
        assert sum(taken) >= 97
    body = [part for n in range(99) for part in (f"LIN+{n}++4006381333931:EN", f"QTY+145:{n}:PCE", "LOC+14+W1", f"QTY+145:{n}:PCE")]
    taken.clear()
    list(edifact.read(lambda: io.BytesIO(invrpt(*body)), EdifactOptions()))
    assert sum(taken) >= 97
