import pytest

from schemas.errors import ConfigError, DeliveryError

SKUS = ["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", " \u00e9", " e\u0301", "null", "-", "#N/A", "'007", "None"]


def refused(read, data, **options):
    with pytest.raises(DeliveryError) as caught:
        read(data, **options)
    return caught.value


def test_words_that_other_readers_take_for_null_numbers_or_dates_survive_byte_for_byte(read_csv):
    data = "sku,quantity\n" + "".join(f"{sku},1\n" for sku in SKUS)
    assert [cells[0] for cells in read_csv(data.encode()).cells] == SKUS


@pytest.mark.parametrize("size", [16, 1 << 20], ids=["small blocks", "one block"])
@pytest.mark.parametrize("quantity", ["", ",5", ",5,note"], ids=["one column", "two", "three"])
def test_a_line_that_begins_as_compressed_data_does_is_text(read_csv, size, quantity):
    """Polars inflates what begins with x^ or x and 01 (RFC 1950)."""
    header, rows = "sku,quantity,note".rsplit(",", 2 - quantity.count(","))[0], ["x^2 bolt", "x^", "x\x01y", "xy", "a", "x^2 bolt"]
    read = read_csv((header + "\n" + "".join(f"{sku}{quantity}\n" for sku in rows)).encode(), delimiter=",", block_bytes=size)
    assert read.cells == [(sku, *quantity.split(",")[1:]) for sku in rows if "\x01" not in sku]
    assert read.rejected == [("ROW-CONTROL", 4)]


def test_a_blank_cell_is_empty_text_and_never_null(read_csv):
    read = read_csv(b'sku,quantity,note\nA1,,\n"",5,""\n')
    assert read.cells == [("A1", "", ""), ("", "5", "")]


def test_cells_are_not_trimmed_but_header_names_are(read_csv):
    read = read_csv(b" sku , quantity\t\n A1 , 5\n")
    assert read.header == ("sku", "quantity")
    assert read.cells == [(" A1 ", " 5")]


def test_rows_count_as_in_a_spreadsheet_and_lines_as_in_an_editor(read_csv):
    read = read_csv(b'sku,note\nA1,"two\nlines"\n\nA2,x\n')
    assert read.places == [(2, 2), (4, 5)]
    assert read.cells[0] == ("A1", "two\nlines")
    assert read.skipped == {"blank": 1}


def test_short_and_long_rows_are_rejected_with_their_place_and_the_others_load(read_csv):
    read = read_csv(b"sku,quantity,price\nA1,1,2\nA2,1\nA3,1,2,3\nA4,4,5\n")
    assert [(r.code, r.row, r.line, r.value) for r in read.rejections] == [
        ("ROW-WIDTH", 3, 3, "A2,1"),
        ("ROW-WIDTH", 4, 4, "A3,1,2,3"),
    ]
    assert read.rejections[0].message == "the row has 2 fields, the header has 3"
    assert read.cells == [("A1", "1", "2"), ("A4", "4", "5")]


def test_a_short_first_row_does_not_narrow_the_table(read_csv):
    read = read_csv(b"sku,quantity,price\nA1,1\nA2,1,2\n")
    assert read.rejected == [("ROW-WIDTH", 2)]
    assert read.cells == [("A2", "1", "2")]


def test_missing_trailing_fields_are_padded_only_when_declared(read_csv):
    read = read_csv(b'sku,quantity,price\nA1,1\nA2\n"A,3",3,4\nA4,1,2,3\n', short_rows="pad")
    assert read.cells == [("A1", "1", ""), ("A2", "", ""), ("A,3", "3", "4")]
    assert read.rejected == [("ROW-WIDTH", 5)]


def test_a_quote_inside_an_unquoted_field_is_text(read_csv):
    assert read_csv(b'sku,note\nA1,3/4" bolt\nA2,5" and 6"\n').cells == [("A1", '3/4" bolt'), ("A2", '5" and 6"')]


def test_a_bare_quote_inside_a_quoted_field_rejects_that_row_only(read_csv):
    read = read_csv(b'sku,note\nA1,"a ""good"" one"\nA2,"a "bad" one"\nA3,x\n')
    assert read.rejected == [("ROW-QUOTE", 3)]
    assert read.cells == [("A1", 'a "good" one'), ("A3", "x")]


