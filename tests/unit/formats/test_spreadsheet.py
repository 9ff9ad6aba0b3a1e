import contextlib
import io
import zipfile
from datetime import date, datetime

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.styles import numbers

from schemas.errors import DeliveryError
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.spreadsheet import read

SKUS = ["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", " \u00e9", " e\u0301", "#N/A text", "'007"]


def workbook(*rows, title="Stock", **formats):
    """An .xlsx file of `rows`; `formats` maps a cell (B2) to its number format."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = title
    for row in rows:
        sheet.append(row)
    for cell, code in formats.items():
        sheet[cell].number_format = code
    return saved(book)


def saved(book):
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def with_sheet_xml(data, change):
    """The workbook with its first sheet's XML changed: what openpyxl itself never writes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, change(content) if name == "xl/worksheets/sheet1.xml" else content)
    return out.getvalue()


def with_shared_strings(strings, sheet_rows):
    """A hand-made .xlsx whose text cells point into a table of shared strings, as Excel writes it."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relation}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{relation}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{relation}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{relation}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{sheet_rows}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f"<sst {main}>{strings}</sst>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, xml in parts.items():
            made.writestr(name, xml)
    return out.getvalue()


def refused(read, data, **options):
    with pytest.raises(DeliveryError) as caught:
        read(data, **options)
    return caught.value


@pytest.mark.parametrize("engine", ["openpyxl", "calamine"])
def test_text_cells_survive_byte_for_byte(read_sheet, engine):
    read = read_sheet(workbook(["sku", "quantity"], *[[sku, 1] for sku in SKUS]), engine=engine)
    assert [cells[0] for cells in read.cells] == SKUS
    assert {cells[1] for cells in read.cells} == {"1"}


@pytest.mark.parametrize("engine", ["openpyxl", "calamine"])
def test_numbers_booleans_and_blanks_read_as_a_person_sees_them(read_sheet, engine):
    read = read_sheet(workbook(["a", "b", "c", "d"], [123, 0.1, True, None], [123.0, 0.1 + 0.2, False, "x"]), engine=engine)
    assert read.cells == [("123", "0.1", "TRUE", ""), ("123", "0.3", "FALSE", "x")]


def test_number_formats_keep_leading_zeros_percent_and_dates(read_sheet):
    data = workbook(
        ["a", "b", "c", "d"],
        [123, 0.25, date(2026, 3, 1), datetime(2026, 3, 1, 2, 30)],  # noqa: DTZ001 - a cell has no time zone
        A2="00000",
        B2=numbers.FORMAT_PERCENTAGE,
    )
    assert read_sheet(data).cells == [("00123", "25%", "2026-03-01", "2026-03-01T02:30:00")]


def test_a_formula_without_a_result_is_a_problem_and_never_zero(read_sheet):
    read = read_sheet(workbook(["sku", "quantity"], ["A1", "=1+4"]))
    assert read.cells == [("A1", "")]
    assert [(p.row, p.column, p.code) for p in read.problems] == [(2, 1, "QTY-CELL")]
    assert "B2" in read.problems[0].value


def test_a_formula_with_a_result_gives_the_result_and_a_note(read_sheet):
    data = with_sheet_xml(
        workbook(["sku", "quantity"], ["A1", "=1+4"]),
        lambda xml: xml.replace(b"<v></v>", b"<v>5</v>").replace(b"<v />", b"<v>5</v>"),
    )
    read = read_sheet(data)
    assert read.cells == [("A1", "5")]
    assert any("formulas: 1" in note for note in read.notes)


def test_an_error_cell_is_a_problem_and_never_text(read_sheet):
    book = openpyxl.Workbook()
    book.active.append(["sku", "quantity"])
    book.active.append(["A1", "#REF!"])
    book.active["B2"].data_type = "e"
    read = read_sheet(saved(book))
    assert read.cells == [("A1", "")]
    assert [(p.code, p.value) for p in read.problems] == [("QTY-CELL", "#REF!")]


@pytest.mark.parametrize("engine", ["openpyxl", "calamine"])
def test_numbers_of_more_than_fifteen_digits_are_reported(read_sheet, engine):
    read = read_sheet(workbook(["sku", "quantity"], [123456789012345678, 1], [999999999999999, 1]), engine=engine)
    assert [(p.row, p.column, p.code) for p in read.problems] == [(2, 0, "SKU-EXCEL")]


@pytest.mark.parametrize("engine", ["openpyxl", "calamine"])
def test_what_is_unsure_as_an_identifier_is_reported_in_identifier_columns_only(read_sheet, engine):
    data = workbook(["sku", "price", "since"], [1.1, 1.1, date(2026, 3, 1)], [date(2026, 3, 1), 2, 3], [True, 2, 3], [7, 2.5, 3])
    assert not read_sheet(data, engine=engine).problems
    problems = read_sheet(data, engine=engine, identifier_columns=["SKU"]).problems
    assert [(p.row, p.column, p.code) for p in problems] == [(row, 0, "SKU-EXCEL") for row in (2, 3, 4)]


@pytest.mark.parametrize("engine", ["openpyxl", "calamine"])
def test_a_number_in_a_column_read_with_a_decimal_comma_is_written_with_one_and_a_text_stays(read_sheet, engine):
    data = workbook(["sku", "quantity"], [1.125, 1.125], ["b", "1.125"], ["c", -12.125], ["d", 1.5], ["e", 1250], ["f", 0.125])
    plain = ["1.125", "1.125", "-12.125", "1.5", "1250", "0.125"]
    assert [quantity for _, quantity in read_sheet(data, engine=engine).cells] == plain
    read = read_sheet(data, engine=engine, identifier_columns=["sku"], decimal_commas=["Quantity"])
    assert not [problem for problem in read.problems if problem.column == 1]
    assert [quantity for _, quantity in read.cells] == ["1,125", "1.125", "-12,125", "1,5", "1250", "0,125"]


def test_identifier_columns_show_the_literals_of_their_format(read_sheet):
    data = workbook(["sku", "quantity"], [123, 5], A2='"AB-"00000', B2='0" pcs"')
    assert read_sheet(data, identifier_columns=["sku"]).cells == [("AB-00123", "5")]


def test_rows_are_numbered_as_in_the_sheet_and_blank_ones_skipped(read_sheet):
    read = read_sheet(workbook(["Acme"], [None], ["sku", "quantity"], ["A1", 1], [None, " "], ["A2", 2]), header_row=3)
    assert read.header == ("sku", "quantity")
    assert read.places == [(4, None), (6, None)]
    assert read.skipped["blank"] == 1


def test_the_header_is_found_by_the_expected_columns_and_totals_are_skipped(read_sheet):
    data = workbook(["Acme", "Ltd"], ["SKU", "Qty"], ["A1", 1], ["Total", 1])
    read = read_sheet(data, header_row="auto", expected_columns=["sku"], footer=["^Total\t"])
    assert read.cells == [("A1", "1")]
    assert read.skipped == {"preamble": 1, "footer": 1}


def test_a_sheet_without_header_gets_numbered_columns(read_sheet):
    read = read_sheet(workbook(["A1", 1], ["A2", 2]), header=False)
    assert read.header == ("#1", "#2")
    assert read.places == [(1, None), (2, None)]


def test_merged_cells_give_their_value_once(read_sheet):
    book = openpyxl.Workbook()
    for row in (["sku", "quantity", "note"], ["A1", 1, "both"], ["A2", 2, None]):
        book.active.append(row)
    book.active.merge_cells("C2:C3")
    assert read_sheet(saved(book)).cells == [("A1", "1", "both"), ("A2", "2", "")]


def test_the_only_visible_sheet_is_read_and_hidden_things_are_noted(read_sheet):
    book = openpyxl.Workbook()
    book.active.title = "Stock"
    book.active.append(["sku", "quantity", "cost"])
    book.active.append(["A1", 1, 2])
    book.active.column_dimensions["C"].hidden = True
    book.create_sheet("Secret").sheet_state = "hidden"
    read = read_sheet(saved(book))
    assert read.cells == [("A1", "1", "2")]
    assert "hidden sheets were not read: Secret" in read.notes
    assert "hidden columns were read: C" in read.notes


def test_two_visible_sheets_need_a_declaration_and_are_listed(read_sheet):
    book = openpyxl.Workbook()
    book.active.title = "Stock"
    book.active.append(["sku"])
    book.create_sheet("Prices 2026").append(["price"])
    data = saved(book)
    error = refused(read_sheet, data)
    assert error.code == "FILE-SHEET"
    assert '"Stock", "Prices 2026"' in error.message
    assert read_sheet(data, sheet="Stock").header == ("sku",)
    assert read_sheet(data, sheet_pattern=r"^Prices \d+$").header == ("price",)
    assert refused(read_sheet, data, sheet="stock").code == "FILE-SHEET"
    for number in range(20):
        book.create_sheet(f"Old {number}")
    assert refused(read_sheet, saved(book)).message.endswith('"Old 7" and 12 more')
    assert refused(read_sheet, data, sheet_pattern="[SP]").code == "FILE-SHEET"


def test_two_columns_of_one_name_are_refused(read_sheet):
    error = refused(read_sheet, workbook(["sku", "qty", "qty"]))
    assert (error.code, error.row) == ("HEADER-DUPLICATE", 1)


def test_cells_beyond_the_header_are_noted(read_sheet):
    read = read_sheet(workbook(["sku", "quantity"], ["A1", 1, "call me"], [None, None, "side note"]))
    assert read.cells == [("A1", "1")]
    assert any("to the right of the header" in note for note in read.notes)


@pytest.mark.parametrize(
    ("setting", "limit"),
    [("rows", 3), ("columns", 2), ("cells", 6), ("sheets", 1), ("field_bytes", 8), ("members", 1), ("unpacked_bytes", 100)],
)
def test_limits_are_kept(read_sheet, setting, limit):
    data = workbook(["sku", "quantity"], ["A1", 1], ["A2", 2], ["A3", 3])
    book = openpyxl.load_workbook(io.BytesIO(data))
    book.active.append(["A4 is longer", 4, 5])
    book.active["C1"] = "third"
    book.create_sheet("Other").sheet_state = "hidden"
    error = refused(read_sheet, saved(book), limits={setting: limit})
    assert error.code == "FILE-LIMIT"
    assert f"({setting})" in error.message
    assert read_sheet(data, limits={setting: 2_000_000}).cells


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "FILE-EMPTY", "0 bytes"),
        (b"sku,quantity\n", "FILE-NOT-TABLE", "magic bytes 73 6b 75"),
        (b"<html><table>", "FILE-NOT-TABLE", "HTML"),
        (b"PK\x03\x04 cut short", "FILE-UNREADABLE", "zip directory"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut short", "FILE-UNREADABLE", "damaged"),
        (b"\x09\x04\x06\x00", "FILE-NOT-TABLE", "Excel 4"),
    ],
)
def test_what_is_no_workbook_is_named(read_sheet, data, code, words):
    error = refused(read_sheet, data)
    assert error.code == code
    assert words in error.message


def test_an_archive_is_no_workbook(read_sheet):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as package:
        package.writestr("stock.csv", "sku,quantity\n")
    assert refused(read_sheet, out.getvalue()).code == "FILE-NOT-TABLE"


def test_an_empty_sheet_is_an_empty_file(read_sheet):
    assert refused(read_sheet, saved(openpyxl.Workbook())).code == "FILE-EMPTY"


@pytest.mark.parametrize(
    "change",
    [
        lambda xml: xml[: len(xml) // 2],
        lambda xml: xml.replace(b'r="A2"', b'r="2A"'),
        lambda xml: xml.replace(b"<v>1</v>", b"<v>one</v>"),
        lambda xml: xml.replace(b"<v>1</v>", b"<v>1_0</v>"),
        lambda xml: xml.replace(b'row r="3"', b'row r="2"'),
        lambda xml: xml.replace(b'r="B2"', b'r="A2"'),
        lambda xml: xml.replace(b't="n"', b's="99"'),
        lambda xml: b'<?xml version="1.0" encoding="x-none"?>' + xml,
    ],
)
def test_a_damaged_sheet_is_refused_and_never_half_read_in_silence(read_sheet, change):
    error = refused(read_sheet, with_sheet_xml(workbook(["sku", "quantity"], ["A1", 1], ["A2", 1]), change))
    assert error.code == "FILE-UNREADABLE"


@pytest.mark.parametrize(
    ("cell", "place", "value"),
    [
        ('<c r="B3"><v>one</v></c>', "row 3, cell B3: ", "one"),
        ('<c r="B3"><v>1e-400</v></c>', "row 3, cell B3: ", "1e-400"),  # too small for a spreadsheet, and not 0
        ('<c r="B3" t="b"><v>2</v></c>', "row 3, cell B3: ", "2"),  # neither true nor false
        ('<c r="B3" t="b"><v>no</v></c>', "row 3, cell B3: ", "no"),
        ('<c r="B3" t="s"><v>7</v></c>', "row 3, cell B3: ", "7"),
        ('<c r="A3"><v>1</v></c>', "row 3, cell A3: ", "1"),
        ("<c><v>a&#9;b</v></c>", "row 3, cell without a name: ", "a\\tb"),
        ('<c r="B3"><v>1</v></c></row><row r="2">', "row 2: ", None),
    ],
)
def test_a_damaged_cell_is_named_with_its_row_and_value(read_sheet, cell, place, value):
    strings = "<si><t>sku</t></si><si><t>q</t></si>"
    header = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    good = '<row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2"><v>5</v></c></row>'
    rows = f'{header}{good}<row r="3"><c r="A3" t="s"><v>0</v></c>{cell}</row>'
    error = refused(read_sheet, with_shared_strings(strings, rows))
    assert error.message.startswith(place + "the workbook cannot be read")
    assert (error.code, error.row, error.value) == ("FILE-UNREADABLE", int(place[4]), value)


def test_white_space_around_a_value_says_nothing(read_sheet):
    strings = "<si><t>sku</t></si><si><t>q</t></si>"
    rows = '<row r="1"><c t="s"><v> 0 </v></c><c t="s"><v>1</v></c></row>'
    rows += '<row r="2"><c t="s"><v>0</v></c><c><v>\n 5\n</v></c></row><row r="3"><c t="s"><v>0</v></c><c><v> </v></c></row>'
    rows += '<row r="4"><c t="s"><v>0</v></c><c t="b"><v> 1 </v></c></row>'
    assert read_sheet(with_shared_strings(strings, rows)).cells == [("sku", "5"), ("sku", ""), ("sku", "TRUE")]


def test_deep_nesting_is_refused_and_markup_in_text_is_not(read_sheet):
    deep = b"<x>" * 20_000 + b"</x>" * 20_000
    data = with_sheet_xml(workbook(["sku"], ["A1"]), lambda xml: xml.replace(b"</worksheet>", deep + b"</worksheet>"))
    error = refused(read_sheet, data)
    assert error.code == "FILE-LIMIT"
    assert "member xl/worksheets/sheet1.xml" in error.message
    harmless = b"<!-- " + b"<y>" * 20_000 + b" -->"
    data = with_sheet_xml(workbook(["sku"], ["A1"]), lambda xml: xml.replace(b"</worksheet>", harmless + b"</worksheet>"))
    assert read_sheet(data).cells == [("A1",)]


def test_shared_and_formatted_strings_are_read_and_cells_without_a_reference_follow_each_other(read_sheet):
    strings = "<si><t>sku</t></si><si><r><t>A</t></r><r><t xml:space='preserve'> 1</t></r></si><si><t>q</t></si>"
    rows = '<row><c t="s"><v>0</v></c><c t="s"><v>2</v></c></row><row><c t="s"><v>1</v></c><c><v>5</v></c></row>'
    read = read_sheet(with_shared_strings(strings, rows))
    assert read.cells == [("A 1", "5")]
    assert read.places == [(2, None)]


def test_characters_that_xml_cannot_hold_are_read_from_their_names(read_sheet):
    strings = "<si><t>sku</t></si><si><t>A_x000D_\n</t></si><si><t>_x005F_x000D_ _x0041_ x_x00</t></si>"
    rows = '<row r="1"><c t="s"><v>0</v></c></row><row r="2"><c t="s"><v>1</v></c></row><row r="3"><c t="s"><v>2</v></c></row>'
    rows += '<row r="4"><c t="inlineStr"><is><t>B_x000d_</t></is></c></row>'
    rows += '<row r="5"><c t="str"><f>A1</f><v>C_x0009_D</v></c></row>'
    result = read_sheet(with_shared_strings(strings, rows))
    assert [row[0] for row in result.cells] == ["A\r\n", "_x000D_ _x0041_ x_x00", "B\r", "C\tD"]


@pytest.mark.parametrize("index", ["7", "-1"])
def test_a_string_that_is_not_in_the_table_of_strings_is_refused(read_sheet, index):
    data = with_shared_strings(
        "<si><t>sku</t></si>", f'<row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="2"><c r="A2" t="s"><v>{index}</v></c></row>'
    )
    assert refused(read_sheet, data).code == "FILE-UNREADABLE"


PLAIN = with_shared_strings(
    "<si><t>sku</t></si><si><t>q</t></si>",
    '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    '<row r="2"><c r="A2" t="b"><v>1</v></c><c r="B2"><v>5</v></c></row>',
)
DAMAGE = [b"", b"-1", b"99999999999", b'"', b"<", b"</v>", b"<f>", b's="9"', b't="e"', b"&x;", b"1e999", b"\xff", b"nan"]


@settings(max_examples=150, deadline=None)
@given(part=st.integers(0, 5), at=st.floats(0, 1), length=st.integers(0, 12), damage=st.sampled_from(DAMAGE))
def test_a_workbook_damaged_anywhere_ends_in_rows_or_a_delivery_error(part, at, length, damage):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(PLAIN)) as old, zipfile.ZipFile(out, "w") as new:
        for number, name in enumerate(old.namelist()):
            content = old.read(name)
            if number == part:
                place = int(at * len(content))
                content = content[:place] + damage + content[place + length :]
            new.writestr(name, content)
    with contextlib.suppress(DeliveryError):
        list(read(lambda: io.BytesIO(out.getvalue()), SpreadsheetOptions(identifier_columns=("sku",))))
