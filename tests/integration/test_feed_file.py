import errno
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paramiko.sftp import SFTP_FAILURE, SFTP_OP_UNSUPPORTED
from pydantic import ValidationError

from connectors.feed_file import FeedFileChannel, FeedFileOptions
from connectors.feed_file_rows import FeedRows, as_integer, parse, render
from schemas.errors import ConfigError, PermanentError, TransientError
from schemas.publishing import Listing
from stockfeed.demo.sftp_server import Login, ServedFolder, SftpServer
from tests.servers.feeds import CANARY, connection
from tests.servers.shop import item, statuses

HARD_SKUS = [
    "NA",
    "NULL",
    "001",
    "1E5",
    "MARCH1",
    "True",
    "nan",
    " é",
    " e\u0301",
    "=1+1",
    "-5",
    "@x",
    'a,"b"',
    "two\nlines",
    "cr\rlf\r\n",
    "tab\t",
]


class Watch:
    """A wall clock set by hand."""

    def __init__(self):
        self.now = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)

    def __call__(self):
        return self.now


def channel_for(folder: Path, clock=None, **options) -> FeedFileChannel:
    return FeedFileChannel(FeedFileOptions(path=str(folder), **options), None, ("web", "shop"), now=clock or Watch())


@pytest.fixture(params=["csv", "ndjson"])
def channel(request, tmp_path):
    return channel_for(tmp_path, format=request.param)


def quantities(channel, *skus, location="web"):
    return {seen.listing.sku: seen.quantity for seen in channel.read_back([Listing(sku, location) for sku in skus])}


def web(items):
    return [one for one in items if one.listing.location == "web"]


def items_for(values, version=1, location="web"):
    return [item(Listing(sku, location), quantity, version) for sku, quantity in values.items()]


def test_every_sku_comes_back_byte_for_byte_and_zero_is_zero(channel):
    values = {sku: number for number, sku in enumerate(HARD_SKUS)}
    assert set(statuses(channel.publish(items_for(values))).values()) == {"confirmed"}
    assert quantities(channel, *HARD_SKUS) == values


def test_the_csv_file_is_what_the_contract_says(tmp_path):
    channel = channel_for(tmp_path, file="out.csv")
    list(channel.publish(items_for({"b": 0, "=1+1": 3})))
    assert (tmp_path / "out.csv").read_bytes() == (
        b"sku,location,quantity,updated_at\r\n=1+1,web,3,2026-11-02T08:00:00Z\r\nb,web,0,2026-11-02T08:00:00Z\r\n"
    )
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_the_ndjson_file_is_what_the_contract_says(tmp_path):
    list(channel_for(tmp_path, format="ndjson").publish(items_for({"é": 0})))
    line = '{"sku":"é","location":"web","quantity":0,"updated_at":"2026-11-02T08:00:00Z"}\n'
    assert (tmp_path / "stock.ndjson").read_bytes() == line.encode()


def test_a_publish_is_merged_and_forgets_nothing(channel):
    list(channel.publish(items_for({"A": 1, "B": 2})))
    list(channel.publish(items_for({"B": 3, "C": 4}, version=2)))
    list(channel.publish(items_for({"A": 9}, location="shop")))
    assert quantities(channel, "A", "B", "C", "D") == {"A": 1, "B": 3, "C": 4, "D": None}
    assert quantities(channel, "A", location="shop") == {"A": 9}


def test_the_same_batch_again_does_not_touch_the_file(tmp_path):
    watch = Watch()
    channel = channel_for(tmp_path, watch)
    list(channel.publish(items_for({"A": 1})))
    before = (tmp_path / "stock.csv").stat()
    watch.now = watch.now.replace(hour=20)
    assert statuses(channel.publish(items_for({"A": 1}))) == {"A": "confirmed"}
    assert (tmp_path / "stock.csv").stat().st_ino == before.st_ino


def test_a_missing_file_shows_nothing_and_is_written_anew(channel, tmp_path):
    [seen] = channel.read_back([Listing("A", "web")])
    assert (seen.quantity, "does not exist" in seen.message) == (None, True)
    list(channel.publish(items_for({"A": 1, "B": 1})))
    for path in tmp_path.iterdir():
        path.unlink()
    list(channel.publish(items_for({"B": 2})))
    assert quantities(channel, "A", "B") == {"A": None, "B": 2}


