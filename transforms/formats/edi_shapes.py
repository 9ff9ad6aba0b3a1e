"""Line items of one shape made rows together: the reader reads a model of them, and every item gets the model's rows.

The shape of an item is which segments it has, and what their codes are. In the model a mark stands for each value that differs
from item to item. No fault is ever found here, and nothing is decided: items whose rows could depend on their values in another
way than whether they are blank (or, of ids, numbers) are left to the reader, segment by segment. Both ways always give the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

from transforms.formats.edi_items import Items
from transforms.formats.edi_text import NOISE

FEWEST = 16  # items that are worth a model
_MARK, _ZERO = "\x01", 0x660  # the mark of a number is made of digits as well, of another script
_MARKS = re.compile("[\x01\u0660-\u0669]")

Columns = Sequence[Sequence[str]]


class Place(NamedTuple):
    """What stands at one place of a segment. `how`: "code" (something is decided by it), else how a value is taken."""

    element: int
    how: str = "code"
    component: int = -1  # -1: the element is not divided


class Syntax(Protocol):
    """What a reader says of its segments, and how it reads a model of them."""

    @property
    def component(self) -> str:
        """Return what separates the components of an element."""

    @property
    def heading(self) -> Sequence[str]:
        """Return what rows get from elsewhere than their line item."""

    @property
    def known(self) -> Mapping[str, bool]:
        """Return the segments that an item may have, and whether anything of each is read."""

    def places(self, segment: Sequence[str]) -> Sequence[Place]:
        """Return what is read of a segment with as many elements and these codes, codes first."""

    def clean(self, values: Sequence[str], how: str) -> Sequence[str]:
        """Return values as the reader takes them."""

    def rows_of(self, model: Sequence[list[str]]) -> list[list[Any]] | None:
        """Return the rows of one line item; None when there is anything to say about it besides."""


class Shaped(NamedTuple):
    """Items of one shape: their numbers, the segments of each, the columns of their rows, quantities with the code before them."""

    numbers: Sequence[int]
    segments: int
    rows: list[list[Sequence[Any]]]
    quantities: list[tuple[str, Sequence[str]]]


def outlines(items: Items) -> list[str] | None:
    """Return the names of the segments of each item, each with a separator behind it; None when items cannot be told apart so."""
    start = "LIN" + items.element
    between = items.terminator + start
    names = re.sub(
        f"{re.escape(items.element)}[^{re.escape(items.terminator)}]*",
        items.element.replace("\\", "\\\\"),
        start + between.join(items.texts),
    )
    found = names.removeprefix(start).split(between)
    return found if len(found) == len(items.texts) else None


class Shapes:
    """Finds the items of one shape among others and makes their rows."""

    def __init__(self, syntax: Syntax, items: Items) -> None:
        self._syntax, self._element, self._terminator = syntax, items.element, items.terminator
        self._texts = items.texts
        self._names: dict[str, list[str] | None] = {}

    @property
    def can_be_told(self) -> bool:
        """Whether neither a separator nor what the heading says can be mistaken for a mark."""
        return not _MARKS.search("".join((self._element, self._terminator, self._syntax.component, *self._syntax.heading)))

    def names(self, outline: str) -> list[str] | None:
        """Return the names of an item's segments, "" where there is none; None when one of them is not known."""
        if outline not in self._names:
            self._names[outline] = self._named(outline)
        return self._names[outline]

    def known_until(self, outline: list[str], start: int, end: int) -> int:
        """Return where, from `start` on, the first item stands that has a segment which is not known; `end` when none does."""
        if outline[start:end].count(outline[start]) == end - start:
            return end if self.names(outline[start]) is not None else start
        return next((number for number in range(start, end) if self.names(outline[number]) is None), end)

    def _named(self, outline: str) -> list[str] | None:
        names = ["LIN"]
        for part in outline.split(self._terminator)[1:]:
            name = part.strip(NOISE)
            if name and (not name.endswith(self._element) or name[:-1] not in self._syntax.known):
                return None
            names.append(name[:-1])
        return names

    def find(self, numbers: Sequence[int], outline: list[str]) -> Iterator[Shaped]:
        """Yield the shapes of the items of these numbers; items that are in none of them are left to the reader."""
        for names, group in groups(numbers, [outline[number] for number in numbers]):
            found = self.names(names)
            assert found is not None
            yield from self._shaped(group, found)

    def _shaped(self, numbers: Sequence[int], names: list[str]) -> Iterator[Shaped]:
        """Yield the shapes among items with the same segments, divided until all codes of one are the same."""
        if len(numbers) < FEWEST:
            return
        shape = _Shape(self._syntax, len(numbers))
        # whole columns are joined and divided at once: a list for each item would cost more than everything else
        whole = self._terminator.join([*(self._texts[number] for number in numbers), ""])
        is_noisy = any(noise + self._terminator in whole for noise in NOISE)
        parts = whole.split(self._terminator)[:-1]
        for at, name in enumerate(names):
            if name:
                column = parts[at :: len(names)]
                found = [part.rstrip(NOISE) for part in column] if is_noisy else column
                shape.add(name, found, self._element, is_first=at == 0)
        if shape.deciders:
            for _, group in groups(numbers, list(zip(*shape.deciders, strict=True))):
                yield from self._shaped(group, names)
        elif rows := shape.rows():
            yield Shaped(numbers, len(shape.model), rows, shape.quantities)


