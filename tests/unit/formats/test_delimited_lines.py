"""Some lines of a delimited file, read as the whole file is: the same cells, problems, rows and lines."""

import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.delimited import read
from transforms.formats.delimited_lines import hash_lines, read_lines
from transforms.formats.options import DelimitedOptions
from transforms.line_difference import NotByLine

EVERY_KIND = [
    "a,1", "b,2", '"c","3"', '3/4" d,4', "short", "too,long,x", "", " , ", '"e" x,5', "\x07,6", "#note", "ü,7", "x^2,8", "x\x01,9",
]  # fmt: skip
LINES = st.lists(st.sampled_from(EVERY_KIND), max_size=12)
SMALL = {"block_bytes": 16, "batch_rows": 3}


def opened(text: str, codec: str = "utf-8"):
    return lambda: io.BytesIO(text.encode(codec))


def whole(open_binary, options):
    batches = list(read(open_binary, options))
    rejections = [r for b in batches for r in b.rejections]
    return pl.concat([b.frame for b in batches]).sort("row"), sorted(rejections, key=lambda r: r.row)


@given(lines=LINES, data=st.data(), end=st.sampled_from(["\n", "\r\n"]), comment=st.sampled_from([None, "#"]))
def test_marked_lines_give_what_they_give_in_the_whole_file(lines, data, end, comment):
    options = DelimitedOptions(comment=comment, delimiter=",", **SMALL)
    text = end.join(["sku,qty", *lines]) + end
    frame, rejections = whole(opened(text), options)
    marks = data.draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)))
    wanted = pl.Series([*marks[:-1], True] if marks else [], dtype=pl.Boolean)
    batches = list(read_lines(opened(text), options, wanted))
    rows = (wanted.arg_true() + 2).to_list()
    assert pl.concat([b.frame for b in batches]).equals(frame.filter(pl.col("row").is_in(rows)))
    assert [r for b in batches for r in b.rejections] == [r for r in rejections if r.row in rows]
    assert sum(b.rows_read for b in batches) == len(rows)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "cp1252"])
def test_the_same_lines_have_the_same_hashes_wherever_they_stand(codec):
    options = DelimitedOptions(delimiter=",", encoding="cp1252" if codec == "cp1252" else "auto")
    lines = hash_lines(opened("über\nsku,qty\nä,1\r\nb,2\nä,1\n".replace("über\n", ""), codec), options, 7)
    assert lines.hashes[0] == lines.hashes[2] != lines.hashes[1]
    assert lines.rows(pl.Series([True, False, True])).to_list() == [2, 4]
    assert lines.positions(pl.Series([1, 2, 4, 5])).to_list() == [0, 2]


@pytest.mark.parametrize(
    "text", ["sku,qty\nb,1\rc,2\n", "sku,qty\nb,1\n\x1a", "sku,qty\nb\udcff,1\n"], ids=["CR alone", "Ctrl-Z", "not UTF-8"]
)
def test_a_file_whose_lines_are_not_plain_has_no_hashes(text):
    with pytest.raises(NotByLine):
        hash_lines(lambda: io.BytesIO(text.encode("utf-8", "surrogateescape")), DelimitedOptions(), 7)


def test_a_record_over_two_lines_is_not_read_by_line():
    text = 'sku,qty\na,1\n"b\nc",2\nd,3\n'
    with pytest.raises(NotByLine, match="more than one line"):
        list(read_lines(opened(text), DelimitedOptions(delimiter=","), pl.Series([True] * 4)))


def test_what_stands_above_the_header_and_a_missing_line_end_are_told_once():
    text = "Stock of today\nsku,qty\n" + "a,1\n" * 9 + "b,2"
    options = DelimitedOptions(delimiter=",", header_row=2, **SMALL)
    batches = list(read_lines(opened(text), options, pl.Series([True] * 10)))
    assert sum(b.skipped.get("preamble", 0) for b in batches) == 1
    assert [note for b in batches for note in b.notes] == [note for b in read(opened(text), options) for note in b.notes]
