"""A real mailbox as a source: what is marked and when, what is known again, several files in a mail, large mailboxes, links."""

import base64
import hashlib
import io
import os
import time
import zipfile
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from connectors.imap_session import open_mailbox
from connectors.registry import load_source
from schemas.errors import ConfigError, TransientError
from schemas.transfer import Seen
from tests.servers import dovecot, web_server
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import Clock, feed, fetch

pytestmark = pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
CSV = b"SKU,Qty\nA,1\n"


class World:
    def __init__(self, server, tmp_path) -> None:
        self.server, self.spool, self.seen, self.clock = server, tmp_path / "spool", Seen(), Clock()

    def source(self, **options):
        usual = {"type": "imap", "senders": ["stock@acme.example"], "authserv_id": dovecot.AUTHSERV_ID}
        of = feed({**usual, **options})
        return load_source(of, self.server.connection(), now=self.clock), of

    def fetch(self, **options):
        source, of = self.source(**options)
        found = fetch(source, of, self.spool, self.seen)
        self.seen.identities |= {one.identity for one in found}
        return found


@pytest.fixture
def world(tmp_path):
    with dovecot.running() as server:
        yield World(server, tmp_path)


def peak_memory(*, forget: bool = False) -> int:
    """Return the most memory this process has had since it was last told to forget that, in MB (proc(5), clear_refs)."""
    if forget:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def flags(server, folder: str = "") -> list[str]:
    return [name.partition(":2,")[2] for name in server.names(folder)]


