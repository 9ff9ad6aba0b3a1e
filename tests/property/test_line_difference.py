"""Gates (b) and (c) always give the same: reading only the lines that differ ends as reading the whole file does."""

import hashlib
import tempfile
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import PermanentError, TransientError
from stockfeed.pipeline import taking
from stockfeed.store import comparison, level_lines
from stockfeed.store.archive import Archive
from stockfeed.store.engine import make_engine
from stockfeed.store.upgrade import upgrade
from tests.property.twin_worlds import Twins, sqlite_twins

HEADER = "sku,qty,place,ean,status"
SKUS = ["A1", "a1", "A2", "A-3", "\uff211", "B1", "B2", "B3", "B4", "C 1", "C1", "x^2 bolt", ""]
QUANTITIES = ["0", "1", "2", "7", "12.5", '"1,204"', "-3", "call", "", "999999"]
PLACES = ["", "N", "S"]
EANS = ["", "4006381333931", "4006381333932"]
ODD_LINES = [
    "", " , ,,,", "A1,1", "A1,1,N,,x,y,z", '"A1","2",N,,', '3/4" B,5,N,,', '"B1,3,N,,', 'B1,"3" x,N,,', '"B\n1",1,,,', "x\x07,1,,,",
    "x^2,1,N,,", "x\x01,1,N,,", "x^,x,N,,",
]  # fmt: skip
ODD_PLACES = ['"a ""b"""', "a\\b", "(a)", '"a,b"', "a\tb", "a b", "\u00e9\u00df", "\u2028", '"\\"""', "null", "\\N"]
CONTRACT = """
[[feed.expect]]
type = "expect_column_values_to_be_between"
column = "on_hand"
max_value = 5000
severity = "row"
[[feed.expect]]
type = "expect_column_values_to_not_be_null"
column = "gtin"
mostly = 0.3
severity = "warn"
[[feed.expect]]
type = "expect_table_row_count_to_be_between"
min_value = 2
severity = "warn"
"""

_cells = st.tuples(st.sampled_from(SKUS), st.sampled_from(QUANTITIES), st.sampled_from(PLACES), st.sampled_from(EANS))
_plain = _cells.map(lambda cells: ",".join((*cells, "ok")))
line = st.one_of(_plain, _plain, _plain, st.sampled_from(ODD_LINES))
_ACTS = ("edit", "move", "insert", "delete", "double", "double edited", "spoil", "mend", "swap", "nothing")
act = st.tuples(st.sampled_from((*_ACTS, *_ACTS, "undo", "release", "header")), st.integers(0, 30), st.integers(0, 30), line)
Act = tuple[str, int, int, str]


@dataclass(frozen=True)
class Supplier:
    """How a feed is configured and how its files are written."""

    policy: str = "reject"
    fold: bool = False
    is_guarded: bool = False
    missing_after: int = 2
    end: str = "\n"
    has_last_end: bool = True
    batch_rows: int = 60_000  # one: most batches are without any accepted record

    def configure(self, twins: Twins) -> None:
        case = 'sku_case = "fold"' if self.fold else ""
        guard = "from_rows = 2" if self.is_guarded else "enabled = false"
        feed = f'duplicates = "{self.policy}"\nmissing_after = {self.missing_after}\n{case}'
        twins.configure(feed=feed, form=f"batch_rows = {self.batch_rows}", tables=f"[feed.guard]\n{guard}{CONTRACT}")

    def file(self, lines: list[str], header: str = HEADER) -> bytes:
        return (self.end.join([header, *lines]) + (self.end if self.has_last_end else "")).encode()


SUPPLIERS = st.builds(
    Supplier,
    policy=st.sampled_from(["reject", "first", "last", "sum", "max"]),
    fold=st.booleans(),
    batch_rows=st.sampled_from([1, 2, 60_000]),
    is_guarded=st.booleans(),
    missing_after=st.integers(1, 2),
    end=st.sampled_from(["\n", "\r\n"]),
    has_last_end=st.booleans(),
)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.sqlite3"
    engine = make_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


