import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.errors import DeliveryError
from schemas.records import RawBatch
from transforms.formats import line_kinds
from transforms.formats.block_lines import block_lines
from transforms.formats.csv_records import Dialect
from transforms.formats.delimited import read
from transforms.formats.delimited_block import BlockPlace, parse_block
from transforms.formats.layout import Layout
from transforms.formats.line_kinds import measure
from transforms.formats.options import DelimitedOptions
from transforms.formats.row_selection import RowSelection
from transforms.formats.strict_records import read_strictly

TEXT = st.text(alphabet=st.sampled_from("aZ0 ,;|~^\t\"'\n\ré\u0301漢–\u00a0=#"), max_size=8)
WORDS = st.sampled_from(["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", " \u00e9", " e\u0301", "1,204", '3/4" bolt'])
CELL = st.one_of(TEXT, WORDS)
DAMAGED = st.text(alphabet=st.sampled_from('ab,"\n\r é'), max_size=60)


def rows_of(data: bytes, **options):
    """Cells, rejections and skipped rows, or the error's code and row."""
    try:
        batches: list[RawBatch] = list(read(lambda: io.BytesIO(data), DelimitedOptions.model_validate(options)))
    except DeliveryError as error:
        return error.code, error.row, error.line
    cells = [row for batch in batches for row in batch.frame.rows()]
    rejected = [(r.code, r.row, r.line, r.value) for batch in batches for r in batch.rejections]
    return cells, rejected, sum(sum(batch.skipped.values()) for batch in batches)


def written(row, delimiter, *, quote_all):
    """One record as RFC 4180 has it; Python's own writer leaves a line feed unquoted when records end with CR."""
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in row]
    return delimiter.join(q if quote_all or set(c) & {delimiter, '"', "\r", "\n"} else c for c, q in zip(row, quoted, strict=True))


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12),
    delimiter=st.sampled_from(",;\t|~^"),
    quote_all=st.booleans(),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    block_bytes=st.sampled_from([16, 64, 4_194_304]),
)
@example(rows=[['"', "", ""], [",", '",', '""']], delimiter=",", quote_all=False, end="\n", block_bytes=16)
def test_cells_written_in_any_dialect_come_back_unchanged(rows, delimiter, quote_all, end, block_bytes):
    lines = [written(row, delimiter, quote_all=quote_all) for row in [["sku", "note", "quantity"], *rows]]
    data = "".join(line + end for line in lines).encode()
    batches = list(
        read(
            lambda: io.BytesIO(data),
            DelimitedOptions(delimiter=delimiter, block_bytes=block_bytes, skip_blank=False),
        )
    )
    assert [list(row[2:]) for batch in batches for row in batch.frame.rows()] == rows
    assert not [r for batch in batches for r in batch.rejections]


@settings(max_examples=400, deadline=None)
@given(text=DAMAGED, block_bytes=st.sampled_from([16, 17, 40]))
def test_where_blocks_are_cut_changes_nothing(text, block_bytes):
    data = f"a,b,c\n{text}".encode()
    assert rows_of(data, delimiter=",", block_bytes=block_bytes) == rows_of(data, delimiter=",")


@settings(max_examples=600, deadline=None)
@given(text=DAMAGED, long_rows=st.sampled_from(["reject", "cut_blank"]))
@example(text='x,"a\ny,b,c\nz",1\n', long_rows="reject")
@example(text='"","",""\n,,\n', long_rows="reject")
@example(text='a,b"c,d\na,"b"c,d\n', long_rows="reject")
@example(text='a,b,c,\na,b,c,""\na,b,c,,\na,b,c,d\na,b,c, \n', long_rows="cut_blank")
def test_the_fast_path_and_the_strict_path_agree(text, long_rows):
    layout = Layout(Dialect(",", '"'), ("a", "b", "c"), 0, 0, None)
    options = DelimitedOptions(long_rows=long_rows)
    lines = block_lines(text.encode(), "utf-8")
    refusal = None
    try:
        strict = read_strictly(lines, range(len(lines.text)), layout, options, (1, 1), last=True)
    except DeliveryError as error:
        refusal = error
    if refusal is not None:
        with pytest.raises(DeliveryError) as caught:
            parse_block(lines, layout, options, BlockPlace(1, 1, last=True, terminated=True), RowSelection(options, layout.header))
        assert (caught.value.code, caught.value.row) == (refusal.code, refusal.row)
        return
    fast = parse_block(lines, layout, options, BlockPlace(1, 1, last=True, terminated=True), RowSelection(options, layout.header))
    assert fast.frame.rows() == strict.cells(3).rows()
    rejected = [(r.row, r.line) for r in strict.records if r.kind not in {"ok", "blank"}]
    assert [(r.row, r.line) for r in fast.rejections] == rejected
    assert fast.skipped["blank"] == sum(r.kind == "blank" for r in strict.records)


@settings(max_examples=400, deadline=None)
@given(text=DAMAGED)
@example(text='"a,b",c,d\n"a""b",c,\n"","",""\na,b"c,d\n"a"b,c,d\n"a",b\n"a",b,c,d\n')
def test_lines_of_many_fields_are_measured_as_those_of_few(text):
    layout, options = Layout(Dialect(",", '"'), ("a", "b", "c"), 0, 0, None), DelimitedOptions()
    with pytest.MonkeyPatch.context() as patch:
        few, _ = measure(block_lines(text.encode(), "utf-8"), layout, options, 1)
        patch.setattr(line_kinds, "_MOST_COUNTED", 2)
        many, _ = measure(block_lines(text.encode(), "utf-8"), layout, options, 1)
    assert few.rows() == many.rows()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=200))
def test_any_bytes_end_in_rows_or_a_delivery_error(data):
    rows_of(b"sku,quantity\n" + data)
    rows_of(data)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.lists(st.sampled_from(["A1", "é", "x y", "1.5", ""]), min_size=3, max_size=3), min_size=1, max_size=20))
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-be", "utf-8-sig"])
def test_another_encoding_gives_the_same_rows(encoding, rows):
    text = "sku,note,quantity\n" + "".join(",".join(row) + "\n" for row in rows)
    assert rows_of(text.encode(encoding), encoding=encoding, delimiter=",") == rows_of(text.encode(), delimiter=",")
