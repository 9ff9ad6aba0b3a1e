"""The feeds that are measured, with known outcomes: the yardsticks' own generator where it is at hand, else a small one.

`<feed>.expected.json` beside each feed says how many rows are valid and quarantined, what they add up to, and what changed.
"""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SHARED = Path(os.environ.get("STOCKFEED_SHARED") or Path(__file__).resolve().parent.parent.parent / "shared") / "bench"

_HEADER = "Supplier SKU,UPC/GTIN,Description,Qty,Cost,Warehouse,Restock Date,Status,Discontinued\n"
_SPOILED = {37: "negative", 411: "short", 613: "blank"}  # of each 1,000 rows


@dataclass(frozen=True, slots=True)
class Expected:
    """What is right about a feed: rows by outcome, units, cents, and rows changed against the unchanged feed."""

    valid: int
    quarantined: int
    units: int
    cents: int
    changed: int


@dataclass(frozen=True, slots=True)
class FeedFile:
    """A feed on disk and what it must come to."""

    path: Path
    expected: Expected


def feed_file(folder: Path, rows: int, change: float = 0.0) -> FeedFile:
    """Return the feed of so many rows, of which the share `change` differs from the unchanged one; made once."""
    generator = SHARED / "make_feed.py"
    kind = "shared" if generator.is_file() else "own"
    path = folder / f"{kind}_{rows}_{change:g}.csv"
    notes = Path(f"{path}.expected.json")
    if not notes.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "shared":
            command = [sys.executable, generator, "--rows", str(rows), "--out", path, "--change", str(change)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        else:
            notes.write_text(json.dumps(_write(path, rows, change)))
    found = json.loads(notes.read_text())
    names = ("valid", "quarantined", "sum_qty", "sum_cost_cents", "changed_vs_base")
    return FeedFile(path, Expected(*(int(found[name]) for name in names)))


def _write(path: Path, rows: int, change: float) -> dict[str, int]:
    """Write a feed of unique SKUs with three spoiled rows in each thousand, and return what is right about it."""
    spoiled = {n for n in range(rows) if n % 1000 in _SPOILED}
    changed = set(random.Random(7).sample([n for n in range(rows) if n not in spoiled], round(rows * change)))  # noqa: S311
    units = cents = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEADER)
        for n in range(rows):
            quantity, cost = n * 7919 % 900 + (3 if n in changed else 0), 100 + n * 31 % 9000
            fault = _SPOILED.get(n % 1000)
            if fault == "short":
                file.write(f"ACM-{n:08},short row\n")
                continue
            shown = "-3" if fault == "negative" else "" if fault == "blank" else f"{quantity:,}" if n % 2 else f" {quantity}"
            price = f"{cost // 100}.{cost % 100:02}"
            file.write(f'ACM-{n:08},,"Part {n % 977}, ""size"" {n % 13}","{shown}",{price},W{n % 5},,Active,N\n')
            if fault is None:
                units, cents = units + quantity, cents + cost
    valid = rows - len(spoiled)
    sums = {"sum_qty": units, "sum_cost_cents": cents, "changed_vs_base": len(changed)}
    return {"rows": rows, "valid": valid, "quarantined": len(spoiled), **sums}
