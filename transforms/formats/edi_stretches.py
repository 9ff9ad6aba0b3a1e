"""Line items of a block taken as far as they are of shapes that repeat, the others given to the reader, all in their order.

Never makes a row itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from schemas.records import RawBatch
from transforms.formats.edi_items import Items
from transforms.formats.edi_lines import Heading, Line
from transforms.formats.edi_rows import Rows
from transforms.formats.edi_shapes import FEWEST, Shaped, Shapes, Syntax, outlines


class Stretch(NamedTuple):
    """Items that follow each other: how many, their segments, the columns of their rows, quantities by code.

    The number of a row (first column) is not filled in; its line counts from the segment before the first item.
    """

    items: int
    segments: int
    columns: list[Sequence[Any]]
    quantities: list[tuple[str, Sequence[str]]]


class ItemReader(Protocol):
    """What takes the items."""

    @property
    def room(self) -> int:
        """Return how many items may be taken together now; 0 when each has to be read by itself."""

    def begin_model(self) -> Syntax:
        """Return what reads models under the present heading."""

    def add(self, stretch: Stretch) -> None:
        """Take the rows of a stretch."""

    def segment(self, segment: list[str]) -> tuple[Line, Heading] | None:
        """Take one segment; return the line item that it ends."""

    def end(self) -> tuple[Line, Heading] | None:
        """Take the end of the file; return the line item that it ends."""

    @property
    def rows(self) -> Rows:
        """Return the rows of what was taken."""


def line_items(segments: Iterable[list[str] | Items], reader: ItemReader) -> Iterator[tuple[Line, Heading]]:
    """Yield each line item of segments once it is complete; its rows are in `rows` by then. None of them may be `Items`."""
    for segment in segments:
        assert isinstance(segment, list)
        if (finished := reader.segment(segment)) is not None:
            yield finished
    if (finished := reader.end()) is not None:
        yield finished


def batches(segments: Iterable[list[str] | Items], reader: ItemReader) -> Iterator[RawBatch]:
    """Yield the rows of segments and items in batches, but for those that `rows` still has at the end."""
    for segment in segments:
        if isinstance(segment, Items):
            take(segment, reader)
        else:
            reader.segment(segment)
        if reader.rows.is_full:
            yield reader.rows.take({})
    reader.end()


def take(items: Items, reader: ItemReader) -> None:
    """Give all items to the reader, together where they are of a shape that repeats."""
    count, number = len(items.texts), 0
    outline = outlines(items) if reader.room else None
    while number < count:
        stop, room = number, reader.room
        if outline is not None and room:
            shapes = Shapes(reader.begin_model(), items)
            if shapes.can_be_told:
                stop = shapes.known_until(outline, number, min(count, number + room))
        if stop - number >= FEWEST:
            assert outline is not None
            _in_order(items, range(number, stop), list(shapes.find(range(number, stop), outline)), reader)
            number = stop
        else:
            for single in range(number, max(stop, number + 1)):
                _read(items, single, reader)
            number = max(stop, number + 1)


def _read(items: Items, number: int, reader: ItemReader) -> None:
    for segment in items.segments(number):
        reader.segment(segment)


def _in_order(items: Items, numbers: range, shaped: list[Shaped], reader: ItemReader) -> None:
    if len(shaped) == 1 and len(shaped[0].numbers) == len(numbers) and len(shaped[0].rows) == 1:
        reader.add(_same(shaped[0]))
        return
    found: dict[int, tuple[int, list[tuple[Any, ...]], list[tuple[str, str]]]] = {}
    for shape in shaped:
        rows = zip(*(zip(*columns, strict=True) for columns in shape.rows), strict=True)
        codes = [code for code, _ in shape.quantities]
        amounts = zip(*(values for _, values in shape.quantities), strict=True) if codes else iter([()] * len(shape.numbers))
        for number, item_rows, item_amounts in zip(shape.numbers, rows, amounts, strict=True):
            found[number] = shape.segments, list(item_rows), list(zip(codes, item_amounts, strict=True))
    together: list[tuple[int, list[tuple[Any, ...]], list[tuple[str, str]]]] = []
    for number in numbers:
        if number in found:
            together.append(found[number])
            continue
        if together:
            reader.add(_mixed(together))
            together = []
        _read(items, number, reader)
    if together:
        reader.add(_mixed(together))


def _same(shape: Shaped) -> Stretch:
    """Return items of one shape with one row each."""
    count, segments = len(shape.numbers), shape.segments
    columns = [*shape.rows[0]]
    columns[1] = range(1, count * segments + 1, segments)
    return Stretch(count, count * segments, columns, shape.quantities)


def _mixed(together: Sequence[tuple[int, list[tuple[Any, ...]], list[tuple[str, str]]]]) -> Stretch:
    """Return items of several shapes."""
    before = list(accumulate((segments for segments, _, _ in together), initial=0))
    columns: list[Sequence[Any]] = list(zip(*(row for _, rows, _ in together for row in rows), strict=True))
    columns[1] = [at + 1 for at, (_, rows, _) in zip(before, together, strict=False) for _ in rows]
    quantities: dict[str, list[str]] = {}
    for _, _, amounts in together:
        for code, text in amounts:
            quantities.setdefault(code, []).append(text)
    return Stretch(len(together), before[-1], columns, list(quantities.items()))
