"""Lines of fixed width: cut by position, never by guess."""

FIELDS = {"SKU": [1, 8], "QTY": [9, 13], "AT": [14, 16]}


def test_columns_are_places_in_the_line_counted_in_characters(read_format):
    data = "0001    00012W1 \r\nMÄRZ 1   1204W2\r\n".encode()
    read = read_format("fixed_width", data, fields=FIELDS)
    assert read.header == ("SKU", "QTY", "AT")
    assert read.cells == [("0001", "00012", "W1"), ("MÄRZ 1", "1204", "W2")]
    assert read.places == [(1, 1), (2, 2)]


def test_a_line_that_ends_too_early_is_rejected_and_the_others_are_read(read_format):
    read = read_format("fixed_width", b"A       00001W1\nB       00002\nC       00003W3\n", fields=FIELDS)
    assert read.rejected == [("ROW-WIDTH", 2)]
    assert [cells[0] for cells in read.cells] == ["A", "C"]
    assert "13 characters" in read.rejections[0].message


def test_short_lines_can_be_declared_right(read_format):
    read = read_format("fixed_width", b"A       00001W1\nB       00002\n", fields=FIELDS, short_rows="pad")
    assert read.cells == [("A", "00001", "W1"), ("B", "00002", "")]


def test_a_declared_length_is_kept_to(read_format):
    read = read_format("fixed_width", b"A       00001W1 \nB       00002W1  x\nC       00002W1\n", fields=FIELDS, length=16)
    assert read.rejected == [("ROW-WIDTH", 2), ("ROW-WIDTH", 3)]


def test_titles_and_trailers_are_left_out_as_for_delimited_text(read_format):
    data = b"STOCK OF TODAY\nA       00001W1\nTOTAL 1\n"
    read = read_format("fixed_width", data, fields=FIELDS, first_row=2, trailer=r"^TOTAL (?P<rows>\d+)")
    assert read.cells == [("A", "00001", "W1")]
    assert read.skipped == {"preamble": 1, "trailer": 1}


def test_quotes_and_commas_are_text(read_format):
    read = read_format("fixed_width", b'A"b,c   00001W1\n', fields=FIELDS)
    assert read.cells == [('A"b,c', "00001", "W1")]


def test_a_file_that_ends_in_the_middle_of_a_number_gives_no_smaller_number(read_format):
    """`1200` cut after two digits is no 12."""
    places = {"SKU": [1, 8], "QTY": [9, 13]}
    read = read_format("fixed_width", b"A       00001\nB       012", fields=places)
    assert read.cells == [("A", "00001")]
    assert read.rejected == [("ROW-WIDTH", 2)]
    assert "ends in the middle of its last column" in read.rejections[0].message
    assert read_format("fixed_width", b"A       00001\nB       01200", fields=places).cells[1] == ("B", "01200")
    assert read_format("fixed_width", b"A       00001\nB       012\n", fields=places).cells[1] == ("B", "012")  # blanks cut off


def test_a_letter_and_its_accent_as_two_signs_move_no_column(read_format):
    places = {"SKU": [1, 4], "QTY": [5, 8]}
    read = read_format("fixed_width", "A\u0308AAA0012\nBBBB0002\n".encode(), fields=places)
    assert read.cells == [("BBBB", "0002")]
    assert read.rejected == [("ROW-WIDTH", 1)]
    read = read_format("fixed_width", "A\u0308AA0012\nBBBB0002\n".encode(), fields=places, length=8)
    assert read.cells == [("A\u0308AA", "0012"), ("BBBB", "0002")]
