"""`feeds try` without a feed: what is guessed for a stranger's file loads, and reads the file or refuses it clearly."""

import gzip
import json
import tomllib
from pathlib import Path

import pytest

from schemas.errors import DeliveryError
from stockfeed import cli
from stockfeed.pipeline.first_config import first_config
from stockfeed.pipeline.trial import try_file
from stockfeed.settings import load_config, load_settings

SAMPLES_READ = 26  # of 36: the others have no stock in them, no key in any row, or a fault that a person must look at


def main(arguments: list[str]) -> int:
    """The exit code of the command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return int(ended.value.code)


def tried(folder: Path, path: Path):
    """The lines of `feeds try` with the guessed file saved as the comment on it says; both may raise our errors only."""
    guessed = first_config(path)
    code = tomllib.loads(guessed.toml)["supplier"]["code"]
    (folder / "config" / "suppliers").mkdir(parents=True, exist_ok=True)
    (folder / "config" / "suppliers" / f"{code}.toml").write_text(guessed.toml, encoding="utf-8")
    settings = load_settings({"STOCKFEED_STATE": str(folder / "state")}, folder)
    return list(try_file(settings, load_config(settings).feeds[f"{code}.stock"], path))


@pytest.mark.needs_shared
def test_a_guess_for_a_sample_loads_and_reads_it_or_refuses_it_clearly(shared, tmp_path):
    read = []
    samples = [path for path in sorted((shared / "samples" / "tabular").iterdir()) if path.suffix != ".json"]
    for path in samples:
        lines = tried(tmp_path / path.stem, path)
        assert lines[-1]["type"] == "summary", path.name
        if lines[-1]["outcome"] == "rejected":
            told = [line for line in lines if line["type"] == "rejection"]
            assert told, path.name
            assert all(line["message"] and line["remedy"] for line in told), path.name
        elif any(line["type"] == "record" for line in lines):
            read.append(path.stem)
    assert len(samples) == 36
    assert len(read) >= SAMPLES_READ, read


@pytest.mark.needs_shared
def test_tables_that_are_not_stock_get_no_quantity(shared):
    for name in ("t50_demand_matrix_not_a_stock_feed.csv", "t55_movement_ledger_not_stock.xlsx", "t56_ads_feed_without_stock.csv"):
        toml = tomllib.loads(first_config(shared / "samples" / "tabular" / name).toml)
        assert toml["feed"][0]["columns"]["on_hand"] == "?", name


@pytest.mark.needs_shared
def test_hostile_files_never_crash_the_guess(shared, tmp_path):
    refused = {}
    for path in sorted((shared / "hostile" / "made" / "csv").iterdir()):
        try:
            lines = tried(tmp_path / path.stem, path)
        except DeliveryError as error:
            refused[path.stem] = error.code
            continue
        assert lines[-1]["type"] == "summary", path.name
    assert refused == {"c21_empty": "FILE-EMPTY", "c26_html_login_page": "FILE-NOT-TABLE", "c27_json_error": "FILE-NOT-TABLE"}


@pytest.mark.slow
@pytest.mark.needs_shared
@pytest.mark.parametrize("kind", ["xlsx", "zip"])
def test_hostile_workbooks_and_archives_end_in_a_guess_that_loads_or_in_our_own_words(shared, tmp_path, kind):
    refused: dict[str, DeliveryError] = {}
    for path in sorted((shared / "hostile" / "made" / kind).iterdir()):
        try:
            lines = tried(tmp_path / path.stem, path)
        except DeliveryError as error:
            refused[path.name] = error
            continue
        assert lines[-1]["type"] == "summary", path.name
    assert {name: error.code for name, error in refused.items() if not (error.code.startswith("FILE-") and error.hint)} == {}


@pytest.mark.parametrize(
    ("content", "page"),
    [
        (b'{"items": [{"sku": "A-1", "free": 5}]}', "json_doc"),
        (b'{"sku": "A-1", "free": 5}\n{"sku": "A-2", "free": 7}\n', "json_doc"),
        (b"<stock><item><sku>A-1</sku></item></stock>", "xml_doc"),
        (b"UNA:+.? 'UNB+UNOC:3", "edifact"),
        (b"ISA*00*   ", "edi_x12"),
    ],
)
def test_what_is_no_table_but_can_be_read_is_sent_to_the_page_of_its_format(tmp_path, content, page):
    path = tmp_path / "sample"
    path.write_bytes(content)
    with pytest.raises(DeliveryError) as refused:
        first_config(path)
    assert f'type = "{page}": docs/formats/{page}.md' in refused.value.hint


def test_a_packed_file_is_guessed_with_its_archive(tmp_path):
    path = tmp_path / "Lager 2026.csv.gz"
    path.write_bytes(gzip.compress("Artikel;Bestand\nGrün-1;5\nA-2;7\n".encode("cp1252")))
    toml = tomllib.loads(first_config(path).toml)
    assert toml["supplier"]["code"] == "lager_2026_csv"
    assert toml["feed"][0]["format"] == {
        "type": "delimited", "archive": "auto", "encoding": "cp1252", "delimiter": ";", "header_row": 1,
    }  # fmt: skip
    records = [line for line in tried(tmp_path, path) if line["type"] == "record"]
    assert [(line["supplier_sku"], line["on_hand"]) for line in records] == [("Grün-1", "5"), ("A-2", "7")]


def test_the_encoding_of_a_packed_text_is_looked_for_as_that_of_a_plain_one(tmp_path):
    path = tmp_path / "ostatki.csv.gz"
    text = "Артикул;Количество\nМолоток-1;5\nОтвёртка;7\n"
    path.write_bytes(gzip.compress(text.encode("cp1251")))
    assert tomllib.loads(first_config(path).toml)["feed"][0]["format"]["encoding"] == "cp1251"
    records = [line for line in tried(tmp_path, path) if line["type"] == "record"]
    assert [line["supplier_sku"] for line in records] == ["Молоток-1", "Отвёртка"]


def test_the_command_prints_only_toml_that_the_next_command_reads(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sample = tmp_path / "acme.csv"
    sample.write_text("SKU,Qty\nA-1,5\nA-2,0\nA-3,12\n")
    assert main(["feeds", "try", "--file", str(sample)]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    saved = tmp_path / "config" / "suppliers" / "acme.toml"
    saved.parent.mkdir(parents=True)
    saved.write_text(told.out, encoding="utf-8")
    assert main(["feeds", "check"]) == 0
    assert main(["feeds", "try", "acme.stock", "--file", str(sample)]) == 0
    assert "3 rows read: 3 accepted" in capsys.readouterr().out


def test_the_guess_as_json_tells_each_key_with_its_evidence(tmp_path, capsys):
    sample = tmp_path / "acme.csv"
    sample.write_text("SKU,Qty\nA-1,5\nA-2,0\n")
    assert main(["feeds", "try", "--file", str(sample), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["v"], told["type"], told["file"]) == (1, "guess", "acme.csv")
    assert {"key": "feed.columns.on_hand", "value": "Qty"}.items() <= next(
        guess for guess in told["guesses"] if guess["key"] == "feed.columns.on_hand"
    ).items()
    assert tomllib.loads(told["toml"])["feed"][0]["columns"]["supplier_sku"] == "SKU"


@pytest.mark.parametrize(("content", "code"), [(b"", 4), (b"<!doctype html><html></html>", 4), (b"\n\n;;\n", 4), (b"%PDF-1.7", 4)])
def test_what_is_no_table_is_refused_in_words(tmp_path, capsys, content, code):
    sample = tmp_path / "acme.csv"
    sample.write_bytes(content)
    assert main(["feeds", "try", "--file", str(sample)]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("Error: acme.csv: ")
    assert "\n→ " in told.err


def test_a_file_that_is_not_there_is_a_mistake_of_the_command(tmp_path):
    assert main(["feeds", "try", "--file", str(tmp_path / "nothing.csv")]) == 3
