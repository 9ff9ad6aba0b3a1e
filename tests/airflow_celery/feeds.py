"""Forty suppliers with one feed each, a file in each folder, and what the inventory must hold afterwards."""

import os
from pathlib import Path

FEEDS = int(os.environ.get("FEEDS") or "40")
LARGE = 5  # so many of them have a file that takes seconds, so that a worker can be caught at it
_ROWS, _LARGE_ROWS = 200, 50_000

_SUPPLIER = """
[supplier]
code = "s{number:02}"
name = "Supplier {number}"

[[feed]]
code = "stock"
source = {{ type = "folder", path = "{folder}", pattern = "*.csv", settle = "0s" }}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true

[feed.columns]
supplier_sku = "sku"
on_hand = "qty"
"""


def write_feeds(folder: Path) -> dict[str, tuple[int, int]]:
    """Write configuration and files below `folder`; return by feed how many SKUs and units its levels must have."""
    (folder / "config" / "suppliers").mkdir(parents=True)
    (folder / "config" / "channels").mkdir()
    wanted = {}
    for number in range(1, FEEDS + 1):
        inbox = folder / "inboxes" / f"s{number:02}"
        inbox.mkdir(parents=True)
        file = folder / "config" / "suppliers" / f"s{number:02}.toml"
        file.write_text(_SUPPLIER.format(number=number, folder=inbox), "utf-8")
        quantities = [(number * 7 + row) % 50 for row in range(_LARGE_ROWS if number <= LARGE else _ROWS)]
        rows = "".join(f"S{number:02}-{row:06},{quantity}\n" for row, quantity in enumerate(quantities))
        (inbox / "stock.csv").write_text(f"sku,qty\n{rows}", "utf-8")
        wanted[f"s{number:02}.stock"] = (len(quantities), sum(quantities))
    return wanted
