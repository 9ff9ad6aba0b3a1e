"""Files read as the pipeline reads them: text here, workbooks in a real limited child process."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import openpyxl
import pytest

from schemas.errors import ConfigError, DeliveryError
from schemas.feed_config import TypedSection
from stockfeed.reading import _request, checked_options, opened_batches, read_batches
from stockfeed.reading_child import remove_the_folder
from stockfeed.reading_process import ReadingProcess, started_ahead


def workbook(path: Path, rows: int = 2, far_cell: str | None = None) -> Path:
    book = openpyxl.Workbook(write_only=far_cell is None)
    sheet = book.active if far_cell else book.create_sheet("Stock")
    sheet.append(["sku", "quantity"])
    for number in range(rows):
        sheet.append([f"A{number}", number])
    if far_cell:
        sheet[far_cell] = "far"
    book.save(path)
    return path


def children() -> set[int]:
    """Process ids of the reading children of this process that still run."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"stockfeed.reading_child" in command:
            found.add(int(status.parent.name))
    return found


def wait_until(reached) -> None:
    for _ in range(1_000):
        if reached():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to that in ten seconds")


def refused(path: Path, **options):
    with pytest.raises(DeliveryError) as caught:
        list(read_batches(path, TypedSection(**options)))
    assert not children()
    return caught.value


def test_a_text_file_is_read_with_its_options(tmp_path):
    path = tmp_path / "stock.csv"
    path.write_bytes(b"sku;quantity\nA1;5\n")
    (batch,) = read_batches(path, TypedSection(type="delimited", delimiter=";"))
    assert batch.frame.rows() == [(2, 2, "A1", "5")]


def test_wrong_options_are_refused_at_once_and_all_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_batches(tmp_path / "absent.csv", TypedSection(type="delimited", delimeter=";", header_row=0))
    assert "format.delimeter" in caught.value.message
    assert "format.header_row" in caught.value.message


def test_an_unknown_format_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean"):
        read_batches(tmp_path / "absent.csv", TypedSection(type="spreadsheets"))


def test_the_child_starts_before_the_first_batch_is_asked_for_and_ends_without_it(tmp_path):
    path = workbook(tmp_path / "stock.xlsx")
    with opened_batches(path, TypedSection(type="spreadsheet")) as batches:
        assert children()
        assert sum(batch.frame.height for batch in batches) == 2
    with opened_batches(path, TypedSection(type="spreadsheet")):
        assert children()
    assert not children()


@pytest.mark.parametrize("name", [b"stock.xls", b"stock.xlsb", b"stock.ods", b"st\xffck \n'.xlsx", b"-stock"])
@pytest.mark.parametrize("engine", ["openpyxl", "calamine"])
def test_the_content_says_which_workbook_it_is_and_never_its_name(tmp_path, name, engine):
    path = workbook(tmp_path / "stock.xlsx").rename(tmp_path / os.fsdecode(name))
    assert sum(batch.frame.height for batch in read_batches(path, TypedSection(type="spreadsheet", engine=engine))) == 2


