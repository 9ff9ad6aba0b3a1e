"""Single elements of X12 segments: one that may be absent, a date; and the codes that say what an element is.

Never raises: what is no date is said to be none.
"""

import re
from collections.abc import Sequence
from datetime import date

#: Codes of elements 374 (dates) and 236 (prices), and segments: those of the envelope, and those of an 846 that hold no stock.
FUTURE_DATES = frozenset({"018", "169", "371", "017", "002", "139"})
LINE_DATES = frozenset({"018", "169", "371", "017", "139"})
OUR_COST = frozenset({"UCP", "CON", "DIS", "WHL", "NET"})
OTHER_PRICES = frozenset({"MSR", "RES", "RTL", "CAT", "LPR"})
ENVELOPE = frozenset({"SE", "ST", "GS", "GE", "ISA", "IEA"})
KNOWN = frozenset({"MEA", "PER", "PKG", "SAC", "MAN", "CS", "DD", "G53", "PCT", "LDT", "LM", "LQ", "SLN", "N2", "N3", "N4", "PO4"})


#: Which element of LIN gives which field of a line item.
Plan = tuple[tuple[str, int], ...]
_QUALIFIER = re.compile(r"[A-Z0-9]{2}")


def first_wrong_qualifier(pattern: Sequence[str]) -> int:
    """Return the number of the first element among the qualifiers of LIN that is none, 0 when there is no such."""
    wrong = (2 * number + 2 for number, code in enumerate(pattern) if code and not _QUALIFIER.fullmatch(code))
    return next(wrong, 0)


def plan_of(pattern: Sequence[str], wanted: Sequence[tuple[str, Sequence[str]]]) -> Plan:
    """Return which element of LIN gives which field, by its qualifiers; `wanted` names for each field the codes, best first."""
    places: dict[str, int] = {}
    for number, code in enumerate(pattern):
        if code:
            places.setdefault(code, 2 * number + 3)
    found = [(name, next((places[code] for code in codes if code in places), 0)) for name, codes in wanted]
    return tuple((name, at) for name, at in found if at)


def element_at(segment: list[str], number: int) -> str:
    """Return one element of a segment, trimmed, "" where the segment ends before it."""
    return segment[number].strip() if len(segment) > number else ""


def is_date(text: str) -> bool:
    """Return whether a text is a date: CCYYMMDD, or YYMMDD of the releases up to 3040."""
    if not (text.isascii() and text.isdigit() and len(text) in (6, 8)):
        return False
    if len(text) == 6:  # noqa: PLR2004 - YYMMDD, up to 3040
        text = "20" + text
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True
