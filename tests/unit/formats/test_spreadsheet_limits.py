"""The limits on workbooks, each just over, at, and just under what a workbook measures."""

import io
import zipfile

import openpyxl
import pytest

from schemas.errors import DeliveryError
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.sheet_choice import choose_sheet


def workbook(*rows, sheets: int = 1) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    first = book.create_sheet("Stock")
    for row in rows:
        first.append(row)
    for number in range(sheets - 1):
        book.create_sheet(f"Other {number}").sheet_state = "hidden"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def with_sheet(data: bytes, change) -> bytes:
    """The workbook with `change` applied to the XML of its first sheet."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == "xl/worksheets/sheet1.xml" else content)
    return buffer.getvalue()


def around(read_sheet, data, setting, measured, **others):
    """Whether the workbook is read at one over, exactly at, and one under the measured value; what refuses must be this limit."""
    found = []
    for limit in (measured + 1, measured, measured - 1):
        error = None
        try:
            read_sheet(data, limits={**others, setting: limit})
        except DeliveryError as caught:
            error = caught
        assert error is None or (error.code == "FILE-LIMIT" and f"{limit} ({setting})" in error.message)
        found.append(error is None)
    return found


LIMIT_HOLDS = [True, True, False]
ROWS = (["sku", "quantity"], *([f"A{n}", n] for n in range(10)))


def test_rows(read_sheet):
    assert around(read_sheet, workbook(*ROWS), "rows", 10) == LIMIT_HOLDS


def test_columns(read_sheet):
    header = [f"c{n}" for n in range(12)]
    assert around(read_sheet, workbook(header, header), "columns", 12) == LIMIT_HOLDS


def test_cells(read_sheet):
    assert around(read_sheet, workbook(*ROWS), "cells", 20) == LIMIT_HOLDS


@pytest.mark.parametrize("text", ["x" * 40, "é" * 20])
def test_field_size(read_sheet, text):
    assert around(read_sheet, workbook(["sku", "quantity"], [text, 1]), "field_bytes", 40) == LIMIT_HOLDS


def test_sheets(read_sheet):
    assert around(read_sheet, workbook(*ROWS, sheets=4), "sheets", 4) == LIMIT_HOLDS


def test_file_size(read_sheet):
    data = workbook(*ROWS)
    assert around(read_sheet, data, "file_bytes", len(data)) == LIMIT_HOLDS


def test_parts(read_sheet):
    data = workbook(*ROWS)
    parts = len(zipfile.ZipFile(io.BytesIO(data)).namelist())
    assert around(read_sheet, data, "members", parts) == LIMIT_HOLDS


def test_unpacked_size(read_sheet):
    data = workbook(*ROWS)
    size = sum(info.file_size for info in zipfile.ZipFile(io.BytesIO(data)).infolist())
    assert around(read_sheet, data, "unpacked_bytes", size) == LIMIT_HOLDS


def test_ratio(read_sheet):
    data = with_sheet(workbook(*ROWS), lambda xml: xml.replace(b"</sheetData>", b"</sheetData>" + b" " * 100_000))
    ratio = max(info.file_size // info.compress_size for info in zipfile.ZipFile(io.BytesIO(data)).infolist())
    assert around(read_sheet, data, "ratio", ratio, ratio_from_bytes=50_000) == LIMIT_HOLDS


def test_the_size_from_which_on_the_ratio_counts(read_sheet):
    data = with_sheet(workbook(*ROWS), lambda xml: xml.replace(b"</sheetData>", b"</sheetData>" + b" " * 100_000))
    size = max(info.file_size for info in zipfile.ZipFile(io.BytesIO(data)).infolist())
    for from_bytes in (size + 1, size):
        assert len(read_sheet(data, limits={"ratio": 1, "ratio_from_bytes": from_bytes}).cells) == 10
    with pytest.raises(DeliveryError, match="times its size"):
        read_sheet(data, limits={"ratio": 1, "ratio_from_bytes": size - 1})


@pytest.mark.parametrize("padding", [0, 2_000])
def test_xml_depth(read_sheet, padding):
    nested = b"<extLst>" + b"<x>" * 30 + b" " * padding + b"</x>" * 30 + b"</extLst>"
    data = with_sheet(workbook(*ROWS), lambda xml: xml.replace(b"</sheetData>", b"</sheetData>" + nested))
    assert around(read_sheet, data, "xml_depth", 32) == LIMIT_HOLDS


def test_a_stated_extent_beyond_the_rows_found_is_noted(read_sheet):
    stated = b'<sheetPr/><dimension ref="A1:XFD1048576"/>'
    data = with_sheet(workbook(*ROWS), lambda xml: xml.replace(b"<sheetViews", stated.removeprefix(b"<sheetPr/>") + b"<sheetViews"))
    read = read_sheet(data)
    assert len(read.cells) == 10
    assert "the sheet states that its last row is 1048576; the last row found is 11" in read.notes
    assert not any("states" in note for note in read_sheet(workbook(*ROWS)).notes)


def test_a_cell_far_outside_counts_all_cells_before_it(read_sheet):
    with pytest.raises(DeliveryError) as caught:
        read_sheet(workbook(*ROWS, [*[None] * 300, "far"]), limits={"cells": 300})
    assert "(cells)" in caught.value.message


def test_a_workbook_without_a_sheet_that_is_known_says_what_it_may_be():
    with pytest.raises(DeliveryError, match="Strict Open XML") as caught:
        choose_sheet([], SpreadsheetOptions())
    assert 'format.engine = "calamine"' in caught.value.hint
