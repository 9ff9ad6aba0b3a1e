"""Every hostile file (csv, xlsx, zip, json, xml) through collect and ingest: it ends as EXPECT.csv says, and it is told where."""

import csv
import os
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.integration.hostile_world import STANDARD, HostileWorld, HourClock, Outcome, database_template, feed_toml, points_at

pytestmark = pytest.mark.needs_shared

KINDS = ("csv", "xlsx", "zip", "json", "xml")
#: Their only record is bad, and a delivery of which nothing is left is refused: a good one beside it shows what becomes of each.
ALONE = {"json/j01_duplicate_keys.json", "json/j04_bigint.json", "json/j07_lone_surrogate.json"}
#: What the engineer who sets the feed up declares of the file's form, where the defaults do not fit.
FORMS = {"csv/c23_trailer_mismatch.csv": {"trailer": r"^TRAILER\t(?P<rows>\d+)"}}
HEADERS = {"csv/c36_sep_line.csv": ("sku", "quantity"), "csv/c24_wide_20k_columns.csv": ("sku", "quantity")}
#: A plain quantity: ASCII digits, perhaps with a sign and a fraction that no thousands mark can be mistaken for.
PLAIN_QUANTITY = re.compile(r"[+-]?[0-9]{1,7}(\.[0-9]{1,2})?")


