"""Archives read as the pipeline reads them: unpacked in the limited child process, which leaves nothing behind however it ends."""

import os
import signal
from pathlib import Path

import openpyxl
import pytest

from schemas.errors import DeliveryError
from schemas.feed_config import TypedSection
from stockfeed.reading import read_batches
from tests.integration.hostile_world import HostileWorld, HourClock, database_template, feed_toml
from tests.integration.test_reading import children, refused, workbook
from tests.unit.formats.archive_making import PACK, STREAMS, TABLE, zipped


def cells(path: Path, **options) -> list[tuple]:
    batches = list(read_batches(path, TypedSection(**{"type": "delimited", **options})))
    assert not children()
    return [(batches[0].header, row) for batch in batches for row in batch.frame.rows()]


@pytest.fixture
def plain(tmp_path) -> Path:
    path = tmp_path / "stock.csv"
    path.write_bytes(TABLE)
    return path


@pytest.mark.parametrize("kind", PACK)
def test_packed_or_not_the_cells_are_the_same(tmp_path, plain, kind):
    path = tmp_path / "stock.dat"
    path.write_bytes(PACK[kind](TABLE))
    assert cells(path, archive=kind) == cells(plain)


def test_a_packed_file_says_what_it_was_and_one_that_was_only_looked_at_does_not(tmp_path, plain):
    path = tmp_path / "stock.csv.gz"
    path.write_bytes(PACK["gz"](TABLE))
    (batch,) = read_batches(path, TypedSection(type="delimited", archive="auto"))
    assert batch.reading["archive"] == "gz"
    assert "arrived as gz data" in batch.notes[0]
    (batch,) = read_batches(plain, TypedSection(type="delimited", archive="auto"))
    assert "archive" not in batch.reading
    assert batch.notes == ()


def test_the_note_about_the_archive_is_given_once(tmp_path):
    path = tmp_path / "stock.zip"
    path.write_bytes(PACK["zip"](TABLE))
    batches = list(read_batches(path, TypedSection(type="delimited", archive="auto", batch_rows=100)))
    assert [len(batch.notes) for batch in batches] == [1, 0, 0, 0, 0]
    assert {batch.reading["member"] for batch in batches} == {"stock.csv"}


def test_a_workbook_is_read_out_of_a_zip_and_out_of_a_gz(tmp_path):
    book = workbook(tmp_path / "stock.xlsx").read_bytes()
    for kind, data in (("zip", zipped([("a/stock.xlsx", book)])), ("gz", PACK["gz"](book))):
        path = tmp_path / "packed"
        path.write_bytes(data)
        (batch,) = read_batches(path, TypedSection(type="spreadsheet", archive=kind))
        assert batch.frame["c0"].to_list() == ["A0", "A1"]


def test_a_workbook_is_no_archive_where_one_is_looked_for(tmp_path):
    path = workbook(tmp_path / "stock.xlsx")
    (batch,) = read_batches(path, TypedSection(type="spreadsheet", archive="auto"))
    assert "archive" not in batch.reading


def test_rows_of_a_packed_file_keep_their_numbers_in_messages(tmp_path):
    path = tmp_path / "stock.csv.gz"
    path.write_bytes(PACK["gz"](b'sku,quantity\nA1,1\nA2,"2\nA3,3\n'))
    assert refused(path, type="delimited", archive="gz").row == 3


def test_what_is_unpacked_may_be_larger_than_a_file_that_arrives_as_it_is(tmp_path, plain):
    path = tmp_path / "stock.csv.xz"
    path.write_bytes(PACK["xz"](TABLE))
    limit = len(TABLE) - 1
    assert len(PACK["xz"](TABLE)) < limit
    assert len(cells(path, archive="xz", limits={"file_bytes": limit})) == 500
    assert refused(plain, type="delimited", limits={"file_bytes": limit}).code == "FILE-LIMIT"


def test_an_archive_is_refused_with_what_to_declare_where_none_is_declared(tmp_path):
    for kind in ("gz", "zip", "zst"):
        path = tmp_path / "stock.csv"
        path.write_bytes(PACK[kind](TABLE))
        error = refused(path, type="delimited")
        assert "magic bytes" in error.message
        assert f'format.archive = "{kind}"' in error.hint


@pytest.mark.parametrize("kind", STREAMS)
def test_a_bomb_is_stopped_by_the_ratio_with_nothing_left_behind(tmp_path, monkeypatch, kind):
    path = tmp_path / "bomb"
    path.write_bytes(PACK[kind](bytes(60_000_000)))
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    error = refused(path, type="delimited", archive=kind)
    assert (error.code, "(ratio)" in error.message) == ("FILE-LIMIT", True)
    assert list(folder.iterdir()) == []


def test_too_much_memory_for_the_unpacking_is_a_limit(tmp_path):
    path = tmp_path / "stock.xz"
    path.write_bytes(PACK["xz"](TABLE))  # its dictionary takes 8 MB
    error = refused(path, type="delimited", archive="xz", limits={"memory_bytes": 1_000_000})
    assert (error.code, "(memory_bytes)" in error.message) == ("FILE-LIMIT", True)


@pytest.mark.parametrize("sent", [signal.SIGABRT, signal.SIGKILL, signal.SIGBUS])
def test_a_child_that_dies_while_reading_an_archive_leaves_nothing_behind(tmp_path, monkeypatch, sent):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "stock.csv.gz"
    path.write_bytes(PACK["gz"](TABLE * 2_000))
    batches = read_batches(path, TypedSection(type="delimited", archive="gz", batch_rows=10))
    next(batches)
    (child,) = children()
    os.kill(child, sent)
    with pytest.raises(DeliveryError) as caught:
        list(batches)
    assert caught.value.code == "FILE-CRASH"
    assert signal.Signals(sent).name in caught.value.message
    assert [p.name for p in tmp_path.iterdir()] == ["stock.csv.gz"]


def test_a_child_that_hangs_is_stopped_by_the_clock(tmp_path):
    path = tmp_path / "stock.csv.gz"
    path.write_bytes(PACK["gz"](TABLE * 2_000))
    limits = {"wall_seconds": 10}  # a busy machine needs some of them to start the child
    section = TypedSection(type="delimited", archive="gz", batch_rows=10, limits=limits)
    batches = read_batches(path, section)
    next(batches)
    (child,) = children()
    os.kill(child, signal.SIGSTOP)
    with pytest.raises(DeliveryError) as caught:
        list(batches)
    assert "(wall_seconds)" in caught.value.message
    assert not children()


@pytest.mark.parametrize(
    ("limits", "setting"),
    [({"memory_bytes": 1_000_000}, "memory_bytes"), ({"cpu_seconds": 0}, "cpu_seconds"), ({"wall_seconds": 0}, "wall_seconds")],
)
def test_a_child_that_dies_by_a_limit_is_a_rejected_delivery_with_the_reason(tmp_path, limits, setting):
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    for number in range(100_000 if setting == "cpu_seconds" else 2_000):
        sheet.append(["sku", "quantity"] if not number else [f"A{number}", number])
    book.save(tmp_path / "stock.xlsx")
    form = {"type": "spreadsheet", "limits": limits}
    config = feed_toml(tmp_path / "inbox", form, ("sku", "quantity"))
    world = HostileWorld(tmp_path, config, HourClock(), database_template(tmp_path))
    outcome = world.deliver((tmp_path / "stock.xlsx").read_bytes(), "stock.xlsx")
    assert outcome.state == "rejected"
    assert f"({setting})" in outcome.reason
    assert world.stock() == {}
    world.close()
