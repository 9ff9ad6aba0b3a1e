"""Whatever a stranger's file holds: the guess is a supplier file that loads, and what it reads from the file counts every row."""

import datetime as dt
import io
import tomllib
from pathlib import Path

import openpyxl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.errors import DeliveryError
from schemas.feed_config import SupplierFile
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_config, load_settings
from transforms.guess import guess_config
from transforms.guess_text import guess_text
from transforms.guess_toml import as_toml

NAMES = st.sampled_from(
    [
        "SKU",
        "Stock",
        "Stock Berlin",
        "Stock 2",
        "Available",
        "qty",
        "Price",
        "EAN",
        "Date",
        "",
        " ",
        "Stock",
        "#1",
        'a "b"',
        "x\ny",
        "{location}",
        "總計",
        "Lager\u00a0Nord",
    ]
)
CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "5",
            "1.250",
            "1,250",
            "12,50",
            "1.204,00",
            "10+",
            "<5",
            "in stock",
            "IN STOCK",
            "straße",
            "STRASSE",
            "Total",
            "{n}",
            "{n}+",
            "{",
            "\\",
            '"',
            "#N/A",
            "2026-01-15",
            "03/04/2026",
            "4006381333931",
            "\u2003",
            "\x7f",
            "\x1b[31m",
            "é",
            "NaN",
            "true",
            "unknown",
            "'",
            "999999999999999999999",
            "\ufeff",
            "\u202e",
            "a=b",
            "[x]",
            "1e5",
            "5-10",
        ]
    ),
    st.text(max_size=6),
)
TABLES = st.lists(NAMES, min_size=1, max_size=6).flatmap(
    lambda names: st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=8).map(lambda rows: [names, *rows])
)
EXAMPLES = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def loads(text: str) -> SupplierFile:
    return SupplierFile.model_validate(tomllib.loads(text))


def text_or_code(data: bytes, *, whole: bool) -> str:
    try:
        guess_text(data, whole=whole)
    except DeliveryError as error:
        return error.code
    return "text"


@EXAMPLES
@given(data=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_the_text_of_any_bytes_is_guessed_or_refused_in_our_words(data):
    for whole in (True, False):
        assert text_or_code(data, whole=whole) in {"text", "FILE-ENCODING", "FILE-TRUNCATED"}


@EXAMPLES
@given(table=TABLES, workbook=st.booleans())
def test_the_guess_of_any_table_is_a_supplier_file_that_loads(table, workbook):
    rows = list(enumerate(map(tuple, table), 1))
    from transforms.guess import Guess

    form = [Guess("feed.format.type", "spreadsheet" if workbook else "delimited", "", "sure")]
    loads(as_toml(guess_config("acme", form, rows, workbook=workbook, whole=True), file="x.csv"))


@settings(EXAMPLES, max_examples=12)
@given(table=TABLES, delimiter=st.sampled_from(";,\t|"))
@example(table=[["SKU", "Name", "X", "In Stock", "Y"], ["A", "", "5", "FALSE", ""]], delimiter=";")
def test_a_file_read_by_its_guess_counts_every_row_and_makes_no_zero_of_what_is_none(tmp_path: Path, table, delimiter):
    from stockfeed.pipeline.first_config import first_config

    cells = [[cell.replace("\r", " ").replace("\n", " ") for cell in row] for row in table]
    quoted = ("".join(delimiter.join('"' + c.replace('"', '""') + '"' for c in row) + "\n" for row in cells)).encode(
        "utf-8", "replace"
    )
    path = tmp_path / "acme.csv"
    path.write_bytes(quoted)
    try:
        toml = first_config(path).toml
    except DeliveryError:
        return
    (tmp_path / "config/suppliers").mkdir(parents=True, exist_ok=True)
    (tmp_path / "config/suppliers/acme.toml").write_text(toml, encoding="utf-8")
    config = load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path)
    lines = list(try_file(config, load_config(config).feeds["acme.stock"], path))
    counted = lines[-1]["rows"]
    assert counted["read"] == counted["accepted"] + counted["rejected"] + counted["skipped"]
    texts = {text.strip() for row in cells for text in row}
    zeros = [line for line in lines if line["type"] == "record" and "0" in (line["on_hand"], line["available"])]
    # "FALSE" or "sold out" is 0 only where the file that a person goes through says so, word by word
    declared = {word for word, units in loads(toml).feed[0].words.items() if units == 0}
    assert not zeros or any(
        text in declared or text in {"0", "-0", "+0"} or not set(text) - set("0.,") for text in texts if text
    ), zeros


VALUES = st.one_of(
    st.none(),
    st.integers(-5, 2_000_000),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.booleans(),
    st.dates(dt.date(1970, 1, 1), dt.date(2099, 1, 1)),
    st.sampled_from(["A", "001", "1E5", "NA", " x", "=1+1", "é"]),
)


@settings(EXAMPLES, max_examples=20)
@given(table=st.lists(st.lists(VALUES, min_size=3, max_size=3), max_size=6))
def test_both_engines_see_the_same_rows_and_never_a_number_where_there_is_none(table):
    from transforms.formats.options import SpreadsheetOptions
    from transforms.formats.spreadsheet import read

    book = openpyxl.Workbook()
    book.active.append(["sku", "qty", "note"])
    for row in table:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    seen = []
    for engine in ("openpyxl", "calamine"):
        options = SpreadsheetOptions(engine=engine, skip_blank=False)
        batches = list(read(lambda: io.BytesIO(out.getvalue()), options))
        seen.append([cells for batch in batches for cells in batch.frame.rows() if any(cells[2:])])
        for row, _, *cells in seen[-1]:
            for text, value in zip(cells, table[row - 2], strict=True):
                assert (text == "") == (value is None or value == "=1+1"), (engine, row, text, value)
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    assert abs(float(text) - value) <= abs(value) * 1e-14
    assert seen[0] == seen[1]