def test_fetching_marks_nothing_and_the_acknowledgement_marks_as_seen(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    [got] = world.fetch(after="seen")
    assert flags(world.server) == [""]
    source, _ = world.source(after="seen")
    source.acknowledge(got.reference)
    source.acknowledge(got.reference)
    assert flags(world.server) == ["S"]


def test_leave_marks_nothing_at_all(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    [got] = world.fetch()
    world.source()[0].acknowledge(got.reference)
    assert flags(world.server) == [""]


def test_a_committed_mail_is_moved_once_into_a_folder_that_is_made(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    [got] = world.fetch(after="move", move_to="Done/Größe")
    source, _ = world.source(after="move", move_to="Done/Größe")
    source.acknowledge(got.reference)
    source.acknowledge(got.reference)
    assert world.server.names() == []
    assert sum(len(list(p.iterdir())) for p in world.server.home.glob("Maildir/.Done.Gr*/[cn][ue][rw]")) == 1


def test_a_change_of_uidvalidity_brings_nothing_twice_and_the_mail_is_still_found(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    [got] = world.fetch(after="seen")
    before = dict(world.seen.listing)
    world.server.forget_numbers()
    assert world.fetch(after="seen") == []
    assert world.seen.listing.keys() == before.keys()
    assert world.seen.listing != before
    world.source(after="seen")[0].acknowledge(got.reference)
    assert flags(world.server) == ["S"]


def test_the_number_of_a_mail_that_became_another_one_marks_nothing(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    [got] = world.fetch(after="seen")
    world.source(after="seen")[0].acknowledge({**got.reference, "key": "<another@acme.example>"})
    assert flags(world.server) == [""]


def test_the_identity_is_message_id_part_and_content(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    world.server.deliver(dovecot.mail({"stock.csv": CSV + b"B,2\n"}))  # a sender that uses one Message-ID for all
    first, second = world.fetch()
    assert first.identity == f"<1@acme.example>|2|{hashlib.sha256(CSV).hexdigest()}"
    assert second.identity.startswith("<1@acme.example>|2|")
    assert first.identity != second.identity


def test_a_mail_without_message_id_is_known_again_by_all_its_bytes(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}, Message_ID=None))
    [got] = world.fetch()
    assert got.identity.startswith("sha256:")
    world.server.forget_numbers()
    assert world.fetch() == []


def test_several_files_of_one_mail_arrive_each_and_only_the_last_acknowledges(world):
    world.server.deliver(dovecot.mail({"a.csv": CSV, "logo.png": b"\x89PNG", "b.csv": CSV + b"B,2\n"}))
    found = world.fetch()
    assert [one.name for one in found] == ["a.csv", "b.csv"]
    assert [bool(one.reference) for one in found] == [False, True]
    assert all("MAIL-SEVERAL" in {f.code for f in one.findings} for one in found)


def test_a_crash_between_two_files_of_a_mail_loses_none(world):
    world.server.deliver(dovecot.mail({"a.csv": CSV, "b.csv": CSV + b"B,2\n"}))
    source, of = world.source()
    arrivals = source.fetch(of, world.seen, world.spool)
    first = next(arrivals)
    world.seen.identities = frozenset({first.identity})
    arrivals.close()
    first.path.unlink()
    assert list(world.spool.iterdir()) == []
    [second] = world.fetch()
    assert second.name == "b.csv"
    assert second.reference


def test_the_senders_the_subject_and_the_names_choose(world):
    for number, changes in enumerate(
        [{}, {"sender": "else@acme.example"}, {"Subject": "Invoice"}, {"Subject": "=?utf-8?q?St=C3=B6ck?="}]
    ):
        world.server.deliver(dovecot.mail({f"stock{number}.csv": CSV}, message_id=f"<{number}@x.example>", **changes))
    assert [one.name for one in world.fetch(subject="st?ck*")] == ["stock0.csv", "stock3.csv"]
    world.seen = Seen()
    assert [one.name for one in world.fetch(pattern="STOCK[02].*")] == ["stock0.csv", "stock2.csv"]


def test_a_mail_that_shows_our_suppliers_name_is_left_with_a_reason(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}, sender='"stock@acme.example" <evil@attacker.example>'))
    assert world.fetch() == []
    assert "evil@attacker.example" in next(iter(world.seen.waiting.values()))


def test_a_first_look_that_finds_no_mail_of_the_senders_says_so(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    assert world.fetch(senders=["sock@acme.example"], subject="Stock*") == []
    [(place, why)] = world.seen.waiting.items()
    assert place == "INBOX"
    assert "is from sock@acme.example with a subject such as 'Stock*': correct `senders` or `subject`" in why
    assert world.fetch(senders=["sock@acme.example"], subject="Stock*") == []
    assert world.seen.waiting == {}
    assert len(world.fetch()) == 1


def test_a_sender_nobody_vouches_for_is_held_unless_the_feed_says_otherwise(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV}, Authentication_Results=None))
    [got] = world.fetch()
    assert [(f.code, f.severity) for f in got.findings] == [("MAIL-SPOOFED", "hold")]
    world.seen = Seen()
    [got] = world.fetch(require_authentication=False)
    assert [(f.code, f.severity) for f in got.findings] == [("MAIL-UNCHECKED", "warn")]


def test_authentication_is_asked_for_by_default():
    with pytest.raises(ConfigError, match="authserv_id"):
        load_source(feed({"type": "imap", "senders": ["a@b.example"]}), dovecot.Dovecot(1, None, "x").connection())


def test_an_archive_in_a_mail_arrives_as_it_is(world):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("stock.csv", CSV)
    world.server.deliver(dovecot.mail({"stock.zip": packed.getvalue()}))
    [got] = world.fetch()
    assert got.path.read_bytes() == packed.getvalue()


def test_a_mail_larger_than_the_limit_is_told_as_a_delivery_to_reject(world):
    world.server.deliver(dovecot.mail({"stock.csv": CSV * 1000}))
    [got] = world.fetch(max_size=5000)
    assert (got.findings[0].code, got.findings[0].severity) == ("MAIL-LIMIT", "reject")
    assert got.size < 5000


def test_a_large_file_arrives_unchanged_in_pieces(world):
    content = os.urandom(5_000_001)
    world.server.deliver(dovecot.mail({"stock.csv": content}))
    [got] = world.fetch()
    assert got.sha256 == hashlib.sha256(content).hexdigest()


def test_a_damaged_encoding_holds(world):
    raw = dovecot.mail({"stock.csv": CSV * 50})
    encoded = base64.b64encode(CSV * 50)[:60]
    assert encoded in raw
    world.server.deliver(raw.replace(encoded, encoded[:-3]))
    [got] = world.fetch()
    assert ("MAIL-DAMAGED", "hold") in [(f.code, f.severity) for f in got.findings]


def test_no_more_mails_are_taken_at_once_than_the_limit_and_the_rest_next_time(world):
    for number in range(5):
        world.server.deliver(dovecot.mail({f"{number}.csv": CSV + b"%d,1\n" % number}, message_id=f"<{number}@x.example>"))
    assert [one.name for one in world.fetch(max_mails=2)] == ["0.csv", "1.csv"]
    assert "max_mails" in next(iter(world.seen.waiting.values()))
    assert [one.name for one in world.fetch(max_mails=2)] == ["2.csv", "3.csv"]
    assert [one.name for one in world.fetch(max_mails=2)] == ["4.csv"]
    assert world.fetch(max_mails=2) == []


def test_a_second_look_asks_for_nothing_old(world):
    for number in range(3):
        world.server.deliver(dovecot.mail({"note.pdf": b"%PDF"}, message_id=f"<{number}@x.example>"))
    assert world.fetch() == []
    with open_mailbox(world.server.connection(), "password", "INBOX", timeout=10) as box:
        reached = next(iter(world.seen.listing.values()))[0]
        assert reached == box.uid_next - 1 == 3
        assert list(box.search(reached, None, ["stock@acme.example"], None)) == []


def test_other_patterns_look_at_the_old_mails_again(world):
    world.server.deliver(dovecot.mail({"stock.pdf": b"%PDF"}))
    assert world.fetch() == []
    assert [one.name for one in world.fetch(pattern="*.pdf")] == ["stock.pdf"]


def test_mails_from_before_the_window_are_not_looked_at(world):
    old = world.clock.at - timedelta(days=20)
    world.server.deliver(dovecot.mail({"stock.csv": CSV}), at=old.timestamp())
    assert world.fetch() == []
    world.seen = Seen()
    assert len(world.fetch(since="30d")) == 1


def linking(url: str) -> bytes:
    message = EmailMessage()
    fields = {"Authentication-Results": dovecot.VOUCHED, "From": "stock@acme.example", "Message-ID": "<1@acme.example>"}
    for name, value in fields.items():
        message[name] = value
    message.set_content(f"Hello,\nhttps://other.example/stock.csv\n<{url}>.\n")
    return message.as_bytes()


ANSWERS = {"/stock.csv": web_server.reply(200, CSV, ETag='"1"'), "/later.csv": web_server.reply(503, b"later")}
ANSWERS |= {"/away.csv": web_server.reply(302, Location="https://elsewhere.example/stock.csv")}
ANSWERS |= {"/endless.csv": web_server.reply(200, CSV, content_length="")}


@pytest.fixture
def web(tmp_path, monkeypatch):
    (tmp_path / "web").mkdir()
    authority = Authority(tmp_path / "web")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))  # as an authority of the machine
    (tmp_path / "web/stock.csv").write_bytes(CSV)

    def answer(request, line) -> None:
        line.send(ANSWERS.get(request.target, web_server.reply(404, b"gone")))

    with web_server.running(answer, server_context(authority.issue("127.0.0.1"))) as server:
        yield server