def changed(lines: list[str], kind: str, at: int, to: int, new: str) -> list[str]:
    """The lines after one act of a supplier."""
    lines = list(lines)
    if kind == "insert" or not lines:
        lines.insert(at % (len(lines) + 1), new)
        return lines
    at, to = at % len(lines), to % len(lines)
    sku, *rest = lines[at].split(",")
    match kind:
        case "edit":
            lines[at] = new
        case "move":
            lines.insert(to, lines.pop(at))
        case "delete":
            del lines[at]
        case "double":
            lines.insert(to, lines[at])
        case "double edited":
            lines.insert(to, ",".join([sku, "3", *rest[1:]]))
        case "spoil":
            lines[at] = ",".join([sku, "call", *rest[1:]])
        case "mend":
            lines[at] = ",".join([sku, "4", *rest[1:]])
        case "swap":
            lines[at], lines[to] = lines[to], lines[at]
    return lines


def live(twins: Twins, supplier: Supplier, lines: list[str], steps: list[list[Act]]) -> list[str]:
    """Deliver, change, deliver again …; return how the one that may tell differences read each delivery."""
    supplier.configure(twins)
    gates, header = [], HEADER
    for step in [[], *steps]:
        for kind, at, to, new in step:
            header = HEADER + "2" * (kind == "header")
            lines = changed(lines, kind, at, to, new)
        result = twins.deliver(supplier.file(lines, header))
        kinds, number = {kind for kind, *_ in step}, result.delivery_id
        if result.state in ("applied", "held") and result.rows_read:
            gates.append(twins.one.gate(number)["kind"])
        if result.state == "held" and "release" in kinds:
            twins.act(lambda one, number=number: one.release(number))
        if result.state == "applied" and "undo" in kinds:
            twins.act(lambda one, number=number: one.undo(number))
    return gates


@settings(max_examples=25)
@given(
    supplier=SUPPLIERS,
    lines=st.lists(line, max_size=10),
    steps=st.lists(st.lists(act, min_size=1, max_size=3), min_size=1, max_size=5),
)
def test_a_line_difference_ends_as_reading_everything(empty_database, supplier, lines, steps):
    with tempfile.TemporaryDirectory() as folder, sqlite_twins(Path(folder), empty_database) as twins:
        live(twins, supplier, lines, steps)
        assert twins.one.faults() == []


def written(stretches: list[tuple[str, int]]) -> list[str]:
    """The lines of a file that is made of so many good, refused and doubled lines in a row; no two good ones share a key."""
    lines: list[str] = []
    for kind, count in stretches:
        for number in range(len(lines), len(lines) + count):
            good = f"S{number:03},{number % 7 + 1},N,,ok"
            lines += {"good": [good], "refused": [f"B{number:03},call,N,,ok"], "doubled": [good, good]}[kind]
    return lines


STRETCHES = st.lists(st.tuples(st.sampled_from(["good", "refused", "doubled"]), st.integers(1, 6)), min_size=2, max_size=6)


@settings(max_examples=10)
@given(
    rows=st.sampled_from([1, 2, 5]),
    stretches=STRETCHES,
    edits=st.lists(st.integers(0, 35), min_size=1, max_size=3),
)
def test_one_edit_among_stretches_of_refused_lines_ends_as_staging_everything(empty_database, rows, stretches, edits):
    lines = written([*stretches, ("good", 6)])
    good = [at for at, text in enumerate(lines) if text.startswith("S")]
    steps = [[("edit", at := good[number % len(good)], 0, f"{lines[at][:4]},{55 + number},N,,ok")] for number in edits]
    with tempfile.TemporaryDirectory() as folder, sqlite_twins(Path(folder), empty_database, "left out") as twins:
        live(twins, Supplier(batch_rows=rows), lines, steps)
        assert twins.one.faults() == []


@settings(max_examples=25)
@given(
    supplier=SUPPLIERS,
    lines=st.lists(line, max_size=10),
    steps=st.lists(st.lists(act, min_size=1, max_size=3), min_size=1, max_size=5),
)
def test_leaving_out_what_the_levels_say_already_ends_as_staging_everything(empty_database, supplier, lines, steps):
    with tempfile.TemporaryDirectory() as folder, sqlite_twins(Path(folder), empty_database, "left out") as twins:
        live(twins, supplier, lines, steps)
        assert twins.one.faults() == []


