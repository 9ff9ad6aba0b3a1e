"""Costs, currencies, and currencies inside cost cells."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from transforms.money import _read_any, _read_marked, amount_texts, cell_currencies, parse_costs, parse_currencies
from transforms.numbers import NumberForm, number_form

POINT = number_form(".", ",")


def parse(text: str, currency: str | None = None, form: object = POINT) -> tuple[int | None, list[str]]:
    declared = None if currency is None else pl.Series([currency])
    costs = parse_costs(pl.Series([text]), form, declared).costs  # type: ignore[arg-type]  # forms are built in the tests
    return costs.values[0], costs.problems["code"].to_list()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.50", 125_000),
        ("$1,204.55", 12_045_500),
        ("USD 12.34", 123_400),
        ("12.34 usd", 123_400),
        ("£5", 50_000),
        ("5 €", 50_000),
        ("¥ 100", 1_000_000),
        ("5.1234", 51_234),
        ("5.123400", 51_234),
        (".5", 5_000),
        ("0", 0),
        ("", None),
    ],
)
def test_an_amount_is_ten_thousandths_and_blank_is_null(text: str, value: int | None) -> None:
    assert parse(text) == (value, [])


@pytest.mark.parametrize("text", ["-5.00", "-$5.00", "$-5.00", "- 5", "-USD 5.00"])
def test_a_negative_cost_is_rejected(text: str) -> None:
    assert parse(text) == (None, ["COST-NEGATIVE"])


@pytest.mark.parametrize("text", ["abc", "$", "$5$", "--5", "XYZ 5", "5.12345", "1e3", "POA", "12,5", "5.", "9" * 20, "٣", "$ $5"])
def test_what_is_no_amount_is_rejected_and_never_zero(text: str) -> None:
    assert parse(text) == (None, ["COST-FORMAT"])


@pytest.mark.parametrize("text", ["1.234", "1,234", "12,50", "1.234,56"])
def test_an_amount_with_two_readings_is_rejected_unless_marks_are_declared(text: str) -> None:
    assert parse(text, form=number_form(None, None)) == (None, ["COST-FORMAT"])


def test_a_decimal_comma_is_read_where_it_is_declared() -> None:
    assert parse("1.234,56 €", form=number_form(",", ".")) == (12_345_600, [])


@pytest.mark.parametrize(("text", "declared"), [("£5", "USD"), ("EUR 5", "USD"), ("$5", "EUR"), ("5 USD", "CAD")])
def test_another_currency_than_the_declared_one_is_rejected(text: str, declared: str) -> None:
    assert parse(text, declared)[1] == ["COST-CURRENCY"]


@pytest.mark.parametrize(("text", "declared"), [("$5", "USD"), ("$5", "CAD"), ("AUD 5", "AUD"), ("5", "EUR"), ("¥5", "JPY")])
def test_a_symbol_that_fits_the_declared_currency_is_accepted(text: str, declared: str) -> None:
    assert parse(text, declared) == (50_000, [])


def test_without_a_declared_currency_the_cell_says_which_it_is() -> None:
    costs = parse_costs(pl.Series(["£5", "USD 5", "$5", "5.00"]), POINT, None)
    assert costs.currency.to_list() == ["GBP", "USD", None, None]
    assert cell_currencies(pl.Series(["All sold", "€ 5"])).to_list() == [None, "EUR"]


def test_a_currency_column_must_hold_the_declared_currency_or_an_iso_code() -> None:
    parsed = parse_currencies(pl.Series(["", "usd", "$", "EUR", "xx"]), "USD")
    assert parsed.values.to_list() == ["USD", "USD", "USD", "EUR", None]
    assert sorted(parsed.problems.select("at", "code").rows()) == [(3, "COST-CURRENCY"), (4, "COST-CURRENCY")]
    assert parse_currencies(pl.Series(["", "EUR", "€", "$"]), None).values.to_list() == [None, "EUR", "EUR", None]


def test_amount_texts_are_exact_as_written() -> None:
    assert amount_texts(pl.Series(["$1,204.50", "-5.00", "call", ""]), POINT).to_list() == ["1204.50", "-5.00", None, None]


_MARKS = ["$", "€", "£", "USD", "usd", "Eur", "XYZ", "", "-", "$-", "- $"]
_PARTS = [*_MARKS, " ", "\u00a0", "12.34", "1,234.50", "6.9", "0.00", "999999999.99", "1000000000.00", ".50", "5", "x"]


@given(st.lists(st.lists(st.sampled_from(_PARTS), min_size=1, max_size=4).map("".join), min_size=1, max_size=30))
@pytest.mark.parametrize("form", [POINT, number_form(None, None), number_form(",", "."), number_form(".", None)])
def test_the_short_way_to_read_marked_amounts_gives_what_the_long_one_does(form: NumberForm, texts: list[str]) -> None:
    trimmed = pl.Series(texts, dtype=pl.String).str.strip_chars(" \u00a0")
    assert_frame_equal(_read_marked(trimmed, form), _read_any(trimmed, form))