def test_a_lone_quote_rejects_the_file_with_the_row_of_the_quote(read_csv):
    rows = "".join(f"A{i},x,1\n" for i in range(4, 60))
    error = refused(read_csv, f'sku,note,quantity\nA2,x,1\nA3,"19 inch,7\n{rows}'.encode())
    assert (error.code, error.row, error.line) == ("FILE-UNREADABLE", 3, 3)
    assert "row 3" in error.message


def test_a_lone_quote_near_the_end_rejects_the_file_too(read_csv):
    error = refused(read_csv, b'sku,note,quantity\nA2,x,1\nA3,"19 inch,7\nA4,x,1\n')
    assert (error.code, error.row) == ("FILE-UNREADABLE", 3)


def test_a_quote_that_meets_the_quote_of_a_later_row_rejects_the_file(read_csv):
    error = refused(read_csv, b'sku,note,quantity\nA2,"19 inch,7\nA3,"fine",1\nA4,x,1\n')
    assert (error.code, error.row) == ("FILE-UNREADABLE", 2)


def test_a_quote_that_swallows_a_row_and_closes_rejects_the_file(read_csv):
    error = refused(read_csv, b'sku,note,quantity\nA2,"19 inch,7\nA3,x,20"\nA4,x,1\n')
    assert (error.code, error.row) == ("FILE-UNREADABLE", 2)


def test_a_row_of_several_lines_with_a_wrong_field_count_is_rejected_alone(read_csv):
    read = read_csv(b'sku,note,quantity,price\nA2,"one\ntwo",7\nA3,x,1,2\n')
    assert read.rejected == [("ROW-WIDTH", 2)]
    assert read.places == [(3, 4)]


def test_a_file_cut_in_its_last_row_is_rejected(read_csv):
    error = refused(read_csv, b"sku,quantity,price\nA1,1,2\nA2,1")
    assert (error.code, error.row, error.line) == ("FILE-TRUNCATED", 3, 3)


def test_a_file_cut_inside_a_quoted_field_is_rejected(read_csv):
    error = refused(read_csv, b'sku,note\nA1,x\nA2,"half a no')
    assert (error.code, error.row) == ("FILE-TRUNCATED", 3)


def test_a_file_cut_between_cr_and_lf_is_rejected(read_csv):
    assert refused(read_csv, b"sku,quantity\r\nA1,1\r\nA2,2\r").code == "FILE-TRUNCATED"


@pytest.mark.parametrize("block_bytes", [16, 4_194_304])
def test_a_last_cr_is_no_cut_where_lines_end_with_cr_or_a_cell_holds_crlf(read_csv, block_bytes):
    for data in (b"sku,note\rA1,1\rA2,2\r", b"sku,note\r\nA1,1\rA2,2\r", b'sku,note\rA1,"a\r\n"\r'):
        assert read_csv(data, block_bytes=block_bytes).cells
    with pytest.raises(DeliveryError):
        read_csv(b"sku,note\r\nA1,a long note here\r\nA2,a long note here\r", block_bytes=block_bytes)


def test_a_whole_last_row_without_a_line_end_loads_with_a_note(read_csv):
    read = read_csv(b"sku,quantity\nA1,1\nA2,2")
    assert len(read.cells) == 2
    assert "the last row has no line end" in read.notes


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_gives_the_same_rows(read_csv, end):
    read = read_csv(end.join([b"sku,note", b"A1,x", b'A2,"q, ""z"""', b""]))
    assert read.cells == [("A1", "x"), ("A2", 'q, "z"')]
    assert read.places == [(2, 2), (3, 3)]


def test_control_characters_reject_the_row_but_tabs_and_quoted_line_ends_are_content(read_csv):
    read = read_csv(b'sku,note\nA\x001,x\nA2,"\t"\nA3,"a\r\nb"\nA4,"c\x07\nd"\n\x1aA5,x\nA6,x\n')
    assert read.rejected == [("ROW-CONTROL", 2), ("ROW-CONTROL", 5), ("ROW-CONTROL", 6)]
    assert read.cells == [("A2", "\t"), ("A3", "a\r\nb"), ("A6", "x")]


def test_a_dos_end_of_file_mark_is_no_row(read_csv):
    read = read_csv(b"sku,quantity\r\nA1,1\r\n\x1a")
    assert read.cells == [("A1", "1")]
    assert not read.rejections


