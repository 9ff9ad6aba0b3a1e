"""Which rows of a table are records: its end, group titles, totals, sums of other rows, header rows."""

import io

import openpyxl
import pytest
from pydantic import ValidationError

from schemas.errors import ConfigError, DeliveryError
from transforms.formats.header import combine_header
from transforms.formats.options import DelimitedOptions


def sheet(*rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


TWO_BLOCKS = [("sku", "qty"), ("A", "1"), ("B", "2"), ("Orders", ""), ("A", "20"), ("Z", "3 boxes")]


def test_a_table_ends_where_its_end_pattern_says_so(read_csv, read_sheet):
    text = "\n".join(",".join(row) for row in TWO_BLOCKS).encode() + b"\n"
    for result in (read_csv(text, end="^Orders"), read_sheet(sheet(*TWO_BLOCKS), end="^Orders")):
        assert result.cells == [("A", "1"), ("B", "2")]
        assert result.skipped == {"end": 3}
        assert result.rejections == []


@pytest.mark.parametrize("block_bytes", [16, 40, 4096])
def test_below_its_end_nothing_is_judged_wherever_blocks_are_cut(read_csv, block_bytes):
    text = b"sku,qty\nA,1\nB,2\nTOTALS\nC,3,4\nD,\xff\n\nE,5\n"
    result = read_csv(text, end="^TOTALS", block_bytes=block_bytes, delimiter=",")
    assert result.cells == [("A", "1"), ("B", "2")]
    assert result.rejections == []
    assert result.skipped == {"end": 5}
    assert sum(batch.rows_read for batch in result.batches) == 7


def test_rows_are_left_out_by_declared_patterns_with_their_own_reason(read_csv, read_sheet):
    rows = [("name", "variant", "qty"), ("Cup (2)", "", "5"), ("Cup", "red", "2"), ("Cup", "blue", "3"), ("Sum", "all", "5")]
    options = {"skip_rows": {"rollup": r"^[^\t]+\t\t", "totals": "^Sum\t"}}
    text = "\n".join(",".join(row) for row in rows).encode()
    for result in (read_csv(text + b"\n", **options), read_sheet(sheet(*rows), **options)):
        assert [row[1] for row in result.cells] == ["red", "blue"]
        assert result.skipped == {"rollup": 1, "totals": 1}


def test_rows_that_are_blank_in_a_column_can_be_left_out(read_csv, read_sheet):
    rows = [("name", "variant", "ean", "qty"), ("Cup", " ", "", "5"), ("Cup", "", "123", "2"), ("Cup", "red", "", "3")]
    for wanted, left in ((["Variant", "ean"], ["2", "3"]), (["#2"], ["3"])):
        text = "\n".join(",".join(row) for row in rows).encode() + b"\n"
        for result in (read_csv(text, skip_blank_in=wanted), read_sheet(sheet(*rows), skip_blank_in=wanted)):
            assert [row[3] for row in result.cells] == left
            assert result.skipped == {"blank_in": 3 - len(left)}


def test_without_the_column_that_tells_records_the_file_is_refused(read_csv):
    with pytest.raises(DeliveryError, match='no column "Variant"') as caught:
        read_csv(b"sku,qty\nA,1\n", skip_blank_in=["Variant"])
    assert caught.value.code == "HEADER-MISSING"


@pytest.mark.parametrize("block_bytes", [16, 4096])
def test_group_titles_become_values_of_the_rows_below_them(read_csv, block_bytes):
    text = b"sku,qty\nBolts,\nA,1\nB,2\nNuts,\nsmall nuts,\nC,3\n"
    options = {"group_rows": r"^[^\t]+\t$", "group_column": "Kind", "delimiter": ",", "block_bytes": block_bytes}
    result = read_csv(text, **options)
    assert result.header == ("sku", "qty", "Kind")
    assert result.cells == [("A", "1", "Bolts"), ("B", "2", "Bolts"), ("C", "3", "small nuts")]
    assert result.skipped == {"group": 3}
    assert {batch.header for batch in result.batches} == {result.header}


def test_group_titles_are_carried_over_batches_of_a_sheet_and_may_only_be_skipped(read_sheet):
    data = sheet(("sku", "qty"), ("first",), ("A", 1), ("B", 2), ("C", 3), ("second",), ("D", 4))
    titled = read_sheet(data, group_rows=r"^[^\t]+\t$", group_column="Kind", batch_rows=2)
    assert [row[2] for row in titled.cells] == ["first", "first", "first", "second"]
    plain = read_sheet(data, group_rows=r"^[^\t]+\t$")
    assert plain.header == ("sku", "qty")
    assert plain.skipped == {"group": 2}


def test_a_row_before_the_first_group_has_no_title(read_csv):
    result = read_csv(b"sku,qty\nA,1\nNuts,\nB,2\n", group_rows=r"^[^\t]+\t$", group_column="Kind")
    assert result.cells == [("A", "1", ""), ("B", "2", "Nuts")]


def test_the_group_column_may_not_hide_a_column_of_the_file(read_csv):
    with pytest.raises(ConfigError, match="group_column"):
        read_csv(b"sku,qty\nA,1\n", group_rows="^x$", group_column="QTY")


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ([["SKU", "Stock", "", "Note"], ["", "Leeds", "Kent", ""]], ["SKU", "Stock Leeds", "Stock Kent", "Note"]),
        ([["Art", "", "Stock", ""], ["Code", "Name", "", ""], ["", "", "N", "S"]], ["Art Code", "Art Name", "Stock N", "Stock S"]),
        ([["SKU", "", "Qty"], ["", "EAN", ""]], ["SKU", "EAN", "Qty"]),
        ([["Qty"], ["Qty", "More"]], ["Qty", "Qty More"]),
        ([[" sku ", "qty"]], ["sku", "qty"]),
    ],
)  # fmt: skip
def test_several_header_rows_are_one_name_for_each_column(rows, names):
    assert combine_header(rows) == names