def groups(numbers: Sequence[int], keys: Sequence[Any]) -> Iterator[tuple[Any, Sequence[int]]]:
    """Yield the numbers that have the same key, with it."""
    if keys.count(keys[0]) == len(keys):
        yield keys[0], numbers
        return
    found: dict[Any, list[int]] = {}
    for key, number in zip(keys, numbers, strict=True):
        found.setdefault(key, []).append(number)
    yield from found.items()


class _Shape:
    """The model of some items, while it is made; `deciders` are what must be the same of all of them and is not."""

    def __init__(self, syntax: Syntax, count: int) -> None:
        self._syntax, self._count = syntax, count
        self._values: dict[str, Sequence[str]] = {}
        self._is_odd = False
        self.model: list[list[str]] = []
        self.deciders: list[Sequence[Any]] = []
        self.quantities: list[tuple[str, Sequence[str]]] = []

    def add(self, name: str, parts: Sequence[str], separator: str, *, is_first: bool) -> None:
        """Add a segment of every item; the first one is without its name."""
        if not self._syntax.known[name]:
            self.model.append([name])
            return
        widths = [part.count(separator) for part in parts]
        if widths.count(widths[0]) < self._count:
            self.deciders.append(widths)
            return
        columns = _divided(parts, separator, widths[0] + 1)
        if is_first:
            columns.insert(0, ())
        segment = [name, *(column[0] for column in columns[1:])]
        model = [name, *[""] * (len(columns) - 1)]
        for place in self._syntax.places(segment):
            if place.element < len(columns):
                self._put(place, model, columns[place.element])
        self.model.append(model)

    def _put(self, place: Place, model: list[str], column: Sequence[str]) -> None:
        """Put the code of all items, or a mark for their values, into the model."""
        if place.component >= 0:
            parts = self._components(column)
            if place.component >= len(parts):
                return
            column = parts[place.component]
        if place.how == "code":
            text = self._code(column)
        else:
            values = self._syntax.clean(column, place.how)
            text = self._mark(values, place.how)
            if place.how == "amount":
                self.quantities.append((model[1], values))
        if place.component >= 0:
            written = [*model[place.element].split(self._syntax.component), *[""] * place.component]
            written[place.component] = text
            text = self._syntax.component.join(written)
        model[place.element] = text

    def _components(self, column: Sequence[str]) -> Sequence[Sequence[str]]:
        widths = [text.count(self._syntax.component) for text in column]
        if widths.count(widths[0]) == self._count:
            return _divided(column, self._syntax.component, widths[0] + 1)
        return list(zip_longest(*(text.split(self._syntax.component) for text in column), fillvalue=""))

    def _code(self, column: Sequence[str]) -> str:
        code = column[0]
        if column.count(code) < self._count:
            self.deciders.append(column)
        elif _MARKS.search(code):
            self._is_odd = True
        return code

    def _mark(self, values: Sequence[str], how: str) -> str:
        """Return a mark for values that are all there, all blank, and if ids all numbers or none."""
        if "" in values:
            if any(values):
                self.deciders.append([not value for value in values])
            return ""
        mark = _MARK + str(len(self._values))
        if how == "id":
            if "".join(values).isdigit():
                mark = "".join(chr(_ZERO + int(digit)) for digit in str(len(self._values)))
            elif any(map(str.isdigit, values)):
                self.deciders.append([value.isdigit() for value in values])
        self._values[mark] = values
        return mark

    def rows(self) -> list[list[Sequence[Any]]] | None:
        """Return the columns of the rows of all items; None when the reader has to look at each."""
        rows = None if self._is_odd else self._syntax.rows_of(self.model)
        if rows is None or any(not self._is_whole(cell) for row in rows for cell in row):
            return None
        return [[self._values.get(cell) or [cell] * self._count for cell in row] for row in rows]

    def _is_whole(self, cell: Any) -> bool:
        """Whether a cell is a mark or holds none."""
        return not isinstance(cell, str) or cell in self._values or not _MARKS.search(cell)


def _divided(texts: Sequence[str], separator: str, width: int) -> list[Sequence[str]]:
    """Return the columns of texts that are all divided into so many."""
    parts = separator.join(texts).split(separator)
    return [parts[at::width] for at in range(width)]