def test_a_file_edited_by_a_person_shows_what_it_says_and_keeps_what_we_do_not_understand(tmp_path):
    channel = channel_for(tmp_path)
    file = tmp_path / "stock.csv"
    rows = "A,web,7,\nB,web,many,x\nC,web,,\nD,web,1,\nD,web,2,\nE,other place,4,\nF,web,5.0,\n"
    file.write_text("\ufeffsku,location,quantity,updated_at\n" + rows, encoding="utf-8")
    assert quantities(channel, *"ABCDF") == {"A": 7, "B": None, "C": None, "D": None, "F": None}
    messages = {seen.listing.sku: seen.message for seen in channel.read_back([Listing(sku, "web") for sku in "ABCD"])}
    assert messages["A"] == ""
    assert "2 rows" in messages["D"]
    list(channel.publish(items_for({"A": 8, "D": 3})))
    kept = file.read_text("utf-8").split("\n")
    assert quantities(channel, "A", "D") == {"A": 8, "D": 3}
    assert [line.strip() for line in kept if line[:1] in {"B", "C", "E", "F"}] == [
        "B,web,many,x",
        "C,web,,",
        "E,other place,4,",
        "F,web,5.0,",
    ]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("csv", b""),
        ("csv", b"sku;location;quantity;updated_at\n"),
        ("csv", b"sku,location,quantity,updated_at\nA,web,1\n"),
        ("csv", b'sku,location,quantity,updated_at\n"A,web,1,x\nB,web,2,x\n'),
        ("csv", b"sku,location,quantity,updated_at\n\xff,web,1,x\n"),
        ("ndjson", b'{"sku": "A"}\n'),
        ("ndjson", b"[1]\n"),
        ("ndjson", b'{"sku": "A", "location": "web", "quantity": 1, "price": 5}\n'),
        ("ndjson", b'{"sku": "A", "loca'),
    ],
)
def test_a_file_that_is_not_ours_is_never_overwritten(tmp_path, kind, data):
    channel = channel_for(tmp_path, format=kind, file="f")
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(PermanentError, match="not a feed file of ours") as caught:
        list(channel.publish(items_for({"A": 1})))
    assert caught.value.hint
    with pytest.raises(PermanentError):
        list(channel.read_back([Listing("A", "web")]))
    assert (tmp_path / "f").read_bytes() == data


def test_what_must_not_be_written_fails_by_itself(channel):
    bad = [
        item(Listing("N", "web"), -1),
        item(Listing("F", "elsewhere"), 1),
        item(Listing("M", "web", status="missing", message="gone"), 1),
    ]
    old, new = item(Listing("V", "web"), 1, 1), item(Listing("V", "web"), 2, 2)
    results = list(channel.publish([*bad, new, old, *items_for({"A": 1})]))
    assert [(r.item.listing.sku, r.code) for r in results if r.status == "failed"] == [
        ("N", "NEGATIVE"),
        ("F", "LOCATION-NOT-OWNED"),
        ("M", "LISTING-NOT-ACTIVE"),
        ("V", "DUPLICATE-ITEM"),
    ]
    assert len(results) == 6
    assert quantities(channel, "N", "M", "V", "A") == {"N": None, "M": None, "V": 2, "A": 1}


def test_a_batch_of_nothing_writable_leaves_no_file(tmp_path):
    list(channel_for(tmp_path).publish([item(Listing("N", "web"), -1)]))
    assert list(tmp_path.iterdir()) == []


def test_every_sku_but_a_blank_one_is_listed_once_per_location(channel):
    found = [(listing.sku, listing.location, listing.status) for listing in channel.resolve(["A", " ", "A", "\ud800"])]
    assert found == [
        ("A", "web", "active"),
        ("A", "shop", "active"),
        (" ", "web", "missing"),
        (" ", "shop", "missing"),
        ("\ud800", "web", "missing"),
        ("\ud800", "shop", "missing"),
    ]


def test_a_missing_folder_is_not_created(tmp_path):
    channel = channel_for(tmp_path / "mount")
    for act in (lambda: list(channel.publish(items_for({"A": 1}))), lambda: list(channel.read_back([]))):
        with pytest.raises(ConfigError, match="does not exist"):
            act()
    assert not (tmp_path / "mount").exists()


