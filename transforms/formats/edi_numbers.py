"""Numbers of EDI control segments and hash totals: exact, and of any length.

Never raises: what is no number counts as nothing, what has more digits than any count is not that count.
"""

from collections.abc import Sequence
from fractions import Fraction

_MOST_DIGITS = 30  # of a number in a hash total; a longer one is no quantity


def says(said: str, count: int) -> bool:
    """Return whether a count in a trailer is this one; leading zeros do not matter."""
    return said.isascii() and said.isdigit() and (said.lstrip("0") or "0") == str(count)


def amount(text: str) -> int | Fraction:
    """Return a number for a hash total, exactly; 0 for what is none."""
    if len(text) > _MOST_DIGITS:
        return 0
    if text.isdigit() and text.isascii():
        return int(text)
    plain = plain_number(text)
    return Fraction(plain) if plain is not None else 0


def total(texts: Sequence[str]) -> int | Fraction:
    """Return the sum of the numbers, exactly."""
    digits = "".join(texts)
    if digits.isdigit() and digits.isascii() and "" not in texts and max(map(len, texts)) <= _MOST_DIGITS:
        return sum(map(int, texts))
    return sum(map(amount, texts))


def pointed(text: str, decimal: str) -> str:
    """Return a number with a point for its decimal mark; one that has a point though the mark is a comma stays no number."""
    return text if decimal == "." else text.replace(".", "?").replace(",", ".")


def plain_number(text: str) -> str | None:
    """Return a signed decimal number as an exact text without a plus; None for anything else."""
    body = text[1:] if text[:1] in "+-" and text else text
    whole, point, rest = body.partition(".")
    if not ((whole.isascii() and whole.isdigit()) or (not whole and rest)) or (point and not (rest.isascii() and rest.isdigit())):
        return None
    return ("-" if text.startswith("-") else "") + (whole or "0") + (f".{rest}" if point else "")
