"""The yardstick feed: each kind of damage is found exactly as often as it was made."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from schemas.records import RawBatch
from transforms.normalise import normalise
from transforms.plan import make_plan

COLUMNS = {
    "supplier_sku": "Supplier SKU",
    "on_hand": "Qty",
    "unit_cost": "Cost",
    "location": "Warehouse",
    "gtin": "UPC/GTIN",
    "status": {
        "column": "Status",
        "true": ["Active", "Backorder", "Preorder", "Closeout"],
        "false": ["Inactive", "Discontinued"],
    },
}
WORDS = {"In Stock": 1, "Out of Stock": 0, "{n}+": "{n}", "<{n}": "{n}-1"}
REASONS = {
    "SKU-BLANK": "sku_null",
    "QTY-BLANK": "qty_missing",
    "QTY-NEGATIVE": "qty_negative",
    "QTY-WORD": "qty_invalid",
    "COST-NEGATIVE": "cost_negative",
    "GTIN-CHECK": "gtin_invalid",
    "VALUE-UNKNOWN": "status_unknown",
}


@pytest.mark.needs_shared
@pytest.mark.parametrize("rows", [10_000, 100_000])
def test_every_defect_of_the_yardstick_feed_is_counted_exactly(shared: Path, tmp_path: Path, make_feed: Any, rows: int) -> None:
    out = tmp_path / "feed.csv"
    subprocess.run(
        [sys.executable, shared / "bench/make_feed.py", "--rows", str(rows), "--out", out], check=True, capture_output=True
    )
    expected = json.loads(Path(f"{out}.expected.json").read_text())
    with out.open(newline="", encoding="utf-8") as file:
        header, *records = csv.reader(file)
    whole = [record for record in records if len(record) == len(header)]
    frame = pl.DataFrame({f"c{i}": [record[i] for record in whole] for i in range(len(header))}).with_row_index("row", 2)
    frame = frame.with_columns(pl.col("row").cast(pl.Int64), line=pl.col("row").cast(pl.Int64))
    feed = make_feed(COLUMNS, decimal=".", thousands=",", words=WORDS, gtin="reject", duplicates="first")
    plan = make_plan(feed, tuple(header))
    batches = [normalise(RawBatch(tuple(header), frame[i : i + 30_000]), plan) for i in range(0, frame.height, 30_000)]
    found = Counter(REASONS[r.code] for batch in batches for r in batch.rejections)
    assert found == Counter(expected["rejected"])
    stock = pl.concat([batch.records for batch in batches]).unique(["supplier_sku", "location"], keep="first")
    assert stock.height == expected["valid"]
    assert stock["on_hand"].sum() == expected["sum_qty"] * 1000
    assert stock["unit_cost"].sum() == expected["sum_cost_cents"] * 100
    assert stock["gtin"].null_count() == expected["null_gtin"]
