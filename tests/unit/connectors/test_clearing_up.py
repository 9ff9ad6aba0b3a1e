"""Clearing up while the supplier goes on: what was replaced in the last moment is never deleted, and never left in `move_to`."""

from pathlib import Path

import pytest

from connectors.folder import FolderOptions, FolderSource, LocalFolder
from connectors.pickup import clear_up
from connectors.selection import SelectionOptions
from schemas.errors import ConfigError, PermanentError
from tests.servers.feeds import LONG_AGO, Clock, feed, fetch, put

OLD, NEW = b"SKU,Qty\nA,1\n", b"SKU,Qty\nA,1\nB,2\n"


class BusyFolder(LocalFolder):
    """A folder in which the supplier replaces the file in the moment before one of our calls."""

    def __init__(self, path: Path, before: str) -> None:
        super().__init__(path)
        self.outside, self.before = path, before

    def move(self, name: str, target: str) -> bool:
        self._replace(f"move {name}")
        return super().move(name, target)

    def remove(self, name: str) -> None:
        self._replace(f"remove {name}")
        super().remove(name)

    def _replace(self, moment: str) -> None:
        if moment == self.before:
            self.before = ""
            put(self.outside, "stock.csv", NEW)


def reference_of(folder: Path) -> dict[str, str]:
    put(folder, "stock.csv", OLD)
    return {"name": "stock.csv", "size": str(len(OLD)), "modified_at": LONG_AGO.isoformat()}


@pytest.mark.parametrize("act", ["move", "remove"])
def test_a_file_replaced_while_its_marker_is_cleared_up_stays(tmp_path, act):
    reference = reference_of(tmp_path)
    put(tmp_path, "stock.csv.done", b"")
    after = {"after": "move", "move_to": "done"} if act == "move" else {"after": "delete"}
    options = SelectionOptions(path=str(tmp_path), done_marker="{name}.done", **after)
    clear_up(BusyFolder(tmp_path, f"{act} stock.csv.done"), options, reference)
    assert (tmp_path / "stock.csv").read_bytes() == NEW


def test_a_file_replaced_while_it_is_moved_is_put_back(tmp_path):
    options = SelectionOptions(path=str(tmp_path), after="move", move_to="done")
    clear_up(BusyFolder(tmp_path, "move stock.csv"), options, reference_of(tmp_path))
    assert (tmp_path / "stock.csv").read_bytes() == NEW
    assert list((tmp_path / "done").iterdir()) == []


def test_a_replaced_file_that_cannot_be_put_back_is_told(tmp_path):
    class Busier(BusyFolder):
        def look(self, name: str):
            if name.startswith("done/"):
                put(tmp_path, "stock.csv", b"a third one")
            return super().look(name)

    options = SelectionOptions(path=str(tmp_path), after="move", move_to="done")
    with pytest.raises(PermanentError, match=r"lies as done/stock\.csv now"):
        clear_up(Busier(tmp_path, "move stock.csv"), options, reference_of(tmp_path))
    assert (tmp_path / "done" / "stock.csv").read_bytes() == NEW


def test_a_reference_of_another_kind_of_source_needs_nothing(tmp_path):
    put(tmp_path, "stock.csv", OLD)
    clear_up(LocalFolder(tmp_path), SelectionOptions(path=str(tmp_path), after="delete"), {})
    assert (tmp_path / "stock.csv").exists()


def test_a_folder_on_another_disk_is_a_mistake_of_the_configuration(tmp_path):
    away = Path("/dev/shm")
    if not away.is_dir() or away.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has one file system only")
    put(tmp_path, "stock.csv", OLD)
    options = FolderOptions(path=str(tmp_path), settle="0s", after="move", move_to=str(away))
    clock = Clock()
    source = FolderSource(options, now=clock, sleep=clock.sleep)
    [got] = fetch(source, feed({"type": "folder", "path": str(tmp_path)}), tmp_path / "spool")
    with pytest.raises(ConfigError, match="another disk"):
        source.acknowledge(got.reference)
    assert (tmp_path / "stock.csv").read_bytes() == OLD
