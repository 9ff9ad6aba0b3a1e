r"""SKUs that programs like to "repair" come out of file, database, command line, exports and shop as the supplier wrote them.

From a CSV file and from a workbook with text cells, on both databases. The one documented change is the trim of ASCII
blanks around a SKU; everything inside stays, byte for byte (no Unicode normalisation, no numbers, dates, nulls or formulas).
"""

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.cell import WriteOnlyCell

from stockfeed.demo.shop import Shop
from tests.servers.site import Site

COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
WORDS = ("NA", "N/A", "NULL", "null", "None", "nan", "NaN", "True", "FALSE", "yes", "Infinity", "-inf")
NUMBERS = ("001", "0", "-0", "1E5", "1e-05", "1.0", "1.50", "1,5", "0x1F", "1_000", "12345678901234567890", "+49", "-7", "١٢")
DATES = ("MARCH1", "mar1", "44256", "12:30")  # "1-Mar" is what Excel has destroyed already: SKU-EXCEL
MARKS = (
    r"\N",
    r"\n",
    "\\",
    '"',
    '"quoted"',
    "a,b",
    "a;b",
    "'1",
    "a b",
    "=1+1",
    '=HYPERLINK("x")',
    "@SUM",
    "%s",
    "{sku}",
    "--",
    "#",
)
LETTERS = (COMPOSED, DECOMPOSED, f"x{COMPOSED}y", f"x{DECOMPOSED}y", "ß", "İ", "📦-1", "日本", "&lt;b>")
SKUS = (*WORDS, *NUMBERS, *DATES, *MARKS, *LETTERS)
#: As some suppliers write them: the blanks and tabs around are trimmed by rule, and nothing else is.
WRITTEN = {COMPOSED: f" {COMPOSED}", DECOMPOSED: f" {DECOMPOSED}", "001": "001  ", "NA": "\tNA"}
QUANTITIES = {sku: 100 + number for number, sku in enumerate(SKUS)}
AT = datetime.now(UTC) - timedelta(hours=1)
FORMULA = tuple("=+-@")

Rows = list[tuple[str, Any]]


def rows() -> Rows:
    return [(WRITTEN.get(sku, sku), quantity) for sku, quantity in QUANTITIES.items()]


def as_csv(content: Rows) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("SKU", "Qty"), *content])
    return text.getvalue().encode()


def as_workbook(content: Rows) -> bytes:
    """Text cells for SKUs, as a supplier's program writes them: openpyxl itself would take "=1+1" for a formula."""
    book, file = openpyxl.Workbook(write_only=True), io.BytesIO()
    sheet = book.create_sheet("Stock")
    sheet.append(["SKU", "Qty"])
    for sku, quantity in content:
        cell = WriteOnlyCell(sheet, value=sku)
        cell.data_type = "s"
        sheet.append([cell, quantity])
    book.save(file)
    return file.getvalue()


FORMS = {"delimited": ("csv", as_csv), "spreadsheet": ("xlsx", as_workbook)}


def put(site: Site, form: str, content: Rows, *, supplier: str = "acme") -> None:
    ending, write = FORMS[form]
    Site.date(site.inbox / supplier / f"stock.{ending}", write(content), AT)


@pytest.fixture(params=list(FORMS))
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stocked(site: Site, form: str) -> Site:
    """All the SKUs delivered in one file and applied."""
    site.add_supplier(form=form)
    put(site, form, rows())
    [ended] = site.rows("sync")
    assert (ended["state"], ended["rows_accepted"], ended["rows_rejected"]) == ("applied", len(SKUS), 0)
    return site


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop(SKUS) as running:
        yield running


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def sheet_rows(path: Path, sheet: str) -> list[dict[str, Any]]:
    header, *body = openpyxl.load_workbook(path)[sheet].iter_rows()
    assert {cell.data_type for row in body for cell in row}.isdisjoint({"f", "e"})  # no formula, no error
    return [dict(zip([cell.value for cell in header], [cell.value for cell in row], strict=True)) for row in body]


def unescaped(sku: str) -> str:
    """What a person's CSV shows: a leading ' in front of what a spreadsheet would run."""
    return f"'{sku}" if sku.startswith(FORMULA) else sku


def numbers(found: list[Mapping[str, Any]], sku: str = "supplier_sku", quantity: str = "on_hand") -> dict[str, int]:
    assert len({row[sku] for row in found}) == len(found)
    return {row[sku]: int(row[quantity]) for row in found}


def test_inventory_show_gives_every_sku_as_written(stocked: Site) -> None:
    answer = stocked.process("inventory", "show", "--limit", "1000", "--json")
    assert (answer.code, numbers(answer.rows)) == (0, QUANTITIES)
    assert {row["sku"] for row in answer.rows} == set(SKUS)
    for sku, quantity in QUANTITIES.items():
        [level] = stocked("inventory", "show", "--json", "--", sku).rows
        assert (level["supplier_sku"], level["sku"], level["on_hand"]) == (sku, sku, str(quantity))