def test_links_are_followed_only_to_listed_hosts_and_only_when_asked_for(world, web):
    world.server.deliver(linking(web.url()))
    assert world.fetch() == []
    assert web.requests == []
    [got] = world.fetch(links=[f"127.0.0.1:{web.port}"], links_private=True)
    assert (got.name, got.path.read_bytes()) == ("stock.csv", CSV)
    assert got.identity == f"<1@acme.example>|link 1|{hashlib.sha256(CSV).hexdigest()}"


def test_a_link_into_our_own_network_is_refused_and_told(world, web):
    world.server.deliver(linking(web.url()))
    [got] = world.fetch(links=[f"127.0.0.1:{web.port}"])
    told = [(f.code, f.severity, "`links_private = true` allows the hosts in `links`" in f.remedy) for f in got.findings]
    assert told == [("MAIL-LINK", "reject", True)]
    assert web.requests == []


REMEDIES = {
    "/away.csv": "Ask the supplier for a link to the file itself. Nothing was sent to it.",
    "/endless.csv": "Ask the supplier for a Content-Length.",
    "/stock.csv": "Write the host as the certificate names it. Nothing was sent.",
}


@pytest.mark.parametrize("target", REMEDIES)
def test_the_remedy_of_a_link_names_no_key_that_a_mailbox_does_not_have(world, web, target, monkeypatch):
    if target == "/stock.csv":
        monkeypatch.delenv("SSL_CERT_FILE")  # nobody vouches for the server
    world.server.deliver(linking(web.url(target)))
    [got] = world.fetch(links=[f"127.0.0.1:{web.port}"], links_private=True)
    assert [f.remedy for f in got.findings] == [REMEDIES[target]]


