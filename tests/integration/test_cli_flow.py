"""The command line from an empty folder to a published channel and back, against real files and a real database."""

import json
import os
import re
from pathlib import Path

import openpyxl
import pytest

from stockfeed.cli.boundary import run
from tests.unit.config_files import SUPPLIER

SKUS = ["NA", "NULL", "001", "1E5", "MARCH1", "True", "nan", "\u00e9-1", "e\u0301-2"]
FEED = SUPPLIER.replace('path = "/data"', 'path = "in", settle = "0s"').replace('stale_after = "24h"', 'stale_after = "3650d"')
CHANNEL = """[channel]
code = "list"
name = "A list for a partner"
kind = "feed_file"
path = "out"
locations = ["main"]
"""


class Shell:
    """Runs command lines in one folder and gives their exit code, lines and JSON objects."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.files = 0

    def __call__(self, *words):
        code = run(list(words))
        told = self.capsys.readouterr()
        self.err = told.err
        return code, told.out

    def json(self, *words, code=0):
        found, out = self(*words, "--json")
        assert found == code, (out, self.err)
        return [json.loads(line) for line in out.splitlines()]

    def deliver(self, rows):
        self.files += 1
        path = self.folder / "in" / f"stock{self.files}.csv"
        path.write_text("SKU,Qty\n" + "".join(f"{sku},{quantity}\n" for sku, quantity in rows), encoding="utf-8")
        os.utime(path, (1_790_000_000 + self.files, 1_790_000_000 + self.files))


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STOCKFEED_LOG_LEVEL", "ERROR")
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    shell = Shell(tmp_path, capsys)
    assert shell("init")[0] == 0
    (tmp_path / "config" / "suppliers" / "acme.toml").write_text(FEED, encoding="utf-8")
    return shell


def levels(shell):
    return {row["supplier_sku"]: row["on_hand"] for row in shell.json("inventory", "show", "--limit", "1000")}


def test_init_can_be_repeated_and_overwrites_nothing(shell):
    template = shell.folder / "config" / "_template.toml"
    template.write_text("# mine", encoding="utf-8")
    [told] = shell.json("init")
    assert told["made"] == []
    assert template.read_text(encoding="utf-8") == "# mine"


def test_a_folder_that_cannot_be_made_is_a_clear_error(shell, monkeypatch):
    (shell.folder / "file").touch()
    monkeypatch.setenv("STOCKFEED_STATE", str(shell.folder / "file" / "state"))
    assert shell("init")[0] == 3
    assert shell.err.startswith(f"Error: the folder {shell.folder}/file/state cannot be made: Not a directory\n→ Check")


def test_without_tables_the_remedy_is_told(shell, monkeypatch):
    monkeypatch.setenv("STOCKFEED_DATABASE_URL", "sqlite:///other.sqlite3")
    for words in (["feeds", "list"], ["sync"], ["db", "check"], ["inventory", "show"]):
        assert shell(*words)[0] == 3
        assert "→ Run `stockfeed db upgrade`." in shell.err


def test_strange_skus_come_out_of_file_database_command_line_and_export_byte_for_byte(shell):
    shell.deliver([(sku, n) for n, sku in enumerate(SKUS, start=1)])
    [told] = shell.json("sync")
    assert (told["state"], told["rows_accepted"]) == ("applied", len(SKUS))
    assert levels(shell) == {sku: str(n) for n, sku in enumerate(SKUS, start=1)}
    exported = [json.loads(line)["supplier_sku"] for line in shell("inventory", "export", "--format", "ndjson")[1].splitlines()]
    assert sorted(exported) == sorted(SKUS)
    assert shell("inventory", "export", "--format", "xlsx", "--output", "levels.xlsx")[0] == 0
    sheet = openpyxl.load_workbook("levels.xlsx")["Inventory"]
    column = [cell.value for cell in sheet[1]].index("supplier sku")
    assert sorted(row[column] for row in sheet.iter_rows(min_row=2, values_only=True)) == sorted(SKUS)


def test_a_new_feed_is_in_shadow_until_a_person_releases_it(shell):
    assert shell("feeds", "release", "acme.stock", "--reason", "checked")[0] == 4
    shell.deliver([("A", 5)])
    shell.json("sync")
    assert shell.json("feeds", "list")[0]["in_shadow"] is True
    shell.json("feeds", "release", "acme.stock", "--reason", "checked")
    assert shell.json("feeds", "list")[0]["in_shadow"] is False


def test_a_suspicious_delivery_is_held_and_can_be_released_undone_and_rejected(shell):
    full = [(f"S{n}", 100) for n in range(50)]
    shell.deliver(full)
    assert [row["state"] for row in shell.json("sync")] == ["applied"]
    shell.deliver([(sku, 1) for sku, _ in full])
    [held] = shell.json("sync", code=2)
    assert held["state"] == "held"
    number = str(held["delivery_id"])
    assert levels(shell)["S1"] == "100"
    code, shown = shell("deliveries", "show", number)
    assert code == 0
    assert "hold     UNITS-FALL" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert [row["id"] for row in shell.json("deliveries", "list", "--state", "held")] == [held["delivery_id"]]

    shell.json("deliveries", "release", number, "--reason", "clearance")
    assert levels(shell)["S1"] == "1"
    assert shell("db", "check") == (0, "All rules hold.\n")
    shell.json("deliveries", "undo", number, "--reason", "it was not")
    assert levels(shell)["S1"] == "100"
    assert shell("db", "check") == (0, "All rules hold.\n")

    shell.deliver([(sku, 2) for sku, _ in full])
    [again] = shell.json("sync", code=2)
    shell.json("deliveries", "reject", str(again["delivery_id"]), "--reason", "no")
    assert shell.json("deliveries", "list", "--limit", "1")[0]["state"] == "rejected"
    assert levels(shell)["S1"] == "100"


def test_a_delivery_that_was_not_applied_is_told_with_the_next_command(shell):
    config = shell.folder / "config" / "suppliers" / "acme.toml"
    config.write_text(FEED.replace('"SKU"', '"Artikel"'), encoding="utf-8")
    shell.deliver([("A", 5)])
    code, told = shell("sync")
    assert (code, told.splitlines()[-1]) == (4, "  stockfeed deliveries replay 1")
    config.write_text(FEED, encoding="utf-8")
    assert shell("sync") == (0, "Nothing new.\n")
    assert shell("deliveries", "replay", "1")[0] == 0
    assert levels(shell) == {"A": "5"}
    shell.deliver([("A", 0)])
    code, told = shell("sync")
    assert code == 2
    assert told.endswith("  stockfeed deliveries release 2 --reason …\n")


def test_an_act_without_a_reason_or_on_the_wrong_thing_is_refused(shell):
    assert shell("deliveries", "undo", "1")[0] == 3
    assert "--reason" in shell.err
    assert shell("deliveries", "undo", "99", "--reason", "x")[0] == 4
    assert shell("deliveries", "show", "99")[0] == 4
    for words in (["deliveries", "list"], ["rejections", "list"], ["rejections", "export"], ["inventory", "show"]):
        assert shell(*words, "--feed", "acme.stok")[0] == 3
        assert "Did you mean acme.stock?" in shell.err
    assert shell("sync", "acmee")[0] == 3
    assert "Did you mean acme?" in shell.err


def test_one_suppliers_fault_does_not_stop_the_others(shell):
    broken = FEED.replace('"acme"', '"abc"').replace('path = "in"', 'path = "nowhere"')
    (shell.folder / "config" / "suppliers" / "abc.toml").write_text(broken, encoding="utf-8")
    shell.deliver([("A", 5)])
    code, out = shell("sync")
    assert code in {3, 4}
    assert "acme.stock" in out
    assert "applied" in out
    assert shell.err.startswith("Error: abc.stock: ")
    assert levels(shell) == {"A": "5"}


def test_rejected_rows_are_listed_and_exported_for_the_supplier(shell):
    shell.deliver([("A", 5), ("B", "=1+1"), ("C", "ten")])
    shell.json("sync")
    assert [(r["row"], r["column"], r["value"]) for r in shell.json("rejections", "list")] == [
        (3, "Qty", "=1+1"),
        (4, "Qty", "ten"),
    ]
    _, text = shell("rejections", "export", "--feed", "acme.stock")
    assert "'=1+1" in text
    assert shell("rejections", "export", "1", "--format", "xlsx", "--output", "r.xlsx")[0] == 0
    book = openpyxl.load_workbook("r.xlsx")
    assert book.sheetnames == ["Summary", "Rejections"]
    assert {cell.data_type for row in book["Rejections"].iter_rows() for cell in row} <= {"s", "n"}
    code, _ = shell("rejections", "export", "--format", "xlsx", "--output", "all.xlsx")
    assert (code, Path("all.xlsx").exists()) == (3, False)  # it could hold another supplier's rows


def test_listed_rejections_can_be_read_on_80_columns(shell):
    shell.deliver([("A", 5), ("B", "on the way perhaps"), ("C", "ten"), ("D" * 100, "x" * 200)])
    shell.json("sync")
    _, out = shell("rejections", "list")
    lines = out.splitlines()
    assert lines[0].startswith("delivery 1 · acme.stock · ")
    assert lines[1].startswith('row 3, column "Qty", value "on the way perhaps": ')
    assert "→ Add the word to [feed.words]" in out
    assert max(map(len, lines)) <= 80
    _, out = shell("rejections", "list", "--limit", "1")
    assert "ten" not in out
    assert "these are the first 1" in out.splitlines()[-1]
    assert len(shell.json("rejections", "list", "--limit", "1")) == 1


def test_a_delivery_refused_as_a_whole_is_among_the_rejections_of_its_feed(shell):
    shell.deliver([("A", 5)])
    shell.json("sync")
    (shell.folder / "in" / "other.csv").write_text("Artikel,Menge\nA,1\n", encoding="utf-8")
    shell("sync")
    _, out = shell("rejections", "list", "--feed", "acme.stock")
    assert "[HEADER-MISSING]" in out
    _, out = shell("deliveries", "show", "2")
    assert [line for line in out.splitlines() if re.fullmatch(r"sha256\s+[0-9a-f]{64}", line)]
    assert max(map(len, out.splitlines())) <= 80
    assert shell("rejections", "list", "99")[0] == 4
    assert "there is no delivery 99" in shell.err


def test_a_channel_is_previewed_approved_published_paused_and_explained(shell):
    (shell.folder / "config" / "channels" / "list.toml").write_text(CHANNEL, encoding="utf-8")
    shell.deliver([("A", 5), ("B", 7)])
    shell.json("sync")
    shell.json("feeds", "release", "acme.stock", "--reason", "checked")
    [allocated] = shell.json("allocate")
    assert allocated["changed"] == 2
    code, out = shell("publish")
    assert code == 2
    assert "channels approve list" in " ".join(out.split())
    shell.json("channels", "approve", "list", "--reason", "looked right")
    [preview] = shell.json("channels", "preview", "list")
    assert sorted((item["sku"], item["quantity"]) for item in preview["items"]) == [("A", 5), ("B", 7)]
    [published] = shell.json("publish")
    assert published["confirmed"] == 2
    assert "A,main,5" in (shell.folder / "out" / "stock.csv").read_text()
    [reconciled] = shell.json("reconcile")
    assert (reconciled["checked"], reconciled["equal"]) == (2, 2)

    code, told = shell("why", "A", "--channel", "list")
    assert code == 0
    assert "list · main: 5 available to sell" in told
    assert "published: 5" in told
    assert max(map(len, told.splitlines())) <= 80
    assert shell.json("why", "A")[0]["available_to_sell"][0]["quantity"] == 5

    shell.json("channels", "pause", "list", "--reason", "maintenance")
    assert shell("publish")[0] == 2
    shell.json("channels", "resume", "list", "--reason", "done")
    assert shell.json("channels", "list")[0]["confirmed"] == 2
    assert shell("publish")[0] == 0
    assert shell("db", "check") == (0, "All rules hold.\n")


def test_the_way_of_a_level_is_told_delivery_by_delivery(shell):
    for rows in ([("A", 5), ("B", 7)], [("A", 4), ("B", 7)], [("B", 8), ("C", 1)]):
        shell.deliver(rows)
        shell.json("sync")
    [told] = shell.json("why", "A")
    names = ("kind", "on_hand_before", "on_hand_after", "delivery_id", "file")
    assert [tuple(change[name] for name in names) for change in told["changes"]] == [
        ("missing", "4", "4", 3, "stock3.csv"),
        ("changed", "5", "4", 2, "stock2.csv"),
        ("new", None, "5", 1, "stock1.csv"),
    ]
    assert re.search(r"changed\s+5\s+4\s+2 stock2.csv", shell("why", "A")[1])
    shell.json("deliveries", "undo", "3", "--reason", "wrong file")
    [gone] = shell.json("why", "C")
    assert (gone["levels"], [change["kind"] for change in gone["changes"]]) == ([], ["undone", "new"])
    assert "undone" in shell("why", "C")[1]
    assert shell.json("why", "unheard of")[0]["changes"] == []


def test_a_sweep_names_feeds_that_became_too_old(shell):
    shell.deliver([("A", 5)])
    shell.json("sync")
    path = shell.folder / "config" / "suppliers" / "acme.toml"
    path.write_text(FEED.replace('"3650d"', '"1h"'), encoding="utf-8")
    [swept] = shell.json("sweep")
    assert swept["stale"] == ["acme.stock"]
    assert shell.json("feeds", "list")[0]["is_stale"] is True
    assert shell("sweep") == (0, "stale: none\nfresh: none\nsilent: none\nstale_locations: none\n")


def test_feeds_that_would_expire_together_look_like_our_outage_until_a_person_confirms(shell):
    suppliers = [shell.folder / "config" / "suppliers" / f"{name}.toml" for name in ("a", "b", "c")]
    shell.deliver([("A", 5)])
    for text in (FEED, FEED.replace('"3650d"', '"1h"')):
        for path in suppliers:
            path.write_text(text.replace('"acme"', f'"{path.stem}"'), encoding="utf-8")
        shell.json("sync")
    code, told = shell("sweep")
    assert code == 2
    assert "stockfeed sweep --confirm" in told
    [swept] = shell.json("sweep", "--confirm")
    assert swept["stale"] == ["a.stock", "b.stock", "c.stock"]
