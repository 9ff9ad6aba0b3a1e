"""Gates (b) and (c) always give the same: whatever the next file is, reading only its new lines ends as reading it whole."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfeed.store.engine import make_engine
from stockfeed.store.upgrade import upgrade
from tests.property.twin_worlds import Twins, sqlite_twins

HEADER = "sku,qty,place,ean,status"
SKUS = ["A1", "a1", "A2", "A-3", "\uff211", "B1", "B2", "B3", "B4", "C 1", "C1", ""]
QUANTITIES = ["0", "1", "2", "7", "12.5", '"1,204"', "-3", "call", "", "999999"]
PLACES = ["", "N", "S"]
EANS = ["", "4006381333931", "4006381333932"]

fields = st.tuples(st.sampled_from(SKUS), st.sampled_from(QUANTITIES), st.sampled_from(PLACES), st.sampled_from(EANS))
odd = st.sampled_from(
    ["", " , ,,,", "A1,1", "A1,1,N,,x,y,z", '"A1","2",N,,', '3/4" B,5,N,,', '"B1,3,N,,', 'B1,"3" x,N,,', '"B\n1",1,,,']
)
line = st.one_of(fields.map(lambda f: ",".join((*f, "ok"))), fields.map(lambda f: ",".join((*f, "ok"))), odd)
ACTS = [
    "edit",
    "move",
    "insert",
    "delete",
    "double",
    "double edited",
    "spoil",
    "mend",
    "swap",
    "nothing",
    "undo",
    "release",
    "header",
]
act = st.tuples(st.sampled_from(ACTS), st.integers(0, 30), st.integers(0, 30), line)
POLICIES = st.sampled_from(["reject", "first", "last", "sum", "max"])
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


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
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


def file(lines: list[str], *, header: str = HEADER, end: str = "\n", ends: bool = True) -> bytes:
    return (end.join([header, *lines]) + (end if ends else "")).encode()


def live(twins: Twins, lines: list[str], steps: list[list[tuple[str, int, int, str]]], **form) -> list[str]:
    """Deliver, act and deliver again; return how each delivery was read by the one that may tell differences."""
    gates, header = [], HEADER
    applied: list[int] = []
    for step in [[], *steps]:
        for kind, at, to, new in step:
            if kind == "header":
                header = HEADER if header != HEADER else HEADER + " "
            lines = changed(lines, kind, at, to, new)
        result = twins.deliver(file(lines, header=header, **form))
        kinds = {kind for kind, *_ in step}
        if result.state == "held" and "release" in kinds:
            result = result.__class__(**{n: getattr(result, n) for n in result.__slots__})
            twins.act(lambda one, number=result.delivery_id: one.release(number))
        if result.state in ("applied", "held", "rejected") and result.rows_read:
            gates.append(twins.mine.gate(result.delivery_id)["kind"])
        if result.state == "applied":
            applied.append(result.delivery_id)
            if "undo" in kinds:
                twins.act(lambda one, number=result.delivery_id: one.undo(number))
    return gates


@settings(max_examples=40)
@given(
    lines=st.lists(line, min_size=0, max_size=10),
    steps=st.lists(st.lists(act, min_size=1, max_size=3), min_size=1, max_size=5),
    policy=POLICIES,
    fold=st.booleans(),
    guarded=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
)
def test_a_line_difference_ends_as_reading_everything(empty_database, lines, steps, policy, fold, guarded, end, ends):
    with tempfile.TemporaryDirectory() as folder:
        twins = sqlite_twins(Path(folder), empty_database)
        guard = "[feed.guard]\nfrom_rows = 2" if guarded else "[feed.guard]\nenabled = false"
        case = '\nsku_case = "fold"' if fold else ""
        twins.configure(feed=f'duplicates = "{policy}"{case}', tables=guard + CONTRACT)
        try:
            live(twins, lines, steps, end=end, ends=ends)
            assert twins.mine.faults() == []
        finally:
            twins.close()
