"""The part of JSONPath (RFC 9535) that feeds use: where the records are, and where a value is in a record.

Never looks into a document before a path has been checked. `^` is ours: the object that encloses the record.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

_STEP = re.compile(
    r"""\.?(?P<name>[^.\[\]'"^$*?@|\s][^.\[\]'"^$*?@|]*) | \['(?P<quoted>[^']+)'\] | \[(?P<index>0|-?[1-9][0-9]{0,6})\]
      | (?P<all>\[\*\]) | \[\?@\.(?P<key>[^=\[\]'"\s]+)\s*==\s*'(?P<value>[^']*)'\]""",
    re.VERBOSE,
)
#: What stands in the place of a value that is not there; null is there.
ABSENT = object()


@dataclass(frozen=True, slots=True)
class Several:
    """What stands in the place of a value when a condition fits several elements: which is meant, nobody has said."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """All elements of a list (`[*]`)."""


@dataclass(frozen=True, slots=True)
class Where:
    """The element of a list whose member `key` is `value` (`[?@.key=='value']`)."""

    key: str
    value: str


Step = str | int | Every | Where


def _steps(path: str, whole: str) -> tuple[Step, ...]:
    """Return the steps of a path without its beginning. Raises ValueError that shows what cannot be read."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            example = "a | b, with blanks around the mark" if "|" in whole else "$.data.items[*] or stock.quantity"
            msg = f"{whole!r} is not a path: cannot read {path[at:]!r}; write for example {example}"
            raise ValueError(msg)
        name, quoted, index, every, key, value = found.group("name", "quoted", "index", "all", "key", "value")
        if key is not None:
            steps.append(Where(key, value))
        else:
            steps.append(Every() if every else int(index) if index is not None else (name or quoted).strip())
        at = found.end()
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class RowPath:
    """Members to go down to the list that is read piece by piece (`to_list`), and how to go on in each of its elements."""

    to_list: tuple[str, ...]
    inside: tuple[Step, ...]


def row_path(text: str, *, lines: bool = False) -> RowPath:
    """Return where the records are. Raises ValueError when that is no path of names and `[*]`."""
    steps = _steps(text.strip().removeprefix("$"), text)
    if any(isinstance(step, int | Where) for step in steps):
        msg = f"{text!r}: the path of the records has names and [*] only"
        raise ValueError(msg)
    if lines:
        return RowPath((), () if text == "$[*]" else steps)
    first = next((at for at, step in enumerate(steps) if isinstance(step, Every)), None)
    if first is None:
        msg = f"{text!r}: the path of the records needs a [*], the list that they are in"
        raise ValueError(msg)
    return RowPath(tuple(step for step in steps[:first] if isinstance(step, str)), steps[first + 1 :])


@dataclass(frozen=True, slots=True)
class CellPath:
    """Where a column's value is: `up` enclosing objects up from the record, then `steps`."""

    up: int
    steps: tuple[Step, ...]

    def value(self, record: Any, enclosing: Sequence[Mapping[str, Any]]) -> Any:
        """Return the value, ABSENT, or Several. `enclosing` are the objects around the record, the nearest first."""
        if self.up > len(enclosing):
            return ABSENT
        found = enclosing[self.up - 1] if self.up else record
        return _walked(found, self.steps)


def _walked(found: Any, steps: Sequence[Step]) -> Any:
    for at, step in enumerate(steps):
        if isinstance(step, str):
            if not isinstance(found, dict) or step not in found:
                return ABSENT
            found = found[step]
        elif not isinstance(found, list):
            return ABSENT
        elif isinstance(step, int):
            if not -len(found) <= step < len(found):
                return ABSENT
            found = found[step]
        else:
            assert isinstance(step, Where)
            fitting = [one for one in found if isinstance(one, dict) and one.get(step.key) == step.value]
            if len(fitting) != 1:
                there = [one for one in (_walked(one, steps[at + 1 :]) for one in fitting) if one is not ABSENT]
                differ = any(one != there[0] for one in there)
                return Several(tuple(there)) if differ else there[0] if there else ABSENT
            [found] = fitting
    return found


def cell_path(text: str) -> CellPath:
    """Return where a column's value is. Raises ValueError when `text` is no path to one value."""
    body = text.strip()
    up = len(body) - len(body.lstrip("^"))
    body = body[up:].removeprefix("@")
    if body.startswith("$"):
        msg = f"{text!r}: a column's path begins at the record; ^ goes up to the object that encloses it"
        raise ValueError(msg)
    steps = _steps(body, text)
    if any(isinstance(step, Every) for step in steps):
        msg = f"{text!r}: a column has one value: name the element, as in prices[0] or ids[?@.type=='EAN'].value"
        raise ValueError(msg)
    return CellPath(up, steps)


def paths_in(record: Any, enclosing: Sequence[Mapping[str, Any]], most: int) -> list[str]:
    """Return the paths of at most so many values of a record, those of the objects around it last."""
    around = (f"{'^' * up}{path}" for up, one in enumerate(enclosing, 1) for path in _leaves(one) if "[0]" not in path)
    return list(islice(chain(_leaves(record), around), most))


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            plain = _STEP.fullmatch(name)
            step = name if plain and plain["name"] == name.strip() else f"['{name}']"
            yield from _leaves(inner, f"{path}.{step}" if path and step == name else path + step)
    elif isinstance(value, list):
        yield from _leaves(value[0], f"{path}[0]") if value else ()
    else:
        yield path


def records(value: Any, steps: Sequence[Step], enclosing: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield the records at `steps` of `value`, each with the objects around it, the nearest first.

    Where a member is absent or null there are no records. Raises TypeError, with the place, where a list or an object is missing.
    """
    if not steps:
        yield value, enclosing
        return
    step, *rest = steps
    if isinstance(step, str):
        if not isinstance(value, dict):
            msg = f"an object with {step!r} is expected, and there is another kind of value"
            raise TypeError(msg)
        if (inner := value.get(step)) is not None:
            yield from records(inner, rest, (value, *enclosing))
    elif isinstance(value, list):
        for one in value:
            yield from records(one, rest, enclosing)
    else:
        msg = "a list is expected, and there is another kind of value"
        raise TypeError(msg)
