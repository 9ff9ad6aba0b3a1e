"""Worksheets of Excel 2 to 4: bare streams of records, made here byte by byte."""

import contextlib
import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import DeliveryError
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.spreadsheet import read

BOF = {2: 0x0009, 3: 0x0209, 4: 0x0409}


def record(kind, data=b""):
    return struct.pack("<HH", kind, len(data)) + data


class Stream:
    """A worksheet stream of one version, cell by cell."""

    def __init__(self, version=4, *settings):
        self.version = version
        sizes = b"\0\0" if version > 2 else b""
        self.parts = [record(BOF[version], struct.pack("<HH", version, 0x10) + sizes), *settings]
        self.first = 0x0000 if version == 2 else 0x0200

    def place(self, row, column, style=0):
        return struct.pack("<HH", row, column) + (bytes([style, style, 0]) if self.version == 2 else struct.pack("<H", style))

    def label(self, row, column, text):
        size = bytes([len(text)]) if self.version == 2 else struct.pack("<H", len(text))
        self.parts.append(record(self.first | 4, self.place(row, column) + size + text))

    def number(self, row, column, value, style=0):
        self.parts.append(record(self.first | 3, self.place(row, column, style) + struct.pack("<d", value)))

    def packed(self, row, column, value):
        self.parts.append(record(0x27E, self.place(row, column) + struct.pack("<I", value)))

    def truth(self, row, column, value, *, error=False):
        self.parts.append(record(self.first | 5, self.place(row, column) + bytes([value, error])))

    def formula(self, row, column, result, text=None):
        kind = {2: 0x06, 3: 0x206, 4: 0x406}[self.version]
        self.parts.append(record(kind, self.place(row, column) + result + b"\0\0" + b"\0\0"))
        if text is not None:
            size = bytes([len(text)]) if self.version == 2 else struct.pack("<H", len(text))
            self.parts.append(record(self.first | 7, size + text))

    def bytes(self):
        return b"".join(self.parts) + record(0x0A)


@pytest.fixture(params=[2, 3, 4])
def stream(request):
    made = Stream(request.param)
    for column, name in enumerate((b"ID", b"Name", b"Stock", b"More")):
        made.label(0, column, name)
    return made


def test_texts_numbers_truths_and_gaps_are_read_in_every_version(stream, read_sheet):
    stream.label(1, 0, b"021773")
    stream.label(1, 1, b"N\xba 1")
    stream.number(1, 2, -9.5)
    stream.number(3, 0, 39058.0)
    stream.number(3, 2, 0.1 + 0.2)
    stream.truth(3, 3, 1)
    result = read_sheet(stream.bytes())
    assert result.header == ("ID", "Name", "Stock", "More")
    assert result.cells == [("021773", "Nº 1", "-9.5", ""), ("39058", "", "0.3", "TRUE")]
    assert [row for row, _ in result.places] == [2, 4]
    assert result.batches[0].reading["engine"] == f"biff{stream.version}"
    assert result.notes == ["the file names no code page: its texts were read as cp1252"]


def test_packed_numbers_are_integers_or_doubles_and_maybe_hundredths(read_sheet):
    made = Stream(4)
    made.label(0, 0, b"n")
    double = struct.unpack("<Q", struct.pack("<d", 2.5))[0] >> 32
    for row, value in enumerate((15124 << 2 | 2, (-9 & 0x3FFFFFFF) << 2 | 2, 1250 << 2 | 3, double & ~3, double | 1), 1):
        made.packed(row, 0, value)
    assert [row[0] for row in read_sheet(made.bytes()).cells] == ["15124", "-9", "12.5", "2.5", "0.025"]


def test_formulas_give_their_last_results_and_errors_are_problems(stream, read_sheet):
    stream.formula(1, 0, struct.pack("<d", 12.0))
    stream.formula(1, 1, b"\0\0\0\0\0\0\xff\xff", b"text")
    stream.formula(1, 2, b"\x02\0\x0f\0\0\0\xff\xff")
    stream.truth(1, 3, 0x17, error=True)
    stream.formula(2, 0, b"\x01\0\x01\0\0\0\xff\xff")
    stream.formula(2, 1, b"\x03\0\0\0\0\0\xff\xff")
    stream.label(2, 2, b"x")
    result = read_sheet(stream.bytes())
    assert result.cells == [("12", "text", "", ""), ("TRUE", "", "x", "")]
    assert {(p.row, p.column, p.value) for p in result.problems} == {(2, 2, "#VALUE!"), (2, 3, "#REF!")}
    assert {p.code for p in result.problems} == {"QTY-CELL"}
    assert "cells with formulas: 5; their last calculated values were read" in result.notes