STOCK = [f"S{n:02},{n % 7 + 1},{'N' if n % 2 else 'S'},4006381333931,ok" for n in range(30)]
BAD = ["T1,call,N,,ok", "T2,-3,N,,ok", "S05,9", "T3,5,N,4006381333932,ok"]
TWICE = ["D1,5,N,,ok", "D1,6,N,,ok", "E1,5,N,,ok", "E1,5,N,,ok", "F1,1,N,,ok", "f1,1,N,,ok"]
#: What a supplier does to his lines, and whether the new ones are enough to tell what has become of the stock.
CASES = {
    "edited": ([("edit", 3, 0, "S03,55,N,4006381333931,ok")], "lines"),
    "moved": ([("move", 3, 20, ""), ("swap", 5, 9, "")], "lines"),
    "inserted": ([("insert", 4, 0, "NEW1,5,N,,ok")], "lines"),
    "deleted": ([("delete", 4, 0, ""), ("delete", 29, 0, "")], "lines"),
    "made bad": ([("spoil", 4, 0, "")], "lines"),
    "made good": ([("mend", 30, 0, ""), ("mend", 31, 0, "")], "lines"),
    "doubled as it is": ([("double", 4, 20, "")], "lines"),
    "no longer doubled": ([("delete", 35, 0, ""), ("delete", 36, 0, "")], "lines"),
    "doubled with another value": ([("double edited", 4, 20, "")], "whole"),
    "given the key of another line": ([("edit", 4, 0, "S09,5,N,,ok")], "whole"),
    "added, and looks like another one": ([("insert", 4, 0, "s07,5,N,,ok")], "whole"),
    "added, and looks like another one in full width": ([("insert", 4, 0, "\uff3307,5,N,,ok")], "whole"),
    "broken by a quoted line end": ([("insert", 4, 0, '"Q\n1",5,N,,ok')], "whole"),
    "swallowed by a quote": ([("insert", 4, 0, '"Q,5,N,,ok')], None),
    "under another header": ([("header", 0, 0, "")], "whole"),
}


def play(twins: Twins, name: str) -> None:
    acts, expected = CASES[name]
    supplier = Supplier(policy="first", has_last_end=name != "moved")
    gates = live(twins, supplier, [*STOCK, *BAD, *TWICE], [acts, [("edit", 7, 0, "S07,77,N,,ok")]])
    assert gates[0] == "whole"
    if expected is None:  # it is refused, whoever reads it
        assert len(gates) == 1
    else:
        assert gates[1] == expected, twins.one.gate(2)


@pytest.mark.parametrize("name", CASES)
def test_on_sqlite_lines_that_are(tmp_path, empty_database, name):
    with sqlite_twins(tmp_path, empty_database) as twins:
        play(twins, name)


@pytest.mark.parametrize("name", CASES)
def test_on_postgresql_lines_that_are(tmp_path, postgres_databases, name):
    with Twins(tmp_path, [postgres_databases(), postgres_databases()]) as twins:
        play(twins, name)


def play_whole(twins: Twins, name: str) -> None:
    """The same, with nothing told by line, and cells with what the databases write in a way of their own."""
    odd = [f"O{n},{n},{place},,ok" for n, place in enumerate(ODD_PLACES)]
    live(twins, Supplier(policy="first"), [*STOCK, *BAD, *TWICE, *odd], [CASES[name][0], [("edit", 7, 0, "S07,77,N,,ok")]])


@pytest.mark.parametrize("name", CASES)
def test_records_that_the_levels_have_are_left_out_on_sqlite_beside_lines_that_are(tmp_path, empty_database, name):
    with sqlite_twins(tmp_path, empty_database, "left out") as twins:
        play_whole(twins, name)


@pytest.mark.parametrize("few_of", [0, 20])
@pytest.mark.parametrize("name", CASES)
def test_records_that_the_levels_have_are_left_out_on_postgresql_beside_lines_that_are(
    tmp_path, postgres_databases, name, few_of, monkeypatch
):
    monkeypatch.setattr(comparison, "_FEW_OF", few_of)  # 0: however many differ, each is looked up
    monkeypatch.setattr(level_lines, "_PAGE", 2 if few_of == 0 else 20_000)
    with Twins(tmp_path, [postgres_databases(), postgres_databases()], "left out") as twins:
        play_whole(twins, name)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_batch_without_any_good_row_does_not_shift_what_is_left_out(tmp_path, empty_database, rows):
    edits = [[("edit", 10, 0, "S06,55,S,4006381333931,ok")], [("insert", 9, 0, "N1,1,S,,ok")], [("delete", 12, 0, "")]]
    with sqlite_twins(tmp_path, empty_database, "left out") as twins:
        live(twins, Supplier(batch_rows=rows), [*BAD[:2], *BAD[:2], *STOCK], edits)
        assert twins.one.faults() == []


