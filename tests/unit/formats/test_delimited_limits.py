import pytest

from schemas.errors import DeliveryError


def within(read, data, setting, limit):
    """True when the file is read, False when FILE-LIMIT is raised with the setting and its value."""
    error = None
    try:
        read(data, limits={setting: limit})
    except DeliveryError as caught:
        error = caught
    assert error is None or (error.code == "FILE-LIMIT" and f"{limit} ({setting})" in error.message)
    return error is None


def around(read, data, setting, limit):
    """Whether the file passes at one over, exactly, and one under the measured value."""
    return [within(read, data, setting, limit + step) for step in (1, 0, -1)]


LIMIT_HOLDS = [True, True, False]


def test_rows(read_csv):
    assert around(read_csv, b"sku\n" + b"A\n" * 10, "rows", 10) == LIMIT_HOLDS


def test_columns(read_csv):
    header = ",".join(f"c{i}" for i in range(12))
    assert around(read_csv, f"{header}\n{header}\n".encode(), "columns", 12) == LIMIT_HOLDS


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_file_size(read_csv, codec):
    data = ("sku,quantity\n" + "A\u4e00,1\n" * 20).encode(codec)
    assert around(read_csv, data, "file_bytes", len(data)) == LIMIT_HOLDS


def test_line_length(read_csv):
    assert around(read_csv, b"sku,note\nA1," + b"x" * 97 + b"\nA2,y\n", "line_bytes", 100) == LIMIT_HOLDS


@pytest.mark.parametrize("field", [b"x" * 50, b'"' + b"x" * 50 + b'"', b'"' + b'""' * 50 + b'"', "é".encode() * 25])
def test_field_size(read_csv, field):
    assert around(read_csv, b"sku,note\nA1," + field + b"\nA2,y\n", "field_bytes", 50) == LIMIT_HOLDS


def test_a_field_that_is_too_long_is_named_with_row_and_column(read_csv):
    with pytest.raises(DeliveryError) as caught:
        read_csv(b"sku,note\nA1,y\nA2," + b"x" * 51 + b"\n", limits={"field_bytes": 50})
    assert (caught.value.row, caught.value.line, caught.value.column) == (3, 3, "note")


def test_lines_of_one_record(read_csv):
    data = b'sku,note,q\nA1,"' + b"x\n" * 4 + b'",1\n'
    for limit in (6, 5):
        assert len(read_csv(data, limits={"record_lines": limit}).cells) == 1
    with pytest.raises(DeliveryError) as caught:
        read_csv(data, limits={"record_lines": 4})
    assert (caught.value.code, caught.value.row) == ("FILE-UNREADABLE", 2)


def test_a_line_without_an_end_is_refused_before_it_is_read_whole(read_csv):
    with pytest.raises(DeliveryError) as caught:
        read_csv(b"sku,note\n" + b"x" * 3_000_000, block_bytes=65_536)
    assert (caught.value.code, caught.value.line) == ("FILE-LIMIT", 2)


def test_twenty_thousand_columns_are_refused_by_their_number(read_csv):
    header = ",".join(f"c{i}" for i in range(20_000))
    with pytest.raises(DeliveryError, match="header: 20000 columns"):
        read_csv(f"{header}\n".encode())