def test_a_second_byte_order_mark_rejects_its_row(read_csv):
    read = read_csv("sku,quantity\nA1,1\n\ufeffsku,quantity\nA2,2\n".encode())
    assert read.rejected == [("ROW-CONTROL", 3)]
    assert "byte-order mark" in read.rejections[0].message
    assert len(read.cells) == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_marked_or_recognisable_unicode_needs_no_declaration(read_csv, encoding):
    text = "sku,note\n" + "".join(f"A{i},plain text\n" for i in range(50)) + "B1,Crème – 漢方茶\n"
    read = read_csv(text.encode(encoding))
    assert read.cells[-1] == ("B1", "Crème – 漢方茶")
    assert len(read.cells) == 51


def test_a_declared_single_byte_encoding_is_decoded(read_csv):
    read = read_csv("sku;note\nA1;Größe\n".encode("cp1252"), encoding="cp1252")
    assert read.cells == [("A1", "Größe")]
    assert read.batches[0].reading["encoding"] == "cp1252"


def test_a_mark_that_contradicts_the_declaration_is_refused(read_csv):
    assert refused(read_csv, "sku\nA1\n".encode("utf-8-sig"), encoding="cp1252").code == "FILE-ENCODING"


def test_undecodable_bytes_reject_their_rows(read_csv):
    rows = b"".join(b"A%d,x\n" % i for i in range(100))
    read = read_csv(b"sku,note\n" + rows + b"B1,\xff\xfe\nB2,y\n")
    assert [(r.code, r.row, r.line) for r in read.rejections] == [("ENC-BAD", 102, 102)]
    assert "\\xff" in (read.rejections[0].value or "")
    assert read.cells[-1] == ("B2", "y")


def test_many_undecodable_rows_refuse_the_file_and_ask_for_the_encoding(read_csv):
    rows = "".join(f"A{i},Größe\n" for i in range(20)) + "".join(f"B{i},x\n" for i in range(500))
    error = refused(read_csv, ("sku,note\n" + rows).encode("cp1252"))
    assert error.code == "FILE-ENCODING"
    assert "20 of 520 rows" in error.message
    assert "format.encoding" in error.hint


def test_an_undecodable_header_refuses_the_file(read_csv):
    assert refused(read_csv, "sku,größe\nA1,x\n".encode("cp1252")).code == "FILE-ENCODING"


def test_a_lone_surrogate_in_utf_16_rejects_its_row(read_csv):
    data = "sku,note\nA1,x\nA2,".encode("utf-16-le") + b"\x00\xd8" + "\nA3,y\n".encode("utf-16-le")
    read = read_csv(data, encoding="utf-16-le")
    assert read.rejected == [("ENC-BAD", 3)]
    assert len(read.cells) == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "~", "^"])
def test_the_delimiter_is_found_by_equal_field_counts(read_csv, delimiter):
    rows = [["sku", "note", "price"], ["A1", "a. b", "1.50"], ["A2", "c d", "2.00"]]
    read = read_csv("".join(delimiter.join(row) + "\n" for row in rows).encode())
    assert read.batches[0].reading["delimiter"] == delimiter
    assert len(read.header) == 3


def test_decimal_commas_do_not_mislead_the_delimiter(read_csv):
    assert len(read_csv(b"sku;price;cost\nA1;1,5;2,5\nA2;1,7;3,5\n").header) == 3


def test_an_excel_sep_line_states_the_delimiter_and_is_no_row(read_csv):
    read = read_csv(b"sep=;\r\nsku;quantity\r\nA1;5\r\n")
    assert read.cells == [("A1", "5")]
    assert read.places == [(2, 3)]
    assert read.batches[0].reading["header_row"] == 1


def test_a_file_without_header_gets_numbered_columns_and_keeps_its_first_row(read_csv):
    read = read_csv(b"A1,5,x\nA2,6,y\n", header=False)
    assert read.header == ("#1", "#2", "#3")
    assert read.places == [(1, 1), (2, 2)]


def test_rows_above_a_declared_header_are_skipped_as_preamble(read_csv):
    read = read_csv(b"Stock list\n\nsku,quantity\nA1,5\n", header_row=3)
    assert read.header == ("sku", "quantity")
    assert read.skipped == {"preamble": 2}
    assert read.places == [(4, 4)]


def test_the_header_is_found_by_the_expected_columns(read_csv):
    data = b"Acme Ltd,,\nStock,as of,today\nSKU,Qty,Price\nA1,5,2\n"
    read = read_csv(data, header_row="auto", expected_columns=["sku", "qty"])
    assert read.header == ("SKU", "Qty", "Price")
    assert read.places == [(4, 4)]