def test_several_header_rows_are_read_in_both_kinds_of_file(read_csv, read_sheet):
    rows = [("Report",), ("SKU", "Stock", None), (None, "N", "S"), ("A", "1", "2")]
    text = b"Report,,\nSKU,Stock,\n,N,S\nA,1,2\n"
    for result in (read_csv(text, header_row=2, header_rows=2), read_sheet(sheet(*rows), header_row=2, header_rows=2)):
        assert result.header == ("SKU", "Stock N", "Stock S")
        assert result.cells == [("A", "1", "2")]
        assert result.places[0][0] == 4
        assert result.skipped == {"preamble": 1}


def test_a_header_of_several_rows_is_found_by_the_expected_columns(read_csv, read_sheet):
    options = {"header_row": "auto", "header_rows": 2, "expected_columns": ["SKU", "Stock S"]}
    rows = [("Report", None, None), ("SKU", "Stock", None), (None, "N", "S"), ("A", "1", "2")]
    for result in (read_csv(b"Report,,\nSKU,Stock,\n,N,S\nA,1,2\n", **options), read_sheet(sheet(*rows), **options)):
        assert result.header == ("SKU", "Stock N", "Stock S")
        assert result.batches[0].reading["header_row"] == 2


def test_the_first_record_may_be_declared_with_and_without_a_header(read_csv, read_sheet):
    rows = [("sku", "qty"), ("text", "number"), ("A", "1"), ("B", "2")]
    text = b"sku,qty\ntext,number\nA,1\nB,2\n"
    for result in (read_csv(text, first_row=3), read_sheet(sheet(*rows), first_row=3)):
        assert result.header == ("sku", "qty")
        assert result.places == [(3, result.places[0][1]), (4, result.places[1][1])]
        assert result.skipped == {"preamble": 1}
    for result in (read_csv(text, header=False, first_row=4), read_sheet(sheet(*rows), header=False, first_row=4)):
        assert (result.header, result.cells) == (("#1", "#2"), [("B", "2")])
        assert result.skipped == {"preamble": 3}


def test_a_first_record_beyond_the_end_is_refused_in_a_text_and_none_in_a_sheet(read_csv):
    with pytest.raises(DeliveryError, match="row 9") as caught:
        read_csv(b"a,b\n1,2\n", first_row=9)
    assert caught.value.code == "FILE-EMPTY"


def test_blank_fields_beyond_the_header_are_cut_off_where_the_feed_says_so(read_csv):
    text = b'sku,qty\nA,1,\nB,2\nC,3,,\nD,4,""\nE,5,x\n'
    result = read_csv(text + b'"F\nG",6,\n', long_rows="cut_blank")
    assert result.cells == [("A", "1"), ("B", "2"), ("C", "3"), ("D", "4"), ("F\nG", "6")]
    assert result.rejected == [("ROW-WIDTH", 6)]
    assert [code for code, _ in read_csv(text).rejected] == ["ROW-WIDTH"] * 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"skip_rows": {"footer": "x"}}, "reason of the reader itself"),
        ({"skip_rows": {"No Good": "x"}}, "pattern"),
        ({"skip_rows": {"sums": "("}}, "not a regular expression"),
        ({"group_column": "Kind"}, "group_rows"),
        ({"header": False, "header_rows": 2}, "first_row"),
        ({"header_row": 3, "first_row": 3}, "below the header"),
        ({"header_rows": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_cannot_work_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        DelimitedOptions.model_validate(options)
