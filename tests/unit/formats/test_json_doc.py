"""Small JSON documents: what is read, what is refused, and that it does not matter where the pieces of a file end."""

import io
import json

import pytest

from schemas.errors import ConfigError, DeliveryError
from transforms.formats import json_doc, json_paths, json_text
from transforms.formats.document_options import JsonOptions

STOCK = b"""{"success": true, "data": {"page": {"of": [1, 2]}, "items": [
  {"sku": "001", "stock": {"free": 12.50, "at": "MAIN"}, "ids": [{"type": "EAN", "value": "4006381333931"}]},
  {"sku": "1E5", "stock": {"free": 1e+5, "at": null}, "ids": []},
  {"sku": "M\xc3\xa4rz \\"1\\"", "stock": {"free": -3, "at": "\\u00e9"}}
]}, "count": 3}"""
COLUMNS = ("sku", "stock.free", "stock.at", "ids[?@.type=='EAN'].value")


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 64, 1 << 20])
def test_numbers_and_texts_are_read_as_they_are_written_wherever_a_piece_ends(read_format, monkeypatch, piece):
    monkeypatch.setattr(json_text, "_PIECE", piece)
    read = read_format("json_doc", STOCK, COLUMNS, rows="$.data.items[*]", must_be={"success": "true"})
    assert read.header == COLUMNS
    assert read.cells == [
        ("001", "12.50", "MAIN", "4006381333931"),
        ("1E5", "1e+5", "", ""),
        ('März "1"', "-3", "é", ""),
    ]
    assert read.places == [(1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("size", range(1, len(STOCK)))
def test_a_document_that_is_cut_off_anywhere_is_refused(read_format, size):
    with pytest.raises(DeliveryError):
        read_format("json_doc", STOCK[:size], COLUMNS, rows="$.data.items[*]")


def test_where_a_path_is_missing_the_first_batch_tells_what_the_first_record_has():
    record = b'{"sku": "A", "q": {"free": [{"n": 1}, 2], "x y": null}, "none": []}'
    data = b'{"at": {"id": "W1", "of": [1]}, "a.b": 0, "items": [' + record + b", 5]}"
    one = JsonOptions(rows="$.items[*]", batch_rows=1, expected_columns=("sku", "q.fre"))
    told = [batch.members for batch in json_doc.read(lambda: io.BytesIO(data), one)]
    assert told == [("sku", "q.free[0].n", "q.x y"), ()]
    inside = JsonOptions(rows="$[*].items[*]", expected_columns=("sku", "q.fre"))
    [batch] = json_doc.read(lambda: io.BytesIO(b"[" + data + b"]"), inside)
    assert batch.members == ("sku", "q.free[0].n", "q.x y", "^at.id", "^['a.b']")
    for path in batch.members:
        json_paths.cell_path(path)
    there = JsonOptions(rows="$.items[*]", expected_columns=("sku",))
    assert [batch.members for batch in json_doc.read(lambda: io.BytesIO(data), there)] == [()]


@pytest.mark.parametrize(
    ("data", "rows", "words"),
    [
        (b"SKU,Qty\n1,2\n", "$[*]", r"the file is not JSON but text that does not begin with \{ or \["),
        (b'[{"sku": "A"}]', "$.data.items[*]", r"no list of records at \$\.data; \$ is a list"),
        (b'{"data": [{"sku": "A"}]}', "$.data.items[*]", r"no list of records at \$\.data\.items; \$\.data is a list"),
        (b'{"data": "none"}', "$.data.items[*]", r"no list of records at \$\.data\.items; \$\.data is a single value"),
        (b'{"data": {"sku": "A"}}', "$.data[*]", r"no list of records at \$\.data, but an object with sku"),
    ],
)
def test_what_stands_in_the_place_of_the_records_is_told(read_format, data, rows, words):
    with pytest.raises(DeliveryError, match=words) as caught:
        read_format("json_doc", data, ("sku",), rows=rows)
    assert caught.value.code == "FILE-NOT-TABLE"


def test_what_is_told_of_a_record_is_bounded():
    data = json.dumps([{"sku": "A", "y" * 5000: 1, **{f"m{n}": n for n in range(99)}}]).encode()
    [batch] = json_doc.read(lambda: io.BytesIO(data), JsonOptions(expected_columns=("sku", "q")))
    assert (len(batch.members), max(map(len, batch.members))) == (30, 200)
    for empty in (b"[]", b"[5]", b"[null]"):
        [batch] = json_doc.read(lambda empty=empty: io.BytesIO(empty), JsonOptions(expected_columns=("sku", "q")))
        assert batch.members in ((), ("",))


def test_each_line_may_be_a_record(read_format):
    read = read_format("json_doc", b'{"sku":"A","n":1}\n{"sku":"B","n":2}\n\n', ("sku", "n"), lines=True)
    assert (read.cells, read.places) == ([("A", "1"), ("B", "2")], [(1, 1), (2, 2)])


def test_each_line_may_hold_records(read_format):
    data = b'{"at":"X","items":[{"sku":"A"},{"sku":"B"}]}\n{"at":"Y","items":[{"sku":"C"}]}'
    read = read_format("json_doc", data, ("sku", "^at"), lines=True, rows="$.items[*]")
    assert read.cells == [("A", "X"), ("B", "X"), ("C", "Y")]


def test_a_second_document_is_refused_unless_lines_are_documents(read_format):
    with pytest.raises(DeliveryError, match=r"line 2: .*format\.lines = true"):
        read_format("json_doc", b'[{"sku":"A"}]\n[{"sku":"B"}]', ("sku",))


def test_a_record_takes_values_from_the_objects_around_it(read_format):
    data = {"out": [{"sets": [{"place": {"id": "W1"}, "detail": {"lines": [{"sku": "A"}, {"sku": "B"}]}}]}]}
    read = read_format("json_doc", json.dumps(data).encode(), ("sku", "^^place.id"), rows="$.out[*].sets[*].detail.lines[*]")
    assert read.cells == [("A", "W1"), ("B", "W1")]


def test_the_first_path_with_a_value_counts(read_format):
    data = b'[{"sale":1,"price":2},{"sale":null,"price":3},{"price":4}]'
    assert read_format("json_doc", data, ("sale | price",)).cells == [("1",), ("3",), ("4",)]


def test_a_path_that_no_record_has_is_no_column_unless_it_is_optional(read_format):
    data = b'[{"sku":"A"}]'
    assert read_format("json_doc", data, ("sku", "qty")).header == ("sku",)
    read = read_format("json_doc", data, ("sku", "qty"), optional=("qty",))
    assert (read.header, read.cells) == (("sku", "qty"), [("A", "")])


def test_a_path_that_only_a_late_record_has_is_a_column_of_all_batches(read_format):
    data = json.dumps([*({"sku": str(n)} for n in range(9)), {"sku": "9", "qty": 1}]).encode()
    read = read_format("json_doc", data, ("sku", "qty"), batch_rows=2)
    assert {batch.header for batch in read.batches} == {("sku", "qty")}
    assert read.cells[-1] == ("9", "1")
    assert [batch.frame.height for batch in read.batches] == [2] * 5


def test_an_empty_list_is_a_table_without_rows(read_format):
    read = read_format("json_doc", b'{"items": []}', ("sku",), rows="$.items[*]")
    assert (read.header, read.cells) == (("sku",), [])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"errors": [{"message": "Throttled"}], "items": [{"sku": "A"}]}', "tells of errors .*Throttled"),
        (b'{"items": [{"sku": "A"}], "error": "quota"}', "tells of errors .*quota"),
        (b'{"data": []}', r"no list of records at \$\.items; the members there are data"),
        (b'{"items": {"sku": "A"}}', r"no list of records at \$\.items, but an object with sku"),
        (b'{"items": null}', r"no list of records at \$\.items"),
        (b'{"items": [{"sku": "A"}], "items": []}', 'the member "items" is there twice'),
        (b'{"items": [{"sku": "A"},]}', "is not JSON"),
        (b"{'items': []}", "is not JSON"),
        (b'{"items": [{"sku": "A\tB"}]}', "invalid control character"),
        (b"<html><body>Login</body></html>", "an HTML page"),
        (b"PK\x03\x04....", "zip archive"),
        (b"", "empty"),
        (b'{"items": [{"sku": "\xff"}]}', "cannot be read as utf-8"),
    ],
)
def test_what_is_no_list_of_records_is_refused_with_the_reason(read_format, data, words):
    with pytest.raises(DeliveryError, match=words):
        read_format("json_doc", data, ("sku",), rows="$.items[*]")