def test_the_first_full_row_is_the_header_without_expected_columns(read_csv):
    assert read_csv(b"Acme Ltd,,\nSKU,Qty,Price\nA1,5,2\n", header_row="auto").header == ("SKU", "Qty", "Price")


def test_a_header_that_is_nowhere_is_missing(read_csv):
    error = refused(read_csv, b"A1,5\nA2,6\n", header_row="auto", expected_columns=["sku"])
    assert (error.code, error.row) == ("HEADER-MISSING", 1)


def test_two_columns_of_one_name_are_refused_and_blank_names_are_not(read_csv):
    error = refused(read_csv, b"sku,qty, qty\nA1,1,2\n")
    assert (error.code, error.column) == ("HEADER-DUPLICATE", "qty")
    assert "header column 3" in error.message
    assert read_csv(b"sku,,\nA1,1,2\n").header == ("sku", "", "")


def test_comments_blank_rows_and_totals_are_skipped_with_their_reason(read_csv):
    data = b'sku,quantity\n# a "comment\nA1,5\n,\n"",""\n  \t\nTotal,5\nTotal of all\n'
    read = read_csv(data, comment="#", footer=["^Total"], delimiter=",")
    assert read.cells == [("A1", "5")]
    assert read.skipped == {"comment": 1, "blank": 3, "footer": 2}
    assert sum(batch.rows_read for batch in read.batches) == 7


def test_a_blank_row_is_kept_when_asked_and_then_has_the_wrong_width(read_csv):
    assert read_csv(b"sku,quantity\n\nA1,5\n", skip_blank=False).rejected == [("ROW-WIDTH", 2)]


def test_a_right_trailer_is_skipped(read_csv):
    read = read_csv(b"sku,quantity\nA1,5\nA2,6\nTRAILER,2\n", trailer=r"^TRAILER\t(?P<rows>\d+)")
    assert len(read.cells) == 2
    assert read.skipped == {"trailer": 1}


@pytest.mark.parametrize("last", [b"TRAILER,3\n", b"TRAILER,x\n", b"", b"TRAILER,2\nTRAILER,2\n"])
def test_a_wrong_unreadable_missing_or_doubled_trailer_refuses_the_file(read_csv, last):
    data = b"sku,quantity\nA1,5\nA2,6\n" + last
    assert refused(read_csv, data, trailer=r"^TRAILER\t(?P<rows>\w+)").code == "FILE-TRUNCATED"


def test_a_pattern_that_cannot_run_is_a_config_error(read_csv):
    with pytest.raises(ConfigError, match="not supported"):
        read_csv(b"sku\nA1\n", footer=["(?=x)"])


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\r\n\r\n", b" ,\n"])
def test_nothing_is_an_empty_file(read_csv, data):
    assert refused(read_csv, data).code == "FILE-EMPTY"


def test_a_header_alone_gives_one_batch_without_rows(read_csv):
    read = read_csv(b"sku,quantity\n")
    assert (len(read.batches), read.header, read.cells) == (1, ("sku", "quantity"), [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"\n <html><body>", "HTML"),
        (b'<?xml version="1.0"?><stock/>', "XML"),
        (b'{"error":"no"}', "JSON"),
        (b'[{"sku":"A1"}]', "JSON"),
        (b"\x1f\x8b\x08\x00", "magic bytes 1f 8b"),
        (b"PK\x03\x04rest", "magic bytes 50 4b"),
        (b"%PDF-1.7", "PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
    ],
)
def test_other_content_is_named(read_csv, data, words):
    error = refused(read_csv, data)
    assert (error.code, error.line) == ("FILE-NOT-TABLE", 1)
    assert words in error.message
    assert "line 1" in error.message


def test_a_bracketed_header_is_no_json(read_csv):
    assert read_csv(b"[SKU],[Qty]\nA1,5\n").header == ("[SKU]", "[Qty]")


def test_another_quote_character_and_no_quoting_are_honoured(read_csv):
    assert read_csv(b"sku,note\n'A,1',\"x\n", quote="'").cells == [("A,1", '"x')]
    assert read_csv(b'sku,note\n"A1","x\n', quote="").cells == [('"A1"', '"x')]


def test_batches_are_bounded_and_carry_each_count_once(read_csv):
    data = b"sku,quantity\n" + b"".join(b"A%d,1\n" % i for i in range(101)) + b"\nbad\n"
    read = read_csv(data, batch_rows=25)
    assert max(batch.frame.height for batch in read.batches) <= 25
    assert sum(batch.rows_read for batch in read.batches) == 103
    assert len(read.cells) == 101
