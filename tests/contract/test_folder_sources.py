"""What every source of files in a folder must do: selection, names, settling, and clearing up after the commit."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.errors import ConfigError
from schemas.transfer import Seen
from tests.contract.source_harnesses import FOLDERS, Harness
from tests.servers.feeds import LONG_AGO, everything, fetch, put

CONTENT = "SKU;Qty\nNA;1\n001;2\n é;3\n".encode()


@pytest.fixture(params=FOLDERS)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    (tmp_path / "outside").mkdir()
    with ExitStack() as stack:
        yield FOLDERS[request.param](tmp_path, stack)


def test_the_identity_is_name_size_and_time(harness):
    put(harness.outside, "stock.csv", CONTENT)
    [got] = harness.fetch()
    assert got.identity == f"stock.csv|{len(CONTENT)}|2026-11-01T06:00:00+00:00"


def test_files_come_oldest_first(harness):
    put(harness.outside, "a.csv", b"2", LONG_AGO + timedelta(hours=1))
    put(harness.outside, "b.csv", b"1", LONG_AGO)
    assert [g.name for g in harness.fetch()] == ["b.csv", "a.csv"]


def test_fetching_leaves_the_source_as_it_is(harness):
    put(harness.outside, "stock.csv", CONTENT)
    before = everything(harness.outside)
    harness.fetch(after="delete")
    harness.fetch(after="move", move_to="processed")
    assert everything(harness.outside) == before


def test_a_growing_file_is_left_for_the_next_poll(harness):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load(settle="30s")
    sleep = harness.clock.sleep

    def grow(seconds: float) -> None:
        put(harness.outside, "stock.csv", CONTENT * 2)
        sleep(seconds)

    source._sleep = grow
    seen = Seen()
    assert fetch(source, of, harness.spool, seen) == []
    assert "growing" in seen.waiting["stock.csv"]
    harness.clock.sleep(30)
    source._sleep = sleep
    [got] = fetch(source, of, harness.spool, seen)
    assert got.size == len(CONTENT * 2)


def test_names_of_every_kind_are_only_names(harness, shared):
    names = json.loads((shared / "hostile/made/names/remote_names.json").read_text("utf-8"))
    possible = [n for n in names if n not in {"", ".", ".."} and not {"/", "\0"} & set(n) and len(n.encode()) < 256]
    for name in possible:
        put(harness.outside, name)
    _names_survive(harness)


test_names_of_every_kind_are_only_names = pytest.mark.needs_shared(test_names_of_every_kind_are_only_names)


def test_strange_names_are_only_names(harness):
    for name in ("Größe 1.csv", "cafe\u0301.csv", "café.csv", "-rf.csv", "$(id).csv", "a\nb.csv", "\u202efdp.csv", b"..\\..\\x"):
        put(harness.outside, name)
    got = _names_survive(harness)
    assert {"Größe 1.csv", "cafe\u0301.csv", "café.csv"} <= {g.name for g in got}
    assert ("a\nb.csv" in {g.name for g in got}) == harness.carries_line_breaks
    assert not any("x5c" in g.name for g in got)


def _names_survive(harness: Harness):
    got = harness.fetch(ignore=[])
    assert len({g.identity for g in got}) == len(got) >= 6
    assert {g.path.parent for g in got} == {harness.spool}
    assert all(g.path.name.removesuffix(".spool").isalnum() for g in got)
    assert all((g.name + g.identity).encode("utf-8") and "\0" not in g.name for g in got)
    source, _ = harness.load(after="delete")
    for each in got:
        source.acknowledge(each.reference)
    assert harness.fetch(ignore=[]) == []
    return got


def test_links_and_folders_are_not_followed(harness, tmp_path):
    (tmp_path / "secret.csv").write_bytes(b"not for suppliers")
    (harness.outside / "link.csv").symlink_to(tmp_path / "secret.csv")
    (harness.outside / "folder.csv").mkdir()
    os.mkfifo(harness.outside / "pipe.csv")
    assert harness.fetch() == []
    assert harness.fetch(select="exact", name="link.csv") == []


def test_a_file_that_is_deleted_after_the_commit_stays_until_then(harness):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load(after="delete")
    [got] = fetch(source, of, harness.spool)
    assert (harness.outside / "stock.csv").exists()
    source.acknowledge(got.reference)
    source.acknowledge(got.reference)
    assert list(harness.outside.iterdir()) == []


def test_a_moved_file_goes_to_the_named_folder_and_never_replaces_another(harness):
    source, of = harness.load(after="move", move_to="done/2026")
    for content in (b"one", b"two", b"three"):
        put(harness.outside, "stock.csv", content)
        [got] = fetch(source, of, harness.spool)
        source.acknowledge(got.reference)
        source.acknowledge(got.reference)
    moved = {p.name: p.read_bytes() for p in (harness.outside / "done/2026").iterdir()}
    assert moved == {"stock.csv": b"one", "stock.1.csv": b"two", "stock.2.csv": b"three"}
    assert [p.name for p in harness.outside.iterdir()] == ["done"]


@pytest.mark.parametrize("change", [{"content": CONTENT * 2}, {"at": LONG_AGO + timedelta(seconds=9)}])
@pytest.mark.parametrize("after", [{"after": "delete"}, {"after": "move", "move_to": "done"}])
def test_new_content_under_the_old_name_is_never_deleted_or_moved(harness, change, after):
    put(harness.outside, "stock.csv", CONTENT)
    source, of = harness.load(**after)
    [got] = fetch(source, of, harness.spool)
    put(harness.outside, "stock.csv", **{"content": CONTENT} | change)
    source.acknowledge(got.reference)
    assert (harness.outside / "stock.csv").exists()
    assert len(fetch(source, of, harness.spool, Seen(identities=frozenset({got.identity})))) == 1


def test_the_done_marker_of_a_file_goes_with_it(harness):
    put(harness.outside, "stock.csv", CONTENT)
    put(harness.outside, "stock.csv.done", b"")
    source, of = harness.load(after="delete", done_marker="{name}.done")
    [got] = fetch(source, of, harness.spool)
    source.acknowledge(got.reference)
    assert list(harness.outside.iterdir()) == []


def test_a_missing_folder_is_a_mistake_and_what_is_there_is_named(harness):
    if not harness.has_folders:
        harness.source["path"] += "/outgiong"
        assert harness.fetch() == []  # a prefix that holds nothing yet looks the same: it is an empty folder
        return
    (harness.outside / "outgoing").mkdir()
    wrong = harness.source["path"].rstrip("/") + "/outgiong"
    with pytest.raises(ConfigError) as caught:
        harness.fetch(path=wrong)
    assert "outgiong" in caught.value.message
    assert "outgoing" in caught.value.hint


def test_an_answer_is_put_whole_under_its_name_and_again_is_the_same_file(harness):
    source, _ = harness.load(answers_to="answers")
    for _ in range(2):
        assert source.answer("000000700-997.x12", b"ISA*00*...~" * 20_000) is True
    assert [(p.name, p.read_bytes()) for p in (harness.outside / "answers").iterdir()] == [
        ("000000700-997.x12", b"ISA*00*...~" * 20_000)
    ]


def test_without_a_place_for_answers_none_is_put(harness):
    source, _ = harness.load()
    before = everything(harness.outside)
    assert source.answer("000000700-997.x12", b"ISA") is False
    assert everything(harness.outside) == before


def test_answers_never_go_where_files_are_read(harness):
    with pytest.raises(ConfigError, match="answers_to"):
        harness.load(answers_to=".")


def test_a_file_is_taken_up_to_max_size_and_left_with_a_reason_above_it(harness):
    for size in (99, 100, 101):
        put(harness.outside, f"{size}.csv", b"x" * size)
    seen = Seen()
    assert sorted(got.name for got in harness.fetch(seen, max_size=100)) == ["100.csv", "99.csv"]
    assert "101 bytes, more than max_size = 100" in seen.waiting["101.csv"]


def test_a_pattern_that_matches_nothing_is_told_with_names_that_are_there(harness):
    for name in ("Stock_1.csv", "Stock_2.csv", "Stock_3.csv.part"):
        put(harness.outside, name, CONTENT)
    seen = Seen()
    assert harness.fetch(seen, pattern="stock_*.csv") == []
    assert seen.waiting == {"stock_*.csv": "`pattern` matches none of 2 files in the folder, such as Stock_1.csv, Stock_2.csv"}
    assert len(harness.fetch(seen, pattern="Stock_*.csv")) == 2
    assert seen.waiting == {}
