"""The part of XPath that feeds use, by local names (prefixes and namespaces do not count): where records and values are.

Never looks into a document before a path has been checked.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

_NAME = r"[^\W\d][\w.\-]*"
_ROWS = re.compile(rf"(?P<start>//?){_NAME}(?:/{_NAME})*")
_STEP = re.compile(rf"(?P<up>\.\.)|(?P<self>\.)|@(?P<attribute>{_NAME})|(?P<name>{_NAME}|\*)(?P<conditions>(?:\[[^\[\]]+\])*)")
_CONDITION = re.compile(rf"\[(?:(?P<index>[1-9]\d{{0,5}})|(?P<of>@?{_NAME}|\.)\s*=\s*(?:'(?P<one>[^']*)'|\"(?P<two>[^\"]*)\"))\]")
_SPLIT = re.compile(r"/(?![^\[]*\])")
BLANKS = " \t\r\n"
_NOTHING: Mapping[str, list[str]] = MappingProxyType({})


class Element:
    """An element inside a record: its local name, attributes by local name, its own text, and what is in it.

    An attribute without a prefix counts before those of its name with one; `clashing` are names that only prefixes tell apart.
    """

    __slots__ = ("above", "attributes", "children", "clashing", "line", "name", "parts")

    def __init__(self, name: str, attributes: dict[str, str], above: "Element | None", line: int) -> None:
        # made by the million: a dataclass takes twice the time
        self.name, self.attributes, self.above, self.line = name, attributes, above, line
        self.parts: list[str] = []
        self.children: list[Element] = []
        self.clashing: Mapping[str, list[str]] = _NOTHING

    @property
    def text(self) -> str:
        """Return the element's own text without the blanks around it."""
        parts = self.parts
        return (parts[0] if len(parts) == 1 else "".join(parts)).strip(BLANKS)

    def values(self, attribute: str) -> list[str]:
        """Return the value of an attribute; none where it is absent, several where they clash."""
        if attribute in self.clashing:
            return self.clashing[attribute]
        return [self.attributes[attribute]] if attribute in self.attributes else []


@dataclass(frozen=True, slots=True)
class RowPath:
    """Local names that lead to a record, from the root or (not `from_root`) from anywhere."""

    names: tuple[str, ...]
    from_root: bool

    def up(self, levels: int) -> "RowPath":
        """Return the path of the element `levels` above. Raises ValueError when the path does not name it."""
        if levels and levels >= len(self.names):
            msg = f"a column goes {levels} levels up: name the elements above the record in format.rows, so that this one is known"
            raise ValueError(msg)
        return RowPath(self.names[: len(self.names) - levels], self.from_root)


def row_path(text: str) -> RowPath:
    """Return where the records are. Raises ValueError when that is no path of names from the root, or from anywhere."""
    found = _ROWS.fullmatch(text.strip())
    if found is None:
        msg = f'{text!r} is not the path of records: write "/stock/item" from the root, or "//item", names without prefixes'
        raise ValueError(msg)
    return RowPath(tuple(text.strip().lstrip("/").split("/")), found["start"] == "/")


@dataclass(frozen=True, slots=True)
class _Condition:
    of: str
    value: str
    index: int = 0

    def holds(self, element: Element) -> bool:
        if self.of == ".":
            return element.text == self.value
        if self.of.startswith("@"):
            return element.attributes.get(self.of[1:]) == self.value
        return any(child.name == self.of and child.text == self.value for child in element.children)


@dataclass(frozen=True, slots=True)
class _Step:
    name: str  # ".." and "." too; "@name" for an attribute
    conditions: tuple[_Condition, ...] = ()

    def apply(self, elements: list[Element]) -> list[Element]:
        if self.name == ".":
            return elements
        if self.name == "..":
            return list(dict.fromkeys(one.above for one in elements if one.above is not None))
        return list(self._below(elements))

    def _below(self, elements: list[Element]) -> Iterator[Element]:
        for element in elements:
            found = [child for child in element.children if self.name in {"*", child.name}]
            for condition in self.conditions:
                if condition.index:
                    found = found[condition.index - 1 : condition.index]
                else:
                    found = [child for child in found if condition.holds(child)]
            yield from found


@dataclass(frozen=True, slots=True)
class CellPath:
    """Where a column's value is, seen from the record."""

    steps: tuple[_Step, ...]
    child: str | None = None  # the path is only this child's name, as most are

    @property
    def up(self) -> int:
        """Return how many levels above the record the path goes."""
        return sum(step.name == ".." for step in self.steps)

    def find(self, record: Element) -> list[Element | str]:
        """Return the elements (or attribute values) that the path leads to."""
        if self.child is not None:
            return [one for one in record.children if one.name == self.child]
        found = [record]
        for step in self.steps:
            if step.name.startswith("@"):
                return [value for one in found for value in one.values(step.name[1:])]
            found = step.apply(found)
        return list(found)


def paths_in(record: Element, most: int) -> list[str]:
    """Return the paths of at most so many texts and attributes of a record, each once, those of the elements around it last."""
    found = dict.fromkeys(islice(_leaves(record, ""), 1_000))
    above, climb = record.above, "../"
    while above is not None:
        found |= dict.fromkeys(climb + child.name for child in above.children if not child.children and child is not record)
        found |= dict.fromkeys(f"{climb}@{name}" for name in above.attributes)
        above, climb = above.above, f"{climb}../"
    return list(islice(found, most))


def _leaves(element: Element, path: str) -> Iterator[str]:
    yield from (f"{path}@{name}" for name in element.attributes)
    for child in element.children:
        if not child.children:
            yield path + child.name
        yield from _leaves(child, f"{path}{child.name}/")


def cell_path(text: str) -> CellPath:
    """Return where a column's value is. Raises ValueError when `text` is no such path."""
    steps = [_step(part, text) for part in _SPLIT.split(text.strip())]
    down = next((at for at, step in enumerate(steps) if step.name != ".."), len(steps))
    if any(step.name == ".." for step in steps[down:]) or any(step.name.startswith("@") for step in steps[:-1]):
        msg = f"{text!r}: .. comes first, and @attribute last"
        raise ValueError(msg)
    is_child = len(steps) == 1 and not steps[0].conditions and steps[0].name not in {".", "..", "*"} and steps[0].name[0] != "@"
    return CellPath(tuple(steps), steps[0].name if is_child else None)


def _step(part: str, whole: str) -> _Step:
    found = _STEP.fullmatch(part)
    if found is None:
        usual = "price, ../partId, @id or Price[Type='02']/Amount"
        example = "a | b, with blanks around the mark" if "|" in whole else usual
        msg = f"{whole!r} is not a path: cannot read {part!r}; write for example {example}"
        raise ValueError(msg)
    if found["attribute"]:
        return _Step("@" + found["attribute"])
    texts = re.findall(r"\[[^\[\]]+\]", found["conditions"] or "")
    return _Step(found["up"] or found["self"] or found["name"], tuple(_condition(text, whole) for text in texts))


def _condition(text: str, whole: str) -> _Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        msg = f"{whole!r}: cannot read the condition {text}; write [child='value'], [@attribute='value'], [.='value'] or [1]"
        raise ValueError(msg)
    if found["index"]:
        return _Condition("", "", int(found["index"]))
    return _Condition(found["of"], found["one"] if found["one"] is not None else found["two"])
