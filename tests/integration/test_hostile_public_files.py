"""Files of public test suites through the pipeline: no verdict is known for them, but each ends in an outcome, soon and small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.integration.hostile_world import HostileWorld, HourClock, database_template, feed_toml

pytestmark = pytest.mark.needs_shared

SECONDS, MEGABYTES = 20, 512
ENDED = {"applied", "held", "rejected"}
TEXTS = {".csv", ".tsv", ".psv", ".ssv", ".prn", ".unknown", ".txt", ".dif", ".slk", ".htm", ".html"}
SHEETS = {".xls", ".xlsx", ".xlsm", ".xlsb", ".ods", ".doc"}
PACKED = {".zip", ".gz", ".bz2"}
DOCUMENTS = {".json", ".xml"}
OTHERS = {"tnefparse", "cpython-email"}  # folders of mail
NOT_TABLES = {"blns"}  # a list of strings, one a line


def table_files(shared: Path) -> list[Path]:
    found = [p for part in ("registry", "fetched") for p in sorted((shared / "hostile" / part).rglob("*")) if p.is_file()]
    found = [p for p in found if not OTHERS & set(p.parts)]
    tables = [p for p in found if p.suffix in TEXTS | SHEETS | PACKED and not NOT_TABLES & set(p.parts)]
    return tables + [p for p in found if p.suffix in DOCUMENTS]


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return database_template(tmp_path_factory.mktemp("database"))


@pytest.mark.slow
def test_every_public_file_ends_in_an_outcome_in_time_and_in_little_memory(tmp_path, template, shared):
    files = table_files(shared)
    assert len(files) > 100
    walks = []
    for half in (0, 1):
        (tmp_path / str(half)).mkdir()
        command = [sys.executable, "-m", "tests.integration.hostile_walk", str(tmp_path / str(half)), str(template)]
        walks.append(subprocess.Popen([*command, *map(str, files[half::2])], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True))
    lines = [json.loads(line) for walk in walks for line in walk.communicate()[0].splitlines() if line.startswith("{")]
    assert [walk.returncode for walk in walks] == [0, 0]
    ends = {line["file"]: line for line in lines if "file" in line}
    assert set(ends) == set(map(str, files))
    assert {file: end["state"] for file, end in ends.items() if end["state"] not in ENDED} == {}
    assert {file: end["seconds"] for file, end in ends.items() if end["seconds"] > SECONDS} == {}
    assert [end["file"] for end in ends.values() if not end["reason"] or end["name"] != Path(end["file"]).name] == []
    assert all(size < MEGABYTES for line in lines if "megabytes" in line for size in line["megabytes"].values()), lines[-1]


@pytest.mark.parametrize("answer", ["comma_in_quotes", "empty", "empty_crlf", "escaped_quotes", "json", "newlines", "newlines_crlf",
                                    "quotes_and_newlines", "simple", "simple_crlf", "utf8"])  # fmt: skip
def test_csv_spectrum_reads_as_its_answers_say(tmp_path, shared, answer):
    from schemas.feed_config import TypedSection
    from stockfeed.reading import read_batches

    root = shared / "hostile/registry/csv-spectrum"
    batches = list(read_batches(root / f"csvs/{answer}.csv", TypedSection(type="delimited", delimiter=",")))
    rows = [dict(zip(batches[0].header, cells[2:], strict=True)) for batch in batches for cells in batch.frame.rows()]
    right = json.loads((root / f"json/{answer}.json").read_text(encoding="utf-8"))
    assert rows == (right if isinstance(right, list) else [right])


def test_a_poison_file_is_parked_after_three_tries_and_the_next_one_is_read(tmp_path, template):
    """A worker that dies while it reads leaves the delivery received; the third time it is not read again."""
    world = HostileWorld(tmp_path, feed_toml(tmp_path / "inbox", {"type": "delimited"}), HourClock(), template)
    text = b"sku,description,quantity,price,currency,warehouse\nA1,x,5,1.00,EUR,W1\n"
    world.put(text, "poison.csv")
    poison = _die_while_reading(world)
    assert (poison.state, poison.rows_read) == ("rejected", 0)
    assert "poison.csv stopped the worker 3 times" in poison.reason
    assert world.deliver(text.replace(b",5,", b",6,"), "good.csv").verdict == "ACCEPT"
    world.close()


def _die_while_reading(world: HostileWorld):
    from schemas.tables import delivery
    from stockfeed.pipeline.collect import collect
    from stockfeed.store.engine import write

    collect(world.app, "acme.stock")
    with write(world.app.engine) as connection:  # what three killed workers leave behind
        connection.execute(delivery.update().values(attempts=3))
    (outcome,) = world.sync()
    return outcome
