"""Cell problems in flight: small frames of what is wrong where, and their turning into Rejections.

Never decides whether something is wrong: the parsers do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from schemas.rejections import CODES, Rejection, rejection

#: `at` is the position of the row in the batch; `message` null means the catalogue's sentence.
PROBLEM_SCHEMA: Mapping[str, Any] = {
    "at": pl.UInt32,
    "column": pl.String,
    "value": pl.String,
    "code": pl.String,
    "severity": pl.String,
    "message": pl.String,
}

NO_PROBLEMS = pl.DataFrame(schema=PROBLEM_SCHEMA)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The typed values of one column (as long as the batch, null where unknown or wrong) and what is wrong with it."""

    values: pl.Series
    problems: pl.DataFrame = field(default_factory=lambda: NO_PROBLEMS)


def problems_where(
    mask: pl.Series,
    values: pl.Series,
    code: str,
    *,
    severity: Literal["row", "note"] = "row",
    message: str | None = None,
) -> pl.DataFrame:
    """Return one problem of `code` for each true position of `mask` (null counts as false); PROBLEM_SCHEMA, no column yet."""
    at = mask.arg_true()
    return problems_at(at, values.gather(at), code, severity=severity, message=message)


def problems_at(
    at: pl.Series,
    values: pl.Series,
    code: str | pl.Series,
    *,
    severity: Literal["row", "note"] = "row",
    message: str | pl.Series | None = None,
) -> pl.DataFrame:
    """Return one problem for each position in `at`; `values`, and series given as `code` and `message`, go along with it."""
    if not at.len():
        return NO_PROBLEMS
    return pl.select(
        at=at.cast(pl.UInt32),
        column=pl.lit(None, dtype=pl.String),
        value=values,
        code=code if isinstance(code, pl.Series) else pl.lit(code),
        severity=pl.lit(severity),
        message=message if isinstance(message, pl.Series) else pl.lit(message, dtype=pl.String),
    )


def in_column(problems: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return `problems` with the header column's name filled in."""
    return problems.with_columns(column=pl.lit(column)) if problems.height else problems


def as_rejections(problems: pl.DataFrame, rows: pl.DataFrame) -> tuple[Rejection, ...]:
    """Return the Rejections of `problems` in the order of the file; `rows` (row, line) gives the coordinates of `at`."""
    placed = problems.sort("at", maintain_order=True)
    places = rows.select("row", "line")[placed["at"]]
    return tuple(
        rejection(
            code,
            row=row,
            line=line,
            column=column,
            value=value,
            message=message or CODES[code].sentence,
            severity="note" if severity == "note" else "row",
        )
        for (_, column, value, code, severity, message), (row, line) in zip(placed.iter_rows(), places.iter_rows(), strict=True)
    )
