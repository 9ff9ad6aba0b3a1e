from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.number_text import (
    NumberFormat,
    cell_number,
    lost_digits,
    moment_text,
    number_format,
    number_text,
    plain_number,
)


@pytest.mark.parametrize(
    ("raw", "code", "text"),
    [
        ("123", "General", "123"),
        ("123.0", "General", "123"),
        ("0.1", "General", "0.1"),
        ("0.30000000000000004", "General", "0.3"),
        ("1.1000000000000001", "General", "1.1"),
        ("1E-7", "General", "0.0000001"),
        ("4.006381333931E+12", "General", "4006381333931"),
        ("4006381333931", "0.00E+00", "4006381333931"),
        ("123", "00000", "00123"),
        ("-5", "00000", "-00005"),
        ("1234567", "#,##0", "1234567"),
        ("9.5", "0.00", "9.50"),
        ("9.567", "0.00", "9.567"),
        ("5", '0" pcs"', "5"),
        ("0.25", "0%", "25%"),
        ("0.256", "0%", "25.6%"),
        ("0.5", "0.00%", "50.00%"),
        ("12", '[Red]0;[Blue]-0;"none"', "12"),
        ("0", "General", "0"),
        ("-0.5", "0.0", "-0.5"),
    ],
)
def test_numbers_are_shown_in_plain_digits(raw, code, text):
    assert number_text(plain_number(raw), number_format(code)) == text


@pytest.mark.parametrize(
    ("raw", "code", "text"),
    [
        ("123", '"SKU-"00000', "SKU-00123"),
        ("12345", "000\\-00", "123-45"),
        ("1234567", "000-00", "12345-67"),
        ("7", "00000", "00007"),
    ],
)
def test_identifiers_also_get_the_literals_of_their_format(raw, code, text):
    assert number_text(plain_number(raw), number_format(code), as_identifier=True) == text


def test_more_than_fifteen_digits_are_lost():
    assert not lost_digits(Decimal(10**15 - 1))
    assert lost_digits(Decimal(10**15))


@pytest.mark.parametrize("raw", ["", "abc", "1e400", "1e-400", "nan", "1_000", "\u0663", "--5", "\u00b2", "0x10", "inf"])
def test_what_is_no_number_is_an_error_and_never_zero(raw):
    with pytest.raises(ValueError, match="not a number"):
        plain_number(raw)


def test_dates_are_iso_and_show_a_time_only_if_the_format_does():
    moment = datetime(2026, 3, 1, 2, 30)  # noqa: DTZ001 - a cell has no time zone
    assert moment_text(moment, "dd/mm/yyyy") == "2026-03-01"
    assert moment_text(moment, "yyyy-mm-dd hh:mm") == "2026-03-01T02:30:00"
    assert moment_text(moment, '"has hours" yyyy') == "2026-03-01"
    assert moment_text(date(2026, 3, 1), "d") == "2026-03-01"
    assert moment_text(time(2, 30), "h:mm") == "02:30:00"
    assert moment_text(timedelta(hours=30), "[h]:mm") == "30:00:00"


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-(10**9), 10**9, places=3).map(float)
    | st.integers(-(10**16), 10**16)
)
def test_a_number_cell_reads_the_same_on_the_short_way(value):
    form = NumberFormat()
    text, sure = cell_number(repr(value), form, identifier=False)
    assert text == number_text(plain_number(repr(value)), form)
    assert sure == (not lost_digits(plain_number(repr(value))))


def test_a_negative_zero_is_a_zero():
    assert cell_number("-0.0", NumberFormat(), identifier=False) == ("0", True)


def test_zeros_behind_the_point_are_kept_in_identifiers_only():
    two = NumberFormat(1, 2)
    assert cell_number("9.5", two, identifier=False) == ("9.5", True)
    assert cell_number("9.5", two, identifier=True) == ("9.50", True)
    assert cell_number("9.5", NumberFormat(), identifier=True) == ("9.5", False)
    assert cell_number("7", NumberFormat(5), identifier=False) == ("00007", True)
