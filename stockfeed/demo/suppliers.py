"""What the demo's suppliers send, in two rounds, by the door that each of them uses; and the SKUs the demo's shop lists.

Never asks the network: the files are the package's own, and spreadsheets are made of its CSV files.
"""

import csv
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from stockfeed.demo.mail_server import Attachment, MailServer
from stockfeed.demo.shop import Shop
from stockfeed.demo.spreadsheet import Number, Spreadsheet

#: What our outlet has on its shelves; the display bicycle is not counted there.
OUTLET = {"OUT-01": 3, "OUT-02": 1, "OUT-03": 0, "HH00205": 2, "OUT-04": 12}
OUTLET_UNCOUNTED = "OUT-DISPLAY"
SOLD_SKU = "AR-1001"  # the shop sells some of it between the two rounds
INTERCHANGES = 2  # that the supplier who speaks EDI sends, one in each round
HOUR = 3600
_DATA = Path(__file__).parent / "data"
_DELIVERIES = _DATA / "deliveries"
_HEADERS = {"Artikelnummer": ";", "Item": ",", "Part Number": ",", "Artikel": ","}
_TITLE_ROWS = (("Harbour & Hall Outdoor: stock at close of business",), ())
_WORKBOOK = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")
_WORKSHEET = "Stock"


@dataclass(frozen=True, slots=True)
class Doors:
    """Where stock comes from: a folder that an SFTP server shows, our mailbox, a supplier's spreadsheet, our outlet's own shop."""

    sftp: Path
    mailbox: MailServer
    sheet: Spreadsheet
    outlet: Shop

    def answers(self) -> list[str]:
        """Return the EDI answers that we have put onto a supplier's server, oldest first."""
        return [file.read_text("utf-8") for file in sorted((self.sftp / "midland" / "in").iterdir())]


def write_config(target: Path) -> None:
    """Copy the demo's configuration to `target`."""
    for kind in ("suppliers", "channels"):
        shutil.copytree(_DATA / "config" / kind, target / kind)


def new_sheet() -> Spreadsheet:
    """Return the spreadsheet of the supplier that keeps its stock in one, still without rows."""
    return Spreadsheet("1demo-lumen", "Lumen", _now(0), {_WORKSHEET: []})


def new_outlet() -> Shop:
    """Return our outlet's own shop, not yet open."""
    shop = Shop(OUTLET)
    shop.stock.add(OUTLET_UNCOUNTED, 1, tracked=False)
    return shop


def first_round(doors: Doors) -> None:
    """Put the first deliveries in place: all of them good, with single bad rows."""
    for folder in ("alpenrad", "pacific", "midland/out", "midland/in"):
        (doors.sftp / folder).mkdir(parents=True, exist_ok=True)
    bestand = doors.sftp / "alpenrad" / "bestand.csv"
    _put(_DELIVERIES / "alpenrad_bestand.csv", bestand)
    os.utime(bestand, (time.time() - HOUR,) * 2)
    _put(_DELIVERIES / "pacific_inventory_1.csv", doors.sftp / "pacific" / "inventory_1.csv")
    _put(_DELIVERIES / "midland_846_1.edi", doors.sftp / "midland" / "out" / "846_000000001.edi")
    _mail(doors.mailbox, "Monday", 1)
    _edit(doors.sheet, 1, HOUR)


def second_round(doors: Doors) -> None:
    """Put the second deliveries in place: the same bytes again, small changes, and one that says 0 for everything."""
    os.utime(doors.sftp / "alpenrad" / "bestand.csv")  # uploaded again: a new arrival of the same bytes
    _put(_DELIVERIES / "pacific_inventory_2.csv", doors.sftp / "pacific" / "inventory_2.csv")
    _put(_DELIVERIES / "midland_846_2.edi", doors.sftp / "midland" / "out" / "846_000000002.edi")
    _mail(doors.mailbox, "Tuesday", 2)
    _edit(doors.sheet, 2, 0)
    doors.outlet.sell("OUT-01", 2)


def _mail(mailbox: MailServer, day: str, number: int) -> None:
    book = workbook(_DELIVERIES / f"harbour_stock_{number}.csv")
    mailbox.deliver("stock@harbour.example", f"Stock {day}", Attachment(f"Stock {day}.xlsx", book, _WORKBOOK))


def _edit(sheet: Spreadsheet, number: int, ago: float) -> None:
    """Let a person have typed the rows into the spreadsheet: numbers as numbers, SKUs as text."""
    with (_DELIVERIES / f"lumen_voorraad_{number}.csv").open(encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    sheet.cells[_WORKSHEET] = [[*header], *([row[0], row[1], *map(_sheet_cell, row[2:])] for row in rows)]
    sheet.modified = _now(ago)


def _sheet_cell(text: str) -> object:
    number = _cell(text)
    return text if isinstance(number, str) else Number(number, f"{number:,}")


def _now(ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - ago))


def workbook(rows: Path) -> bytes:
    """Return a CSV file as a spreadsheet a person would mail: two title rows, a header, numbers as numbers, SKUs as text."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    for title in _TITLE_ROWS:
        sheet.append(title)
    with rows.open(encoding="utf-8", newline="") as text:
        for number, cells in enumerate(csv.reader(text)):
            sheet.append(cells if number == 0 else [_cell(cell) for cell in cells])
    book.save(saved := BytesIO())
    return saved.getvalue()


def listed_skus() -> dict[str, int]:
    """Return what the shop lists before stockfeed comes: every SKU of the suppliers' files, with 0 available."""
    return {sku: 0 for file in _DELIVERIES.iterdir() for sku in _skus(file)} | dict.fromkeys((*OUTLET, OUTLET_UNCOUNTED), 0)


def _skus(file: Path) -> Iterator[str]:
    if file.suffix == ".edi":
        yield from re.findall(r"LIN\*\d+\*VP\*([^*~]+)", file.read_text("utf-8"))
        return
    with file.open(encoding="cp1252" if file.name.startswith("alpenrad") else "utf-8", newline="") as text:
        first = text.readline().split(";")[0].split(",")[0]
        yield from (row[0] for row in csv.reader(text, delimiter=_HEADERS[first]) if row[0])


def _cell(text: str) -> str | int | float:
    if text.isdecimal() and (text == "0" or not text.startswith("0")):
        return int(text)
    whole, point, fraction = text.partition(".")
    return float(text) if point and whole.isdecimal() and fraction.isdecimal() else text


def _put(file: Path, target: Path) -> None:
    part = target.with_suffix(".part")  # never read half-written: sources ignore *.part
    shutil.copyfile(file, part)
    part.rename(target)
