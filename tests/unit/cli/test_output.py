import json
from dataclasses import dataclass

from stockfeed.cli.output import as_row, emit_json, show_record, show_rows


def test_json_is_one_object_a_line_that_begins_with_its_version(capsys):
    show_rows([{"sku": "é\n"}, {"sku": "b"}], (("sku", "SKU"),), as_json=True, nothing="none")
    told = capsys.readouterr().out
    assert told.splitlines()[0] == '{"v": 1, "sku": "é\\n"}'
    assert len(told.splitlines()) == 2
    emit_json({"type": "x"})
    assert list(json.loads(capsys.readouterr().out)) == ["v", "type"]


def test_no_rows_give_no_json_line_and_a_sentence_for_people(capsys):
    show_rows([], (), as_json=True, nothing="No rows.")
    assert capsys.readouterr().out == ""
    show_rows([], (), as_json=False, nothing="No rows.")
    assert capsys.readouterr().out == "No rows.\n"


def test_a_table_is_tidy_at_80_columns_and_safe_for_a_terminal(capsys):
    rows = [
        {
            "id": 1234,
            "feed": "acme.stock",
            "rows_read": 1_000_000,
            "as_of": "2026-11-02T08:00:00+00:00",
            "reason": "evil \x1b[31m " + "word " * 30,
        },
        {"id": 5, "feed": "b.c", "rows_read": None, "as_of": None, "reason": "[bold]no markup[/bold]"},
    ]
    columns = (("id", "id"), ("feed", "feed"), ("rows_read", "rows"), ("as_of", "as of"), ("reason", "why"), ("absent", "absent"))
    show_rows(rows, columns, as_json=False, nothing="")
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    assert "\x1b" not in told
    assert "1,000,000" in told
    assert "1234" in told
    assert "2026-11-02 08:00" in told
    assert "[bold]no markup[/bold]" in " ".join(told.split())
    assert "absent" not in told


def test_a_record_shows_its_lists_of_records_as_tables(capsys):
    show_record({"sku": "A", "steps": [{"step": "on hand", "units": 5}], "empty": []}, as_json=False)
    told = capsys.readouterr().out
    assert ["sku", "A"] in [line.split() for line in told.splitlines()]
    assert "on hand" in told
    show_record({"sku": "A", "steps": [{"step": "on hand"}]}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"v": 1, "sku": "A", "steps": [{"step": "on hand"}]}


def test_a_result_of_the_pipeline_becomes_a_row():
    @dataclass(frozen=True, slots=True)
    class Result:
        feed: str
        ids: tuple[int, ...]

    assert as_row(Result("a.b", (1,))) == {"feed": "a.b", "ids": (1,)}
    assert as_row({"feed": "a.b"}) == {"feed": "a.b"}
