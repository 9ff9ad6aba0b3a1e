"""Decimal numbers as suppliers write them: which texts are one, with which marks, and their exact scaled integer.

Never guesses: a text that has two readings under the marks declared is "locale", not a number. Never reads exponents,
underscores, hexadecimal, or digits outside ASCII, and never gives 0 for a text that is not a zero.
"""

from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from schemas.errors import ConfigError

_SPACES = (" ", "\u00a0", "\u202f")
_APOSTROPHES = ("'", "\u2019")
#: What an undeclared thousands mark may be; "_" only counts when declared.
_CANDIDATES = (",", ".", "'", " ")
MOST_DIGITS = 18  # 10**18 still fits Int64


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How numbers of a column are written, compiled: regular expressions over the unsigned text.

    `accepted` has exactly one reading under the declared marks; `ambiguous` (None: nothing) would have one if another
    mark were declared. `decimal` and `thousands` are the marks in force.
    """

    accepted: str
    ambiguous: str | None
    decimal: str
    thousands: str | None

    def strip_thousands(self, text: pl.Expr) -> pl.Expr:
        """Return the expression without thousands marks."""
        if self.thousands is None:
            return text
        if self.thousands in {",", ".", "_"}:
            return text.str.replace_all(self.thousands, "", literal=True)
        return text.str.replace_all(_one_of(self.thousands), "")


def _one_of(mark: str) -> str:
    """Return the regular expression of a mark; blanks stand for each other, and so do apostrophes."""
    if mark in _SPACES:
        return f"[{''.join(_SPACES)}]"
    if mark in _APOSTROPHES:
        return f"[{''.join(_APOSTROPHES)}]"
    return f"[{mark}]"


def _whole(thousands: str | None) -> str:
    if thousands is None:
        return "[0-9]+"
    return f"(?:[0-9]+|{_grouped(thousands)})"


def _grouped(thousands: str) -> str:
    return f"[1-9][0-9]{{0,2}}(?:{_one_of(thousands)}[0-9]{{3}})+"


def _number(decimal: str, thousands: str | None) -> str:
    mark = _one_of(decimal)
    return f"(?:{_whole(thousands)}(?:{mark}[0-9]+)?|{mark}[0-9]+)"


def _unambiguous(thousands: str | None) -> str:
    """Return what can only be read with a decimal point: not one to three digits, a point, and three digits."""
    whole = _whole(thousands)
    forms = [whole, rf"(?:{whole})?\.(?:[0-9]{{1,2}}|[0-9]{{4,}})", r"(?:0[0-9]*|[0-9]{4,})?\.[0-9]{3}"]
    if thousands is not None:
        forms.append(rf"{_grouped(thousands)}\.[0-9]{{3}}")
    return f"(?:{'|'.join(forms)})"


@lru_cache(maxsize=256)
def number_form(decimal: str | None, thousands: str | None) -> NumberForm:
    """Return the compiled form for the declared marks (None: undeclared). Raises ConfigError when both are the same mark."""
    if decimal is not None and decimal == thousands:
        raise ConfigError(
            f"`decimal` and `thousands` are both {decimal!r}",
            "Declare two different marks, for this column or for the feed.",
        )
    if decimal is None and thousands in {",", "."}:
        decimal = "." if thousands == "," else ","
    others = {d or "." for d in ((decimal,) if decimal else (".", ","))}
    pairs = [(d, t) for d in sorted(others) for t in ((thousands,) if thousands else _CANDIDATES) if d != t]
    settled = decimal is not None and thousands is not None
    accepted = _number(decimal, thousands) if decimal else _unambiguous(thousands)
    return NumberForm(
        accepted=f"^{accepted}$",
        ambiguous=None if settled else f"^(?:{'|'.join(_number(d, t) for d, t in pairs)})$",
        decimal=decimal or ".",
        thousands=thousands,
    )


def plain_decimals(texts: pl.Series, form: NumberForm) -> pl.Series:
    """Return each number without thousands marks and with a decimal point, as written otherwise; null where it is no number."""
    return pl.select(_plain(pl.lit(texts), form)).to_series()


def _plain(text: pl.Expr, form: NumberForm) -> pl.Expr:
    plain = form.strip_thousands(text)
    if form.decimal != ".":
        plain = plain.str.replace(form.decimal, ".", literal=True)
    return pl.when(text.str.contains(form.accepted)).then(plain)


def read_numbers(texts: pl.Series, form: NumberForm, places: int) -> pl.DataFrame:
    """Return `value` (Int64, times 10**places) and `fault` of unsigned texts, in order; exactly one of them is null.

    Faults: "format" (no number), "locale" (two readings), "places" (more decimals than `places`; zeros beyond are
    accepted), "range" (does not fit 18 digits).
    """
    read = texts.to_frame("text").with_columns(plain=_plain(pl.col("text"), form))
    read = read.with_columns(
        decimals=(pl.col("plain").str.len_bytes().cast(pl.Int64) - pl.col("plain").str.find(".", literal=True) - 1).fill_null(0)
    )
    if (read["decimals"] > places).any():
        read = _without_trailing_zeros(read, places)
    digits = pl.col("plain").str.replace(".", "", literal=True)
    shift = (pl.lit(places) - pl.col("decimals")).clip(0)
    fits = digits.str.strip_chars_start("0").str.len_bytes().cast(pl.Int64) + shift <= MOST_DIGITS
    # the last 18 digits hold the whole number whenever it fits, however many leading zeros there are
    scaled = digits.str.tail(MOST_DIGITS).cast(pl.Int64, strict=False) * pl.lit(10, dtype=pl.Int64).pow(shift)
    ambiguous = pl.col("text").str.contains(form.ambiguous) if form.ambiguous else pl.lit(value=False)
    fault = (
        pl.when(pl.col("plain").is_null())
        .then(pl.when(ambiguous).then(pl.lit("locale")).otherwise(pl.lit("format")))
        .when(pl.col("decimals") > places)
        .then(pl.lit("places"))
        .when(~fits)
        .then(pl.lit("range"))
    )
    return read.select(value=scaled.cast(pl.Int64), fault=fault).with_columns(
        value=pl.when(pl.col("fault").is_null()).then("value")
    )


def _without_trailing_zeros(read: pl.DataFrame, places: int) -> pl.DataFrame:
    """Cut zeros behind the last place that counts: "5.0000" is exactly 5.000, as databases print it."""
    extra = (pl.col("decimals") - places).clip(0)
    exact = pl.col("plain").str.contains(rf"\.[0-9]{{{places}}}0+$")
    kept = pl.col("plain").str.head(pl.col("plain").str.len_bytes().cast(pl.Int64) - extra)
    return read.with_columns(
        plain=pl.when(exact).then(kept).otherwise(pl.col("plain")),
        decimals=pl.when(exact).then(pl.lit(places, dtype=pl.Int64)).otherwise(pl.col("decimals")),
    )


def two_readings(texts: pl.Series) -> pl.Series:
    """Return "is it 1250 or 1.25?" for texts with one mark before three last digits, else null."""
    parts = texts.str.extract_groups(r"^([0-9]{1,3})[.,]([0-9]{3})$").struct.unnest()
    whole, rest = pl.col(parts.columns[0]), pl.col(parts.columns[1])
    short = rest.str.strip_chars_end("0")
    point = pl.when(short == "").then(whole).otherwise(whole + "." + short)
    return parts.select(pl.format("is it {}{} or {}?", whole, rest, point)).to_series()
