"""Hostile files whose outcome the readers decide; the expected outcomes are in the shared folder's EXPECT.csv."""

import csv
import json
import subprocess
import sys

import pytest

from schemas.errors import DeliveryError

pytestmark = pytest.mark.needs_shared

QUARANTINED = {
    "c01_nul_bytes.csv": [("ROW-CONTROL", 5)],
    "c05_bom_in_middle.csv": [("ROW-CONTROL", 4)],
    "c33_invalid_utf8.csv": [("ENC-BAD", 2)],
    "c35_ctrl_z.csv": [("ROW-CONTROL", 5)],
    "c39_quote_styles.csv": [("ROW-QUOTE", 3)],
}
ACCEPTED = {"c04_utf16le_no_bom.csv": 20, "c18_mixed_line_ends.csv": 9, "c36_sep_line.csv": 1, "c15_formula_injection.csv": 10}
REFUSED = [
    ("c02_lone_quote_swallows_rest.csv", "FILE-UNREADABLE"),
    ("c07_duplicate_header.csv", "HEADER-DUPLICATE"),
    ("c19_truncated_mid_row.csv", "FILE-TRUNCATED"),
    ("c21_empty.csv", "FILE-EMPTY"),
    ("c24_wide_20k_columns.csv", "FILE-LIMIT"),
    ("c26_html_login_page.csv", "FILE-NOT-TABLE"),
    ("c27_json_error.csv", "FILE-NOT-TABLE"),
    ("c44_gzip_named_csv.csv", "FILE-NOT-TABLE"),
]
BAD_WORKBOOKS = [
    ("x01_bomb_sheet_200MB.xlsx", "FILE-LIMIT"),
    ("x03_billion_laughs_sheet.xlsx", "FILE-UNREADABLE"),
    ("x04_billion_laughs_sst.xlsx", "FILE-UNREADABLE"),
    ("x06_xxe_http.xlsx", "FILE-UNREADABLE"),
    ("x07_quadratic_blowup.xlsx", "FILE-UNREADABLE"),
    ("x12_truncated.xlsx", "FILE-UNREADABLE"),
    ("x13_duplicate_member.xlsx", "FILE-UNREADABLE"),
    ("x15_csv_named_xlsx.xlsx", "FILE-NOT-TABLE"),
    ("x16_html_named_xls.xls", "FILE-NOT-TABLE"),
    ("x18_deep_xml.xlsx", "FILE-LIMIT"),
    ("x19_wrong_crc.xlsx", "FILE-UNREADABLE"),
]


@pytest.fixture(scope="module")
def must_name(shared):
    with (shared / "hostile/made/EXPECT.csv").open(newline="") as file:
        return {row["file"]: row["must_name"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", QUARANTINED)
def test_bad_rows_are_kept_aside_and_the_others_load(shared, read_csv, name):
    read = read_csv((shared / "hostile/made/csv" / name).read_bytes())
    assert read.rejected == QUARANTINED[name]
    assert read.cells


@pytest.mark.parametrize("name", ACCEPTED)
def test_odd_but_whole_files_are_read(shared, read_csv, name):
    read = read_csv((shared / "hostile/made/csv" / name).read_bytes())
    assert len(read.cells) == ACCEPTED[name]
    assert not read.rejections


@pytest.mark.parametrize(("name", "code"), REFUSED)
def test_broken_files_are_refused_with_what_is_wrong(shared, read_csv, must_name, name, code):
    with pytest.raises(DeliveryError) as caught:
        read_csv((shared / "hostile/made/csv" / name).read_bytes())
    assert caught.value.code == code
    assert any(words in caught.value.message for words in must_name[f"csv/{name}"].split(" or "))


@pytest.mark.parametrize(("name", "code"), BAD_WORKBOOKS)
def test_dangerous_workbooks_are_refused_with_what_is_wrong(shared, read_sheet, must_name, name, code):
    with pytest.raises(DeliveryError) as caught:
        read_sheet((shared / "hostile/made/xlsx" / name).read_bytes())
    assert caught.value.code == code
    for words in must_name[f"xlsx/{name}"].split(": "):
        assert words in caught.value.message


def test_the_good_workbook_is_read(shared, read_sheet):
    assert read_sheet((shared / "hostile/made/xlsx/x00_good.xlsx").read_bytes()).cells == [("A1", "5"), ("A2", "6")]


def test_numeric_skus_are_whole_or_reported(shared, read_sheet):
    read = read_sheet((shared / "hostile/made/xlsx/x09_numeric_skus.xlsx").read_bytes(), identifier_columns=["sku"])
    assert [cells[0] for cells in read.cells][:3] == ["123", "4006381333931", "00123"]
    assert [(p.row, p.code) for p in read.problems] == [(5, "SKU-EXCEL"), (6, "SKU-EXCEL")]


def test_a_formula_never_calculated_is_reported_and_the_calculated_one_read(shared, read_sheet):
    read = read_sheet((shared / "hostile/made/xlsx/x10_formula_no_cached_value.xlsx").read_bytes())
    assert read.cells == [("A1", ""), ("A2", "7")]
    assert [(p.row, p.column, p.code) for p in read.problems] == [(2, 1, "QTY-CELL")]
    assert "cell B2" in read.problems[0].value


def test_public_csv_files_end_in_rows_or_a_delivery_error(shared, read_csv):
    folders = ("registry/csv-spectrum", "registry/csvkit", "fetched/messytables")
    files = [path for folder in folders for path in sorted((shared / "hostile" / folder).rglob("*")) if path.is_file()]
    refusals = []
    for path in files:
        try:
            read_csv(path.read_bytes())
        except DeliveryError as error:
            refusals.append(error)
    assert all(error.message and error.hint for error in refusals)
    assert len(files) > 50
    assert len(refusals) < len(files)


def test_csv_spectrum_gives_the_right_answers(shared, read_csv):
    root = shared / "hostile/registry/csv-spectrum"
    checked = 0
    for answer in sorted(root.rglob("*.json")):
        if answer.stem == "location_coordinates":
            continue  # its answer has another phone number than its own CSV
        for source in root.rglob(f"{answer.stem}.csv"):
            read = read_csv(source.read_bytes(), delimiter=",")
            rows = [dict(zip(read.header, cells, strict=True)) for cells in read.cells]
            right = json.loads(answer.read_text(encoding="utf-8"))
            assert rows == (right if isinstance(right, list) else [right]), answer.stem
            checked += 1
    assert checked >= 8


@pytest.mark.parametrize("extra", [[], ["--crlf", "--bom"], ["--delimiter", ";"], ["--embedded-newlines"]])
def test_every_malformed_row_of_the_bench_feed_is_found_and_no_other(shared, read_csv, tmp_path, extra):
    feed = tmp_path / "feed.csv"
    script = shared / "bench/make_feed.py"
    subprocess.run([sys.executable, str(script), "--rows", "10000", "--out", str(feed), *extra], check=True, capture_output=True)
    expected = json.loads((tmp_path / "feed.csv.expected.json").read_text())
    read = read_csv(feed.read_bytes())
    assert {r.code for r in read.rejections} == {"ROW-WIDTH"}
    assert len(read.rejections) == expected["malformed"]
    assert len(read.cells) == expected["rows"] - expected["malformed"]
    lines = feed.read_bytes().splitlines()
    for rejected in read.rejections:
        assert lines[(rejected.line or 0) - 1].decode("utf-8-sig").startswith((rejected.value or "")[:20])
