"""Measures `stockfeed sync` of a large workbook by each engine, and of a CSV file as large as the limit allows: whole processes.

Never part of the tests: figures depend on the machine. `.venv/bin/python bench/reading.py`; FILE=stock.xlsx (or .csv) measures that
file instead of one made here, TIMES=3 repeats, DATABASES=postgresql takes a server (bench/postgresql.py) instead of SQLite, and
DATABASES=sqlite,postgresql both in turns.

Seconds of processor are user and system time of the command and of the process that it reads in; memory is the highest resident
set of any of them. A database server's own is not in it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from postgresql import fresh_database, postgres

FILE = os.environ.get("FILE")
TIMES = int(os.environ.get("TIMES") or "1")
DATABASES = (os.environ.get("DATABASES") or "sqlite").split(",")
WORKBOOK_ROWS = 100_000
CSV_BYTES = 199_900_000  # just under the default limit on a file
COMMAND = Path(sys.executable).parent / "stockfeed"
HEADER = ("Supplier SKU", "UPC/GTIN", "Description", "Qty", "Cost", "Warehouse", "Restock Date", "Status", "Discontinued")
SUPPLIER = """
[supplier]
code = "bench"
name = "Bench"
[[feed]]
code = "stock"
source = {{ type = "folder", path = "inbox", settle = "0s" }}
format = {{ {form} }}
timezone = "UTC"
quantities = "net"
stale_after = "3650d"
trust_first = true
thousands = ","
words = {{ "In Stock" = 1, "Out of Stock" = 0, "{{n}}+" = "{{n}}", "<{{n}}" = "{{n}}-1" }}
[feed.columns]
supplier_sku = "Supplier SKU"
gtin = "UPC/GTIN"
available = "Qty"
unit_cost = "Cost"
location = "Warehouse"
next_available_on = {{ column = "Restock Date", formats = ["%Y-%m-%d", "%m/%d/%Y", "%d-%b-%Y", "%Y%m%d"] }}
"""
CASES = {
    "workbook, openpyxl": (".xlsx", 'type = "spreadsheet"'),
    "workbook, calamine": (".xlsx", 'type = "spreadsheet", engine = "calamine"'),
    "text, 200 MB": (".csv", 'type = "delimited", delimiter = ","'),
}


def records() -> Iterator[tuple[str | float, ...]]:
    """Yield rows of a supplier's stock without an end."""
    number = 0
    while True:
        sku, quantity = f"ACM-{number:07}", (number * 7919) % 900
        shown: str | float = f"{quantity}+" if number % 50 == 1 else quantity
        day = f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}" if number % 4 == 0 else ""
        text = f"Part {number % 977}, size {number % 13}, zinc plated steel, for indoor use, packed by the piece"
        yield sku, "", text, shown, number % 300 + 0.25, f"W{number % 4}", day, "Active", "N"
        number += 1


def write_workbook(path: Path) -> None:
    """Write WORKBOOK_ROWS rows and their header."""
    from openpyxl.workbook import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    sheet.append(HEADER)
    for _, row in zip(range(WORKBOOK_ROWS), records(), strict=False):
        sheet.append(row)
    book.save(path)


def write_text(path: Path) -> None:
    """Write as many rows as fit into CSV_BYTES."""
    with path.open("w", encoding="utf-8") as file:
        written = file.write(",".join(HEADER) + "\n")
        for row in records():
            line = ",".join(f'"{cell}"' if "," in str(cell) else str(cell) for cell in row) + "\n"
            if written + len(line) > CSV_BYTES:
                return
            written += file.write(line)


def measured(command: list[str], folder: Path, environ: dict[str, str]) -> tuple[str, float, float, float]:
    """Return the command's output, its wall and processor seconds, and the megabytes of its largest process."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {told}")
    return told, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure(what: str, form: str, file: Path, server: str | None) -> None:
    """Sync one file in a folder of its own into an empty database, SQLite or of a server, and print what it took."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stockfeed-bench-")))
        environ = {"PATH": os.defpath, "STOCKFEED_LOG_LEVEL": "ERROR"}
        if server is not None:
            environ["STOCKFEED_DATABASE_URL"] = stack.enter_context(fresh_database(server))
        measured([str(COMMAND), "init"], folder, environ)
        (folder / "inbox").mkdir()
        (folder / "config/suppliers/bench.toml").write_text(SUPPLIER.format(form=form), encoding="utf-8")
        shutil.copyfile(file, folder / "inbox" / file.name)
        told, wall, processor, memory = measured([str(COMMAND), "sync", "bench.stock"], folder, environ)
        where = "SQLite" if server is None else "PostgreSQL"
        print(
            f"{what:<20} {where:<10} {wall:7.2f} s wall {processor:7.2f} s cpu {memory:7.0f} MB   {' '.join(told.split())}",
            flush=True,
        )


def main() -> None:
    """Measure every case that the file fits, TIMES times, in turns."""
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="stockfeed-bench-"))
        servers = [None if database == "sqlite" else stack.enter_context(postgres()) for database in DATABASES]
        made = {".xlsx": Path(name) / "stock.xlsx", ".csv": Path(name) / "stock.csv"}
        if FILE:
            made = {Path(FILE).suffix: Path(FILE).resolve()}
        else:
            write_workbook(made[".xlsx"])
            write_text(made[".csv"])
        for _ in range(TIMES):
            for what, (suffix, form) in CASES.items():
                for server in servers if suffix in made else ():
                    measure(what, form, made[suffix], server)


if __name__ == "__main__":
    main()
