"""A sheet is read some rows at a time and column by column: what comes out is what reading cell by cell gives."""

import io
import re
from dataclasses import asdict
from datetime import date, datetime, time, timedelta

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import DeliveryError
from transforms.formats import calamine_cells, sheet_rows, xlsx_package
from transforms.formats.options import SpreadsheetOptions
from transforms.formats.spreadsheet import read

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 2.5, 1e15, 1e16, 1e300, -3.0, 0.1 + 0.2, float("inf"), 12_345_678_901_234.5])
MOMENTS = st.sampled_from([date(2026, 1, 2), datetime(2026, 1, 2, 3, 4), time(5, 6), timedelta(hours=30)])  # noqa: DTZ001 - as Excel
TEXTS = st.sampled_from(["", " ", "\u2003", "A1", "1", "1.0", "1E5"])
CELLS = st.one_of(st.none(), TEXTS, NUMBERS.filter(lambda n: n != float("inf")), st.integers(-3, 3), st.booleans(), MOMENTS)


def workbook(rows) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    for row in (["sku", "quantity", "note"], *rows):
        sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def everything(data: bytes, height: int, **options):
    """All that reading in blocks of `height` rows tells, whatever the batches; or the error."""
    given = SpreadsheetOptions.model_validate({"identifier_columns": ["sku"], **options})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sheet_rows, "BLOCK_ROWS", height)
        try:
            batches = list(read(lambda: io.BytesIO(data), given))
        except DeliveryError as error:
            return error.code, error.message, error.row, error.column
    assert all(batch.frame.height <= given.batch_rows for batch in batches)
    rows = [row for batch in batches for row in batch.frame.rows()]
    problems = [asdict(problem) for batch in batches for problem in batch.cell_problems]
    return rows, problems, sum(batch.rows_read for batch in batches), batches[-1].notes


@pytest.mark.parametrize("engine", ["openpyxl", "calamine"])
@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, max_size=5), max_size=12),
    height=st.integers(1, 5),
    batch=st.integers(1, 7),
    limits=st.fixed_dictionaries({}, optional={"rows": st.integers(1, 12), "cells": st.integers(5, 60), "field_bytes": st.just(8)}),
)
def test_the_size_of_blocks_and_batches_changes_nothing(engine, rows, height, batch, limits):
    data = workbook(rows)
    small = everything(data, height, engine=engine, batch_rows=batch, limits=limits)
    assert small == everything(data, 1_000, engine=engine, limits=limits)


def test_one_wide_row_makes_no_block_of_wide_rows():
    rows = [sheet_rows.SheetRow(number, [""] * (16_384 if number == 3 else 2), []) for number in range(1, 5_000)]
    sheet = sheet_rows.OpenSheet("Stock", (), "none", by_row=lambda: iter(rows))
    blocks = list(sheet.blocks(1))
    assert [row for block in blocks for row in block.rows] == list(range(2, 5_000))
    assert all(len(block.rows) * len(block.columns) < sheet_rows.BLOCK_CELLS + 16_384 for block in blocks)
    assert len(blocks) == 4


@given(st.lists(NUMBERS | TEXTS | st.integers(-3, 3) | st.booleans() | MOMENTS, max_size=12), st.booleans())
def test_a_column_has_the_texts_and_faults_of_its_cells_one_by_one(cells, identifier):
    numbers = calamine_cells._Numbers(4, identifier=identifier, has_comma=False)
    for some in (cells[:6], cells[6:]):
        faults, expected = [], []
        texts = calamine_cells._texts(some, numbers, faults)
        for at, cell in enumerate(some):
            found = []
            expected.append(calamine_cells._cell(cell, 4, found, identifier=identifier))
            assert [fault for number, fault in faults if number == at] == found
            assert not (found and isinstance(cell, str))
        assert list(texts) == expected


@given(st.lists(st.sampled_from([b"<a", b"</", b"<!", b"<?", b"/>", b"!", b"?", b">", b"a/"])).map(b"".join), st.booleans())
def test_the_rough_depth_counts_openings_less_closings(markup, cut):
    chunk = markup + b"<" if cut else markup
    opened = len(re.findall(rb"<[^/!?]", chunk))
    assert xlsx_package._depth_change(chunk) == opened - chunk.count(b"</") - chunk.count(b"/>")
