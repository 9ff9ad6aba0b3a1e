"""`feeds try` as a function: the NDJSON objects of DESIGN §10, without any database."""

import hashlib
import io
from pathlib import Path

import openpyxl
import pytest

from schemas.feed_config import Feed
from stockfeed.pipeline.trial import decimal_text, try_file
from stockfeed.settings import load_settings

FEED = {
    "code": "stock",
    "source": {"type": "folder", "path": "in"},
    "format": {"type": "delimited"},
    "timezone": "UTC",
    "quantities": "net",
    "stale_after": "24h",
    "columns": {"supplier_sku": "sku", "on_hand": "qty", "unit_cost": "cost"},
    "decimal": ".",
    "currency": "USD",
}


def run(tmp_path: Path, content: bytes, *, stage="rules", **changes):
    path = tmp_path / "feed.csv"
    path.write_bytes(content)
    feed = Feed.model_validate(FEED | changes)
    return list(try_file(load_settings({"STOCKFEED_STATE": str(tmp_path / "state")}, tmp_path), feed, path, stage=stage))


def of_type(lines, kind):
    return [line for line in lines if line["type"] == kind]


def test_records_carry_every_field_with_exact_decimals_and_the_files_hash(tmp_path: Path):
    content = b"sku,qty,cost\nA,12.5,0.0125\nB,3,\n"
    lines = run(tmp_path, content)
    first, second = of_type(lines, "record")
    assert (first["supplier_sku"], first["on_hand"], first["unit_cost"], first["row"], first["line"]) == (
        "A",
        "12.5",
        "0.0125",
        2,
        2,
    )
    assert first["sha256"] == hashlib.sha256(content).hexdigest()
    assert (second["on_hand"], second["unit_cost"], second["available"]) == ("3", None, None)
    assert {line["v"] for line in lines} == {1}


def test_the_summary_comes_last_and_counts_rows(tmp_path: Path):
    lines = run(tmp_path, b"sku,qty,cost\nA,1,\n,2,\nB,x,\n\n")
    summary = lines[-1]
    assert summary["type"] == "summary"
    assert summary["outcome"] == "applied"
    assert summary["rows"] == {"read": 4, "accepted": 1, "rejected": 2, "skipped": 1}
    assert summary["reading"]["delimiter"] == ","
    assert {r["code"] for r in of_type(lines, "rejection")} == {"SKU-BLANK", "QTY-WORD"}


@pytest.mark.parametrize(
    ("content", "outcome"),
    [(b"sku,qty,cost\nA,0,\nB,0,\n", "held"), (b"sku,qty,cost\n", "held"), (b"", "rejected"), (b"a,b\n1,2\n", "rejected")],
    ids=["all zero", "header only", "empty", "other columns"],
)
def test_the_outcome_is_what_a_real_delivery_would_get(tmp_path: Path, content: bytes, outcome: str):
    assert run(tmp_path, content)[-1]["outcome"] == outcome


def test_a_rejected_file_says_where_and_what_to_do(tmp_path: Path):
    (problem,) = of_type(run(tmp_path, b"a,b\n1,2\n"), "rejection")
    assert problem["code"] == "HEADER-MISSING"
    assert "sku" in problem["message"]
    assert problem["remedy"]


def test_the_read_stage_shows_what_the_reader_saw_before_rules(tmp_path: Path):
    lines = run(tmp_path, b"sku,qty,cost\nA,12.50,7\nB,call,\n", stage="read")
    first, second = of_type(lines, "observation")
    assert (first["supplier_sku"], first["quantity"], first["quantity_kind"], first["price"]) == ("A", "12.50", "on_hand", "7")
    assert (second["quantity"], second["quantity_text"]) == (None, "call")


def test_a_notes_line_is_not_a_rejection(tmp_path: Path):
    lines = run(tmp_path, b"sku,qty,cost\nA,1,\nA,1,\n")
    assert [n["code"] for n in of_type(lines, "note")] == ["SKU-DUPLICATE"]
    assert of_type(lines, "rejection") == []


@pytest.mark.parametrize(
    ("value", "expected"), [(12500, "12.5"), (0, "0"), (-1001, "-1.001"), (3000, "3"), (None, None), (5, "0.005")]
)
def test_scaled_integers_become_exact_texts(value, expected):
    assert decimal_text(value, 1000) == expected


@pytest.mark.parametrize(
    "marks", [{"thousands": "."}, {"columns": FEED["columns"] | {"on_hand": {"column": "qty", "thousands": "."}}}]
)
@pytest.mark.parametrize("kind", ["spreadsheet", "json_doc"])
def test_a_number_is_read_as_itself_whatever_marks_the_texts_beside_it_have(tmp_path: Path, kind, marks):
    """Numbers of workbooks and JSON have a decimal point: 1.125 is no 1125 where points group thousands, and 12.5 a cost."""
    if kind == "json_doc":
        content = b'[{"sku":"A","qty":1.125,"cost":12.5},{"sku":"B","qty":"1.125","cost":"12,5"}]'
    else:
        book, out = openpyxl.Workbook(), io.BytesIO()
        for row in (["sku", "qty", "cost"], ["A", 1.125, 12.5], ["B", "1.125", "12,5"]):
            book.active.append(row)
        book.save(out)
        content = out.getvalue()
    lines = run(tmp_path, content, **{"format": {"type": kind}, "decimal": ",", **marks})
    read = [(line["supplier_sku"], line["on_hand"], line["unit_cost"]) for line in of_type(lines, "record")]
    assert read == [("A", "1.125", "12.5"), ("B", "1125", "12.5")]
    assert not of_type(lines, "rejection")
