"""Costs: text → Int64 ten-thousandths of the currency's main unit, and the currency each amount is in.

Never converts between currencies, never guesses a mark, and never turns blank or unreadable into 0.
"""

from dataclasses import dataclass

import polars as pl

from schemas.columns import COST_SCALE
from transforms.currencies import CODES, MEANT_BY, SYMBOLS
from transforms.numbers import NumberForm, plain_decimals, read_numbers, two_readings
from transforms.problems import NO_PROBLEMS, Parsed, problems_at, problems_where

_PLACES = 4
_BLANK = r"[ \x{a0}\x{202f}]*"
_MARK = r"(?:[$€£¥]|[A-Za-z]{3})"
# a currency before or after, one minus before or behind a leading currency; the amount itself is checked by NumberForm
_AMOUNT = rf"^-?{_BLANK}(?:{_MARK}{_BLANK})?-?{_BLANK}([0-9.,][0-9.,?'’_ \x{{a0}}\x{{202f}}]*?){_BLANK}{_MARK}?$"
_LEADING = rf"^-?{_BLANK}({_MARK}){_BLANK}-?{_BLANK}[0-9.,]"
_TRAILING = rf"[0-9.,]{_BLANK}({_MARK})$"
_MARKED_CENTS = rf"^({_MARK}){_BLANK}([0-9]{{1,9}}\.[0-9]{{2}})$"  # $ 6.93: nearly every amount that stands with its currency
_KNOWN_MARKS = [*CODES, *SYMBOLS]


@dataclass(frozen=True, slots=True)
class Costs:
    """The parsed costs, the currency each record gets (null: unknown), and all problems of the cost column."""

    costs: Parsed
    currency: pl.Series


def parse_costs(texts: pl.Series, form: NumberForm, declared: pl.Series | None) -> Costs:
    """Return Int64 ten-thousandths and currencies of trimmed `texts`; blank is null.

    `declared` holds the currency each row should be in (null: not known); None when the feed declares none, and then any
    currency is accepted.
    """
    plain = texts.str.contains(r"^[0-9]+\.[0-9]{2}$") if form.decimal == "." else texts.str.contains("^[0-9]+$")
    plain &= texts.str.len_bytes() <= 12  # noqa: PLR2004 - 999999999.99 × 10,000 fits Int64
    cents = pl.lit(texts).str.replace(".", "", literal=True) if form.decimal == "." else pl.lit(texts)
    factor = COST_SCALE // 100 if form.decimal == "." else COST_SCALE
    values = pl.select(pl.when(pl.lit(plain)).then(cents.cast(pl.Int64, strict=False) * factor)).to_series()
    currency = declared if declared is not None else pl.repeat(None, texts.len(), dtype=pl.String, eager=True)
    others = (~plain & (texts != "")).arg_true()
    if not others.len():
        return Costs(Parsed(values), currency)
    marked = _read_marked(texts.gather(others), form)
    values = values.scatter(others, marked["value"])
    problems = _faults(texts, marked, others)
    if declared is not None:
        problems = pl.concat([problems, _other_currencies(texts, marked, others, declared)])
    else:
        currency = currency.scatter(others, _meant(marked["mark"]))
    return Costs(Parsed(values, problems), currency)


def amount_texts(texts: pl.Series, form: NumberForm) -> pl.Series:
    """Return each amount as an exact decimal text with a point, without currency and thousands marks; null where unreadable."""
    amounts = plain_decimals(texts.str.extract(_AMOUNT, 1), form)
    return pl.select(pl.when(pl.lit(_negative(texts))).then("-" + pl.lit(amounts)).otherwise(pl.lit(amounts))).to_series()


def cell_currencies(texts: pl.Series) -> pl.Series:
    """Return the ISO code that stands in the cell itself, as a code or as a symbol of one currency; else null."""
    return _meant(_marks(texts))


def _negative(texts: pl.Series) -> pl.Series:
    return texts.str.contains(rf"^(?:-|{_MARK}{_BLANK}-)")


def _marks(texts: pl.Series) -> pl.Series:
    marks = pl.coalesce(pl.lit(texts).str.extract(_LEADING, 1), pl.lit(texts).str.extract(_TRAILING, 1))
    return pl.select(marks.str.to_uppercase()).to_series()


def _meant(marks: pl.Series) -> pl.Series:
    known = {**{code: code for code in CODES}, **MEANT_BY}
    return marks.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.String)


