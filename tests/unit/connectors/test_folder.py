"""A local folder as a source: what is special beside the contract of all sources."""

import os
from pathlib import Path

import pytest

from connectors.folder import FolderOptions, FolderSource, LocalFolder
from schemas.errors import ConfigError, PermanentError, TransientError
from schemas.transfer import Seen
from tests.servers.feeds import Clock, feed, fetch, put


def source(path: Path, **options) -> FolderSource:
    clock = Clock()
    return FolderSource(FolderOptions(path=str(path), **options), sleep=clock.sleep, now=clock)


FEED = feed({"type": "folder", "path": "."})


def test_a_name_that_is_not_utf8_is_fetched_and_deleted(tmp_path):
    put(tmp_path, b"caf\xe9.csv")
    [got] = fetch(source(tmp_path), FEED, tmp_path / "spool")
    assert got.name == r"caf\xe9.csv"
    source(tmp_path, after="delete").acknowledge(got.reference)
    assert [p.name for p in tmp_path.iterdir()] == ["spool"]


def test_a_file_that_became_a_link_or_a_pipe_since_the_listing_is_not_read(tmp_path):
    folder = LocalFolder(tmp_path)
    (tmp_path / "link.csv").symlink_to("/etc/hostname")
    with pytest.raises(TransientError), folder.open("link.csv", 1):
        pass
    os.mkfifo(tmp_path / "pipe.csv")
    with folder.open("pipe.csv", 1) as read:  # does not wait for a writer
        assert not read(10)


def test_a_path_that_is_a_file_is_a_mistake(tmp_path):
    put(tmp_path, "stock.csv")
    with pytest.raises(ConfigError, match=r"stock\.csv is a file") as caught:
        fetch(source(tmp_path / "stock.csv"), FEED, tmp_path / "spool")
    assert 'select = "exact"' in caught.value.hint


def test_a_relative_path_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "stock.csv")
    with pytest.raises(ConfigError, match="folder inbx does not exist") as caught:
        fetch(source(Path("inbx")), FEED, tmp_path / "spool")
    assert f"{tmp_path} holds: stock.csv." in caught.value.hint


@pytest.mark.parametrize("name", ["../outside.csv", "/etc/passwd", "..", ""])
def test_a_damaged_reference_never_reaches_outside_the_folder(tmp_path, name):
    (tmp_path / "in").mkdir()
    put(tmp_path, "outside.csv")
    reference = {"name": name, "size": "12", "modified_at": "2026-11-01T06:00:00+00:00"}
    with pytest.raises(PermanentError):
        source(tmp_path / "in", after="delete").acknowledge(reference)
    assert (tmp_path / "outside.csv").exists()


def test_a_delta_feed_keeps_the_order_of_its_files(tmp_path):
    for name in ("1.csv", "2.csv", "2.csv.done"):
        put(tmp_path, name)
    seen = Seen()
    deltas = feed({"type": "folder", "path": "."}, mode="delta")
    assert fetch(source(tmp_path, done_marker="{name}.done"), deltas, tmp_path / "spool", seen) == []
    assert seen.waiting["2.csv"] == "waits behind 1.csv"
