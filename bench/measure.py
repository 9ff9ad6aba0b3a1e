"""Measures one feed from arrival to applied on SQLite: first delivery, the same bytes again, and one row in a hundred changed.

Never part of the tests: figures depend on the machine. `make bench`, or ROWS=100000 make bench.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROWS = int(os.environ.get("ROWS") or "1000000")
SUPPLIER = """
[supplier]
code = "bench"
name = "Bench"
[[feed]]
code = "stock"
source = { type = "folder", path = "INBOX", settle = "0s" }
format = { type = "delimited", delimiter = "," }
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
thousands = ","
currency = "USD"
words = { "{n}+" = "{n}" }
columns = { supplier_sku = "SKU", available = "Qty", location = "Warehouse", unit_cost = "Cost" }
"""


def write_feed(path: Path, changed: int) -> None:
    """Write ROWS rows of a supplier's stock; every hundredth quantity depends on `changed`."""
    with path.open("w", encoding="utf-8") as file:
        file.write("SKU,Description,Qty,Warehouse,Cost\n")
        for n in range(ROWS):
            quantity = (n * 7919 + (changed if n % 100 == 0 else 0)) % 900
            shown = f"{quantity}+" if n % 50 == 1 else str(quantity)
            file.write(f'{n:08},"Part {n % 977}, size {n % 13}",{shown},W{n % 4},{n % 300}.{n % 90 + 10}\n')


def measured(what: str, work: Callable[[], str]) -> None:
    """Do the work and print its wall and processor seconds, and the highest memory of this process so far."""
    wall, processor = time.perf_counter(), time.process_time()
    outcome = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<28} {outcome:<10} {wall:7.2f} s wall {processor:7.2f} s cpu {memory:7.0f} MB highest")


def main() -> None:
    """Measure in a folder that is removed afterwards."""
    from stockfeed.bootstrap import open_app
    from stockfeed.logs import configure_logging
    from stockfeed.pipeline import collect, ingest
    from stockfeed.settings import load_settings
    from stockfeed.store.upgrade import upgrade

    configure_logging("ERROR")
    with tempfile.TemporaryDirectory(prefix="stockfeed-bench-") as name:
        folder = Path(name)
        for part in ("inbox", "config/suppliers", "config/channels", ".state"):
            (folder / part).mkdir(parents=True)
        (folder / "config/suppliers/bench.toml").write_text(SUPPLIER.replace("INBOX", str(folder / "inbox")))
        with open_app(load_settings({}, cwd=folder)) as app:
            upgrade(app.engine)

            def sync() -> str:
                return ", ".join(ingest(app, delivery).state for delivery in collect(app, "bench.stock").delivery_ids)

            print(f"{ROWS} rows, SQLite, one process")
            for file, what, changed in (
                ("1", "first delivery", 0),
                ("2", "the same bytes again", 0),
                ("3", "one row in a hundred", 5),
            ):
                write_feed(folder / "inbox" / f"{file}.csv", changed)
                measured(what, sync)


if __name__ == "__main__":
    main()