@pytest.mark.parametrize(
    ("given", "words"), [(b'{"ok": false, "items": []}', "'false', not 'true'"), (b'{"items": []}', "no member")]
)
def test_what_must_be_said_of_the_answer_is_looked_at(read_format, given, words):
    with pytest.raises(DeliveryError, match=words):
        read_format("json_doc", given, ("sku",), rows="$.items[*]", must_be={"ok": "true"})


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ('{"ok":true,"errors":["quota"],"items":[]}', "line 2: .*quota"),
        ('{"items":[]}', "no member"),
        ('{"ok":false}', "not 'true'"),
        ('{"ok":true}', r"no list of records at \$\.items; the members there are ok"),
    ],
)
def test_each_of_several_documents_must_be_well(read_format, second, words):
    data = ('{"ok":true,"items":[{"sku":"A"}]}\n' + second).encode()
    with pytest.raises(DeliveryError, match=words):
        read_format("json_doc", data, ("sku",), lines=True, rows="$.items[*]", must_be={"ok": "true"})


def test_records_that_are_none_are_kept_aside_and_the_others_read(read_format):
    bad = b'"x", null, {"sku":"B","sku":"C","n":2}, {"sku":"D\\udc00","n":3}, {"sku":"E","n":{"of":4}}, {"sku":"F","n":NaN}'
    data = b'[{"sku":"A","n":1}, ' + bad + b"]"
    read = read_format("json_doc", data, ("sku", "n"))
    assert read.rejected == [("ROW-TYPE", 2), ("ROW-TYPE", 3), ("ROW-KEYS", 4), ("ENC-BAD", 5)]
    assert [(p.row, p.code, p.value) for p in read.problems] == [(6, "VALUE-TYPE", "{of: 4}"), (7, "VALUE-TYPE", "NaN")]
    assert [cells[0] for cells in read.cells] == ["A", "E", "F"]