def test_a_dead_link_is_a_delivery_to_reject(world, web):
    world.server.deliver(linking(web.url("/gone.csv")))
    [got] = world.fetch(links=[f"127.0.0.1:{web.port}"], links_private=True)
    assert [(f.code, f.severity) for f in got.findings] == [("MAIL-LINK", "reject")]


def test_a_link_whose_server_cannot_answer_is_tried_for_three_days_and_then_rejected(world, web):
    link = {"links": [f"127.0.0.1:{web.port}"], "links_private": True}
    world.server.deliver(linking(web.url("/later.csv")), at=world.clock.at.timestamp())
    world.clock.at += timedelta(hours=71)
    with pytest.raises(TransientError):
        world.fetch(**link)
    world.clock.at += timedelta(hours=2)
    [got] = world.fetch(**link)
    assert [(f.code, f.severity) for f in got.findings] == [("MAIL-LINK", "reject")]


def test_a_spoofed_mails_links_are_not_followed(world, web):
    world.server.deliver(linking(web.url()).replace(b"dmarc=pass", b"dmarc=fail"))
    assert world.fetch(links=[f"127.0.0.1:{web.port}"], links_private=True) == []
    assert web.requests == []


def test_a_server_that_falls_silent_is_worth_another_try(world):
    source, of = world.source(timeout="1s")
    world.server.deliver(dovecot.mail({"stock.csv": CSV}))
    import socket
    from dataclasses import replace

    with socket.create_server(("127.0.0.1", 0)) as silent:
        source._connection = replace(source._connection, port=silent.getsockname()[1])
        with pytest.raises(TransientError, match=r"in time|ended|cannot be reached"):
            fetch(source, of, world.spool)


@pytest.mark.slow
def test_a_mailbox_of_100_000_mails_costs_what_is_new_in_it(world):
    """Other people's mail, put there as files; the first look lets Dovecot index them, the second is what a poll costs."""
    place, small = world.server.home / "Maildir/cur", dovecot.mail({}, sender="else@other.example")
    template = place.parent / "tmp/one"
    template.write_bytes(small)
    os.chown(template, 65534, 65534)
    instant = world.clock.at.timestamp()
    os.utime(template, (instant, instant))
    for number in range(100_000):
        if number % 50_000 == 0:
            current = place.parent / f"tmp/{number}"
            current.write_bytes(small)
            os.chown(current, 65534, 65534)
            os.utime(current, (instant, instant))
        os.link(current, place / f"{int(instant)}.N{number}.x:2,S")
    world.server.deliver(dovecot.mail({"stock.csv": CSV}), at=instant)
    assert len(world.fetch(timeout="300s")) == 1
    world.server.deliver(dovecot.mail({"stock.csv": CSV + b"B,2\n"}, message_id="<2@acme.example>"), at=instant)
    began, used, before = time.monotonic(), time.process_time(), peak_memory(forget=True)
    assert len(world.fetch(timeout="300s")) == 1
    assert time.process_time() - used < 2
    assert time.monotonic() - began < 60
    assert peak_memory() - before < 128


def test_a_server_that_tells_a_wrong_size_still_gives_the_whole_mail(world, monkeypatch):
    """Exchange Online tells sizes that are only about right."""
    from connectors import imap_session

    def wrong(answer):
        for heading in read(answer):
            yield imap_session.Heading(heading.uid, 10, heading.received_at, heading.headers)

    read = imap_session._read_headings
    monkeypatch.setattr(imap_session, "_read_headings", wrong)
    content = os.urandom(2_500_000)
    world.server.deliver(dovecot.mail({"stock.csv": content}))
    [got] = world.fetch()
    assert got.sha256 == hashlib.sha256(content).hexdigest()
    world.seen = Seen()
    [got] = world.fetch(max_size=1_000_000)
    assert (got.findings[0].code, got.findings[0].severity) == ("MAIL-LIMIT", "reject")


def test_a_flood_of_other_peoples_mail_is_told_in_a_few_lines(world):
    for number in range(30):
        sender = '"stock@acme.example" <evil@attacker.example>'
        world.server.deliver(dovecot.mail({"stock.csv": CSV}, message_id=f"<{number}@x.example>", sender=sender))
    assert world.fetch() == []
    assert len(world.seen.waiting) == 20