def test_what_the_check_refuses_is_told_also_of_a_file_that_its_parser_dies_of_first(tmp_path):
    """The check comes to the DTD when the parser has long asked for more memory than there is."""
    path = workbook(tmp_path / "stock.xlsx", far_cell="XFD1048576")
    died = refused(path, type="spreadsheet", engine="calamine")
    assert (died.code, "memory_bytes" in died.message) == ("FILE-LIMIT", True)
    with zipfile.ZipFile(path, "a") as package:
        package.writestr("media.bin", os.urandom(30_000_000))
        package.writestr("last.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a/>')
    found = refused(path, type="spreadsheet", engine="calamine")
    assert (found.code, "DTD" in found.message) == ("FILE-UNREADABLE", True)
    assert not children()


def test_a_child_started_ahead_reads_the_first_file_and_another_the_next(tmp_path):
    path = workbook(tmp_path / "stock.xlsx")
    with started_ahead():
        (ahead,) = children()
        with opened_batches(path, TypedSection(type="spreadsheet")) as batches:
            assert children() == {ahead}
            assert sum(batch.frame.height for batch in batches) == 2
        assert not children()
        with opened_batches(path, TypedSection(type="spreadsheet")) as batches:
            assert children()
            assert sum(batch.frame.height for batch in batches) == 2
    assert not children()


def test_a_child_started_ahead_ends_when_nothing_needs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with started_ahead():
        assert children()
    assert not children()
    assert not list(tmp_path.iterdir())


def test_a_child_that_died_while_it_waited_is_replaced_and_no_fault_of_the_file(tmp_path):
    path = workbook(tmp_path / "stock.xlsx")
    with started_ahead():
        (ahead,) = children()
        os.kill(ahead, signal.SIGKILL)
        wait_until(lambda: not children())
        assert sum(batch.frame.height for batch in read_batches(path, TypedSection(type="spreadsheet"))) == 2
    assert not children()


def test_where_no_child_can_be_started_ahead_the_file_says_what_is_wrong(tmp_path, monkeypatch):
    path = workbook(tmp_path / "stock.xlsx")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with started_ahead(), pytest.raises(FileNotFoundError, match="absent"):
        list(read_batches(path, TypedSection(type="spreadsheet")))


def test_a_workbook_comes_back_from_the_child_with_everything(tmp_path):
    book = openpyxl.Workbook()
    for row in (
        ["Acme"],
        ["SKU", "qty", "note"],
        ["001", "=1+1", "x"],
        [1.5, 2, "tab\there"],
        [None, None, None],
        ["Total", 9, ""],
    ):
        book.active.append(row)
    book.create_sheet("Hidden").sheet_state = "hidden"
    book.save(tmp_path / "stock.xlsx")
    section = TypedSection(type="spreadsheet", header_row="auto", footer=["^Total"])
    batches = list(read_batches(tmp_path / "stock.xlsx", section, expected_columns=["sku"], identifier_columns=["sku"]))
    (batch,) = batches
    assert batch.header == ("SKU", "qty", "note")
    assert batch.frame.rows() == [(3, None, "001", "", "x"), (4, None, "1.5", "2", "tab\there")]
    assert [(p.row, p.column, p.code) for p in batch.cell_problems] == [(3, 1, "QTY-CELL"), (4, 0, "SKU-EXCEL")]
    assert batch.skipped == {"preamble": 1, "footer": 1, "blank": 1}
    assert batch.reading["engine"] == "openpyxl"
    assert "hidden sheets were not read: Hidden" in batch.notes
    assert not children()


def test_many_batches_stream_through_the_pipe(tmp_path):
    path = workbook(tmp_path / "stock.xlsx", rows=1_000)
    batches = list(read_batches(path, TypedSection(type="spreadsheet", batch_rows=100)))
    assert [row for batch in batches for row in batch.frame["c0"]] == [f"A{n}" for n in range(1_000)]
    assert max(batch.frame.height for batch in batches) == 100


def test_a_delivery_error_of_the_child_keeps_every_field(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["sku", "qty", "qty"])
    book.save(tmp_path / "stock.xlsx")
    error = refused(tmp_path / "stock.xlsx", type="spreadsheet")
    assert (error.code, error.row, error.column, error.value) == ("HEADER-DUPLICATE", 1, "qty", "qty")
    assert "header column 3" in error.message
    assert error.hint == "Rename one of the columns."


def test_a_config_error_of_the_child_stays_a_config_error(tmp_path):
    path = workbook(tmp_path / "stock.xlsx")
    with pytest.raises(ConfigError, match="not supported"):
        list(read_batches(path, TypedSection(type="spreadsheet", footer=["(?=x)"])))


def test_a_sparse_sheet_that_exhausts_memory_is_a_limit_and_not_a_crash_of_ours(tmp_path):
    path = workbook(tmp_path / "sparse.xlsx", far_cell="XFD1048576")
    error = refused(path, type="spreadsheet", engine="calamine")
    assert error.code == "FILE-LIMIT"
    assert "memory_bytes" in error.message


def test_memory_used_in_small_steps_is_limited_too(tmp_path):
    path = workbook(tmp_path / "long.xlsx", rows=60_000)
    error = refused(path, type="spreadsheet", batch_rows=1_000_000, limits={"memory_bytes": 12_000_000})
    assert error.code == "FILE-LIMIT"
    assert "memory_bytes" in error.message


def test_too_much_cpu_time_is_a_limit(tmp_path):
    path = workbook(tmp_path / "long.xlsx", rows=60_000)
    error = refused(path, type="spreadsheet", limits={"cpu_seconds": 0})
    assert error.code == "FILE-LIMIT"
    assert "cpu_seconds" in error.message


def test_too_much_waiting_is_a_limit(tmp_path):
    path = workbook(tmp_path / "stock.xlsx")
    error = refused(path, type="spreadsheet", limits={"wall_seconds": 0})
    assert error.code == "FILE-LIMIT"
    assert "wall_seconds" in error.message


@pytest.mark.parametrize(("sent", "words"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "SIGKILL"), (signal.SIGTERM, "SIGTERM")])
def test_a_child_that_dies_by_a_signal_is_a_crash_with_its_reason(tmp_path, sent, words):
    path = workbook(tmp_path / "stock.xlsx", rows=30_000)
    batches = read_batches(path, TypedSection(type="spreadsheet", batch_rows=10))
    next(batches)
    (child,) = children()
    os.kill(child, sent)
    with pytest.raises(DeliveryError) as caught:
        list(batches)
    assert caught.value.code == "FILE-CRASH"
    assert words in caught.value.message
    assert not children()


def test_a_child_that_fails_without_an_answer_is_a_crash_with_its_last_words(tmp_path):
    error = refused(tmp_path / "absent.xlsx", type="spreadsheet")
    assert error.code == "FILE-CRASH"
    assert "FileNotFoundError" in error.detail


def test_closing_the_reader_early_ends_the_child_and_removes_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = workbook(tmp_path / "stock.xlsx", rows=30_000)
    batches = read_batches(path, TypedSection(type="spreadsheet", batch_rows=10))
    next(batches)
    assert len(children()) == 1
    batches.close()
    assert not children()
    assert [p.name for p in tmp_path.iterdir()] == ["stock.xlsx"]