def test_where_lines_of_levels_cannot_be_told_apart_all_records_are_staged(tmp_path, empty_database, monkeypatch):
    def unclear(*_):
        yield from ()
        raise level_lines.LinesUnclear

    monkeypatch.setattr(level_lines, "level_pages", unclear)
    with sqlite_twins(tmp_path, empty_database, "left out") as twins:
        play_whole(twins, "edited")


def test_a_full_disk_while_records_are_kept_aside_is_a_try_again(tmp_path):
    with FileIO("/dev/full", "w") as full, pytest.raises(TransientError, match="is full"):
        taking._Pages(full, tmp_path).add(b"x")


def test_a_folder_that_cannot_be_used_is_a_try_again_and_no_fault_of_the_delivery(tmp_path):
    (tmp_path / "spool").write_bytes(b"")  # a file where the folder should be
    with pytest.raises(TransientError, match="cannot be used"), taking._pages(tmp_path / "spool"):
        pass


def test_levels_that_went_missing_are_counted_on_by_a_line_difference(tmp_path, empty_database):
    with sqlite_twins(tmp_path, empty_database) as twins:
        acts = [
            [("delete", 4, 0, "")],
            [("edit", 6, 0, "S07,9,N,,ok")],
            [("edit", 8, 0, "S09,9,N,,ok")],
            [("insert", 4, 0, STOCK[4])],
        ]
        assert live(twins, Supplier(missing_after=3), STOCK, acts)[1:] == ["lines"] * 4


def test_the_bytes_of_the_last_delivery_are_needed_as_they_were(tmp_path, empty_database):
    with sqlite_twins(tmp_path, empty_database) as twins:
        supplier = Supplier()
        live(twins, supplier, STOCK, [])
        twins.one.spoil_archive()
        twins.deliver(supplier.file(changed(STOCK, "spoil", 4, 0, "")))
        gate = twins.one.gate(2)
        assert gate["kind"] == "whole"
        assert "archive" in gate["why"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), PermanentError("the archive has no file", "Restore it.")])
def test_where_the_bytes_of_the_last_delivery_cannot_be_read_everything_of_the_new_one_is(
    tmp_path, empty_database, monkeypatch, error
):
    with sqlite_twins(tmp_path, empty_database) as twins:
        supplier = Supplier()
        live(twins, supplier, STOCK, [])
        old = hashlib.sha256(supplier.file(STOCK)).hexdigest()
        opened = Archive.open

        def unreadable(archive, sha256):
            if sha256 == old:
                raise error
            return opened(archive, sha256)

        monkeypatch.setattr(Archive, "open", unreadable)
        twins.deliver(supplier.file(changed(STOCK, "spoil", 4, 0, "")))
        assert "archive" in twins.one.gate(2)["why"]


@pytest.mark.parametrize(
    ("feed", "form"),
    [
        ('mode = "delta"', ""),
        ('scope = "location"', ""),
        ('while_held = "lower"', ""),
        ("", 'footer = ["^Total"]'),
        ("", 'skip_blank_in = ["qty"]'),
        ("", 'archive = "auto"'),
    ],
)
def test_other_feeds_are_always_read_as_a_whole(tmp_path, empty_database, feed, form):
    with sqlite_twins(tmp_path, empty_database) as twins:
        twins.configure(feed=feed, form=form)
        for lines in (STOCK, STOCK[:-1]):
            twins.deliver(Supplier().file(lines))
        assert twins.one.gate(2)["kind"] == "whole"


def test_a_changed_configuration_reads_everything_once(tmp_path, empty_database):
    with sqlite_twins(tmp_path, empty_database) as twins:
        supplier = Supplier()
        live(twins, supplier, STOCK, [])
        twins.configure(feed='gtin = "reject"')
        gates = []
        for number, lines in enumerate((STOCK[:-1], STOCK[:-2]), 2):
            twins.deliver(supplier.file(lines))
            gates.append(twins.one.gate(number)["kind"])
        assert gates == ["whole", "lines"]
