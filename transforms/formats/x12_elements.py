"""Single elements of X12 segments: one that may be absent, a number, a date.

Never raises: what is no number counts as nothing in a hash total, what is no date is said to be none.
"""

from datetime import date

from transforms.formats.edi_lines import plain_number

#: Codes of elements 374 (dates) and 236 (prices), and segments: those of the envelope, and those of an 846 that hold no stock.
FUTURE_DATES = frozenset({"018", "169", "371", "017", "002", "139"})
LINE_DATES = frozenset({"018", "169", "371", "017", "139"})
OUR_COST = frozenset({"UCP", "CON", "DIS", "WHL", "NET"})
OTHER_PRICES = frozenset({"MSR", "RES", "RTL", "CAT", "LPR"})
ENVELOPE = frozenset({"SE", "ST", "GS", "GE", "ISA", "IEA"})
KNOWN = frozenset({"MEA", "PER", "PKG", "SAC", "MAN", "CS", "DD", "G53", "PCT", "LDT", "LM", "LQ", "SLN", "N2", "N3", "N4", "PO4"})


def element_at(segment: list[str], number: int) -> str:
    """Return one element of a segment, trimmed, "" where the segment ends before it."""
    return segment[number].strip() if len(segment) > number else ""


def as_number(text: str) -> float:
    """Return a number for a hash total, 0 for what is none."""
    plain = plain_number(text)
    return float(plain) if plain is not None else 0.0


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
