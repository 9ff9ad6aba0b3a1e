"""Quantities: text → Int64 thousandths of the supplier's unit, strictly.

Never guesses a mark, never reads an undeclared word, and never turns blank, unknown or unreadable into 0.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from schemas.columns import QUANTITY_SCALE
from transforms.numbers import NumberForm, read_numbers, two_readings
from transforms.problems import NO_PROBLEMS, Parsed, problems_at, problems_where
from transforms.words import QuantityWords, read_words

_PLAIN = "^[0-9]{1,9}$"  # nearly every cell; 999,999,999 × 1000 fits
_CELL_ERROR = r"^#(?:REF!|N/A|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!)$"
_WORD = r"^(?:[<>≤≥~±]=?\s*[0-9].*|[0-9].*\+|[^0-9+\-.,#]*\p{L}.*)$"
_CODES = {"locale": "QTY-LOCALE", "format": "QTY-FORMAT", "places": "QTY-FORMAT", "range": "QTY-RANGE"}


@dataclass(frozen=True, slots=True)
class QuantityRules:
    """What a feed declares about its quantities. `maximum` is in thousandths."""

    form: NumberForm
    words: QuantityWords
    maximum: int
    negative: Literal["reject", "zero"]


def parse_quantities(texts: pl.Series, rules: QuantityRules) -> Parsed:
    """Return Int64 thousandths of trimmed `texts`; null where blank, declared unknown, or wrong (with a problem).

    Blank is no problem here: whether a row may leave a quantity out depends on its other quantities.
    """
    plain = texts.str.contains(_PLAIN)
    if rules.words.numeric:
        plain &= ~texts.is_in(list(rules.words.numeric))
    values = pl.select(pl.when(pl.lit(plain)).then(pl.lit(texts).cast(pl.Int64, strict=False) * QUANTITY_SCALE)).to_series()
    others = (~plain & (texts != "")).arg_true()
    if others.len():
        read = _read_others(texts.gather(others), rules)
        values = values.scatter(others, read["value"])
        faulty = read["fault"].is_not_null().arg_true()
        problems = _faults(texts.gather(others), read, faulty, others)
    else:
        problems = NO_PROBLEMS
    limited = limit_quantities(Parsed(values), texts, rules)
    return Parsed(limited.values, pl.concat([problems, limited.problems]))


def limit_quantities(parsed: Parsed, texts: pl.Series, rules: QuantityRules) -> Parsed:
    """Return `parsed` with what is below 0 or above the maximum taken out, or set to 0 with a note where the feed says so."""
    values = parsed.values
    negative = values < 0
    too_many = values > rules.maximum
    problems = [parsed.problems]
    if too_many.any():
        message = f"the quantity is more than max_quantity ({_units(rules.maximum)})"
        problems.append(problems_where(too_many, texts, "QTY-RANGE", message=message))
        values = values.set(too_many, None)
    if negative.any() and rules.negative == "zero":
        message = "the quantity is negative and counts as 0"
        problems.append(problems_where(negative, texts, "QTY-NEGATIVE", severity="note", message=message))
        values = values.set(negative, 0)
    elif negative.any():
        problems.append(problems_where(negative, texts, "QTY-NEGATIVE"))
        values = values.set(negative, None)
    return Parsed(values, pl.concat(problems))


def _units(thousandths: int) -> str:
    whole, rest = divmod(thousandths, QUANTITY_SCALE)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


def _read_others(texts: pl.Series, rules: QuantityRules) -> pl.DataFrame:
    """Return `value` and `fault` of texts that are not plain digits: declared words first, then signed and marked numbers."""
    word = read_words(texts, rules.words, rules.form)
    signed = texts.str.contains(r"^[+-][0-9.,]")
    body = pl.select(pl.when(pl.lit(signed)).then(pl.lit(texts).str.slice(1)).otherwise(pl.lit(texts))).to_series()
    number = read_numbers(body, rules.form, 3)
    minus = pl.lit(signed & texts.str.starts_with("-"))
    known = pl.lit(word.known)
    # a minus before a number too big for Int64 is still a negative quantity
    value = pl.when(minus & (pl.col("fault") == "range")).then(-1).when(minus).then(-pl.col("value")).otherwise(pl.col("value"))
    fault = pl.when(~known & ~(minus & (pl.col("fault") == "range").fill_null(value=False))).then(pl.col("fault"))
    return number.select(value=pl.when(known).then(pl.lit(word.values)).otherwise(value), fault=fault)


def _faults(texts: pl.Series, read: pl.DataFrame, faulty: pl.Series, others: pl.Series) -> pl.DataFrame:
    if not faulty.len():
        return NO_PROBLEMS
    wrong = pl.DataFrame({"text": texts.gather(faulty), "fault": read["fault"].gather(faulty)})
    format_fault = pl.col("fault") == "format"
    code = (
        pl.when(format_fault & pl.col("text").str.contains(_CELL_ERROR))
        .then(pl.lit("QTY-CELL"))
        .when(format_fault & pl.col("text").str.contains(_WORD))
        .then(pl.lit("QTY-WORD"))
        .otherwise(pl.col("fault").replace_strict(_CODES, return_dtype=pl.String))
    )
    message = (
        pl.when(pl.col("fault") == "locale")
        .then(pl.lit(two_readings(wrong["text"])))
        .when(pl.col("fault") == "places")
        .then(pl.lit("the quantity has more than 3 decimals"))
    )
    told = wrong.select(code=code, message=message)
    return problems_at(others.gather(faulty), wrong["text"], told["code"], message=told["message"])
