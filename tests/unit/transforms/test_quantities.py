"""Quantities: what is a number, what is a word, and that nothing becomes 0 by itself."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.numbers import number_form
from transforms.quantity import QuantityRules, parse_quantities
from transforms.words import compile_words


def rules(words: dict[str, int | str] | None = None, **keys: Any) -> QuantityRules:
    form = number_form(keys.get("decimal"), keys.get("thousands"))
    return QuantityRules(form, compile_words(words or {}), keys.get("maximum", 10_000_000_000), keys.get("negative", "reject"))


def parse(text: str, how: QuantityRules) -> tuple[int | None, str | None]:
    parsed = parse_quantities(pl.Series([text]), how)
    code = parsed.problems["code"][0] if parsed.problems.height else None
    return parsed.values[0], code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("-5", "QTY-NEGATIVE"),
        ("-0.5", "QTY-NEGATIVE"),
        ("-99999999999999999999", "QTY-NEGATIVE"),
        ("1e3", "QTY-FORMAT"),
        ("1E400", "QTY-FORMAT"),
        ("99999999999999999999", "QTY-RANGE"),
        ("10000001", "QTY-RANGE"),
        ("0x10", "QTY-FORMAT"),
        ("1_000", "QTY-FORMAT"),
        ("５", "QTY-FORMAT"),
        ("٣", "QTY-FORMAT"),
        ("½", "QTY-FORMAT"),
        ("1/2", "QTY-FORMAT"),
        ("5 pcs", "QTY-FORMAT"),
        ("1.5.2", "QTY-FORMAT"),
        ("1.2345", "QTY-FORMAT"),
        ("--", "QTY-FORMAT"),
        ("NaN", "QTY-WORD"),
        ("inf", "QTY-WORD"),
        ("in stock", "QTY-WORD"),
        (">100", "QTY-WORD"),
        ("100+", "QTY-WORD"),
        ("N/A", "QTY-WORD"),
        ("TRUE", "QTY-WORD"),
        ("#REF!", "QTY-CELL"),
        ("#N/A", "QTY-CELL"),
        ("1.250", "QTY-LOCALE"),
        ("-1,250", "QTY-LOCALE"),
    ],
)
def test_what_is_no_declared_quantity_is_a_problem_and_null(text: str, code: str) -> None:
    assert parse(text, rules()) == (None, code)


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7000), ("+3", 3000), ("3.0", 3000), ("3.5", 3500), ("00012", 12000), ("0", 0), ("-0", 0), ("", None)]
)
def test_plain_numbers_are_thousandths_and_blank_is_null(text: str, value: int | None) -> None:
    assert parse(text, rules()) == (value, None)


WORDS: dict[str, int | str] = {"In Stock": 1, "Out of stock": 0, "call": "unknown", "{n}+": "{n}", "<{n}": "{n}-1", ">{n}": "{n}+1"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("IN STOCK", 1000),
        ("out of stock", 0),
        ("Call", None),
        ("10+", 10_000),
        ("1,000 +", 1_000_000),
        ("<5", 4000),
        (">100", 101_000),
    ],
)
def test_declared_words_mean_what_is_declared(text: str, value: int | None) -> None:
    assert parse(text, rules(WORDS, thousands=",")) == (value, None)


def test_a_declared_number_can_be_a_word_for_unknown() -> None:
    assert parse("999", rules({"999": "unknown"})) == (None, None)
    assert parse("998", rules({"999": "unknown"})) == (998_000, None)


def test_a_pattern_around_something_else_than_a_number_stays_a_word() -> None:
    assert parse("lots+", rules(WORDS)) == (None, "QTY-WORD")
    assert parse("<0", rules(WORDS)) == (None, "QTY-NEGATIVE")


def test_a_negative_is_zero_with_a_note_only_where_the_feed_says_so() -> None:
    parsed = parse_quantities(pl.Series(["-5", "4"]), rules(negative="zero"))
    assert parsed.values.to_list() == [0, 4000]
    assert parsed.problems.select("at", "code", "severity").rows() == [(0, "QTY-NEGATIVE", "note")]


def test_the_limit_is_said_in_the_message() -> None:
    parsed = parse_quantities(pl.Series(["11"]), rules(maximum=10_500))
    assert "10.5" in parsed.problems["message"][0]


@given(st.text(max_size=10), st.sampled_from([{}, WORDS]))
def test_no_text_becomes_zero_unless_it_is_a_zero_or_a_declared_word_for_it(text: str, words: dict[str, int | str]) -> None:
    trimmed = text.strip(" \t\u00a0\u202f\r\n")
    value, code = parse(trimmed, rules(words))
    if value == 0:
        assert code is None
        declared = {"out of stock", "<1"} if words else set()
        assert (
            trimmed.casefold() in declared or Decimal(trimmed.rstrip("+ ").replace(",", ".")) == 0 or set(trimmed) <= set("<01. ")
        )


@given(st.decimals(min_value=0, max_value=10_000_000, places=3, allow_nan=False, allow_infinity=False))
def test_every_quantity_in_range_survives_its_own_text(quantity: Decimal) -> None:
    assert parse(f"{quantity:f}", rules(decimal=".")) == (int(quantity * 1000), None)
