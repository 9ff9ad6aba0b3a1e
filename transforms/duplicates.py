"""What to do with rows of one key: keep equal ones once, and treat different ones as the feed's policy says.

Pure: works on a frame of the rows concerned, which the caller found by key hashes.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from schemas.columns import KEY_COLUMNS, QUANTITY_COLUMNS
from schemas.records import RECORD_SCHEMA
from schemas.rejections import Rejection, rejection

Policy = Literal["reject", "first", "last", "sum", "max"]

_VALUES = [name for name in RECORD_SCHEMA if name not in {"row", "line", *KEY_COLUMNS}]


@dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome for rows that share keys.

    `drop` are the numbers (n) that leave the staged rows, `refused` those of them that are rejected, `quantities` (n, on_hand,
    available, on_order) new values of kept rows, `rejected_keys` keys of which no row is left. `rejections` are as many of
    the `total` as were asked for.
    """

    drop: pl.Series
    refused: pl.Series
    quantities: pl.DataFrame
    rejected_keys: pl.DataFrame
    rejections: list[Rejection]
    total: int


def doubled_numbers(hashes: pl.Series) -> pl.Series:
    """Return the 1-based positions whose key hash occurs more than once (8 bytes a row, whatever the keys' length).

    Sorting takes as much again; a table of all hashes would take five times that.
    """
    ordered = hashes.sort()
    doubled = ordered.filter(ordered == ordered.shift(1)).unique()
    return hashes.is_in(doubled.implode()).arg_true() + 1 if doubled.len() else pl.Series([], dtype=pl.UInt32)


def descents(keys: pl.Series) -> int:
    """Return how many keys are smaller than the key before them: 0 when they are sorted by their bytes."""
    return int((keys < keys.shift(1)).sum())


def key_hashes(records: pl.DataFrame) -> pl.Series:
    """Return one 64-bit hash per record over its key columns."""
    return records.select(pl.struct(KEY_COLUMNS).hash(seed=0).alias("key")).to_series()


def resolve(rows: pl.DataFrame, policy: Policy, *, limit: int | None = None, column: str = "supplier_sku") -> Resolution:
    """Return what becomes of `rows` (n + RECORD_SCHEMA): those whose keys really are equal, by `policy`.

    Equal values are always one row and a note. Different values: "reject" refuses all of them, "first" and "last" refuse
    the others, "sum" and "max" fold the quantities into the first row. At most `limit` rejections are made, one for a row
    of the file however many records it gave; `column` is the file's own name for the SKU.
    """
    keys = list(KEY_COLUMNS)
    rows = rows.sort("n").filter(pl.struct(keys).is_duplicated())
    different = (
        rows.select(pl.struct(_VALUES).n_unique().over(keys) > 1).to_series() if rows.height else pl.Series([], dtype=pl.Boolean)
    )
    conflicting, repeated = rows.filter(different), rows.filter(~different)
    equal = repeated.filter(~pl.struct(keys).is_first_distinct())
    if policy in ("sum", "max"):
        losers, folded = conflicting.clear(), conflicting.filter(~pl.struct(keys).is_first_distinct())
    else:
        losers, folded = _losers(conflicting, policy), conflicting.clear()
    limit = rows.height if limit is None else limit
    refused, repeats = (frame.unique("row", keep="first", maintain_order=True) for frame in (losers, equal))
    told = [_conflict(row, policy, column) for row in refused.head(limit).iter_rows(named=True)]
    room = limit - len(told)
    return Resolution(
        drop=pl.concat([equal["n"], losers["n"], folded["n"]]).sort(),
        refused=losers["n"],
        quantities=_folded(conflicting, policy),
        rejected_keys=(conflicting if policy == "reject" else conflicting.clear()).select(keys).unique(),
        rejections=told + [_repeated(row, column) for row in repeats.head(room).iter_rows(named=True)],
        total=refused.height + repeats.height,
    )


def _folded(conflicting: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return n of the first row of each key and its quantities, added up or the greatest; unknown only if all are."""
    columns = {"n": pl.Int64, **dict.fromkeys(QUANTITY_COLUMNS, pl.Int64)}
    if policy not in ("sum", "max"):
        return pl.DataFrame(schema=columns)
    known = [
        pl.when(pl.col(name).is_not_null().any()).then(getattr(pl.col(name).drop_nulls(), policy)()).alias(name)
        for name in QUANTITY_COLUMNS
    ]
    return conflicting.group_by(KEY_COLUMNS, maintain_order=True).agg(pl.col("n").first(), *known).select(list(columns))


def _losers(conflicting: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    key = pl.struct(KEY_COLUMNS)
    if policy == "first":
        return conflicting.filter(~key.is_first_distinct())
    if policy == "last":
        return conflicting.filter(~key.is_last_distinct())
    return conflicting


def _repeated(row: dict[str, object], column: str) -> Rejection:
    return rejection(
        "SKU-DUPLICATE",
        row=_int(row["row"]),
        line=_int(row["line"]),
        column=column,
        value=str(row["supplier_sku"]),
        message="the same row occurs more than once; it is counted once",
        remedy='Nothing to do, unless the rows were meant to be added up: then set duplicates = "sum".',
        severity="note",
    )


def _conflict(row: dict[str, object], policy: Policy, column: str) -> Rejection:
    kept = {"first": "; the first one is used", "last": "; the last one is used"}.get(policy, "; none of them is used")
    return rejection(
        "SKU-DUPLICATE",
        row=_int(row["row"]),
        line=_int(row["line"]),
        column=column,
        value=str(row["supplier_sku"]),
        message=f"the same SKU, location and condition occurs more than once with different values{kept}",
    )


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