def test_a_folder_in_the_files_place_is_a_config_error(tmp_path):
    (tmp_path / "stock.csv").mkdir()
    with pytest.raises(ConfigError):
        list(channel_for(tmp_path).publish(items_for({"A": 1})))


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    channel = channel_for(tmp_path)
    list(channel.publish(items_for({"A": 1})))
    before = (tmp_path / "stock.csv").read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientError, match="disk full"):
        list(channel.publish(items_for({"A": 2})))
    monkeypatch.undo()
    assert (tmp_path / "stock.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["stock.csv"]


def test_a_part_that_a_killed_run_left_goes_with_the_next_write(tmp_path):
    theirs, ours = tmp_path / "notes.part", tmp_path / ".stock.csv.0123456789ab.part"
    for file in (theirs, ours):
        file.write_bytes(b"half of it")
    list(channel_for(tmp_path).publish(items_for({"A": 1})))
    assert theirs.exists()
    assert not ours.exists()


def test_readers_only_ever_see_whole_files_and_writers_lose_nothing_to_each_other(tmp_path):
    skus = [f"S{n}" for n in range(300)]
    list(channel_for(tmp_path).publish(items_for(dict.fromkeys(skus, 0))))
    stop, sizes = threading.Event(), []

    def read():
        while not stop.is_set():
            sizes.append(len(parse((tmp_path / "stock.csv").read_bytes(), "csv", "stock.csv").rows))

    def write(mine):
        for number, sku in enumerate(mine):
            list(channel_for(tmp_path).publish(items_for({sku: number + 1, f"new-{sku}": 1}, version=2)))

    writers = [threading.Thread(target=write, args=(skus[start : start + 15],)) for start in (0, 100, 200)]
    reader = threading.Thread(target=read)
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert sizes == sorted(sizes)
    assert sizes[0] >= 300
    assert set(
        quantities(channel_for(tmp_path), *(f"new-{sku}" for sku in skus[:15] + skus[100:115] + skus[200:215])).values()
    ) == {1}


def test_a_file_beyond_the_size_limit_is_refused(tmp_path):
    channel = channel_for(tmp_path, max_size=2048)
    (tmp_path / "stock.csv").write_bytes(b"x" * 2049)
    with pytest.raises(PermanentError, match="larger than"):
        list(channel.read_back([]))


@pytest.mark.parametrize("wrong", [{"file": "../x"}, {"file": ".hidden"}, {"format": "xml"}, {"to": "mail"}, {"colour": 1}])
def test_options_that_cannot_be_right_are_refused(wrong):
    with pytest.raises(ValidationError):
        FeedFileOptions(path=".", **wrong)


def test_sftp_needs_a_connection():
    with pytest.raises(ConfigError, match="needs a connection"):
        FeedFileChannel(FeedFileOptions(path="/out", to="sftp"), None, ("web",))


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1.0", "+1", "1e3", "٣", "--1", "9" * 19, None, True, 1.0, "NaN"])
def test_only_plain_integers_are_quantities(text):
    assert as_integer(text) is None


def test_the_same_content_gives_the_same_bytes_whatever_its_history():
    one, two = FeedRows(), FeedRows()
    one.merge({("a", "w"): 1, ("b", "w"): 2}, "t")
    two.merge({("b", "w"): 2}, "t")
    two.merge({("a", "w"): 1}, "t")
    for kind in ("csv", "ndjson"):
        assert render(one, kind) == render(two, kind)
        back = parse(render(one, kind), kind, "f")
        assert [back.quantity(key) for key in sorted(back.rows)] == [(1, ""), (2, "")]
        assert render(back, kind) == render(one, kind)


# over SFTP


class Remote:
    """A folder on an SFTP server and a channel that writes there; `refuse_rename` gives the answer to a rename."""

    def __init__(self, root: Path):
        self.root, self.refuse_rename, self.hang_up_on_rename = root, None, False
        remote = self

        class Folder(ServedFolder):
            def posix_rename(self, oldpath, newpath):
                if remote.hang_up_on_rename:
                    super().posix_rename(oldpath, newpath)
                    remote.server.hang_up()
                    return SFTP_FAILURE
                return super().posix_rename(oldpath, newpath) if remote.refuse_rename is None else remote.refuse_rename

        self.server = SftpServer(root, Login("acme", CANARY), files=Folder)

    def channel(self, path="/out", **changes):
        return FeedFileChannel(FeedFileOptions(path=path, to="sftp"), connection(self.server, **changes), ("web",), now=Watch())


@pytest.fixture
def remote(tmp_path):
    (tmp_path / "out").mkdir()
    running = Remote(tmp_path)
    with running.server:
        yield running


def test_a_file_on_a_server_is_merged_and_replaced_whole(remote):
    channel = remote.channel()
    assert quantities(channel, "A") == {"A": None}
    list(channel.publish(items_for({"A": 1, " é": 0})))
    list(channel.publish(items_for({"A": 5}, version=2)))
    assert quantities(channel, "A", " é") == {"A": 5, " é": 0}
    assert [path.name for path in (remote.root / "out").iterdir()] == ["stock.csv"]


def test_many_listings_go_up_and_come_back(remote):
    channel = remote.channel()
    values = {f"SKU-{n:05d}": n for n in range(20_000)}
    assert set(statuses(channel.publish(items_for(values))).values()) == {"confirmed"}
    assert quantities(channel, *values) == values


def test_a_missing_folder_on_the_server_is_a_config_error(remote):
    with pytest.raises(ConfigError, match="folder does not exist"):
        list(remote.channel("/elsewhere").publish(items_for({"A": 1})))


def test_a_server_that_cannot_rename_keeps_the_old_file(remote):
    list(remote.channel().publish(items_for({"A": 1})))
    remote.refuse_rename = SFTP_OP_UNSUPPORTED
    with pytest.raises(PermanentError, match="one step"):
        list(remote.channel().publish(items_for({"A": 2})))
    remote.refuse_rename = None
    assert quantities(remote.channel(), "A") == {"A": 1}
    assert [path.name for path in (remote.root / "out").iterdir()] == ["stock.csv"]


def test_a_connection_lost_during_the_rename_leaves_the_items_unknown(remote):
    remote.hang_up_on_rename = True
    [result] = remote.channel().publish(items_for({"A": 2}))
    assert (result.status, result.retryable) == ("unknown", True)
    remote.hang_up_on_rename = False
    assert quantities(remote.channel(), "A") == {"A": 2}


def test_the_bytes_written_are_the_file_people_asked_for(remote):
    list(remote.channel().publish(items_for({"A": 2})))
    expected = b"sku,location,quantity,updated_at\r\nA,web,2,2026-11-02T08:00:00Z\r\n"
    assert (remote.root / "out" / "stock.csv").read_bytes() == expected
