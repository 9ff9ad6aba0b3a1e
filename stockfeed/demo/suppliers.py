"""What the demo's suppliers send, in two rounds, put where each of them puts it; and the SKUs the demo's shop lists.

Never asks the network: the files are the package's own, and the spreadsheets are written from its CSV files.
"""

import csv
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

SOLD_SKU = "AR-1001"  # the shop sells some of it between the two rounds
_DATA = Path(__file__).parent / "data"
_DELIVERIES = _DATA / "deliveries"
_HEADERS = {"Artikelnummer": ";", "Item": ",", "Part Number": ","}
_TITLE_ROWS = (("Harbour & Hall Outdoor: stock at close of business",), ())


def write_config(target: Path, mailbox: Path) -> None:
    """Copy the demo's configuration to `target`, with the folder of mailed spreadsheets filled in."""
    for kind in ("suppliers", "channels"):
        (target / kind).mkdir(parents=True)
        for file in (_DATA / "config" / kind).iterdir():
            text = file.read_text(encoding="utf-8").replace("@MAILBOX@", mailbox.as_posix())
            (target / kind / file.name).write_text(text, encoding="utf-8")


def first_round(server: Path, mailbox: Path) -> None:
    """Put the first deliveries in place: all of them good, with single bad rows."""
    for folder in (server / "alpenrad", server / "pacific", mailbox):
        folder.mkdir(parents=True, exist_ok=True)
    _put(_DELIVERIES / "alpenrad_bestand.csv", server / "alpenrad" / "bestand.csv")
    an_hour_ago = time.time() - 3600
    os.utime(server / "alpenrad" / "bestand.csv", (an_hour_ago, an_hour_ago))
    _put(_DELIVERIES / "pacific_inventory_1.csv", server / "pacific" / "inventory_1.csv")
    write_workbook(_DELIVERIES / "harbour_stock_1.csv", mailbox / "Stock Monday.xlsx")


def second_round(server: Path, mailbox: Path) -> None:
    """Put the second deliveries in place: the same bytes again, a small change, and one that says 0 for everything."""
    again = server / "alpenrad" / "bestand.csv"
    os.utime(again)  # uploaded again: a new arrival of the same bytes
    _put(_DELIVERIES / "pacific_inventory_2.csv", server / "pacific" / "inventory_2.csv")
    write_workbook(_DELIVERIES / "harbour_stock_2.csv", mailbox / "Stock Tuesday.xlsx")


def write_workbook(rows: Path, target: Path) -> None:
    """Write a CSV file as a spreadsheet a person would mail: two title rows, a header, numbers as numbers, SKUs as text."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    for title in _TITLE_ROWS:
        sheet.append(title)
    with rows.open(encoding="utf-8", newline="") as text:
        for number, cells in enumerate(csv.reader(text)):
            sheet.append(cells if number == 0 else [_cell(cell) for cell in cells])
    part = target.with_suffix(".part")  # never read half-written: sources ignore *.part
    book.save(part)
    part.rename(target)


def listed_skus() -> dict[str, int]:
    """Return what the shop lists before stockfeed comes: every SKU of the suppliers' files, with 0 available."""
    return {sku: 0 for file in _DELIVERIES.iterdir() for sku in _skus(file)}


def _skus(file: Path) -> Iterator[str]:
    with file.open(encoding="cp1252" if file.name.startswith("alpenrad") else "utf-8", newline="") as text:
        first = text.readline().split(";")[0].split(",")[0]
        yield from (row[0] for row in csv.reader(text, delimiter=_HEADERS[first]) if row[0])


def _cell(text: str) -> str | int | float:
    if text.isdecimal() and (text == "0" or not text.startswith("0")):
        return int(text)
    whole, point, fraction = text.partition(".")
    return float(text) if point and whole.isdecimal() and fraction.isdecimal() else text


def _put(file: Path, target: Path) -> None:
    part = target.with_suffix(".part")
    shutil.copyfile(file, part)
    part.rename(target)