def test_the_deliverys_problems_are_notes_about_lookalikes_only(stocked: Site) -> None:
    noted = stocked.rows("rejections", "list", "--limit", "1000")
    assert {(row["severity"], row["code"]) for row in noted} <= {("note", "SKU-LOOKALIKE"), ("note", "SKU-EXCEL")}


def test_why_explains_every_sku_under_its_own_name(stocked: Site) -> None:
    for number, (sku, quantity) in enumerate(QUANTITIES.items()):
        [told] = stocked("why", "--json", "--", sku).rows
        [level] = told["levels"]
        assert (told["sku"], level["supplier_sku"], level["on_hand"]) == (sku, sku, str(quantity))
        assert level["source_row"] == number + 2


def test_exports_for_programs_are_exact(stocked: Site) -> None:
    file = stocked.folder / "levels.csv"
    assert stocked.process("inventory", "export", "--exact", "--output", str(file)).code == 0
    assert numbers(csv_rows(file.read_bytes().decode())) == QUANTITIES
    assert numbers(csv_rows(stocked.process("inventory", "export", "--exact").out)) == QUANTITIES
    assert numbers(stocked.process("inventory", "export", "--format", "ndjson").rows) == QUANTITIES


def test_exports_for_people_are_exact_but_for_the_mark_that_keeps_formulas_from_running(stocked: Site) -> None:
    found = numbers(csv_rows(stocked.process("inventory", "export").out))
    assert found == {unescaped(sku): quantity for sku, quantity in QUANTITIES.items()}
    assert stocked("inventory", "export", "--format", "xlsx", "--output", "levels.xlsx").code == 0
    found = numbers(sheet_rows(stocked.folder / "levels.xlsx", "Inventory"), "supplier sku", "on hand")
    assert found == QUANTITIES


def test_the_rejection_file_for_the_supplier_names_every_sku_as_written(site: Site, form: str) -> None:
    site.add_supplier(form=form, more="guard = { rejected_percent = 100, enabled = false }")
    twice = [(sku, quantity + extra) for extra in (0, 1) for sku, quantity in rows()]
    put(site, form, [*twice, *((f"good-{n}", n) for n in range(3))])
    [ended] = site.rows("sync")
    assert (ended["state"], ended["rows_rejected"]) == ("applied", 2 * len(SKUS))
    listed = [row for row in site.rows("rejections", "list", "--limit", "1000") if row["code"] == "SKU-DUPLICATE"]
    assert [row["value"] for row in listed] == [*SKUS, *SKUS]
    [csv_text] = [site.process("rejections", "export").out]
    values = [row["value"] for row in csv_rows(csv_text) if row["code"] == "SKU-DUPLICATE"]
    assert values == [unescaped(sku) for sku in (*SKUS, *SKUS)]
    delivery = str(ended["delivery_id"])
    assert site("rejections", "export", delivery, "--format", "xlsx", "--output", "problems.xlsx").code == 0
    found = sheet_rows(site.folder / "problems.xlsx", "Rejections")
    assert [row["value"] for row in found if row["code"] == "SKU-DUPLICATE"] == [*SKUS, *SKUS]


def test_channels_get_every_sku_as_written(stocked: Site, shop: Shop) -> None:
    (stocked.folder / "out").mkdir()
    for kind in ("csv", "ndjson"):
        stocked.add_channel(f"list_{kind}", "feed_file", f'path = "out"\nformat = "{kind}"\nlocations = ["main"]')
    stocked.add_shop(shop)
    for channel in ("list_csv", "list_ndjson", "shop"):
        stocked.rows("channels", "approve", channel, "--reason", "a test")
        [published] = stocked.rows("publish", channel)
        assert (published["confirmed"], published["failed"]) == (len(SKUS), 0)
    assert numbers(csv_rows((stocked.folder / "out" / "stock.csv").read_bytes().decode()), "sku", "quantity") == QUANTITIES
    lines = (stocked.folder / "out" / "stock.ndjson").read_bytes().decode().splitlines()
    assert numbers([json.loads(line) for line in lines], "sku", "quantity") == QUANTITIES
    assert {sku: shop.available(sku) for sku in SKUS} == QUANTITIES
    assert {item.sku for item in shop.stock.items.values()} == set(SKUS)  # nothing was published under another name
    assert [row["equal"] for row in stocked.rows("reconcile")] == [len(SKUS)] * 3
    for sku in (COMPOSED, DECOMPOSED, "=1+1", r"\N"):
        [told] = stocked("why", "--json", "--channel", "shop", "--", sku).rows
        assert [offer["published_quantity"] for offer in told["available_to_sell"]] == [QUANTITIES[sku]]
