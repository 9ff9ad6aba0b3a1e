"""Durations ("90s", "30m", "24h", "7d") and percentages ("2.5%") as configuration writes them."""

import re
from datetime import timedelta
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])", re.ASCII)


def parse_duration(value: object) -> timedelta:
    """Return the timedelta that a text such as "24h" or "1h 30m" means. Raises ValueError for anything else."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if parts and not _DURATION.sub("", value).strip():
            return timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in parts))
    msg = f'a duration is text with a unit, for example "90s", "30m", "24h" or "7d" (got {value!r})'
    raise ValueError(msg)


def format_duration(value: timedelta) -> str:
    """Return the shortest text that `parse_duration` reads back as `value`."""
    seconds = value.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:g}s"


def parse_percent(value: object) -> Fraction:
    """Return the exact fraction that a text such as "2.5%" means (2.5% → 1/40). Raises ValueError for a bare number."""
    if isinstance(value, Fraction):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?\s*%", value.strip(), re.ASCII):
        return Fraction(value.strip().rstrip("% ")) / 100
    msg = f'a percentage is text with a percent sign, for example "25%" (got {value!r})'
    raise ValueError(msg)


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)]
Percent = Annotated[Fraction, BeforeValidator(parse_percent), PlainSerializer(lambda f: f"{float(f * 100):g}%", return_type=str)]
