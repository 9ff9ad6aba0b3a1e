"""One file as large as the default limit allows (200 MB) of each format, fetched and applied by one `stockfeed sync`.

`.venv/bin/python bench/large_files.py`; ONLY=json_doc,edifact measures some. Whole processes into an empty SQLite database:
wall and processor seconds, and the highest resident set of the command and of the process that it reads in. Each file's rows must
all be accepted. The figures stand in `results/large_files.json`. Ends with 1 when a format takes more memory than MEGABYTES.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reading import COMMAND, measured

MEGABYTES = 512  # limits.memory_bytes of the process that reads
SIZE = int(os.environ.get("SIZE") or "199_900_000")
ONLY = [name for name in (os.environ.get("ONLY") or "").split(",") if name]
RESULTS = Path(__file__).parent / "results/large_files.json"
_TEXT = "Part {n}, zinc plated steel, for indoor use, packed by the piece, ready to be sent today"
_SUPPLIER = """
[supplier]
code = "bench"
name = "Bench"
[[feed]]
code = "stock"
source = {{ type = "folder", path = "inbox", pattern = "*", settle = "0s" }}
format = {{ type = "{type}", {form} }}
timezone = "UTC"
quantities = "net"
stale_after = "3650d"
trust_first = true
decimal = "."
[feed.columns]
supplier_sku = "{sku}"
{quantity} = "{column}"
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a format is written here: its beginning, a record, its end (of so many records), and its declaration."""

    head: str
    record: Callable[[int], str]
    end: Callable[[int], str]
    form: str = ""
    sku: str = "sku"
    column: str = "qty"
    quantity: str = "on_hand"


def _record(n: int) -> dict[str, object]:
    return {"sku": f"ACM-{n:07}", "text": _TEXT.format(n=n % 977), "qty": n % 900, "place": f"W{n % 4}"}


def _xml(n: int) -> str:
    return "<item>" + "".join(f"<{name}>{value}</{name}>" for name, value in _record(n).items()) + "</item>\n"


def _fixed(n: int) -> str:
    one = _record(n)
    return f"{one['sku']:<12}{one['text']:<100}{one['qty']:>8}{one['place']:<4}\n"


def _delimited(n: int) -> str:
    return ";".join(map(str, _record(n).values())) + "\n"


_ANSWERS = 'acknowledge = "none"'
_X12_HEAD = (
    "ISA*00*          *00*          *ZZ*SUPPLIER       *ZZ*BUYER          *261123*1253*U*00401*000000905*0*P*>~\n"
    "GS*IB*SUPPLIER*BUYER*20261123*1253*1*X*004010~\nST*846*0001~\nBIA*00*DD*STK1*20261123*1253~\n"
)
_EDIFACT_HEAD = (
    "UNA:+.? '\nUNB+UNOC:3+SUPPLIER:14+BUYER:14+261123:1253+905'\n"
    "UNH+1+INVRPT:D:96A:UN:EAN004'\nBGM+35+STK1+9'\nDTM+137:20261123:102'\n"
)


def _x12(n: int) -> str:
    return f"LIN*{n + 1}*VP*ACM-{n:07}~\nPID*F****{_TEXT.format(n=n % 977)}~\nQTY*33*{n % 900}*EA~\n"


def _x12_end(lines: int) -> str:
    return f"CTT*{lines}~\nSE*{lines * 3 + 4}*0001~\nGE*1*1~\nIEA*1*000000905~\n"


def _edifact(n: int) -> str:
    text = _TEXT.format(n=n % 977)
    return f"LIN+{n + 1}++ACM-{n:07}:SA'\nIMD+F++:::{text[:35]}:{text[35:]}'\nQTY+145:{n % 900}:PCE'\n"


def _edifact_end(lines: int) -> str:
    return f"UNT+{lines * 3 + 4}+1'\nUNZ+1+905'\n"


_SHEET_ROWS = 1_048_575  # of a workbook, below its header
_PARTS = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>"
    ),
    "xl/workbook.xml": (
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        '<sheets><sheet name="Stock" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>"
    ),
}


def _cells(texts: Iterable[object]) -> str:
    cells = "".join(
        f"<c><v>{text}</v></c>" if isinstance(text, int) else f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts
    )
    return f"<row>{cells}</row>"


def write_workbook(path: Path) -> int:
    """Write a workbook with as many rows as a sheet may have, of just under SIZE bytes, and return its records.

    The text is what no packing makes smaller than half.
    """
    chance, length = random.Random(1), max(1, SIZE // _SHEET_ROWS - 46)  # noqa: S311 - the same file each time
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        for name, text in _PARTS.items():
            book.writestr(name, text)
        with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>')
            sheet.write(_cells(["sku", "text", "qty", "place"]).encode())
            for n in range(_SHEET_ROWS):
                sheet.write(_cells((_record(n) | {"text": chance.randbytes(length).hex()}).values()).encode())
            sheet.write(b"</sheetData></worksheet>")
    return _SHEET_ROWS


_FIELDS = "fields = { sku = [1, 12], text = [13, 112], qty = [113, 120], place = [121, 124] }"
KINDS = {
    "delimited": Kind("sku;text;qty;place\n", _delimited, lambda _: "", 'delimiter = ";"'),
    "fixed_width": Kind("", _fixed, lambda _: "", _FIELDS),
    "json_doc": Kind("[", lambda n: ("," if n else "") + json.dumps(_record(n)) + "\n", lambda _: "]"),
    "xml_doc": Kind("<stock>", _xml, lambda _: "</stock>", 'rows = "/stock/item"'),
    "edi_x12": Kind(_X12_HEAD, _x12, _x12_end, _ANSWERS, "supplier_sku", "available", "available"),
    "edifact": Kind(_EDIFACT_HEAD, _edifact, _edifact_end, _ANSWERS, "supplier_sku", "on_hand"),
    "spreadsheet": Kind("", lambda _: "", lambda _: ""),  # written by write_workbook
}


def write(kind: Kind, path: Path) -> int:
    """Write a file of just under SIZE bytes and return its records."""
    with path.open("w", encoding="ascii") as file:
        written, lines = file.write(kind.head), 0
        room = SIZE - len(kind.end(2_000_000))
        while written + len(text := kind.record(lines)) <= room:
            written += file.write(text)
            lines += 1
        file.write(kind.end(lines))
    return lines


def measure(name: str, folder: Path) -> dict[str, object]:
    """Return the figures of one format. Ends the program unless every record was accepted."""
    kind, environ = KINDS[name], {"PATH": os.defpath, "STOCKFEED_LOG_LEVEL": "ERROR"}
    measured([str(COMMAND), "init"], folder, environ)
    (folder / "inbox").mkdir()
    path = folder / "inbox/stock"
    lines = write_workbook(path) if name == "spreadsheet" else write(kind, path)
    told = _SUPPLIER.format(type=name, form=kind.form, sku=kind.sku, quantity=kind.quantity, column=kind.column)
    (folder / "config/suppliers/bench.toml").write_text(told.replace(",  }", " }"), encoding="utf-8")
    answer, wall, processor, memory = measured([str(COMMAND), "sync", "bench.stock", "--json"], folder, environ)
    accepted = json.loads(answer)["rows_accepted"]
    if accepted != lines:
        sys.exit(f"{name}: {accepted} rows accepted, not {lines}: {answer}")
    size = (folder / "inbox/stock").stat().st_size
    return {
        "format": name, "bytes": size, "records": lines, "wall_s": round(wall, 1), "cpu_s": round(processor, 1),
        "megabytes": round(memory), "at_most": MEGABYTES, "within": memory <= MEGABYTES,
    }  # fmt: skip


def rows(names: list[str]) -> Iterator[dict[str, object]]:
    """Yield the figures of each format, and print them."""
    for name in names:
        with tempfile.TemporaryDirectory(prefix="stockfeed-bench-") as folder:
            row = measure(name, Path(folder))
        print(json.dumps(row), flush=True)
        yield row


def main() -> int:
    """Measure, keep the figures of a whole run, and return the exit code."""
    found = list(rows(ONLY or list(KINDS)))
    if not ONLY and SIZE == 199_900_000:  # noqa: PLR2004 - the default above
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
        RESULTS.write_text(json.dumps({"commit": commit, "rows": found}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["within"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
