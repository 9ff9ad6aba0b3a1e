"""Per-warehouse columns: which header columns they are, and one record per location from them.

Never counts a blank warehouse cell as 0.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from schemas.errors import ConfigError, DeliveryError
from schemas.feed_config import Wide
from schemas.rejections import escape_value
from transforms.columns import BLANKS, FromColumn, column_texts, find_column, first_present, quoted
from transforms.flags import parse_flags
from transforms.problems import in_column, problems_where
from transforms.quantity import QuantityRules, parse_quantities


@dataclass(frozen=True, slots=True)
class WideColumn:
    """One warehouse: its location, its column, and the column that says whether the item is kept there, if there is one."""

    location: str
    column: FromColumn
    enabled: FromColumn | None = None


@dataclass(frozen=True, slots=True)
class WideReading:
    """For each warehouse, in header order, its quantities and which cells are given; and all problems.

    A cell with a problem is given too: the row is rejected, and the level of that warehouse is unconfirmed, not missing.
    """

    columns: tuple[WideColumn, ...]
    values: tuple[pl.Series, ...]
    given: tuple[pl.Series, ...]
    problems: tuple[pl.DataFrame, ...]


def wide_columns(
    wide: Wide, header: Sequence[str], taken: Collection[int], missing: list[tuple[str, Sequence[str]]]
) -> tuple[WideColumn, ...]:
    """Return the warehouse columns of the header; absent ones are added to `missing`.

    `taken` are positions that other fields read: a pattern never matches them. Raises ConfigError for a bad pattern and
    DeliveryError when two columns give one location.
    """
    if wide.pattern is None:
        found = [(location.strip(), name, find_column(name, header)) for location, name in wide.columns.items()]
        missing += [(f"location {location}", (name,)) for location, name, column in found if column is None]
        columns = [WideColumn(location, column) for location, _, column in found if column]
    else:
        pattern = _compiled(wide.pattern)
        matches = [(i, name.strip(), pattern.fullmatch(name.strip())) for i, name in enumerate(header) if i not in taken]
        columns = [WideColumn(m["location"].strip(), FromColumn(i, name)) for i, name, m in matches if m and m["location"]]
        if not columns:
            missing.append(("[feed.wide]", (wide.pattern,)))
    _check_distinct(columns)
    return tuple(_with_enabled(wide, header, missing, column) for column in columns)


def _with_enabled(wide: Wide, header: Sequence[str], missing: list[tuple[str, Sequence[str]]], column: WideColumn) -> WideColumn:
    """Return `column` with its flag column; an absent one is added to `missing` unless it is optional."""
    if wide.enabled is None:
        return column
    names = [name.replace("{location}", column.location) for name in wide.enabled.column]
    enabled = first_present(names, header)
    if enabled is None and wide.enabled.required:
        missing.append((f"location {column.location}", names))
    return WideColumn(column.location, column.column, enabled)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"[feed.wide] pattern {pattern!r} is not a regular expression: {error}",
            'Write for example "Stock (?P<location>.+)".',
        ) from error
    if "location" not in compiled.groupindex:
        raise ConfigError(
            f"[feed.wide] pattern {pattern!r} has no group named location", 'Write for example "Stock (?P<location>.+)".'
        )
    return compiled


def _check_distinct(columns: Sequence[WideColumn]) -> None:
    seen: dict[str, str] = {}
    for wide in columns:
        if wide.location in seen:
            raise DeliveryError(
                f"header columns {quoted(seen[wide.location])} and {quoted(wide.column.name)} both give location "
                f"{quoted(wide.location)}",
                "Rename one of the columns, or correct [feed.wide].",
                code="HEADER-DUPLICATE",
                column=escape_value(wide.column.name),
            )
        seen[wide.location] = wide.column.name


def read_wide(frame: pl.DataFrame, columns: tuple[WideColumn, ...], wide: Wide, rules: QuantityRules) -> WideReading:
    """Return the quantities of all warehouse columns.

    A blank cell is not given, and a problem only where the feed wants none; what its flag column switches off is not given, and
    nothing of its cell is a problem.
    """
    values, given, problems = [], [], []
    for column in columns:
        texts = column_texts(frame, column.column).str.strip_chars(BLANKS)
        off = switched_off(frame, column, wide)
        if off is not None and wide.enabled and column.enabled:
            flags = parse_flags(column_texts(frame, column.enabled).str.strip_chars(BLANKS), wide.enabled)
            problems.append(in_column(flags.problems, column.enabled.name))
            texts = texts.set(off, "")
        parsed = parse_quantities(texts, rules)
        there = texts != ""
        values.append(parsed.values)
        problems.append(in_column(parsed.problems, column.column.name))
        if wide.blank == "reject":
            blank = ~there if off is None else ~there & ~off
            problems.append(in_column(problems_where(blank, texts, "QTY-BLANK"), column.column.name))
            there |= blank
        given.append(there)
    return WideReading(columns, tuple(values), tuple(given), tuple(problems))


def with_unread(reading: WideReading, unread: Mapping[int, pl.Series]) -> WideReading:
    """Return `reading` with the cells that the reader could not read (column → positions of rows) as given ones."""
    given = tuple(
        there.scatter(unread[column.column.position], True) if column.column.position in unread else there
        for column, there in zip(reading.columns, reading.given, strict=True)
    )
    return replace(reading, given=given)


def switched_off(frame: pl.DataFrame, column: WideColumn, wide: Wide) -> pl.Series | None:
    """Return for each row whether the warehouse's flag column says no; None when it has none."""
    if wide.enabled is None or column.enabled is None:
        return None
    return parse_flags(column_texts(frame, column.enabled).str.strip_chars(BLANKS), wide.enabled).no


def one_per_location(rows: pl.DataFrame, reading: WideReading, quantity: str, keep: pl.Series) -> pl.DataFrame:
    """Return a frame with `location` and `quantity` filled in, one row per given warehouse cell of the rows in `keep`.

    `rows` is as long as the batch and has the column `row`; the order is that of the file, then of the header.
    """
    parts = [
        rows.with_columns(location=pl.lit(wide.location), number=pl.lit(order, dtype=pl.UInt32))
        .with_columns(values.alias(quantity))
        .filter(keep & given)
        for order, (wide, values, given) in enumerate(zip(reading.columns, reading.values, reading.given, strict=True))
    ]
    return pl.concat(parts).sort("row", "number").drop("number")
