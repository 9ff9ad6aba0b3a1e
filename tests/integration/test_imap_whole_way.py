"""Mails through collect, ingest and acknowledge: applied and marked, held for their sender, rejected unread, shown nowhere."""

from pathlib import Path

import pytest

from stockfeed.pipeline.acknowledge import acknowledge_all
from stockfeed.pipeline.acts import release_delivery
from stockfeed.pipeline.collect import collect
from stockfeed.pipeline.ingest import ingest
from tests.integration.hostile_world import HostileWorld, HourClock, database_template, toml
from tests.servers import dovecot
from tests.servers.feeds import CANARY

pytestmark = pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
CSV = b"sku,quantity\nA1,5\nA2,6\n"
CONFIG = """
[supplier]
code = "acme"
name = "Acme"

[[feed]]
code = "stock"
source = {source}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
columns = {{ supplier_sku = "sku", on_hand = "quantity" }}
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    return database_template(tmp_path_factory.mktemp("database"))


@pytest.fixture
def world(tmp_path, template):
    source = {"type": "imap", "connection": "mailbox", "senders": ["stock@acme.example"], "authserv_id": dovecot.AUTHSERV_ID}
    world = HostileWorld(tmp_path, CONFIG.format(source=toml({**source, "after": "seen"})), HourClock(), template)
    with dovecot.running() as server:
        object.__setattr__(world.app, "resolve", lambda _name: server.connection())
        world.server = server
        yield world
    world.close()


def send(world, files, number: int = 1, **headers) -> None:
    raw = dovecot.mail(files, message_id=f"<{number}@acme.example>", **headers)
    world.server.deliver(raw, at=world.clock.now.timestamp())


def flags(world) -> list[str]:
    return [name.partition(":2,")[2] for name in world.server.names()]


def test_a_mail_is_applied_and_marked_only_after_that(world):
    send(world, {"stock.csv": CSV})
    [delivery] = collect(world.app, "acme.stock").delivery_ids
    assert acknowledge_all(world.app, "acme.stock") == 0
    assert flags(world) == [""]
    assert ingest(world.app, delivery).state == "applied"
    assert flags(world) == [""]
    assert acknowledge_all(world.app, "acme.stock") == 1
    assert flags(world) == ["S"]
    assert world.stock() == {"A1": 5.0, "A2": 6.0}
    assert collect(world.app, "acme.stock").delivery_ids == ()


def test_a_spoofed_mail_waits_for_a_person_and_is_applied_when_released(world):
    send(world, {"stock.csv": CSV})
    world.sync()
    send(world, {"stock.csv": b"sku,quantity\nA1,99\nA2,99\n"}, 2, Authentication_Results="mx.attacker.example; dmarc=pass")
    [outcome] = world.sync()
    assert (outcome.state, [f["code"] for f in outcome.findings]) == ("held", ["MAIL-SPOOFED"])
    assert world.stock() == {"A1": 5.0, "A2": 6.0}
    released = release_delivery(world.app, 2, actor="test", reason="they called")
    assert released.state == "applied"
    assert world.stock() == {"A1": 99.0, "A2": 99.0}


def test_the_same_bytes_from_a_stranger_do_not_confirm_the_stock(world):
    send(world, {"stock.csv": CSV})
    world.sync()
    send(world, {"stock.csv": CSV}, 2, Authentication_Results=None)
    [outcome] = world.sync()
    assert outcome.state == "held"


def test_an_attachment_that_nobody_can_use_is_rejected_unread_and_the_next_one_goes_on(world):
    send(world, {"a.csv": b"", "b.csv": CSV})
    first, second = world.sync()
    assert (first.state, first.problems[0]["code"], first.reason) == ("rejected", "FILE-EMPTY", "attachment 1: 0 bytes")
    assert second.state == "applied"
    assert acknowledge_all(world.app, "acme.stock") == 1
    assert flags(world) == ["S"]


def test_no_secret_is_in_what_is_stored_or_logged(world, capsys, caplog, tmp_path):
    send(world, {"stock.csv": CSV})
    world.sync()
    acknowledge_all(world.app, "acme.stock")
    out = capsys.readouterr()
    assert CANARY not in out.out + out.err + caplog.text
    assert not any(CANARY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
