"""Reads one file with a public library, in an environment of its own: `format_peers.py LIBRARY FILE`. Prints what it found.

Each does no more than find the five values of a record: no check of counts, no text kept as it stands, no limits.
"""

import json
import sys
import warnings
from pathlib import Path


def pyx12(path: str) -> tuple[int, int]:
    from pyx12.x12file import X12Reader

    records = quantities = 0
    with Path(path).open(encoding="ascii") as file:
        for segment in X12Reader(file):
            name = segment.get_seg_id()
            if name == "LIN":
                segment.get_value("LIN03"), segment.get_value("LIN05")
                records += 1
            elif name == "PID":
                segment.get_value("PID05")
            elif name == "QTY":
                quantities += int(segment.get_value("QTY02"))
    return records, quantities


def pydifact(path: str) -> tuple[int, int]:
    from pydifact.parser import Parser

    warnings.simplefilter("ignore")  # about directories that it has no description of
    records = quantities = 0
    with Path(path).open(encoding="ascii") as file:
        for segment in Parser().parse(file.read()):
            records += segment.tag == "LIN"
            if segment.tag == "QTY":
                quantities += int(segment.elements[0][1])
    return records, quantities


def ijson(path: str) -> tuple[int, int]:
    import ijson

    records = quantities = 0
    with Path(path).open("rb") as file:
        for item in ijson.items(file, "items.item"):
            records += 1
            quantities += item["stock"]["free"]
    return records, quantities


def json_module(path: str) -> tuple[int, int]:
    with Path(path).open("rb") as file:
        items = json.load(file)["items"]
    return len(items), sum(item["stock"]["free"] for item in items)


def lxml(path: str) -> tuple[int, int]:
    from lxml import etree

    records = quantities = 0
    for _, item in etree.iterparse(path, tag="item"):
        found = {child.tag: child.text for child in item}
        records += 1
        quantities += int(found["free"])
        item.clear()
        while item.getprevious() is not None:
            del item.getparent()[0]
    return records, quantities


def read_fwf(path: str) -> tuple[int, int]:
    import pandas as pd

    frame = pd.read_fwf(path, widths=[12, 14, 30, 6, 8], names=["sku", "gtin", "text", "free", "price"], dtype=str)
    return len(frame), int(frame["free"].astype(int).sum())


def read_csv(path: str) -> tuple[int, int]:
    import pandas as pd

    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return len(frame), int(frame["free"].astype(int).sum())


if __name__ == "__main__":
    found = globals()[sys.argv[1]](sys.argv[2])
    print(json.dumps(dict(zip(("records", "quantities"), found, strict=True))))
