"""Reads one file as a feed's reader does, limited child process and all: `format_ours.py FORMAT FILE`. Prints what it found."""

import json
import sys
from pathlib import Path

from schemas.feed_config import TypedSection
from stockfeed.reading import read_batches

_PATHS = ("sku", "gtin", "text", "free", "price")
_OPTIONS: dict[str, dict[str, object]] = {
    "edi_x12": {},
    "edifact": {"quantities": {"145": "available"}},
    "json_doc": {"rows": "$.items[*]"},
    "xml_doc": {"rows": "/stock/item"},
    "fixed_width": {"fields": {"sku": [1, 12], "gtin": [13, 26], "text": [27, 56], "free": [57, 62], "price": [63, 70]}},
    "delimited": {"delimiter": ","},
}
_COLUMNS = {"json_doc": ("sku", "gtin", "text", "stock.free", "price")}


def main(kind: str, path: str) -> None:
    """Count the records and add up their quantities, so that a reading that is not right is seen."""
    section = TypedSection.model_validate({"type": kind, **_OPTIONS[kind]})
    columns = () if kind.startswith("edi") else _COLUMNS.get(kind, _PATHS)
    records = quantities = 0
    for batch in read_batches(Path(path), section, expected_columns=columns):
        name = "available" if kind.startswith("edi") else columns[3]
        column = batch.frame.get_column(f"c{batch.header.index(name)}")
        records += batch.frame.height
        quantities += column.str.strip_chars().cast(int).sum()
    print(json.dumps({"records": records, "quantities": quantities}))


if __name__ == "__main__":
    main(*sys.argv[1:])
