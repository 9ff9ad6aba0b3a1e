"""A shop's number as it was written, and why one is not taken for stock: a word for each reason, counted, told as findings.

The word stands in the line where a quantity would; the feed's [feed.words] say that it means unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from schemas.findings import Finding
from schemas.rejections import escape_value

_TOLD = 3


@dataclass(slots=True)
class Withheld:
    """Counts items by reason. `sentences` gives for each word what its items are, and the remedy."""

    sentences: Mapping[str, tuple[str, str]]
    _items: dict[str, int] = field(default_factory=dict)
    _examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, word: str, name: str) -> None:
        """Count one item; `name` is how a person finds it in the shop."""
        self._items[word] = self._items.get(word, 0) + 1
        examples = self._examples.setdefault(word, [])
        if len(examples) < _TOLD:
            examples.append(escape_value(name))

    def findings(self) -> tuple[Finding, ...]:
        """Return a finding STOCK-<WORD> for each reason that occurred, in the order of `sentences`."""
        return tuple(self._finding(word) for word in self.sentences if self._items.get(word))

    def _finding(self, word: str) -> Finding:
        count, (said, remedy) = self._items[word], self.sentences[word]
        some = ", ".join(self._examples[word]) + (", …" if count > len(self._examples[word]) else "")
        items = "1 item" if count == 1 else f"{count} items"
        code = f"STOCK-{word.upper().replace('_', '-')}"
        return Finding(code, "warn", f"{said}: {items} ({some})", remedy, measured=str(count))


def text_of(value: object) -> str | None:
    """Return a text or whole number as text; None for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def plain(value: object) -> int | str | None:
    """Return a quantity as it was written; what is no quantity at all as a text that no rule takes for one."""
    if value is None or (isinstance(value, int | str) and not isinstance(value, bool)):
        return value
    return escape_value(str(value))


def is_positive(quantity: object) -> bool:
    """Return whether a quantity is a number above 0."""
    try:
        return Decimal(str(quantity)) > 0
    except InvalidOperation:
        return False