def expectations(shared: Path) -> dict[str, dict[str, str]]:
    with (shared / "hostile/made/EXPECT.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def files() -> list[str]:
    """The names of the walk, known before the fixtures are; none without the shared folder, and then one test is skipped."""
    root = Path(os.environ.get("STOCKFEED_SHARED", REPOSITORY.parent / "shared"))
    listed = expectations(root) if (root / "hostile").is_dir() else {}
    return [name for name in listed if name.startswith(tuple(f"{kind}/" for kind in KINDS))] or ["none"]


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    return database_template(tmp_path_factory.mktemp("database"))


def form_of(name: str) -> dict[str, object]:
    if name.startswith("zip/"):
        return {"type": "delimited", "archive": "gz" if name.endswith(".gz") else "zip"}
    if name.startswith("json/"):
        return {"type": "json_doc"}
    if name.startswith("xml/"):
        return {"type": "xml_doc", "rows": "/stock/item"}
    return {"type": "spreadsheet" if name.startswith("xlsx/") else "delimited", **FORMS.get(name, {})}


def header_of(name: str, content: bytes) -> tuple[str, ...]:
    """The columns of the feed: those of the file's first line where it has any that we know, else the usual ones."""
    if name in HEADERS:
        return HEADERS[name]
    if name.startswith(("xlsx/", "json/")):
        return ("sku", "quantity")
    if name.startswith("xml/"):
        return ("sku", "qty")
    line = content.splitlines()[0].decode("latin-1") if content else ""
    found = tuple(re.split("[,;]", line))
    return found if {"sku", "quantity"} <= set(found) else STANDARD


def earlier_delivery(name: str, content: bytes) -> bytes:
    """A good delivery of the same feed, as it was before the file of a HOLD row arrived."""
    lines = content.decode().splitlines()
    if name == "csv/c20_header_only.csv":
        rows = [f"AB-{n:05},Widget {n},{n % 9 + 1},10.99,EUR,W1" for n in range(40)]
        return "\n".join([lines[0], *rows, ""]).encode()
    if name == "csv/c30_all_zero.csv":
        return "\n".join(
            [lines[0], *(re.sub(r",0,(\d)", rf",{n % 9 + 1},\1", line) for n, line in enumerate(lines[1:])), ""]
        ).encode()
    if name == "csv/c09b_column_reorder.csv":
        return "\n".join([lines[0].replace("price,quantity", "quantity,price"), *lines[1:], ""]).encode()
    assert name == "csv/c42_price_as_quantity.csv"
    return "\n".join([lines[0], *(re.sub(r"^(\w+),(\d+),(\d+)$", r"\1,\3,\2", line) for line in lines[1:]), ""]).encode()


def run(tmp_path: Path, template: Path, shared: Path, name: str) -> tuple[Outcome, HostileWorld]:
    content = (shared / "hostile/made" / name).read_bytes()
    if name in ALONE:
        content = content.removesuffix(b"]") + b',{"sku":"GOOD","quantity":1}]'
    world = HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", form_of(name), header_of(name, content)), HourClock(), template)
    if expectations(shared)[name]["outcome"] == "HOLD":
        first = world.deliver(earlier_delivery(name, content), "earlier.csv")
        assert first.verdict == "ACCEPT", first.told
    return world.deliver(content, Path(name).name), world


@pytest.mark.parametrize("name", files())
def test_each_hostile_file_ends_as_expected_and_says_where(tmp_path, template, shared, name):
    expected = expectations(shared)[name]
    outcome, world = run(tmp_path, template, shared, name)
    world.close()
    right = {expected["outcome"], expected["also_ok"]} - {""}
    if expected["outcome"] == "ACCEPT":
        right.add("ACCEPT_WARN")  # every row in; that there is a note besides is no fault
    assert outcome.verdict in right, outcome.told
    if expected["must_name"] and name != "csv/c12_bad_quantities.csv":
        assert points_at(expected["must_name"], outcome) == "", outcome.told
    if outcome.verdict.startswith("ACCEPT"):
        assert outcome.rows_accepted + outcome.rows_skipped == outcome.rows_read
        assert outcome.rows_accepted > 0
    if outcome.state == "rejected":
        assert outcome.rows_accepted == 0
        assert outcome.reason


def test_every_file_of_the_list_is_walked(shared):
    assert len(files()) == 66
    assert {Path(name).name for name in files()} == {
        path.name for kind in KINDS for path in (shared / "hostile/made" / kind).iterdir()
    }


def test_exactly_the_quantities_that_are_not_plain_numbers_are_rejected(tmp_path, template, shared):
    name = "csv/c12_bad_quantities.csv"
    outcome, world = run(tmp_path, template, shared, name)
    with (shared / "hostile/made" / name).open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    right = {sku: cells[0].strip() for sku, *cells in rows if len(cells) == 1 and PLAIN_QUANTITY.fullmatch(cells[0].strip())}
    good = {sku: float(text) for sku, text in right.items() if float(text) >= 0}
    assert world.stock() == good
    assert len(good) == 7
    assert outcome.rows("row") == {n for n, (sku, *_) in enumerate(rows, 2) if sku not in good}
    world.close()


@pytest.mark.parametrize(
    ("name", "stock"),
    [
        ("csv/c04_utf16le_no_bom.csv", 20),
        ("csv/c18_mixed_line_ends.csv", 9),
        ("csv/c15_formula_injection.csv", 10),
        ("csv/c36_sep_line.csv", {"A1": 5.0}),
        ("csv/c29_duplicate_sku_same.csv", {"AB-00001": 1.0, "AB-00002": 2.0, "AB-00003": 3.0}),
        ("csv/c32_sql_headers.csv", {"A1": 3.0, "'; DROP TABLE inventory; --": 4.0}),
        ("csv/c33_invalid_utf8.csv", {"AB-00002": 2.0, "AB-00003": 3.0}),
        ("csv/c41_case_and_space_skus.csv", {"ab1": 1.0}),
        ("json/j01_duplicate_keys.json", {"GOOD": 1.0}),
        ("json/j02_nan_inf.json", {"A4": 5.0}),
        ("json/j05_numeric_sku.json", {"123": 5.0, "A5": 5.0, "A6": 5.0}),
        ("xlsx/x00_good.xlsx", {"A1": 5.0, "A2": 6.0}),
        ("xlsx/x10_formula_no_cached_value.xlsx", {"A2": 7.0}),
    ],
)
def test_what_is_left_of_a_hostile_file_is_right(tmp_path, template, shared, name, stock):
    _, world = run(tmp_path, template, shared, name)
    found = world.stock()
    world.close()
    assert (len(found) if isinstance(stock, int) else found) == stock


def test_a_refused_file_leaves_the_levels_of_the_last_good_one(tmp_path, template, shared):
    world = HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", {"type": "delimited"}), HourClock(), template)
    good = (
        "sku,description,quantity,price,currency,warehouse\n" + "".join(f"AB-{n},x,{n},1.50,EUR,W1\n" for n in range(1, 31))
    ).encode()
    assert world.deliver(good, "good.csv").verdict == "ACCEPT"
    before = world.stock()
    for name in ("c02_lone_quote_swallows_rest", "c19_truncated_mid_row", "c21_empty", "c24_wide_20k_columns", "c27_json_error"):
        outcome = world.deliver((shared / f"hostile/made/csv/{name}.csv").read_bytes(), f"{name}.csv")
        assert outcome.state == "rejected"
        assert world.stock() == before
    world.close()


@pytest.mark.parametrize("name", sorted(ALONE))
def test_a_document_whose_only_record_is_bad_is_refused_as_a_whole(tmp_path, template, shared, name):
    world = HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", form_of(name), header_of(name, b"")), HourClock(), template)
    outcome = world.deliver((shared / "hostile/made" / name).read_bytes(), Path(name).name)
    assert (outcome.state, world.stock()) == ("rejected", {})
    world.close()


def test_a_gzip_under_a_csv_name_is_read_with_a_note_where_the_feed_says_auto(tmp_path, template, shared):
    form = {"type": "delimited", "archive": "auto"}
    world = HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", form), HourClock(), template)
    outcome = world.deliver((shared / "hostile/made/csv/c44_gzip_named_csv.csv").read_bytes(), "c44_gzip_named_csv.csv")
    assert outcome.verdict == "ACCEPT_WARN"
    assert "arrived as gz data" in outcome.told
    assert "AB-00001" in world.stock()
    world.close()


def test_the_archive_with_two_feeds_is_read_where_the_feed_says_which(tmp_path, template, shared):
    form = {"type": "delimited", "archive": "zip", "member": "stock.csv"}
    world = HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", form), HourClock(), template)
    outcome = world.deliver((shared / "hostile/made/zip/z12_two_feeds.zip").read_bytes(), "z12.zip")
    assert outcome.verdict == "ACCEPT"
    assert world.stock() == {"AB-00001": 1.0, "AB-00002": 2.0, "AB-00003": 3.0}
    world.close()
