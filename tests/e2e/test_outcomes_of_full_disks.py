"""Full disks under the archive, the spool, the database, an export, a feed file, temporary files: nothing is lost.

One clear line, a remedy, exit code 75; needs the right to mount small disks (root), else skipped and counted.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.outcomes import AT, LARGE, STOCK, refused, shows_its_traceback_with_debug, synced
from tests.servers.site import Site
from tests.servers.small_disk import SmallDisk, mounted


def test_a_full_disk_is_noticed_before_anything_is_fetched(disk: SmallDisk, folder_site: Site) -> None:
    disk.fill(leave=200_000)
    refused(folder_site.process("sync"), 75, r"acme\.stock: the disk of \S+ has only 0 MB free", "Free some space")
    disk.free()
    disk.remount("size=128m")
    synced(folder_site)


@pytest.fixture
def filled(folder_site: Site, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    """A disk that fills up in the middle of the work: too small for the archive, the spool or the database alone."""
    place = request.param
    with mounted(folder_site.folder / place, "1m") as disk:
        variable = {"archive": "STOCKFEED_ARCHIVE", "spool": "STOCKFEED_SPOOL", "database": "STOCKFEED_DATABASE_URL"}[place]
        folder_site.environment[variable] = f"sqlite:///{disk.folder}/s.sqlite3" if place == "database" else str(disk.folder)
        folder_site.environment["STOCKFEED_FILE_BYTES"] = "1"  # the check before fetching lets it pass
        if place == "database":
            assert folder_site("db", "upgrade").code == 0
        yield disk


@pytest.mark.parametrize(
    ("filled", "message"),
    [
        ("spool", r"acme\.stock: disk full while downloading into \S+: 0 MB free"),
        ("archive", r"acme\.stock: the disk of the archive \S+ is full \(0 MB free\)"),
        ("database", r"acme\.stock: the database \S+ has no space left on its disk"),
    ],
    indirect=["filled"],
)
def test_a_disk_that_fills_up_in_the_middle_is_a_try_again_and_nothing_is_lost(
    filled: SmallDisk, folder_site: Site, message: str
) -> None:
    folder_site.deliver(LARGE, AT)
    filled.fill(leave=100_000)
    for _ in range(2):
        refused(folder_site.process("sync"), 75, message, "Free some space")
    shows_its_traceback_with_debug(folder_site, "sync", code=75)
    assert not list(filled.folder.rglob("*.spool"))
    assert not list(filled.folder.rglob("*.part"))
    filled.free()
    filled.remount("size=64m")
    synced(folder_site, {sku: str(quantity) for sku, quantity in LARGE.items()})


@pytest.mark.parametrize("form", ["csv", "ndjson", "xlsx"])
def test_an_export_to_a_full_disk_leaves_the_old_file_as_it_was(folder_site: Site, form: str, tmp_path: Path) -> None:
    folder_site.deliver(LARGE, AT)
    assert folder_site.process("sync").code == 0
    with mounted(tmp_path / "reports", "1m") as disk:
        file = disk.folder / f"levels.{form}"
        file.write_bytes(b"the old one")
        export = ("inventory", "export", "--format", form, "--output", str(file))
        disk.fill(leave=50_000)
        refused(folder_site.process(*export), 75, r"the disk is full.*", "Free some space")
        assert {path.name for path in disk.folder.iterdir()} == {"ballast", file.name}
        assert file.read_bytes() == b"the old one"
        disk.free()
        disk.remount("size=64m")
        assert folder_site.process(*export).code == 0
        assert file.stat().st_size > 100_000


@pytest.mark.parametrize("words", [("inventory", "export"), ("inventory", "show"), ("inventory", "show", "--json"), ("--help",)])
def test_an_answer_that_does_not_fit_where_it_is_sent_is_one_line(folder_site: Site, words: tuple[str, ...]) -> None:
    synced(folder_site)
    with Path("/dev/full").open("w") as full:
        refused(folder_site.process(*words, stdout=full), 75, "the disk is full.*", "Free some space")


def test_a_feed_file_on_a_full_disk_is_a_try_again_and_the_old_one_stays(folder_site: Site, tmp_path: Path) -> None:
    synced(folder_site)
    with mounted(tmp_path / "out", "1m") as disk:
        folder_site.add_channel("list", "feed_file", f'path = "{disk.folder}"\nlocations = ["main"]')
        folder_site.rows("allocate")
        folder_site.rows("channels", "approve", "list", "--reason", "a test")
        disk.fill(leave=0)
        refused(folder_site.process("publish"), 75, r"list: disk full: \S+ could not be written.*", "the old file is unchanged")
        disk.free()
        for _ in range(2):  # the attempt that failed is looked at by the first run, and repeated by the second
            assert folder_site.process("publish").code == 0
        assert (disk.folder / "stock.csv").read_text(encoding="utf-8").count("main") == len(STOCK)


@pytest.mark.parametrize("left", [0, 20_000, 100_000])
def test_a_new_installation_on_a_full_disk_is_a_try_again_and_can_be_repeated(disk: SmallDisk, bare_site: Site, left: int) -> None:
    disk.fill(leave=left)
    refused(
        bare_site.process("init"),
        75,
        r"the (disk is full.*|database \S+ (has no space left on its disk|could not be read or written.*))",
        "Free some space",
    )
    disk.free()
    assert bare_site.process("init").code == 0
    bare_site.add_supplier()
    bare_site.deliver(STOCK, AT)
    synced(bare_site)


def test_a_full_folder_for_temporary_files_is_a_try_again_and_nothing_is_lost(folder_site: Site, tmp_path: Path) -> None:
    """Of a delivery that is staged in memory as a whole, nothing is noticed: this one is larger."""
    folder_site.add_supplier("globex", more="guard = { enabled = false }")
    deliver = partial(folder_site.date, folder_site.inbox / "globex" / "stock.csv")
    deliver(as_text(LARGE), AT)
    assert folder_site.process("sync", "globex").code == 0
    many = {f"SKU-{number:06}": number for number in range(400_000)}
    deliver(as_text(many), AT + timedelta(hours=1))
    export = ("inventory", "export", "--format", "xlsx", "--output", "levels.xlsx")
    with mounted(tmp_path / "tmp", "1m") as disk:
        folder_site.environment["TMPDIR"] = str(disk.folder)
        disk.fill(leave=8_000)
        refused(folder_site.process("sync", "globex"), 75, r"globex\.stock: .*(no space left|full).*", "Free some space")
        refused(folder_site.process(*export), 75, "the disk is full.*", "Free some space")
        assert [path.name for path in disk.folder.iterdir()] == ["ballast"]
        disk.free()
        del folder_site.environment["TMPDIR"]
    assert folder_site.process("sync").code == 0
    assert [row["state"] for row in folder_site.rows("deliveries", "list")] == ["applied"] * 3
    assert folder_site("db", "check").out == "All rules hold.\n"


def as_text(rows: dict[str, int]) -> bytes:
    return ("SKU,Qty\n" + "".join(f"{sku},{quantity}\n" for sku, quantity in rows.items())).encode()
