"""Dates and times by declared formats only."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigError
from transforms.dates import format_pattern, parse_dates, parse_times, to_utc

FORMATS = ["%d/%m/%Y", "%m-%d-%y", "%d %b %Y", "%B %d, %Y", "%Y%m%d", "%F"]


def parse(text: str, *formats: str) -> date | str | None:
    parsed = parse_dates(pl.Series([text]), formats)
    return parsed.problems["message"][0] if parsed.problems.height else parsed.values[0]


@pytest.mark.parametrize(
    ("text", "formats", "expected"),
    [
        ("2026-03-31", (), date(2026, 3, 31)),
        ("2026-03-31 23:59:59", (), date(2026, 3, 31)),
        ("2026-03-31T23:59Z", (), date(2026, 3, 31)),
        ("31/03/2026", ("%d/%m/%Y",), date(2026, 3, 31)),
        ("5-Jan-2026", ("%d-%b-%Y", "%Y%m%d"), date(2026, 1, 5)),
        ("5 JANUARY 2026", ("%d %B %Y",), date(2026, 1, 5)),
        ("20260105", ("%d-%b-%Y", "%Y%m%d"), date(2026, 1, 5)),
        ("1/5/26 12:30 AM", ("%m/%d/%y %I:%M %p",), date(2026, 1, 5)),
        ("28.02.69", ("%d.%m.%y",), "years"),
        ("", ("%d/%m/%Y",), None),
        ("2026-02-30", (), "no such date"),
        ("1900-02-29", (), "no such date"),
        ("9999-12-31", (), "years"),
        ("03/04/2026", ("%d/%m/%Y", "%m/%d/%Y"), "ambiguous"),
        ("03/03/2026", ("%d/%m/%Y", "%m/%d/%Y"), date(2026, 3, 3)),
        ("03/04/2026", (), "does not match"),
        ("45352", (), "does not match"),
        ("46371", ("excel",), date(2026, 12, 15)),
        ("46371.75", ("%d.%m.%Y", "excel"), date(2026, 12, 15)),
        ("44909", ("excel1904",), date(2026, 12, 15)),
        ("15.12.2026", ("%d.%m.%Y", "excel"), date(2026, 12, 15)),
        ("12", ("excel",), "years"),
        ("4637１", ("excel",), "does not match"),
        ("soon", ("excel",), "does not match excel"),
        ("20260105", (), "does not match"),
        ("２０２６-01-05", (), "does not match"),
        ("5-Mär-2026", ("%d-%b-%Y",), "does not match"),
    ],
)
def test_a_date_is_read_by_a_declared_format_or_is_a_problem(
    text: str, formats: tuple[str, ...], expected: date | str | None
) -> None:
    found = parse(text, *formats)
    assert found == expected if not isinstance(expected, str) else expected in str(found)


@settings(deadline=None)  # the first example compiles the pattern and wakes the threads of Polars
@given(
    st.dates(date(1970, 1, 1), date(2068, 12, 31)),
    st.sampled_from(FORMATS),
)
def test_a_date_survives_its_own_format(day: date, declared: str) -> None:
    expected = day if "%y" not in declared or day.year < 2069 else None
    assert parse(day.strftime(declared), declared) == expected


@pytest.mark.parametrize("declared", ["%d/%m", "%Y-%m", "%Q", "%d/%m/%Y %d", "%H:%M"])
def test_a_format_that_gives_no_whole_date_is_a_config_error(declared: str) -> None:
    with pytest.raises(ConfigError, match="date"):
        format_pattern(declared)


def test_local_times_become_utc_and_clock_changes_are_faults() -> None:
    texts = pl.Series(
        ["2026-07-01 12:00", "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-10-25T02:30:00+01:00", "20261123T2359Z"]
    )
    instants, faults = to_utc(parse_times(texts, ()), "Europe/Berlin")
    assert faults.to_list() == [None, "skipped", "doubled", None, None]
    assert instants.to_list() == [
        datetime(2026, 7, 1, 10, tzinfo=UTC),
        None,
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime(2026, 11, 23, 23, 59, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("text", "declared"), [("2026111", "%Y%m%d"), ("202611", "%y%m%d"), ("1112026", "%d%m%Y"), ("202601151230", "%Y%m%d%H%M%S")]
)
def test_numbers_that_touch_need_all_their_digits_so_that_no_text_has_two_readings(text: str, declared: str) -> None:
    assert "does not match" in str(parse(text, declared))


def test_numbers_that_touch_are_read_with_all_their_digits() -> None:
    assert parse("20261101", "%Y%m%d") == date(2026, 11, 1)
    assert parse("111726", "%m%d%y") == date(2026, 11, 17)
    assert parse("1.2.2026 7:05", "%d.%m.%Y %H:%M") == date(2026, 2, 1)
