import csv
import io
import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from stockfeed.cli.export import escape_formula, write_export

SKUS = ["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", " \u00e9", " e\u0301"]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1", "＋1", "－1", "＠x"]


def written(tmp_path, rows, **options):
    output = tmp_path / f"export.{options.get('form', 'csv')}"
    output.unlink(missing_ok=True)
    write_export(rows, **{"form": "csv", "title": "Test", "output": output, **options})
    assert not list(tmp_path.glob(".*"))
    return output


def test_strange_skus_survive_every_export_byte_for_byte(tmp_path):
    rows = [{"supplier_sku": sku} for sku in SKUS]
    assert [r["supplier_sku"] for r in csv.DictReader(io.StringIO(written(tmp_path, rows).read_text("utf-8")))] == SKUS
    lines = written(tmp_path, rows, form="ndjson").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"v": 1, "supplier_sku": sku} for sku in SKUS]
    sheet = openpyxl.load_workbook(written(tmp_path, rows, form="xlsx"))["Test"]
    assert [row[0].value for row in sheet.iter_rows(min_row=2)] == SKUS
    assert {row[0].data_type for row in sheet.iter_rows()} == {"s"}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_csv_for_people_holds_no_formula_and_one_for_programs_is_exact(tmp_path, text):
    def read(**options):
        with written(tmp_path, [{"a": text}], **options).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1]

    assert read() == [f"'{text}"]
    assert read(exact=True) == [text]


def test_our_own_numbers_are_never_escaped():
    assert escape_formula(-5) == -5
    assert escape_formula("12") == "12"


@given(st.text())
def test_no_escaped_text_begins_like_a_formula(text):
    assert not str(escape_formula(text)).startswith(tuple("=+-@\t\r＝＋－＠"))


def test_a_workbook_survives_control_characters_and_every_kind_of_value(tmp_path):
    row = {
        "a": "x\x00\x0by",
        "b": Decimal("1.250"),
        "c": datetime(2026, 1, 2, tzinfo=UTC),
        "d": date(2026, 1, 2),
        "e": [1],
        "f": 10**17,
    }
    sheet = openpyxl.load_workbook(written(tmp_path, [row], form="xlsx"))["Test"]
    assert [cell.value for cell in sheet[2]] == [
        "x\\x00\\x0by",
        "1.250",
        "2026-01-02T00:00:00+00:00",
        "2026-01-02",
        "[1]",
        str(10**17),
    ]


@pytest.mark.parametrize("form", ["csv", "ndjson", "xlsx"])
def test_an_export_without_rows_is_still_a_file(tmp_path, form):
    assert written(tmp_path, [], form=form).exists()


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_export([{"a": 1}], form="csv", output=tmp_path / "no" / "such" / "x.csv", title="T")
    with pytest.raises(ConfigError, match="cannot go to the screen"):
        write_export([{"a": 1}], form="xlsx", output=None, title="T")


def test_a_reader_that_goes_away_ends_the_output_and_not_the_work():
    script = (
        "import sys; from stockfeed.cli.output import emit\n"
        "for n in range(200_000): emit('x' * 50)\n"
        "print('worked to the end', file=sys.stderr)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "worked to the end\n"
        assert process.wait() == 0
