"""Stock of a storefront as lines: the same bytes for the same stock, in flat memory, and never half a list."""

import json
import random
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.spool import Limits
from connectors.storefront_lines import UNTRACKED, CountedList, SortedFacts, StockLine, TrackedCount, spool_lines
from schemas.errors import DeliveryError, PermanentError, TransientError


def line(item: str = "1", **changes) -> StockLine:
    quantities = {"on_hand": 7, "available": 5}
    facts = {"sku": "A", "gtin": None, "tracked": True, "location": "Main", "quantities": quantities} | changes
    return StockLine(item, "L1", **facts)


def test_equal_facts_give_equal_bytes_in_whatever_order_they_are_written():
    other = line(quantities={"available": 5, "on_hand": 7})
    assert line().as_bytes() == other.as_bytes()
    assert json.loads(line().as_bytes())["quantities"] == {"available": 5, "on_hand": 7}


def test_what_is_not_tracked_has_a_word_in_place_of_every_quantity():
    shown = json.loads(line(tracked=False, quantities={"available": 0, "on_hand": None}).as_bytes())
    assert shown["quantities"] == {"available": UNTRACKED, "on_hand": UNTRACKED}


def test_a_decimal_keeps_its_digits_and_what_is_not_told_stays_null():
    shown = json.loads(line(quantities={"quantity": Decimal("1E+3"), "other": Decimal("0.10"), "none": None}).as_bytes())
    assert shown["quantities"] == {"none": None, "other": "0.10", "quantity": "1000"}


def test_lines_are_spooled_whole(tmp_path):
    spooled = spool_lines((line(str(n)) for n in range(10_000)), tmp_path, "shop", Limits())
    assert [json.loads(one)["item"] for one in spooled.path.read_bytes().splitlines()] == [str(n) for n in range(10_000)]


def test_a_fault_on_the_way_leaves_no_file(tmp_path):
    def broken():
        yield line()
        raise TransientError("broken", "again")

    with pytest.raises(TransientError):
        spool_lines(broken(), tmp_path, "shop", Limits())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("memory", [1, 2_000, 1 << 20])
def test_facts_come_back_in_the_order_of_their_keys_however_much_fits_into_memory(tmp_path, memory):
    keys = [(str(n // 7), "stock", f"é\n\x00{n}") for n in range(700)]
    shuffled = random.Random(1).sample(keys, len(keys))
    with SortedFacts(tmp_path, "shop", memory=memory) as facts:
        for key in shuffled:
            facts.add(key, {"n": key[2]})
        found = list(facts)
    assert sorted(key for key, _ in found) == sorted(keys)
    assert all(fact == {"n": key[2]} for key, fact in found)
    beginnings = [key[0] for key, _ in found]
    assert [b for i, b in enumerate(beginnings) if i == 0 or beginnings[i - 1] != b] == list(dict.fromkeys(beginnings))
    assert list(tmp_path.iterdir()) == []


def test_the_order_does_not_depend_on_how_much_fits_into_memory(tmp_path):
    def order(memory: int) -> list:
        with SortedFacts(tmp_path, "shop", memory=memory) as facts:
            for n in random.Random(memory).sample(range(300), 300):
                facts.add((str(n % 20), str(n)), {"n": n})
            return list(facts)

    assert order(1) == order(900) == order(1 << 20)


def test_a_key_that_comes_twice_is_told(tmp_path):
    with SortedFacts(tmp_path, "the shop", memory=1) as facts:
        for key in ("A", "B", "A"):
            facts.add((key,), {})
        with pytest.raises(TransientError, match="the shop: 'A' came twice"):
            list(facts)


def test_open_files_stay_few_and_memory_flat(tmp_path):
    tracemalloc.start()
    with SortedFacts(tmp_path, "shop", memory=100_000) as facts:
        for n in range(60_000):
            facts.add((f"{n * 7919 % 60_000:06d}",), {"text": "x" * 50})
        opened = len(list(Path("/proc/self/fd").iterdir()))
        count = sum(1 for _ in facts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert opened < 100
    assert peak < 8_000_000  # of 5 MB on disk in 100 kB pieces: buffers of at most 33 files and two pieces


def test_more_than_the_limit_is_refused(tmp_path):
    with SortedFacts(tmp_path, "the shop", most=10) as facts:
        facts.add(("A",), {})
        with pytest.raises(DeliveryError, match="more than 10 bytes") as caught:
            facts.add(("B",), {})
    assert caught.value.code == "FILE-LIMIT"


def test_a_list_is_whole_when_as_many_records_came_as_there_are():
    proof = CountedList("the list")
    proof.page([1, 2], 3)
    assert not proof.has_all
    proof.page([3], 3)
    assert proof.has_all
    proof.check()


def test_an_empty_list_is_whole():
    proof = CountedList("the list")
    proof.page([], 0)
    proof.check()


@pytest.mark.parametrize(
    ("pages", "error", "words"),
    [
        ([([1], 2), ([2], 3)], TransientError, "the list changed while it was read: 2 records, then 3"),
        ([([1], 2), ([], 2)], TransientError, "1 records came, and there are 2"),
        ([([1], 3), ([2], 3)], TransientError, "2 records came, and there are 3"),
        ([([1, 2, 3], 2)], TransientError, "3 records came, and there are 2"),
        ([([1], 2), ([1], 2)], PermanentError, "page 2 is the one before again"),
        ([([1], None)], PermanentError, "page 1 does not tell how many"),
        ([([1], True)], PermanentError, "page 1 does not tell how many"),
        ([([1], "2")], PermanentError, "page 1 does not tell how many"),
        ([([n], 9) for n in range(4)], PermanentError, "more than 3 pages"),
    ],
)
def test_a_list_that_is_not_proven_to_be_whole_is_refused(pages, error, words):
    def read() -> None:
        proof = CountedList("the list", most_pages=3)
        for rows, total in pages:
            proof.page(rows, total)
        proof.check()

    with pytest.raises(error, match=words):
        read()


def test_items_that_are_not_tracked_are_counted_in_one_finding():
    count = TrackedCount()
    count.add("A", tracked=True)
    assert count.findings("Switch it on.") == ()
    for n in range(5):
        count.add(f"B{n}" if n else None, tracked=False)
    [found] = count.findings("Switch it on.")
    assert (found.code, found.severity, found.measured) == ("STOCK-UNTRACKED", "warn", "5")
    assert found.message == "the shop does not track 5 of 6 items (no SKU, B1, B2, …): their quantity is unknown"