def test_number_formats_show_dates_and_leading_zeros(read_sheet):
    formats = [record(0x41E, b"\0\0" + bytes([len(code)]) + code) for code in (b"General", b"dd/mm/yyyy", b"00000")]
    styles = [record(0x443, bytes([0, number]) + bytes(10)) for number in (0, 1, 2)]
    made = Stream(4, *formats, *styles)
    for column, name in enumerate((b"sku", b"on")):
        made.label(0, column, name)
    made.number(1, 0, 45.0, style=2)
    made.number(1, 1, 46371.0, style=1)
    made.number(2, 0, 46371.0, style=1)
    result = read_sheet(made.bytes(), identifier_columns=["sku"])
    assert result.cells == [("00045", "2026-12-15"), ("2026-12-15", "")]
    assert [(p.row, p.code) for p in result.problems] == [(3, "SKU-EXCEL")]


def test_a_number_in_a_column_read_with_a_decimal_comma_is_written_with_one(read_sheet):
    made = Stream(4)
    for column, name in enumerate((b"sku", b"on")):
        made.label(0, column, name)
    for row, text in enumerate((b"A", b"B"), 1):
        made.label(row, 0, text)
    made.number(1, 1, 1.125)
    made.number(2, 1, 1250.0)
    result = read_sheet(made.bytes(), identifier_columns=["sku"], decimal_commas=["ON"])
    assert result.cells == [("A", "1,125"), ("B", "1250")]
    assert not result.problems


def test_the_code_page_of_the_file_is_used_and_hidden_things_are_noted(read_sheet):
    settings = [
        record(0x42, struct.pack("<H", 1251)),
        record(0x7D, struct.pack("<HHHHHB", 1, 1, 2000, 15, 1, 0)),
        record(0x208, struct.pack("<HHHHHHHH", 1, 0, 2, 255, 0, 0, 0x20, 0)),
    ]
    made = Stream(4, *settings)
    made.label(0, 0, "Остаток".encode("cp1251"))
    made.label(1, 0, b"1")
    result = read_sheet(made.bytes())
    assert result.header == ("Остаток",)
    assert result.notes == ["hidden rows were read: 1", "hidden columns were read: 2 to 2"]


def test_a_text_outside_the_code_page_is_a_problem_of_its_cell(read_sheet):
    made = Stream(3)
    made.label(0, 0, b"sku")
    made.label(1, 0, b"A\x81")
    [problem] = read_sheet(made.bytes()).problems
    assert (problem.row, problem.code, problem.value) == (2, "ENC-BAD", "A\\x81")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Stream(4).bytes()[:-4], "without an end record|cut off"),
        (Stream(4).bytes()[:-4] + struct.pack("<HH", 0x204, 900) + b"x", "cut off"),
        (Stream(4, record(0x2F, b"\0\0\0\0")).bytes(), "password"),
        (Stream(4, record(0x42, struct.pack("<H", 9999))).bytes(), "damaged"),
        (Stream(4, record(0x203, b"\0\0")).bytes(), "damaged"),
        (Stream(4, record(0x205, b"\0\0\0\0\0\0")).bytes(), "damaged"),
    ],
)
def test_a_damaged_or_locked_stream_is_refused(read_sheet, data, words):
    with pytest.raises(DeliveryError, match=words) as caught:
        read_sheet(data)
    assert caught.value.code == "FILE-UNREADABLE"


def test_its_one_sheet_cannot_be_asked_for_by_another_name(read_sheet):
    with pytest.raises(DeliveryError) as caught:
        read_sheet(Stream(4).bytes(), sheet="Stock")
    assert caught.value.code == "FILE-SHEET"


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, 400), damage=st.binary(max_size=12))
def test_damage_anywhere_ends_in_rows_or_a_delivery_error(at, damage):
    made = Stream(4, record(0x41E, b"\0\0\x07General"), record(0x443, bytes(12)))
    for row in range(3):
        made.label(row, 0, b"name")
        made.number(row, 1, 1.5)
        made.packed(row, 2, 42)
        made.formula(row, 3, b"\0\0\0\0\0\0\xff\xff", b"text")
    data = made.bytes()
    broken = data[:at] + damage + data[at + len(damage) :]
    with contextlib.suppress(DeliveryError):
        list(read(lambda: io.BytesIO(broken), SpreadsheetOptions()))
