"""Stock files for the measurements of formats: the same records (SKU, barcode, text, quantity, price) in every format."""

import json
from collections.abc import Iterator
from pathlib import Path

from edi import edifact, x12


def _records(count: int) -> Iterator[tuple[str, str, str, int, str]]:
    for number in range(1, count + 1):
        yield f"AB-{number:07}", "4006381333931", f"Widget number {number}", number % 500, f"{number % 90 + 1}.25"


def _json(count: int) -> Iterator[str]:
    yield '{"success": true, "items": [\n'
    for number, (sku, gtin, text, quantity, price) in enumerate(_records(count)):
        item = {"sku": sku, "gtin": gtin, "text": text, "stock": {"free": quantity}, "price": float(price)}
        yield (",\n" if number else "") + json.dumps(item)
    yield "\n]}\n"


def _xml(count: int) -> Iterator[str]:
    yield "<stock>\n"
    for sku, gtin, text, quantity, price in _records(count):
        yield f"<item><sku>{sku}</sku><gtin>{gtin}</gtin><text>{text}</text><free>{quantity}</free><price>{price}</price></item>\n"
    yield "</stock>\n"


def _fixed_width(count: int) -> Iterator[str]:
    for sku, gtin, text, quantity, price in _records(count):
        yield f"{sku:<12}{gtin:<14}{text:<30}{quantity:>6}{price:>8}\n"


def _csv(count: int) -> Iterator[str]:
    yield "sku,gtin,text,free,price\n"
    for record in _records(count):
        yield ",".join(map(str, record)) + "\n"


MAKERS = {"edi_x12": x12, "edifact": edifact, "json_doc": _json, "xml_doc": _xml, "fixed_width": _fixed_width, "delimited": _csv}


def made(folder: Path, kind: str, count: int) -> Path:
    """Return the file of a format with so many records."""
    path = folder / f"{kind}-{count}"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="ascii") as file:
            file.writelines(MAKERS[kind](count))
    return path


def total(count: int) -> int:
    """Return the sum of all quantities of a file."""
    return sum(number % 500 for number in range(1, count + 1))
