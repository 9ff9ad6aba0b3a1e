"""Dates and times by declared formats: strptime directives, read strictly, with English month names and ASCII digits.

Never guesses an order of day and month, never reads a date that does not exist, and never uses the process's locale.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import polars as pl

from schemas.errors import ConfigError
from transforms.problems import NO_PROBLEMS, Parsed, problems_at

_LONG = "january february march april may june july august september october november december"
_LONG_MONTHS = _LONG.split()
_MONTHS = [name[:3] for name in _LONG_MONTHS]
_DAYS = "(?i:mon|tue|wed|thu|fri|sat|sun)"
_LONG_DAYS = "(?i:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_DIRECTIVES = {
    "Y": r"(?P<year>[0-9]{4})",
    "y": r"(?P<short_year>[0-9]{2})",
    "m": r"(?P<month>1[0-2]|0?[1-9])",
    "b": rf"(?P<name>(?i:{'|'.join(_MONTHS)}))",
    "B": rf"(?P<name>(?i:{'|'.join(_LONG_MONTHS)}))",
    "d": r"(?P<day>3[01]|[12][0-9]|0?[1-9])",
    "H": r"(?P<hour>2[0-3]|[01][0-9]|[0-9])",
    "I": r"(?P<hour12>1[0-2]|0?[1-9])",
    "p": r"(?P<half>(?i:am|pm))",
    "M": r"(?P<minute>[0-5][0-9]|[0-9])",
    "S": r"(?P<second>[0-5][0-9]|[0-9])",
    "f": r"(?P<fraction>[0-9]{1,6})",
    "z": r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})",
    "a": _DAYS,
    "A": _LONG_DAYS,
    "%": "%",
}
#: Numbers that touch another number ("%Y%m%d") have all their digits: 2026111 would be a day in January and one in November.
_FULL_WIDTH = {
    "m": r"(?P<month>1[0-2]|0[1-9])",
    "d": r"(?P<day>3[01]|[12][0-9]|0[1-9])",
    "H": r"(?P<hour>2[0-3]|[01][0-9])",
    "I": r"(?P<hour12>1[0-2]|0[1-9])",
    "M": r"(?P<minute>[0-5][0-9])",
    "S": r"(?P<second>[0-5][0-9])",
}
_NUMBERS = frozenset({*_FULL_WIDTH, "Y", "y", "f"})
#: Not strptime formats: a spreadsheet's day numbers, counted from 1899-12-30 or (workbooks of old Macs) 1904-01-01.
_SERIALS = {"excel": "1899-12-30", "excel1904": "1904-01-01"}
_SERIAL = r"^([0-9]{1,6})(?:\.([0-9]+))?$"
_COMPOSED = {"T": "%H:%M:%S", "F": "%Y-%m-%d", "D": "%m/%d/%y", "R": "%H:%M"}
_GROUPS = ("year", "short_year", "month", "name", "day", "hour", "hour12", "half", "minute", "second", "fraction", "offset")
# ISO 8601: the extended form with or without a time, and the basic form with its T (without it, it could be any number)
_ISO_TIME = r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9])(?:\.(?P<fraction>[0-9]{1,6}))?)?"
_OFFSET = r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?"
_ISO_BASIC_TIME = r"(?P<hour>[01][0-9]|2[0-3])(?P<minute>[0-5][0-9])(?P<second>[0-5][0-9])?"
_ISO = (
    rf"^(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})(?:[T ]{_ISO_TIME}{_OFFSET})?$",
    rf"^(?P<year>[0-9]{{4}})(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}})T{_ISO_BASIC_TIME}{_OFFSET}$",
)
#: Outside these years a stock date is a placeholder or a mistake, such as 1900-01-00 and 9999-12-31.
EARLIEST_YEAR, LATEST_YEAR = 1970, 2099


@dataclass(frozen=True, slots=True)
class Times:
    """Local times as written (Datetime, null where unreadable), their UTC offset in minutes (null: none written), and faults.

    `fault`: null, "format", "impossible", "range" or "ambiguous" (several declared formats give different times).
    """

    local: pl.Series
    offset: pl.Series
    fault: pl.Series


@lru_cache(maxsize=256)
def format_pattern(declared: str) -> str:
    """Return the regular expression of a strptime format, or of "excel". Raises ConfigError for what is not understood."""
    if declared in _SERIALS:
        return _SERIAL
    for short, long in _COMPOSED.items():
        declared = declared.replace(f"%{short}", long)
    pieces: list[str] = []
    parts = re.findall(r"([^%]+)|%(.?)", declared)
    for at, (text, directive) in enumerate(parts):
        if text:
            pieces.append(re.escape(text).replace(r"\ ", " "))
        elif directive in _DIRECTIVES:
            beside = {after for _, after in (*parts[max(0, at - 1) : at], *parts[at + 1 : at + 2]) if after}
            pieces.append(_FULL_WIDTH[directive] if directive in _FULL_WIDTH and beside & _NUMBERS else _DIRECTIVES[directive])
        else:
            raise ConfigError(
                f"the date format {declared!r} has the directive %{directive}, which is not understood",
                f"Use {', '.join('%' + d for d in _DIRECTIVES)}.",
            )
    pattern = f"^{''.join(pieces)}$"
    named = re.findall(r"\?P<(\w+)>", pattern)
    if len(named) != len(set(named)) or not {"day"} <= set(named) or not {"month", "name"} & set(named):
        raise ConfigError(
            f"the date format {declared!r} does not give one year, month and day",
            'Declare a whole date, for example "%d.%m.%Y" or "%Y-%m-%d %H:%M".',
        )
    if not {"year", "short_year"} & set(named):
        raise ConfigError(f"the date format {declared!r} has no year", "A date without a year cannot be used; add %Y or %y.")
    return pattern


def parse_times(texts: pl.Series, formats: Sequence[str]) -> Times:
    """Return the local times of trimmed `texts`; blank has neither a time nor a fault. No formats: ISO 8601 only."""
    distinct = texts.unique().rename("text")
    if formats:
        readings = [_read_serials(distinct, _SERIALS[f]) if f in _SERIALS else _read(distinct, format_pattern(f)) for f in formats]
    else:
        readings = [_read(distinct, pattern) for pattern in _ISO]
    local = pl.coalesce([pl.lit(r["local"]) for r in readings])
    offset = pl.coalesce([pl.when(pl.lit(r["local"]).is_not_null()).then(pl.lit(r["offset"])) for r in readings])
    read = pl.DataFrame({"text": distinct}).with_columns(
        local=local,
        offset=offset,
        shaped=pl.any_horizontal([pl.lit(r["shaped"]) for r in readings]),
        differs=pl.any_horizontal([(pl.lit(r["local"]) != local).fill_null(value=False) for r in readings]),
    )
    year = pl.col("local").dt.year()
    fault = (
        pl.when(pl.col("text") == "")
        .then(None)
        .when(pl.col("differs"))
        .then(pl.lit("ambiguous"))
        .when(pl.col("local").is_null())
        .then(pl.when("shaped").then(pl.lit("impossible")).otherwise(pl.lit("format")))
        .when(~year.is_between(EARLIEST_YEAR, LATEST_YEAR))
        .then(pl.lit("range"))
    )
    read = read.with_columns(fault=fault).with_columns(local=pl.when(pl.col("fault").is_null()).then("local"))
    back = texts.rename("text").to_frame().join(read, on="text", how="left", maintain_order="left")
    return Times(back["local"], back["offset"], back["fault"])


def _read(texts: pl.Series, pattern: str) -> pl.DataFrame:
    """Return `local`, `offset` (minutes) and `shaped` of texts by one pattern; an impossible date is shaped, without a time."""
    parts = texts.str.extract_groups(pattern).struct.unnest()
    found = set(parts.columns)
    parts = parts.with_columns([pl.lit(None, dtype=pl.String).alias(g) for g in _GROUPS if g not in found])
    names = pl.col("name").str.to_lowercase().str.head(3).replace_strict(
        _MONTHS, [f"{i:02d}" for i in range(1, 13)], default=None, return_dtype=pl.String
    )  # fmt: skip
    short = pl.col("short_year")
    # POSIX: 69–99 are 1969–1999, 00–68 are 2000–2068
    year = pl.coalesce("year", pl.when(short >= "69").then("19" + short).otherwise("20" + short))
    hour12 = pl.col("hour12").cast(pl.Int64) % 12 + pl.when(pl.col("half").str.to_lowercase() == "pm").then(12).otherwise(0)
    hour = pl.coalesce("hour", hour12.cast(pl.String), pl.lit("0"))
    stamp = pl.format(
        "{}-{}-{} {}:{}:{}.{}",
        year,
        pl.coalesce("month", names).str.zfill(2),
        pl.col("day").str.zfill(2),
        hour.str.zfill(2),
        pl.col("minute").fill_null("0").str.zfill(2),
        pl.col("second").fill_null("0").str.zfill(2),
        pl.col("fraction").fill_null("0").str.pad_end(6, "0"),
    )
    sign = pl.when(pl.col("offset").str.starts_with("-")).then(-1).otherwise(1)
    hours, minutes = pl.col("offset").str.slice(1, 2).cast(pl.Int64, strict=False), pl.col("offset").str.tail(2)
    written = sign * (hours * 60 + minutes.cast(pl.Int64, strict=False))
    return parts.select(
        local=stamp.str.to_datetime("%Y-%m-%d %H:%M:%S%.6f", time_unit="us", strict=False),
        offset=pl.when(pl.col("offset") == "Z").then(0).otherwise(written),
        shaped=pl.col("day").is_not_null(),
    )


def _read_serials(texts: pl.Series, epoch: str) -> pl.DataFrame:
    """Return `local`, `offset` and `shaped` of day numbers: days since `epoch`, the fraction is the time of day to the second.

    From 1900-03-01 on (number 61) this is Excel's calendar; what is before is out of range anyway.
    """
    shaped = texts.str.contains(_SERIAL)
    days = pl.select(pl.when(pl.lit(shaped)).then(pl.lit(texts))).to_series().cast(pl.Float64)
    moment = pl.lit(epoch).str.to_datetime("%Y-%m-%d", time_unit="us") + pl.duration(seconds=(pl.lit(days) * 86_400).round())
    return pl.select(local=moment, offset=pl.lit(None, dtype=pl.Int64), shaped=pl.lit(shaped))


def parse_dates(texts: pl.Series, formats: Sequence[str]) -> Parsed:
    """Return the dates (Date) of trimmed `texts` as written; blank is null; every other failure is a DATE-FORMAT."""
    times = parse_times(texts, formats)
    return Parsed(times.local.dt.date(), fault_problems(texts, times.fault, formats))


_FAULTS = {
    "ambiguous": "the date is ambiguous: the declared formats read it as different dates",
    "impossible": "there is no such date or time",
    "range": f"the date is outside the years {EARLIEST_YEAR} to {LATEST_YEAR}",
    "skipped": "the time does not exist in the feed's time zone: clocks were put forward over it",
    "doubled": "the time is ambiguous: it occurs twice in the feed's time zone, as clocks were put back",
}


def fault_problems(texts: pl.Series, faults: pl.Series, formats: Sequence[str]) -> pl.DataFrame:
    """Return one DATE-FORMAT problem for each fault that is not null, saying which it is and what was expected."""
    at = faults.is_not_null().arg_true()
    if not at.len():
        return NO_PROBLEMS
    expected = " or ".join(formats) or "an ISO date such as 2026-03-31"
    otherwise = f"the date does not match {expected}"
    messages = faults.gather(at).replace_strict(list(_FAULTS), list(_FAULTS.values()), default=otherwise, return_dtype=pl.String)
    return problems_at(at, texts.gather(at), "DATE-FORMAT", message=messages)


def to_utc(times: Times, zone: str) -> tuple[pl.Series, pl.Series]:
    """Return the UTC instants of `times` and their faults ("skipped" and "doubled" hours added).

    A time without an offset is local to `zone`; a doubled hour is read as the earlier instant (PEP 495, fold 0).
    """
    local, offset = pl.lit(times.local), pl.lit(times.offset)
    zoned = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    late = local.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null").dt.convert_time_zone("UTC")
    exact = (local - pl.duration(minutes=offset)).dt.replace_time_zone("UTC")
    skipped = offset.is_null() & local.is_not_null() & zoned.is_null()
    read = pl.select(
        utc=pl.when(offset.is_not_null()).then(exact).otherwise(zoned),
        fault=pl.when(skipped)
        .then(pl.lit("skipped"))
        .when(offset.is_null() & (zoned != late))
        .then(pl.lit("doubled"))
        .otherwise(pl.lit(times.fault)),
    )
    return read["utc"], read["fault"]
