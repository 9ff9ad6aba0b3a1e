"""What to do with rows of one key: keep equal ones once, and treat different ones as the feed's policy says.

Pure: works on a frame of the rows concerned, which the caller found by key hashes.
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from schemas.records import KEY_COLUMNS, QUANTITY_COLUMNS, RECORD_SCHEMA
from schemas.rejections import Rejection, rejection

Policy = Literal["reject", "first", "last", "sum", "max"]

_VALUES = [name for name in RECORD_SCHEMA if name not in {"row", "line", *KEY_COLUMNS}]


@dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome for rows that share keys.

    `drop` are the numbers (n) that leave the staged rows, `equal` how many of them only repeated another row, `quantities`
    (n, on_hand, available, on_order) new values of kept rows, `rejected_keys` keys of which no row is left.
    """

    drop: list[int]
    equal: int
    quantities: pl.DataFrame
    rejected_keys: pl.DataFrame
    rejections: list[Rejection]


def doubled_numbers(hashes: pl.Series) -> list[int]:
    """Return the 1-based positions whose key hash occurs more than once (8 bytes a row, whatever the keys' length)."""
    doubled = hashes.is_duplicated()
    return (doubled.arg_true() + 1).to_list()


def key_hashes(records: pl.DataFrame) -> pl.Series:
    """Return one 64-bit hash per record over its key columns."""
    return records.select(pl.struct(KEY_COLUMNS).hash(seed=0).alias("key")).to_series()


def resolve(rows: pl.DataFrame, policy: Policy) -> Resolution:
    """Return what becomes of `rows` (n + RECORD_SCHEMA): those whose keys really are equal, by `policy`.

    Equal values are always one row and a note. Different values: "reject" refuses all of them, "first" and "last" refuse
    the others, "sum" and "max" fold the quantities into the first row.
    """
    keys = list(KEY_COLUMNS)
    rows = rows.sort("n").filter(pl.struct(keys).is_duplicated())
    different = (
        rows.select(pl.struct(_VALUES).n_unique().over(keys) > 1).to_series() if rows.height else pl.Series([], dtype=pl.Boolean)
    )
    conflicting, repeated = rows.filter(different), rows.filter(~different)
    equal = repeated.filter(~pl.struct(keys).is_first_distinct())
    rejections = [_repeated(row) for row in equal.iter_rows(named=True)]
    empty = pl.DataFrame(schema={"n": pl.Int64, **dict.fromkeys(QUANTITY_COLUMNS, pl.Int64)})
    drop, quantities, rejected_keys = equal["n"].to_list(), empty, rows.select(keys).clear()
    if policy in ("sum", "max"):
        fold = [getattr(pl.col(name).drop_nulls(), policy)().alias(name) for name in QUANTITY_COLUMNS]
        known = [
            pl.when(pl.col(name).is_not_null().any()).then(f).otherwise(None).alias(name)
            for name, f in zip(QUANTITY_COLUMNS, fold, strict=True)
        ]
        quantities = conflicting.group_by(keys, maintain_order=True).agg(pl.col("n").first(), *known).select(empty.columns)
        drop += conflicting.filter(~pl.struct(keys).is_first_distinct())["n"].to_list()
    else:
        losers = _losers(conflicting, policy)
        drop += losers["n"].to_list()
        rejections += [_conflict(row, policy) for row in losers.iter_rows(named=True)]
        if policy == "reject":
            rejected_keys = conflicting.select(keys).unique()
    return Resolution(sorted(drop), equal.height, quantities, rejected_keys, rejections)


def _losers(conflicting: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    key = pl.struct(KEY_COLUMNS)
    if policy == "first":
        return conflicting.filter(~key.is_first_distinct())
    if policy == "last":
        return conflicting.filter(~key.is_last_distinct())
    return conflicting


def _repeated(row: dict[str, object]) -> Rejection:
    return rejection(
        "SKU-DUPLICATE",
        row=_int(row["row"]),
        line=_int(row["line"]),
        column="supplier_sku",
        value=str(row["supplier_sku"]),
        message="the same row occurs more than once; it is counted once",
        remedy='Nothing to do, unless the rows were meant to be added up: then set duplicates = "sum".',
        severity="note",
    )


def _conflict(row: dict[str, object], policy: Policy) -> Rejection:
    kept = {"first": "; the first one is used", "last": "; the last one is used"}.get(policy, "; none of them is used")
    return rejection(
        "SKU-DUPLICATE",
        row=_int(row["row"]),
        line=_int(row["line"]),
        column="supplier_sku",
        value=str(row["supplier_sku"]),
        message=f"the same SKU, location and condition occurs more than once with different values{kept}",
    )


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
