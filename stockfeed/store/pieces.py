"""Long lists in pieces that fit into one statement's parameters on both databases."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

_SIZE = 5_000  # PostgreSQL takes 65,535 parameters, SQLite at least 32,766


def pieces(items: Sequence[Item], size: int = _SIZE) -> Iterator[Sequence[Item]]:
    """Yield `items` in order, at most `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
