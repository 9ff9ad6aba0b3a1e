"""The text a person sees for a number in a cell: plain digits, without binary noise, with the format's zeros.

Never rounds, never shows an exponent or thousands marks, never turns a number into a date without the cell's format.
"""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from math import isinf

EXACT_DIGITS = 15  # a spreadsheet stores numbers as binary doubles: later digits are already lost

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_AS_SHOWN = re.compile(r"(?:0|-?[1-9][0-9]*)(?:\.[0-9]*[1-9])?|-0\.[0-9]*[1-9]")  # the text of a number as it is
_SECTION = re.compile(r'(?:"[^"]*"|\\.|[^;"\\])*')
_NOT_SHOWN = re.compile(r"\[[^\]]*\]|_.|\*.")  # colours and locales, padding, fill
_LITERAL = re.compile(r'"([^"]*)"|\\(.)')
_TOKEN = re.compile(r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<place>[0#?])|(?P<plain>[-/ ()])|(?P<other>.)', re.DOTALL)

#: Digit places (True, "0" | "#" | "?") and literal texts (False, text), from left to right.
Template = tuple[tuple[bool, str], ...]


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """What of a number format changes the value's text: least digits before and after the point, percent, a template.

    `template` is an identifier's pattern of digits and literals such as 000-00-0000, or empty.
    """

    whole_digits: int = 1
    decimals: int = 0
    percent: bool = False
    template: Template = ()


@lru_cache(maxsize=1024)
def number_format(code: str) -> NumberFormat:
    """Return what `code` (an Excel number format, such as "00000" or "0.0%") does to a number's text."""
    match = _SECTION.match(code)
    shown = _NOT_SHOWN.sub("", match[0] if match else "")
    plain = _LITERAL.sub("", shown)
    whole, _, fraction = plain.replace(",", "").partition(".")
    fraction = re.split("[Ee]", fraction)[0]
    if "E" in plain.upper() or ("/" in plain and "?" in plain):
        return NumberFormat()  # scientific notation and fractions hide digits: the value is shown plainly
    return NumberFormat(max(1, whole.count("0")), fraction.count("0"), "%" in plain, _template(shown))


def _template(shown: str) -> Template:
    """Return the digit places and literals of an integer format that has both, else nothing."""
    tokens: list[tuple[bool, str]] = []
    for match in _TOKEN.finditer(shown):
        if match.lastgroup == "other":
            return ()
        tokens.append((match.lastgroup == "place", match[match.lastgroup or 0]))
    both = {is_place for is_place, _ in tokens} == {True, False}
    return tuple(tokens) if both and (True, "0") in tokens else ()


def plain_number(raw: str) -> Decimal:
    """Return the number a cell's XML text means, to the 15 digits that spreadsheets keep. Raises ValueError."""
    if not _NUMBER.fullmatch(raw):  # float() would also take 1_000, ٣ and nan
        msg = f"not a number: {raw!r}"
        raise ValueError(msg)
    if raw.lstrip("+-").isdigit():
        return Decimal(raw)
    value = float(raw)
    is_lost = not value and any(digit in "123456789" for digit in re.split("[eE]", raw)[0])  # too small: never 0
    if isinf(value) or is_lost:
        msg = f"not a number of a spreadsheet: {raw!r}"
        raise ValueError(msg)
    return Decimal(f"{value:.0f}") if value.is_integer() else Decimal(f"{value:.{EXACT_DIGITS}g}")


def number_text(value: Decimal, form: NumberFormat, *, as_identifier: bool = False) -> str:
    """Return `value` as text: at least the format's digits, all of its own. Identifiers also get the format's literals."""
    if form.percent:
        return number_text(value * 100, NumberFormat(1, form.decimals)) + "%"
    sign, digits = "-" if value < 0 else "", abs(value)
    whole, _, fraction = f"{digits:f}".partition(".")
    fraction = fraction.rstrip("0").ljust(form.decimals, "0")
    if as_identifier and form.template and not sign and not fraction:
        return _fill(form.template, whole)
    text = whole.zfill(form.whole_digits)
    return f"{sign}{text}.{fraction}" if fraction else f"{sign}{text}"


def cell_number(raw: str, form: NumberFormat, *, identifier: bool) -> tuple[str, bool]:
    """Return a number cell's text, and whether it is sure to be what was meant. Raises ValueError.

    Only identifiers get the zeros that a format adds behind the decimal point: elsewhere they say nothing (12.5 is 12.50). In an
    identifier a percentage and a fraction that no format asks for are unsure; anywhere, a number that has lost digits.
    """
    if not identifier and form.whole_digits == 1 and not form.percent and len(raw) <= EXACT_DIGITS and _AS_SHOWN.fullmatch(raw):
        return raw, True
    value = plain_number(raw)
    if not identifier and form.decimals and not form.percent:
        form = replace(form, decimals=0)
    text = number_text(value, form, as_identifier=identifier)
    unsure = identifier and (form.percent or (value != value.to_integral_value() and not form.decimals))
    return text, not (unsure or lost_digits(value))


def lost_digits(value: Decimal) -> bool:
    """Return whether a whole number has more digits than a spreadsheet keeps."""
    return value == value.to_integral_value() and abs(value) >= 10**EXACT_DIGITS


def moment_text(value: date | time | timedelta, code: str) -> str:
    """Return a date, time or duration as ISO 8601 text: without the time of day when the number format shows none."""
    if isinstance(value, datetime):
        shows_time = re.search("[hs]", _LITERAL.sub("", _NOT_SHOWN.sub("", code)), re.IGNORECASE)
        return value.isoformat(timespec="seconds") if shows_time else value.date().isoformat()
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return value.isoformat()


def _fill(template: Template, digits: str) -> str:
    """Return `digits` laid from the right into the digit places of `template`; the first place takes all that are left."""
    left = list(digits)
    shown: list[str] = []
    first = next(i for i, (is_place, _) in enumerate(template) if is_place)
    for i in range(len(template) - 1, -1, -1):
        is_place, text = template[i]
        if not is_place:
            shown.append(text)
        elif left:
            shown.append("".join(left) if i == first else left.pop())
        elif text == "0":
            shown.append("0")
    return "".join(reversed(shown))
