"""Remote file names of every evil kind: through the folder source and as members of archives, none is ever used as a path."""

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from tests.integration.hostile_world import STANDARD, HostileWorld, HourClock, Outcome, database_template, feed_toml
from transforms.formats.archives import unpack
from transforms.formats.options import DelimitedOptions

pytestmark = pytest.mark.needs_shared


@pytest.fixture(scope="module")
def names(shared) -> list[str]:
    listed = json.loads((shared / "hostile/made/names/remote_names.json").read_text(encoding="utf-8"))
    assert len(listed) == 50
    return listed


@pytest.fixture
def world(tmp_path, tmp_path_factory) -> HostileWorld:
    form = {"type": "delimited", "archive": "auto"}
    made = HostileWorld(
        tmp_path, feed_toml(tmp_path / "inbox", form), HourClock(), database_template(tmp_path_factory.mktemp("db"))
    )
    yield made
    made.close()


def table(number: int) -> bytes:
    """A good file that no other file of the test equals."""
    rows = "".join(f"AB-{n},x,{n + number},1.50,EUR,W1\n" for n in range(1, 4))
    return f"{','.join(STANDARD)}\n{rows}".encode()


def can_be_a_file(name: str) -> bool:
    """Whether this machine's file system can hold the name: other servers can list more."""
    return name not in {"", ".", ".."} and not {"/", "\0"} & set(name) and len(os.fsencode(name)) <= 255


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def outside(folder: Path) -> set[str]:
    """What lies in the test's folder beside the inbox, the configuration, the database and our own state."""
    ours = ("state", "inbox", "config", "db.sqlite3")
    return {path for path in everything_below(folder) if not path.startswith(ours)}


def test_each_name_in_a_folder_is_delivered_or_left_with_a_reason(tmp_path, world, names):
    possible = [name for name in names if can_be_a_file(name)]
    assert len(possible) > 35
    for number, name in enumerate(possible):
        outcome = delivered(world, name, table(number))
        if outcome is None:
            assert escape_value(waiting_name(name)) in world.left
            assert "path separator" in world.left[escape_value(waiting_name(name))]
            continue
        assert outcome.verdict in ("ACCEPT", "ACCEPT_WARN"), (name, outcome.told)
        assert outcome.name == waiting_name(name)
        assert escape_value(outcome.name).isprintable()
    assert outside(tmp_path) == set()
    assert not [p for p in everything_below(tmp_path / "state") if "stock" in p or "csv" in p]  # our own names only


def waiting_name(name: str) -> str:
    return name.replace("\\", "\\x5c")


def delivered(world: HostileWorld, name: str, content: bytes) -> Outcome | None:
    """How the file with this name ended; None when it was left, and then `world.left` says why."""
    from stockfeed.pipeline.collect import collect

    world.put(content, name)
    world.left = collect(world.app, "acme.stock").waiting
    outcomes = world.sync()
    assert len(outcomes) <= 1
    return outcomes[0] if outcomes else None


def test_a_refused_file_is_named_by_its_escaped_name_on_one_line(world, names):
    for name in ("stock.csv\nsecond.csv", "\x1b[31mred.csv", "{{7*7}}.csv", "stock\u202ecsv.exe", "x' OR '1'='1.csv"):
        assert name in names
        world.put(b'{"error": "%d"}' % len(name), name)
        (outcome,) = world.sync()
        assert outcome.state == "rejected"
        assert outcome.name == name
        shown = escape_value(outcome.name)
        assert shown.isprintable()
        assert "49" not in shown


def test_each_name_as_the_member_of_an_archive_is_read_or_refused_by_its_escaped_name(names):
    read = 0
    for name in names:
        data, shown, target = renamed(archive(0), name), escape_value(name), io.BytesIO()
        try:
            found = unpack(io.BytesIO(data), target, io.BytesIO, DelimitedOptions(archive="zip"))
        except DeliveryError as error:
            message = error.message
        else:
            assert found is not None
            assert (found.member, target.getvalue()) == (shown, table(0)), name
            read, message = read + 1, shown
        assert shown in message
        assert message.isprintable()
    assert 15 < read < 40


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("../../etc/passwd", "REJECT_FILE"),
        ("stock.csv\nsecond.csv", "REJECT_FILE"),
        ("{{7*7}}.csv", "ACCEPT_WARN"),
        ("$(id).csv", "ACCEPT_WARN"),
    ],
)
def test_a_member_with_an_evil_name_writes_nothing_and_is_told_escaped(tmp_path, world, name, verdict):
    outcome = world.deliver(renamed(archive(1), name), "stock.zip")
    assert outcome.verdict == verdict
    assert escape_value(name) in outcome.told
    assert outcome.reason.isprintable()
    assert outside(tmp_path) == set()


def archive(number: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        package.writestr(zipfile.ZipInfo("x"), table(number))
    return buffer.getvalue()


def renamed(data: bytes, name: str) -> bytes:
    """The archive with its one member "x" under another name, in both places: the library would clean the name up."""
    raw = name.encode()
    size, utf8 = len(raw).to_bytes(2, "little"), (0x800).to_bytes(2, "little")
    directory = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    local = data[:6] + utf8 + data[8:26] + size + data[28:30] + raw + data[31:directory]
    central = data[directory : directory + 8] + utf8 + data[directory + 10 : directory + 28] + size
    central += data[directory + 30 : directory + 46] + raw + data[directory + 47 : end]
    tail = data[end : end + 12] + len(central).to_bytes(4, "little") + len(local).to_bytes(4, "little") + data[end + 20 :]
    return local + central + tail
