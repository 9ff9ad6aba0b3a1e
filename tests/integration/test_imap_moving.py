"""Marking and moving mails of a real mailbox: the right one, that one only, and words where it cannot be."""

import imaplib

import pytest

from connectors.imap_session import translated
from schemas.errors import PermanentError
from tests.integration.test_imap import CSV, World, flags
from tests.servers import dovecot

pytestmark = pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))


@pytest.fixture
def world(tmp_path):
    with dovecot.running() as server:
        yield World(server, tmp_path)


@pytest.mark.parametrize("lacks", ["", "MOVE", "MOVE UIDPLUS"])
def test_moving_a_mail_removes_no_other_one_that_somebody_has_marked_as_deleted(world, monkeypatch, lacks):
    from connectors import imap_session

    if lacks:
        known = imap_session._capabilities
        monkeypatch.setattr(imap_session, "_capabilities", lambda client: known(client) - set(lacks.split()))
    other = world.server.deliver(dovecot.mail({"stock.csv": CSV}, sender="else@other.example", message_id="<other@x.example>"))
    other.rename(other.parent.parent / "cur" / f"{other.name}:2,T")
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    [got] = world.fetch(after="move", move_to="Done")
    source, _ = world.source(after="move", move_to="Done")
    source.acknowledge(got.reference)
    source.acknowledge(got.reference)
    left = [name for name in world.server.names() if "M000003" not in name]
    assert [name.partition(":2,")[2] for name in left] == ["T"]
    assert len(world.server.names(".Done")) == 1
    # a server that can remove no single mail keeps it, marked: its owner's mail program clears it away
    assert len(world.server.names()) == (2 if lacks == "MOVE UIDPLUS" else 1)


def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_file(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    [got] = world.fetch(after="move", move_to="Done//x")
    with pytest.raises(PermanentError, match="cannot be moved to 'Done//x'"):
        world.source(after="move", move_to="Done//x")[0].acknowledge(got.reference)
    assert len(world.server.names()) == 1


def test_a_folder_that_may_only_be_read_is_told():
    with pytest.raises(PermanentError, match="may only be read"), translated("mail.example:993"):
        raise imaplib.IMAP4.readonly("INBOX is not writable")


@pytest.mark.parametrize(
    "written", ["<größe@acme.example>", "<\xff\xfe>", '<a"b\\c@x.example>', "<" + "x" * 400 + "@x.example>", "<a\tb@x.example>"]
)
def test_a_mail_of_any_message_id_is_found_again_after_a_change_of_uidvalidity(world, written):
    raw = dovecot.mail({"stock.csv": CSV}, message_id="<MID@acme.example>")
    world.server.deliver(raw.replace(b"<MID@acme.example>", written.encode("latin-1")))
    [got] = world.fetch(after="seen")
    world.server.forget_numbers()
    assert world.fetch(after="seen") == []
    world.source(after="seen")[0].acknowledge(got.reference)
    assert flags(world.server) == ["" if written == "<\xff\xfe>" else "S"]  # nothing of it can be searched for


def test_a_mail_whose_message_id_holds_that_of_another_is_not_taken_for_it(world):
    world.server.deliver(dovecot.mail({"other.txt": b"x"}, message_id="<not-1@acme.example>"))
    world.server.deliver(dovecot.mail({"stock.csv": CSV}, message_id="1@acme.example"))
    [got] = world.fetch(after="seen", pattern="*.csv")
    world.server.forget_numbers()
    world.source(after="seen", pattern="*.csv")[0].acknowledge(got.reference)
    assert flags(world.server) == ["", "S"]


def test_a_mail_that_comes_between_opening_and_asking_is_not_passed_over(world, monkeypatch):
    """STATUS may tell of mails that the open folder does not show yet (RFC 3501 §6.3.10 advises against it)."""
    monkeypatch.setattr("imaplib.IMAP4.status", lambda *_: ("OK", [b"INBOX (UIDNEXT 3)"]))
    world.server.deliver(dovecot.mail({"a.csv": CSV}))
    assert [one.name for one in world.fetch()] == ["a.csv"]
    world.server.deliver(dovecot.mail({"b.csv": CSV}, message_id="<2@acme.example>"))
    assert [one.name for one in world.fetch()] == ["b.csv"]