def _read_marked(texts: pl.Series, form: NumberForm) -> pl.DataFrame:
    """Return `value`, `fault`, `mark` of amounts that are not plain."""
    if form.decimal != ".":
        return _read_any(texts, form)
    parts = texts.str.extract_groups(_MARKED_CENTS).struct.unnest()
    mark, cents = parts.to_series(0).str.to_uppercase(), parts.to_series(1)
    is_known = pl.lit(mark.is_in(_KNOWN_MARKS).fill_null(value=False))
    value = pl.lit(cents).str.replace(".", "", literal=True).cast(pl.Int64, strict=False) * (COST_SCALE // 100)
    read = pl.select(value=pl.when(is_known).then(value), fault=pl.lit(None, dtype=pl.String), mark=mark)
    others = read["value"].is_null().arg_true()
    if not others.len():
        return read
    rest = _read_any(texts.gather(others), form)
    return pl.DataFrame([read[name].scatter(others, rest[name]) for name in read.columns])


def _read_any(texts: pl.Series, form: NumberForm) -> pl.DataFrame:
    """Return `value`, `fault`, `mark` of amounts, with or without a currency and a minus."""
    marks = _marks(texts)
    number = read_numbers(texts.str.extract(_AMOUNT, 1).fill_null(""), form, _PLACES)
    twice = texts.str.contains(_LEADING) & texts.str.contains(_TRAILING)
    unknown_code = ~marks.is_in(_KNOWN_MARKS) & marks.is_not_null()
    two_minuses = texts.str.contains(rf"^-{_BLANK}{_MARK}{_BLANK}-|^-{_BLANK}-")
    bad = pl.lit((twice | unknown_code).fill_null(value=False) | two_minuses)
    fault = pl.when(bad).then(pl.coalesce("fault", pl.lit("format"))).otherwise(pl.col("fault"))
    read = number.select("value", fault=fault, mark=pl.lit(marks), negative=pl.lit(_negative(texts)))
    below = pl.col("negative") & (pl.col("value") != 0)
    fault = pl.when(pl.col("fault").is_null() & below).then(pl.lit("negative")).otherwise(pl.col("fault"))
    read = read.with_columns(fault=fault)
    return read.select(value=pl.when(pl.col("fault").is_null()).then("value"), fault="fault", mark="mark")


def _faults(texts: pl.Series, marked: pl.DataFrame, others: pl.Series) -> pl.DataFrame:
    faulty = marked["fault"].is_not_null().arg_true()
    if not faulty.len():
        return NO_PROBLEMS
    wrong = pl.DataFrame({"text": texts.gather(others.gather(faulty)), "fault": marked["fault"].gather(faulty)})
    fault = pl.col("fault")
    code = pl.when(fault == "negative").then(pl.lit("COST-NEGATIVE")).otherwise(pl.lit("COST-FORMAT"))
    asked = two_readings(wrong["text"].str.extract(_AMOUNT, 1).fill_null(""))
    locale = pl.coalesce(pl.lit(asked), pl.lit("the cost can be read with a decimal or a thousands mark"))
    message = (
        pl.when(fault == "locale")
        .then(locale)
        .when(fault == "places")
        .then(pl.lit("the cost has more than 4 decimals"))
        .when(fault == "range")
        .then(pl.lit("the cost is too large"))
    )
    told = wrong.select(code=code, message=message)
    return problems_at(others.gather(faulty), wrong["text"], told["code"], message=told["message"])


def _other_currencies(texts: pl.Series, marked: pl.DataFrame, others: pl.Series, declared: pl.Series) -> pl.DataFrame:
    """Return COST-CURRENCY where the code or symbol in the cell cannot be the declared currency."""
    expected = declared.gather(others)
    pairs = [f"{symbol}{code}" for symbol, codes in SYMBOLS.items() for code in codes]
    mark, want = pl.lit(marked["mark"]), pl.lit(expected)
    agrees = (mark == want) | (mark + want).is_in(pairs)
    known = mark.is_in(_KNOWN_MARKS)
    differs = pl.select((known & ~agrees).fill_null(value=False)).to_series().arg_true()
    at = others.gather(differs)
    messages = pl.select(pl.format("the amount is marked {}, the declared currency is {}", mark, want)).to_series().gather(differs)
    return problems_at(at, texts.gather(at), "COST-CURRENCY", message=messages)


def parse_currencies(texts: pl.Series, feed_currency: str | None) -> Parsed:
    """Return the ISO code each row declares (blank: the feed's), and COST-CURRENCY where it is none or not the feed's."""
    upper = texts.str.to_uppercase()
    if feed_currency:
        same = [symbol for symbol, codes in SYMBOLS.items() if feed_currency in codes]
        upper = upper.replace(["", *same], [feed_currency] * (1 + len(same)))
    codes = _meant(upper)
    unknown = codes.is_null() & (upper != "")
    problems = [problems_where(unknown, texts, "COST-CURRENCY", message="the currency is not an ISO 4217 code")]
    if feed_currency:
        message = f"the currency is not the declared one, {feed_currency}"
        problems.append(problems_where((codes != feed_currency).fill_null(value=False), texts, "COST-CURRENCY", message=message))
    return Parsed(codes, pl.concat(problems))
