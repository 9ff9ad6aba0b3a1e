"""The examples of docs/add-a-supplier.md are run, so that the page stays true."""

import json
import re
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from stockfeed.cli.boundary import run

GUIDE = Path(__file__).parents[2] / "docs" / "add-a-supplier.md"


def block(language: str, beginning: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return next(b for b in blocks if b.startswith(beginning))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIRFLOW_CONN_NORDWIND", raising=False)
    for name in ("suppliers", "channels"):
        (tmp_path / "config" / name).mkdir(parents=True)
    (tmp_path / "config" / "suppliers" / "nordwind.toml").write_text(block("toml", "[supplier]"), encoding="utf-8")
    (tmp_path / "sample.csv").write_text(block("csv", "Artikel"), encoding="cp1252")
    return tmp_path


@pytest.mark.parametrize("command", ["feeds check\nNo", "feeds try"])
def test_the_guides_commands_answer_as_it_says(folder, capsys, command):
    told = block("console", f"$ stockfeed {command}")
    line, answer = told.split("\n", 1)
    assert run(line.removeprefix("$ stockfeed ").split()) == 0
    assert capsys.readouterr().out == answer


def test_a_connection_that_cannot_be_read_is_told_before_the_first_sync(folder, capsys, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_NORDWIND", '{"conn_type": "sftp", "password" "canary"}')
    assert run(["feeds", "check"]) == 0
    assert capsys.readouterr().out == (
        "No mistakes: 1 feed, 0 channels.\nNote: connection 'nordwind' cannot be read: it is not valid JSON at character 33 "
        "(AIRFLOW_CONN_NORDWIND); nordwind.stock cannot connect.\n"
    )
    assert run(["feeds", "check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["missing_connections"], list(told["unreadable_connections"])) == ({}, ["nordwind"])


def test_the_guides_mistakes_are_told_as_it_says(folder, capsys):
    path = folder / "config" / "suppliers" / "nordwind.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"net"', '"nett"').replace("supplier_sku =", "suplier_sku ="), encoding="utf-8")
    assert run(["feeds", "check"]) == 3
    assert capsys.readouterr().err == block("console", "$ stockfeed feeds check\nError").split("\n", 1)[1]


def test_the_guides_workbook_is_read_as_it_says(folder, capsys):
    path, changed = folder / "config" / "suppliers" / "nordwind.toml", block("toml", '[feed.source]\ntype = "folder"')
    text = re.sub(r"(?m)^thousands = .*\n", "", path.read_text(encoding="utf-8").replace('decimal = ","', 'decimal = "."'))
    source, layout, columns = re.split(r"\n(?=\[)", changed.strip())
    for table, new in (("source", source), ("format", layout)):
        text = re.sub(rf"\[feed\.{table}\]\n(.+\n)+", lambda _, new=new: f"{new}\n", text)
    text = re.sub(r"(?m)^next_available_on = .*$", columns.splitlines()[1], text)
    path.write_text(text, encoding="utf-8")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Bestand"
    for row in (["Nordwind"], [], ["Artikel", "Bestand", "Wieder da", "EAN"], [471, 1250, None, 4006381333931],
                ["A-101", "auf Anfrage", date(2026, 12, 24)], ["A-104", 2.125], ["A-102", "=1+1"], ["Summe", 11260]):  # fmt: skip
        sheet.append(row)
    sheet["A4"].number_format, sheet["B4"].number_format = "00000", "#,##0"
    book.create_sheet("Notizen")
    book.save("sample.xlsx")
    assert run(["feeds", "check"]) == 0
    assert capsys.readouterr().out.startswith("No mistakes: 1 feed")
    assert run(["feeds", "try", "nordwind.stock", "--file", "sample.xlsx", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    records = [(one["supplier_sku"], one["on_hand"], one["next_available_on"]) for one in told if one["type"] == "record"]
    assert records == [("00471", "1250", None), ("A-101", None, "2026-12-24"), ("A-104", "2.125", None)]
    assert [(one["row"], one["code"]) for one in told if one["type"] == "rejection"] == [(7, "QTY-CELL")]