def test_a_number_with_a_fraction_is_no_sku(read_format):
    read = read_format("json_doc", b'[{"sku":1.10},{"sku":110},{"sku":true}]', ("sku",), identifier_columns=("sku",))
    assert [(p.row, p.code) for p in read.problems] == [(1, "VALUE-TYPE"), (3, "VALUE-TYPE")]


def test_a_number_in_a_column_read_with_a_decimal_comma_is_written_with_one_and_a_text_stays(read_format):
    data = b'[{"n":1.125},{"n":"1.125"},{"n":1.5},{"n":1250},{"n":1.250}]'
    assert [cells[0] for cells in read_format("json_doc", data, ("n",)).cells] == ["1.125", "1.125", "1.5", "1250", "1.250"]
    read = read_format("json_doc", data, ("n",), decimal_commas=("n",))
    assert not read.problems
    assert [cells[0] for cells in read.cells] == ["1,125", "1.125", "1,5", "1250", "1,250"]


@pytest.mark.parametrize("depth", [60, 100_000])
def test_depth_is_limited(read_format, depth):
    with pytest.raises(DeliveryError, match="json_depth"):
        read_format("json_doc", b'[{"sku":"A","x":' + b"[" * depth + b"]" * depth + b"}]", ("sku",))


def test_depth_is_limited_at_exactly_the_limit(read_format):
    """A record is 1 deep, a list in it 2."""

    def read(depth: int):
        nested = b"[" * (depth - 1) + b"]" * (depth - 1)
        return read_format("json_doc", b'[{"sku":"A","x":' + nested + b"}]", ("sku",), limits={"json_depth": 7})

    assert [read(depth).cells for depth in (6, 7)] == [[("A",)]] * 2
    with pytest.raises(DeliveryError, match="depth over 7") as caught:
        read(8)
    assert caught.value.code == "FILE-LIMIT"


def test_one_record_may_not_be_too_long(read_format):
    with pytest.raises(DeliveryError, match="line_bytes"):
        read_format("json_doc", b'[{"sku":"' + b"A" * 3_000_000 + b'"}]', ("sku",))


@pytest.mark.parametrize("column", ["$.sku", "ids[*].value", "a..b", "ids[?(@.x)]"])
def test_a_column_that_is_no_path_is_a_mistake(read_format, column):
    with pytest.raises(ConfigError, match="column of"):
        read_format("json_doc", b"[]", (column,))


def test_utf_16_is_read_by_its_mark(read_format):
    assert read_format("json_doc", '[{"sku":"Ü"}]'.encode("utf-16"), ("sku",)).cells == [("Ü",)]


def test_a_condition_that_fits_several_elements_takes_none_of_them(read_format):
    data = b"""[{"sku": "A", "at": [{"k": "free", "n": 1}, {"k": "free", "n": 9}]},
      {"sku": "B", "at": [{"k": "free", "n": 2}, {"k": "sold", "n": 9}]},
      {"sku": "C", "at": [{"k": "free", "n": 3}, {"k": "free", "n": 3}, {"k": "free"}]}]"""
    read = read_format("json_doc", data, ("sku", "at[?@.k=='free'].n"))
    assert read.cells == [("A", ""), ("B", "2"), ("C", "3")]
    assert [(p.row, p.code, p.value) for p in read.problems] == [(1, "VALUE-SEVERAL", "1, 9")]


def test_a_document_that_ends_inside_a_text_is_cut_off(read_format):
    with pytest.raises(DeliveryError) as caught:
        read_format("json_doc", b'[{"sku": "A", "qty": 1}, {"sku": "B, and more', ("sku", "qty"))
    assert caught.value.code == "FILE-TRUNCATED"
