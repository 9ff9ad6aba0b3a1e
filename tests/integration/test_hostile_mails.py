"""Every hostile mail through a real mailbox, collect and ingest: it ends as EXPECT.csv says, and people are told where."""

import csv
import os
import resource
import time
from pathlib import Path

import pytest

from connectors.mail_reading import read_mail
from schemas.connections import Connection
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from tests.conftest import REPOSITORY
from tests.integration.hostile_world import STANDARD, HostileWorld, HourClock, database_template, feed_toml
from tests.servers import dovecot

pytestmark = pytest.mark.needs_shared

SECONDS, MEGABYTES = 20, 512
STAMP = f"Authentication-Results: {dovecot.VOUCHED}\n".encode()


def root() -> Path:
    return Path(os.environ.get("STOCKFEED_SHARED", REPOSITORY.parent / "shared"))


def expected() -> dict[str, dict[str, str]]:
    if not (root() / "hostile").is_dir():
        return {"none": {}}
    with (root() / "hostile/made/EXPECT.csv").open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file) if row["file"].startswith("eml/")}


def public_mails() -> list[str]:
    folder = root() / "hostile/registry/cpython-email"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ["none"]


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return database_template(tmp_path_factory.mktemp("database"))


def config(folder: Path) -> str:
    """The feed of EXPECT.csv, from a mailbox instead of a folder."""
    written = feed_toml(folder, {"type": "delimited"}, STANDARD)
    [old] = [line for line in written.splitlines() if line.startswith("source = ")]
    new = (
        f'source = {{ type = "imap", connection = "mailbox", authserv_id = "{dovecot.AUTHSERV_ID}", '
        'senders = ["stock@acme.example", "a@acme.example"] }'
    )
    return written.replace(old, new)


def connect(world: HostileWorld, connection: Connection) -> None:
    object.__setattr__(world.app, "resolve", lambda _name: connection)


@pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
@pytest.mark.parametrize("name", expected())
def test_each_hostile_mail_ends_as_expected_and_says_where(tmp_path, template, shared, name):
    row, raw = expected()[name], (shared / "hostile/made" / name).read_bytes()
    stamped = raw if "forged" in name else STAMP + raw  # as our own server does; it did not vouch for the forged one
    world = HostileWorld(tmp_path, config(tmp_path), HourClock(), template)
    with dovecot.running() as server:
        server.deliver(stamped, at=world.clock.now.timestamp())
        connect(world, server.connection())
        waiting = collect(world.app, "acme.stock")
        outcomes = [world._outcome(number, ingest(world.app, number)) for number in waiting.delivery_ids]
    world.close()
    verdict = outcomes[-1].verdict if outcomes else "IGNORE"
    told = "\n".join([*(one.told for one in outcomes), *waiting.waiting.values()])
    right = {row["outcome"], row["also_ok"]} - {""}
    assert verdict in (right | {"ACCEPT_WARN"} if row["outcome"] == "ACCEPT" else right), told
    assert row["must_name"].lower() in told.lower(), told
    if verdict.startswith("ACCEPT"):
        assert outcomes[-1].rows_accepted == 3


def test_every_hostile_mail_of_the_list_is_walked(shared):
    assert {Path(name).name for name in expected()} == {path.name for path in (shared / "hostile/made/eml").iterdir()}


@pytest.mark.parametrize("name", public_mails())
def test_each_mail_of_a_public_test_suite_ends_in_an_outcome_in_time(tmp_path, shared, name):
    (tmp_path / "mail").write_bytes((shared / "hostile/registry/cpython-email" / name).read_bytes())
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    found = read_mail(tmp_path)
    assert time.monotonic() - began < SECONDS
    assert not [f for f in found.findings if "parser ended" in f.message]
    # the most of all children so far: those of other tests may have taken more
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, MEGABYTES * 1024)


@pytest.mark.parametrize("name", [p.name for p in (root() / "hostile/registry/tnefparse").glob("*.tnef")] or ["none"])
def test_each_winmail_of_a_public_test_suite_ends_in_an_outcome_in_time(tmp_path, shared, name):
    content = (shared / "hostile/registry/tnefparse" / name).read_bytes()
    (tmp_path / "mail").write_bytes(dovecot.mail({"winmail.dat": content}))
    began = time.monotonic()
    found = read_mail(tmp_path)
    assert time.monotonic() - began < SECONDS
    assert not [f for f in found.findings if f.severity == "reject"], found.findings
    if name == "two-files.tnef":
        assert [one.name for one in found.attachments] == ["AUTHORS", "README"]
