import json
from pathlib import Path

import pytest

from schemas.errors import DeliveryError
from stockfeed.cli.trial import report_trial

RECORD = {"v": 1, "type": "record", "supplier_sku": "NA", "on_hand": "5", "row": 2, "line": 2, "sha256": "ab"}
REJECTION = {
    "v": 1, "type": "rejection", "row": 3, "line": 3, "column": "Qty", "value": "1.250", "code": "QTY-LOCALE",
    "message": "the quantity can be read with a decimal or a thousands mark",
    "remedy": "Declare `decimal` and `thousands` for this feed, or send plain digits.",
}  # fmt: skip
FINDING = {"code": "UNITS-FALL", "severity": "hold", "message": "total units fall by 70 %", "remedy": "Ask the supplier."}


def summary(outcome="applied", findings=()):
    rows = {"read": 1204, "accepted": 1201, "rejected": 3, "skipped": 0}
    return {
        "v": 1,
        "type": "summary",
        "outcome": outcome,
        "findings": list(findings),
        "reading": {"encoding": "utf-8"},
        "rows": rows,
    }


def told(capsys, lines, *, as_json=False):
    code = report_trial(lines, file=Path("stock.csv"), feed="acme.stock", as_json=as_json)
    return code, capsys.readouterr().out


@pytest.mark.parametrize(("outcome", "code"), [("applied", 0), ("held", 2), ("rejected", 4)])
@pytest.mark.parametrize("as_json", [True, False])
def test_the_exit_code_is_that_of_the_outcome(capsys, outcome, code, as_json):
    assert told(capsys, [RECORD, summary(outcome)], as_json=as_json)[0] == code


def test_a_trial_without_a_summary_is_a_fault_of_ours(capsys):
    assert told(capsys, [RECORD])[0] == 1


def test_json_lines_go_through_unchanged(capsys):
    lines = [RECORD, REJECTION, summary()]
    assert [json.loads(line) for line in told(capsys, lines, as_json=True)[1].splitlines()] == lines


def test_json_lines_are_written_as_they_come(capsys):
    def lines():
        yield RECORD
        assert capsys.readouterr().out.count("\n") == 1
        yield summary()

    assert told(capsys, lines(), as_json=True)[0] == 0


def test_an_unreadable_file_still_ends_with_a_summary(capsys):
    def lines():
        yield RECORD
        raise DeliveryError(
            "the file ends in the middle of a record", "Send it again.", code="FILE-TRUNCATED", row=7, value="a\0" * 90
        )

    code, out = told(capsys, lines(), as_json=True)
    rejection, ended = (json.loads(line) for line in out.splitlines()[1:])
    assert code == 4
    assert (rejection["type"], rejection["code"], rejection["row"]) == ("rejection", "FILE-TRUNCATED", 7)
    assert rejection["message"] == "the file ends in the middle of a record"
    assert len(rejection["value"]) <= 80
    assert (ended["type"], ended["outcome"], ended["findings"][0]["severity"]) == ("summary", "rejected", "reject")


def test_people_see_the_reason_of_a_whole_files_rejection_once(capsys):
    def lines():
        yield from ()
        raise DeliveryError("the file is empty (0 bytes)", "Send the file again.", code="FILE-EMPTY")

    code, out = told(capsys, lines())
    assert code == 4
    assert out.count("the file is empty") == 1


def test_people_see_counts_findings_and_the_first_problems_with_their_remedy(capsys):
    code, out = told(capsys, [RECORD, *[REJECTION] * 25, summary("held", [FINDING])])
    assert code == 2
    assert out.startswith("acme.stock · stock.csv\nThis file would be HELD until a person releases it.\n")
    assert "1,204 rows read: 1,201 accepted, 3 rejected, 0 skipped." in out
    assert "HOLD UNITS-FALL: total units fall by 70 %\n  → Ask the supplier." in out
    assert "Rows rejected (QTY-LOCALE 25)" in out
    assert 'row 3, column "Qty", value "1.250":' in out
    assert out.count("→ Declare `decimal`") == 20
    assert "… and 5 more problems; --json lists all of them." in out
    assert max(map(len, out.splitlines())) <= 80