def test_the_child_sees_no_environment_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_ACME", "sftp://u:p@127.0.0.1")
    path = workbook(tmp_path / "stock.xlsx", rows=30_000)
    batches = read_batches(path, TypedSection(type="spreadsheet", batch_rows=10))
    next(batches)
    (child,) = children()
    names = {entry.partition(b"=")[0].decode() for entry in Path(f"/proc/{child}/environ").read_bytes().split(b"\0") if entry}
    batches.close()
    lean = {"POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX", "PYDANTIC_DISABLE_PLUGINS"}
    assert names <= {"PATH", "LANG", "TMPDIR", *lean, "LD_LIBRARY_PATH"}


def test_the_child_does_not_outlive_a_killed_parent_nor_does_its_folder(tmp_path):
    path = workbook(tmp_path / "stock.xlsx", rows=30_000)
    program = """
        import os, sys
        from pathlib import Path
        from schemas.feed_config import TypedSection
        from stockfeed.reading import opened_batches, read_batches
        batches = read_batches(Path(sys.argv[1]), TypedSection(type="spreadsheet", batch_rows=10))
        next(batches)
        task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        print(task.read_text(), flush=True)
        sys.stdin.read()
    """
    assert_nothing_outlives(program, path, tmp_path)


def test_a_child_started_ahead_does_not_outlive_a_killed_parent(tmp_path):
    program = """
        import os, sys
        from pathlib import Path
        from stockfeed.reading_process import started_ahead
        with started_ahead():
            task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
            print(task.read_text(), flush=True)
            sys.stdin.read()
    """
    assert_nothing_outlives(program, tmp_path, tmp_path)


def test_a_child_that_nobody_listens_to_leaves_no_folder_though_its_standard_input_is_open(tmp_path):
    path = workbook(tmp_path / "stock.xlsx", rows=10)
    folder = tmp_path / "stockfeed-reading-x"
    folder.mkdir()
    options = checked_options(TypedSection(type="spreadsheet"))
    command = [sys.executable, "-I", "-m", "stockfeed.reading_child"]
    environ = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        child.stdin.write(json.dumps(_request(path, "spreadsheet", options)).encode() + b"\n")
        child.stdin.flush()
        assert (child.wait(60), child.stderr.read()) == (0, b"")
    assert not folder.exists()


def test_a_full_disk_does_not_keep_the_folder_of_a_child_that_is_left_alone(tmp_path, monkeypatch):
    """The child asks for no place where it could write: it would be told another one, and none at all where all disks are full."""
    folder = tmp_path / "stockfeed-reading-x"
    folder.mkdir()
    (folder / "unpacked").write_bytes(b"sku")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TMPDIR", str(folder))
    remove_the_folder()
    assert [left.name for left in tmp_path.iterdir()] == ["elsewhere"]


@pytest.mark.parametrize("kept", ["reading", "stockfeed-reading-link"])
def test_a_child_that_is_left_alone_removes_nothing_but_its_folder(tmp_path, monkeypatch, kept):
    (tmp_path / "reading").mkdir()
    (tmp_path / "reading/ours.csv").write_bytes(b"sku")
    (tmp_path / "stockfeed-reading-link").symlink_to(tmp_path / "reading")
    monkeypatch.setenv("TMPDIR", str(tmp_path / kept))
    remove_the_folder()
    monkeypatch.delenv("TMPDIR")
    remove_the_folder()
    assert (tmp_path / "reading/ours.csv").exists()


def assert_nothing_outlives(program: str, path: Path, folder: Path) -> None:
    """Kill a parent once it has told its child; neither that nor its folder must stay."""
    (folder / "tmp").mkdir()
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    environ = {**os.environ, "TMPDIR": str(folder / "tmp")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as parent:
        assert parent.stdout is not None
        (child,) = map(int, parent.stdout.readline().split())
        gone = os.pidfd_open(child)
        parent.kill()
    ended, _, _ = select.select([gone], [], [], 20)
    os.close(gone)
    assert ended, "the child still runs"
    assert not list((folder / "tmp").iterdir())


def test_a_child_that_dies_just_before_it_is_asked_is_a_crash_with_its_reason(tmp_path, monkeypatch):
    path = workbook(tmp_path / "stock.xlsx")
    with started_ahead():
        (ahead,) = children()
        gone = os.pidfd_open(ahead)
        os.kill(ahead, signal.SIGKILL)
        assert select.select([gone], [], [], 20)[0]
        os.close(gone)
        monkeypatch.setattr(ReadingProcess, "is_alive", lambda _process: True)  # as it was when that was looked at
        assert "SIGKILL" in refused(path, type="spreadsheet").message
    assert not children()


def test_an_unclosed_quote_is_refused_in_place_without_a_child(tmp_path):
    path = tmp_path / "stock.csv"
    path.write_bytes(b'sku,note\nA1,"x\nA2,y\n')
    assert refused(path, type="delimited").row == 2
