"""Where the header of a stranger's table may be: among the first rows of cells, by known names and by what follows.

Never used to read a feed: `transforms.formats.header` finds the header of a declared one.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transforms.guess_names import names_a_field

Rows = Sequence[tuple[int, Sequence[str]]]
_LOOKED_AT = 60
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,' ]*", re.ASCII)
_ENOUGH_NAMES = 2
_WORDS_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class HeaderGuess:
    """The header's row number (None: there is none), its names, the rows below it, and why."""

    row: int | None
    names: tuple[str, ...]
    below: tuple[tuple[str, ...], ...]
    evidence: str
    sure: bool


def guess_header(rows: Rows) -> HeaderGuess:
    """Return the guess for sampled `rows` (row number, cells). A file without a header has columns "#1", "#2", "#3"."""
    head = [(at, [cell.strip() for cell in cells]) for at, (_, cells) in enumerate(rows[:_LOOKED_AT])]
    named = {at: sum(names_a_field(cell) for cell in cells) for at, cells in head}
    best = max(named, key=lambda at: (named[at], -at), default=0)
    if named.get(best, 0) >= _ENOUGH_NAMES and _is_words(head[best][1]):
        return _at(rows, best, f"it holds {named[best]} names that are known", sure=True)
    common = Counter(len(_trimmed(cells)) for _, cells in head if any(cells)).most_common(1)
    width = common[0][0] if common else 1
    first = next((at for at, cells in head if len(_trimmed(cells)) >= width and any(cells)), 0)
    if rows and _is_words(head[first][1]) and len(set(filter(None, head[first][1]))) == sum(map(bool, head[first][1])):
        why = "it is the first full row, and holds no number" + (f"; {named[first]} of its names is known" if named[first] else "")
        return _at(rows, first, why, sure=False)
    filled = Counter(len(cells) for _, cells in rows if any(cell.strip() for cell in cells)).most_common(1)
    names = tuple(f"#{i}" for i in range(1, (filled[0][0] if filled else 1) + 1))
    return HeaderGuess(
        None, names, tuple(tuple(cells) for _, cells in rows), "the first full row holds numbers already", sure=False
    )


def _at(rows: Rows, at: int, evidence: str, *, sure: bool) -> HeaderGuess:
    below = tuple(tuple(cells) for _, cells in rows[at + 1 :])
    names = tuple(cell.strip() for cell in rows[at][1])
    return HeaderGuess(rows[at][0], names, below, evidence, sure)


def _is_words(cells: Sequence[str]) -> bool:
    """Return whether the cells may be names: nearly none of them is a number, and some are filled."""
    filled = [cell for cell in cells if cell]
    return bool(filled) and sum(_NUMBER.fullmatch(cell) is None for cell in filled) >= _WORDS_SHARE * len(filled)


def _trimmed(cells: Sequence[str]) -> Sequence[str]:
    """Return the cells up to the last filled one."""
    end = max((at + 1 for at, cell in enumerate(cells) if cell), default=0)
    return cells[:end]
