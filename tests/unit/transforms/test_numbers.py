"""Numbers under every pair of declared marks."""

from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from transforms.numbers import number_form, plain_decimals, read_numbers, two_readings

MARKS = [(d, t) for d in (".", ",") for t in (None, ",", ".", "'", " ", "\u00a0", "\u202f", "\u2019", "_") if d != t]


def read(text: str, decimal: str | None = None, thousands: str | None = None, places: int = 3) -> int | str:
    value, fault = read_numbers(pl.Series([text]), number_form(decimal, thousands), places).row(0)
    assert (value is None) != (fault is None)
    return fault if value is None else value


@pytest.mark.parametrize("text", ["1.250", "1,250", "12,5", "3,0", "1,204,000", "1 204", "1'250"])
def test_a_number_with_two_readings_is_never_guessed(text: str) -> None:
    assert read(text) == "locale"


@pytest.mark.parametrize(
    ("text", "value"),
    [("12.5", 12500), ("10.10", 10100), ("1234.567", 1234567), ("0.125", 125), (".5", 500), ("00012", 12000), ("5.0000", 5000)],
)
def test_an_undeclared_point_is_read_where_it_can_only_be_decimal(text: str, value: int) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "expected"),
    [
        ("1,204", None, ",", 1_204_000),
        ("1.250", ",", ".", 1_250_000),
        ("1.250", ",", None, "locale"),
        ("1.250", ".", None, 1_250),
        ("1,250", ".", None, "locale"),
        ("1.204,5", ",", ".", 1_204_500),
        ("1,204.5", ".", ",", 1_204_500),
        ("1.204,5", ".", ",", "format"),
        ("12,04", None, ",", "format"),
        ("1,2345", None, ",", "format"),
        ("0,204", None, ",", "format"),
        ("1204,000", None, ",", "format"),
        ("1\u202f204", ",", " ", 1_204_000),
        ("1\u2019204", ".", "'", 1_204_000),
        ("1_204", ".", "_", 1_204_000),
        ("5.0001", ".", None, "places"),
        ("99999999999999999999", None, None, "range"),
        ("0" * 30 + "12", None, None, 12_000),
    ],
)
def test_declared_marks_decide(text: str, decimal: str | None, thousands: str | None, expected: int | str) -> None:
    assert read(text, decimal, thousands) == expected


@pytest.mark.parametrize("text", ["", "1e3", "1_000", "0x10", "٣", "５", "½", "²", "1.5.2", "5.", "1 2", "--1", "NaN", "1,,2"])
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert read(text) == "format"


@given(
    units=st.integers(0, 10**12),
    decimals=st.integers(0, 3).flatmap(lambda n: st.integers(0, 10**n - 1).map(lambda d: f"{d:0{n}d}" if n else "")),
    marks=st.sampled_from(MARKS),
    grouped=st.booleans(),
)
def test_a_number_written_with_declared_marks_is_read_back_exactly(
    units: int, decimals: str, marks: tuple[str, str | None], grouped: object
) -> None:
    decimal, thousands = marks
    whole = f"{units:,}".replace(",", thousands) if grouped and thousands else str(units)
    text = whole + (decimal + decimals if decimals else "")
    assert read(text, decimal, thousands) == units * 1000 + int(decimals.ljust(3, "0") or 0)
    plain = plain_decimals(pl.Series([text]), number_form(decimal, thousands))[0]
    assert Decimal(plain) == Decimal(f"{units}.{decimals or 0}")


@given(st.text(max_size=12), st.sampled_from([(None, None), *MARKS]))
def test_no_text_is_read_as_zero_unless_all_its_digits_are_zeros(text: str, marks: tuple[str | None, str | None]) -> None:
    if read(text, *marks) == 0:
        assert "0" in text
        assert set(text) <= set("0.,")


def test_the_two_readings_are_spelled_out() -> None:
    assert two_readings(pl.Series(["1.250", "1,000", "12"])).to_list() == ["is it 1250 or 1.25?", "is it 1000 or 1?", None]


def test_one_mark_for_both_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="both"):
        number_form(",", ",")
