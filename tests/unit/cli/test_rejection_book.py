"""The workbook of rejected rows that is mailed to a supplier: grouped, readable in print, and never a formula."""

import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from schemas.errors import ConfigError
from schemas.rejections import CODES
from schemas.supplier_requests import REQUESTS
from stockfeed.cli.rejection_book import write_rejection_book

FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\uff1d1", "#N/A", "=1+1", "1e5", "001", "TRUE"]


def rejected(row: int | None, code: str = "QTY-FORMAT", value: str | None = "x", **others: Any) -> dict[str, Any]:
    entry = CODES[code]
    found = {"feed": "acme.stock", "delivery_id": 7, "file": "stock.csv", "number": row, "row": row, "line": row, "column": "Qty"}
    told = {"value": value, "code": code, "message": entry.sentence, "remedy": entry.remedy, "severity": "row"}
    return found | told | others


def book(tmp_path: Path, *rows: Mapping[str, Any]) -> openpyxl.Workbook:
    path = tmp_path / "for_supplier.xlsx"
    write_rejection_book(rows, path)
    return openpyxl.load_workbook(path)


def table(sheet: Any, header: int = 1) -> list[dict[str, Any]]:
    names, *rows = list(sheet.iter_rows(min_row=header, values_only=True))
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_the_rows_are_grouped_by_problem_and_then_in_the_order_of_the_file(tmp_path: Path) -> None:
    note = rejected(2, "GTIN-CHECK", severity="note")
    found = book(tmp_path, note, rejected(9), rejected(4, "SKU-BLANK", ""), rejected(3), rejected(5, "SKU-BLANK", ""), rejected(40))
    assert found.sheetnames == ["Summary", "Rejections"]
    assert [(row["code"], row["row"], row["line"], row["effect"]) for row in table(found["Rejections"])] == [
        ("QTY-FORMAT", 3, 3, "row not used"),
        ("QTY-FORMAT", 9, 9, "row not used"),
        ("QTY-FORMAT", 40, 40, "row not used"),
        ("SKU-BLANK", 4, 4, "row not used"),
        ("SKU-BLANK", 5, 5, "row not used"),
        ("GTIN-CHECK", 2, 2, "used, please check"),
    ]
    assert [(row["code"], row["rows"], row["for example in rows"]) for row in table(found["Summary"], 4)] == [
        ("QTY-FORMAT", 3, "3, 9, 40"),
        ("SKU-BLANK", 2, "4, 5"),
        ("GTIN-CHECK", 1, "2"),
    ]


def test_each_row_says_where_and_what_it_is_and_what_to_send_instead(tmp_path: Path) -> None:
    found = book(tmp_path, rejected(3, "QTY-LOCALE", "1.250", message="is it 1250 or 1.25?"))
    (row,) = table(found["Rejections"])
    assert {name: row[name] for name in ("row", "line", "column", "value", "what is wrong", "what to send instead")} == {
        "row": 3,
        "line": 3,
        "column": "Qty",
        "value": "1.250",
        "what is wrong": "is it 1250 or 1.25?",
        "what to send instead": REQUESTS["QTY-LOCALE"],
    }
    assert found["Summary"]["A1"].value == "Rows that need correction in stock.csv"


def test_a_file_that_was_refused_as_a_whole_is_asked_for_in_words_for_the_supplier(tmp_path: Path) -> None:
    whole = rejected(None, "FILE-UNREADABLE", None, remedy="Declare format.member.", message="two candidate members", line=None)
    found = book(tmp_path, whole)
    (row,) = table(found["Rejections"])
    assert (row["effect"], row["what is wrong"]) == ("file not used", "two candidate members")
    assert row["what to send instead"] == table(found["Summary"], 4)[0]["what to send instead"] == REQUESTS["FILE-UNREADABLE"]


def test_lines_and_files_are_left_out_where_they_say_nothing(tmp_path: Path) -> None:
    of_a_workbook = book(tmp_path, rejected(3, line=None))
    assert not {"line", "file"} & set(table(of_a_workbook["Rejections"])[0])
    of_two = book(tmp_path, rejected(3), rejected(2, file="other.csv"))
    assert [(row["file"], row["row"]) for row in table(of_two["Rejections"])] == [("other.csv", 2), ("stock.csv", 3)]


def test_every_code_has_words_for_the_supplier_that_do_not_speak_of_our_configuration() -> None:
    assert set(REQUESTS) - {"ALL-REJECTED"} == set(CODES)  # the guard's own word for a delivery of which nothing is left
    assert [text for text in REQUESTS.values() if any(word in text for word in ("[feed", "format.", "`", "feed"))] == []


def test_texts_wrap_below_a_frozen_header_and_print_on_one_page_in_width(tmp_path: Path) -> None:
    found = book(tmp_path, *(rejected(row) for row in range(2, 30)))
    for sheet, frozen in ((found["Summary"], "A5"), (found["Rejections"], "A2")):
        assert sheet.freeze_panes == frozen
        assert sheet.auto_filter.ref is not None
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToWidth in (None, 1)) == ("landscape", True)
        assert (sheet.page_setup.fitToHeight, sheet.sheet_properties.pageSetUpPr.fitToPage) == (0, True)
        assert all(8 <= sheet.column_dimensions[cell.column_letter].width <= 60 for cell in sheet[int(frozen[1:]) - 1])
    long = book(tmp_path, rejected(3, message="word " * 40))["Rejections"]
    assert all(cell.alignment.wrap_text for cell in long[2])
    assert long.row_dimensions[2].height >= 5 * 15


def test_no_cell_is_anything_but_a_text_or_our_own_count(tmp_path: Path) -> None:
    found = book(tmp_path, *(rejected(row, value=text, column=text) for row, text in enumerate(FORMULAS, 2)))
    for sheet in found:
        for cell in (cell for row in sheet.iter_rows() for cell in row if cell.value is not None):
            assert cell.data_type == ("n" if isinstance(cell.value, int) else "s"), cell.coordinate
    assert [row["value"] for row in table(found["Rejections"])] == FORMULAS


def test_nothing_rejected_is_a_workbook_too_and_a_missing_folder_a_clear_error(tmp_path: Path) -> None:
    assert book(tmp_path).sheetnames == ["Summary", "Rejections"]
    with pytest.raises(ConfigError, match="cannot be written"):
        write_rejection_book([], tmp_path / "no" / "x.xlsx")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_a_real_office_program_finds_texts_and_no_formula(tmp_path: Path) -> None:
    book(tmp_path, *(rejected(row, value=text) for row, text in enumerate(FORMULAS, 2)))
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = ["soffice", profile, "--headless", "--convert-to", "fods", "for_supplier.xlsx"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=240, check=True)
    cells = [
        element
        for element in ET.parse(tmp_path / "for_supplier.fods").iter()
        if element.tag.endswith("}table-cell") and any(child.tag.endswith("}p") for child in element)
    ]
    assert not [name for element in cells for name in element.attrib if name.endswith("}formula")]
    texts = {"".join(element.itertext()).strip() for element in cells}
    assert {text for text in FORMULAS if "\t" not in text} <= texts
