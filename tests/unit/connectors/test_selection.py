"""Which files are taken, and when."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from connectors.selection import SelectionOptions, choose, identity, raw_name, select_ready, shown_name, unsafe_reason
from schemas.transfer import ListedFile, Seen

MORNING = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)


def file(name: str, size: int = 10, minutes: float = 0) -> ListedFile:
    return ListedFile(name, size, MORNING + timedelta(minutes=minutes))


def options(**given) -> SelectionOptions:
    return SelectionOptions(path="/out", **given)


def names(files) -> list[str]:
    return [f.name for f in files]


class Folder:
    """Gives one listing after another, the last one for ever; sleeping moves the clock."""

    def __init__(self, *listings, at: datetime = MORNING + timedelta(hours=2)) -> None:
        self.listings, self.at, self.slept = list(listings), at, []

    def __call__(self):
        return self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)

    def poll(self, opts, seen, **more):
        return names(select_ready(self, opts, seen, now=lambda: self.at, sleep=self.sleep, **more))


def test_all_new_takes_everything_unseen_oldest_first():
    seen = Seen(identities=frozenset({identity(file("b.csv", minutes=1))}))
    listing = [file("c.csv", minutes=9), file("a.csv", minutes=2), file("b.csv", minutes=1)]
    assert names(choose(listing, options(), seen)) == ["a.csv", "c.csv"]


def test_files_of_the_same_time_come_in_the_order_of_their_names():
    assert names(choose([file("b"), file("a")], options(), Seen())) == ["a", "b"]


def test_a_glob_counts_letter_case_and_takes_brackets_as_shell_does():
    listing = [file("stock_1.csv"), file("STOCK_2.CSV"), file("price.csv"), file("[abc].csv")]
    assert names(choose(listing, options(select="glob", pattern="stock_*.csv"), Seen())) == ["stock_1.csv"]


def test_exact_takes_the_one_file_again_when_its_content_is_new():
    exact = options(select="exact", name="stock.csv")
    seen = Seen(identities=frozenset({identity(file("stock.csv"))}))
    assert choose([file("stock.csv"), file("other.csv")], exact, seen) == []
    assert names(choose([file("stock.csv", minutes=5)], exact, seen)) == ["stock.csv"]
    assert names(choose([file("stock.csv", size=11)], exact, seen)) == ["stock.csv"]


def test_an_exact_file_that_is_absent_is_named():
    seen = Seen()
    assert Folder([]).poll(options(select="exact", name="stock.csv"), seen) == []
    assert seen.waiting == {"stock.csv": "is not in the folder"}


def test_a_pattern_that_matches_nothing_is_told_until_something_has_come():
    listing = [file("Stock_1.csv"), file("Stock_2.csv"), file("stock_3.csv.part"), file("READY")]
    first, later = Seen(), Seen(identities=frozenset({identity(file("stock_0.csv"))}))
    wanted = options(pattern="stock_*.csv", done_marker="READY")
    for seen in (first, later):
        assert Folder(listing).poll(wanted, seen) == []
    assert first.waiting == {"stock_*.csv": "`pattern` matches none of 2 files in the folder, such as Stock_1.csv, Stock_2.csv"}
    assert later.waiting == {}
    for nothing_to_tell in ([], listing[2:]):
        assert Folder(nothing_to_tell).poll(wanted, first) == []
        assert first.waiting == {}


def test_newest_takes_only_the_newest_and_never_goes_back_to_an_older_one():
    newest = options(select="newest", pattern="*.csv")
    listing = [file("a.csv", minutes=1), file("b.csv", minutes=2), file("c.csv", minutes=3)]
    assert names(choose(listing, newest, Seen())) == ["c.csv"]
    delivered = Seen(identities=frozenset({identity(listing[2])}))
    assert choose(listing, newest, delivered) == []
    assert choose(listing[:2], newest, delivered) == []  # c.csv was moved away after its commit
    assert names(choose([*listing, file("d.csv", minutes=4)], newest, delivered)) == ["d.csv"]


def test_newest_does_not_mind_identities_of_another_kind_of_source():
    seen = Seen(identities=frozenset({"<message-id@example.com>|part-2", "etag", "x|y|z"}))
    assert names(choose([file("a")], options(select="newest"), seen)) == ["a"]


@pytest.mark.parametrize("name", ["a.csv.part", "a.TMP", "a.csv.filepart", "a.csv~", "~a.csv", ".a.csv"])
def test_names_of_unfinished_and_hidden_files_are_passed_over(name):
    assert choose([file(name)], options(), Seen()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b.csv", "a\0.csv", "a" * 2000, r"..\x5c..\x5cwin.ini"]
)
def test_unsafe_names_are_left_with_a_note(name):
    seen = Seen()
    assert choose([file(name)], options(ignore=()), seen) == []
    assert unsafe_reason(name)
    assert len(seen.waiting) == 1


@pytest.mark.parametrize(
    "raw", [b"plain.csv", "é".encode(), b"caf\xe9.csv", b"..\\win.ini", b"\xff\xfe\x00", b"\\xe9.csv", b"a\nb"]
)
def test_every_name_of_bytes_survives_as_text_and_back(raw):
    shown = shown_name(raw)
    assert raw_name(shown) == raw
    shown.encode("utf-8")


def test_identity_is_stable_whatever_the_time_zone_of_the_listing():
    from zoneinfo import ZoneInfo

    here = file("a.csv")
    there = ListedFile("a.csv", 10, here.modified_at.astimezone(ZoneInfo("Asia/Tokyo")))
    assert identity(here) == identity(there) == "a.csv|10|2026-11-02T06:00:00+00:00"


def test_a_file_larger_than_the_limit_waits_with_the_reason():
    seen = Seen()
    assert choose([file("a", size=101), file("b", size=100)], options(max_size=100), seen) == [file("b", size=100)]
    assert "101 bytes" in seen.waiting["a"]


def test_a_file_is_ready_when_two_listings_settle_apart_are_equal():
    folder, seen = Folder([file("a")]), Seen()
    assert folder.poll(options(settle="30s"), seen) == ["a"]
    assert folder.slept == [30]
    assert seen.waiting == {}


def test_a_file_that_changed_between_the_two_listings_waits():
    folder, seen = Folder([file("a", size=1)], [file("a", size=2)]), Seen()
    assert folder.poll(options(settle="30s"), seen) == []
    assert "growing" in seen.waiting["a"]
    folder.at += timedelta(seconds=30)
    assert folder.poll(options(settle="30s"), seen) == ["a"]  # unchanged since the last poll
    assert folder.slept == [30]


def test_a_new_time_with_the_same_size_is_a_change():
    folder, seen = Folder([file("a")], [file("a", minutes=1)]), Seen()
    assert folder.poll(options(settle="30s"), seen) == []


def test_a_long_settle_time_is_waited_for_between_polls_and_never_slept():
    folder, seen = Folder([file("a")]), Seen()
    patient = options(settle="10m")
    assert folder.poll(patient, seen) == []
    assert seen.listing == {"a": (10, "2026-11-02T06:00:00+00:00", "2026-11-02T08:00:00+00:00")}
    folder.at += timedelta(minutes=9)
    assert folder.poll(patient, seen) == []
    folder.at += timedelta(minutes=1)
    assert folder.poll(patient, seen) == ["a"]
    assert folder.slept == []


def test_an_earlier_listing_old_enough_spares_the_wait():
    folder, seen = Folder([file("a")]), Seen()
    seen.listing = {"a": (10, "2026-11-02T06:00:00+00:00", "2026-11-02T07:00:00+00:00")}
    assert folder.poll(options(), seen) == ["a"]
    assert folder.slept == []


def test_only_the_rest_of_the_settle_time_is_slept():
    folder, seen = Folder([file("a")]), Seen()
    seen.listing = {"a": (10, "2026-11-02T06:00:00+00:00", "2026-11-02T07:59:50+00:00")}
    assert folder.poll(options(settle="30s"), seen) == ["a"]
    assert folder.slept == [20]


def test_a_clock_set_back_starts_the_settle_time_anew_instead_of_never_ending():
    folder, seen = Folder([file("a")]), Seen()
    seen.listing = {"a": (10, "2026-11-02T06:00:00+00:00", "2027-01-01T00:00:00+00:00")}
    assert folder.poll(options(settle="10m"), seen) == []
    folder.at += timedelta(minutes=10)
    assert folder.poll(options(settle="10m"), seen) == ["a"]


def test_nothing_is_slept_when_nothing_is_new():
    folder = Folder([file("a")])
    assert folder.poll(options(), Seen(identities=frozenset({identity(file("a"))}))) == []
    assert folder.slept == []


def test_settle_zero_takes_a_file_at_once():
    folder = Folder([file("a")])
    assert folder.poll(options(settle="0s"), Seen()) == ["a"]
    assert folder.slept == []


def test_files_that_are_gone_are_forgotten():
    folder, seen = Folder([file("a")], [file("a")], []), Seen()
    folder.poll(options(), seen)
    folder.poll(options(), seen)
    assert seen.listing == {}


def test_a_done_marker_beside_the_file_makes_it_ready_without_settling():
    folder, seen = Folder([file("a.csv"), file("a.csv.done"), file("b.csv")]), Seen()
    assert folder.poll(options(done_marker="{name}.done"), seen) == ["a.csv"]
    assert seen.waiting == {"b.csv": "waits for the done-marker b.csv.done"}
    assert folder.slept == []


def test_one_marker_for_all_files_and_the_marker_is_no_delivery():
    assert Folder([file("a"), file("b"), file("READY")]).poll(options(done_marker="READY"), Seen()) == ["a", "b"]
    assert Folder([file("a"), file("b")]).poll(options(done_marker="READY"), Seen()) == []


def test_a_marker_left_over_from_an_earlier_delivery_does_not_count():
    folder, seen = Folder([file("a", minutes=60), file("READY", minutes=1)]), Seen()
    assert folder.poll(options(done_marker="READY"), seen) == []
    assert "older than the file" in seen.waiting["a"]


def test_a_marker_whose_file_is_gone_is_no_delivery():
    assert Folder([file("a.csv.done")]).poll(options(done_marker="{name}.done"), Seen()) == []


def test_more_files_than_allowed_are_left_for_the_next_poll():
    folder, seen = Folder([file(str(n), minutes=n) for n in range(5)]), Seen()
    assert folder.poll(options(settle="0s", max_files=2), seen) == ["0", "1"]
    assert set(seen.waiting) == {"2", "3", "4"}


def test_deltas_never_overtake_one_that_is_not_complete():
    listing = [file("1"), file("2", minutes=1), file("1.done"), file("3", minutes=2), file("3.done", minutes=2)]
    seen = Seen()
    folder = Folder(listing)
    assert folder.poll(options(done_marker="{name}.done"), seen, in_order=True) == ["1"]
    assert seen.waiting["3"] == "waits behind 2"
    assert folder.poll(options(done_marker="{name}.done"), Seen(), in_order=False) == ["1", "3"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"select": "exact"},
        {"name": "stock.csv"},
        {"select": "exact", "name": "a", "pattern": "*.csv"},
        {"after": "move"},
        {"move_to": "done"},
        {"after": "move", "move_to": "."},
        {"after": "move", "move_to": "done/../"},
        {"select": "exact", "name": "out/stock.csv"},
        {"select": "exact", "name": ""},
        {"done_marker": "{name}"},
        {"patern": "*"},
        {"settle": 30},
    ],
)
def test_options_that_contradict_each_other_are_mistakes(wrong):
    with pytest.raises(ValidationError):
        options(**wrong)
