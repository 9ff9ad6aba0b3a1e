"""What is asked of a web server, with which login, and which of its versions are news."""

import base64
import email.utils
import logging
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from connectors.web_file import WebFileOptions, WebFileSource
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError
from schemas.transfer import Seen
from tests.servers import web_server
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.web_server import reply

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Site:
    """What the server says at the moment; conditions are honoured as RFC 9110 §13 says, or not at all."""

    def __init__(self) -> None:
        self.body, self.tag, self.modified, self.honours = b"SKU\nA\n", '"v1"', NOON, True

    def __call__(self, request, line) -> None:
        headers = {
            "ETag": self.tag or "",
            "Last_Modified": email.utils.format_datetime(self.modified, usegmt=True) if self.modified else "",
        }
        asked = request.headers
        same = (
            asked["if-none-match"] == self.tag
            if "if-none-match" in asked
            else asked.get("if-modified-since") == headers["Last_Modified"]
        )
        if self.honours and same and ("if-none-match" in asked or "if-modified-since" in asked):
            line.send(reply(304, content_length="", **headers))
        else:
            line.send(reply(200, self.body, **headers))


@pytest.fixture
def site():
    return Site()


@pytest.fixture
def poll(site, tmp_path):
    """Fetches, and records what came as the pipeline does."""
    with ExitStack() as stack:
        server = stack.enter_context(web_server.running(site))
        options = WebFileOptions(url=server.url(), private_host=True)
        clock, seen = Clock(), Seen()

        def once(*, record: bool = True):
            clock.sleep(60)
            source = WebFileSource(options, now=clock)
            got = fetch(source, feed({"type": "web_file"}), tmp_path / "spool", seen)
            if record:
                seen.identities |= {g.identity for g in got}
            return got

        once.server, once.seen = server, seen
        yield once


def test_identity_and_time_come_from_etag_and_last_modified(poll):
    [got] = poll()
    assert (got.identity, got.source_time, got.name) == (
        'stock.csv|etag "v1"|modified 2026-11-01T12:00:00+00:00',
        NOON,
        "stock.csv",
    )
    assert got.findings == ()


def test_an_unchanged_file_costs_one_question(poll):
    poll()
    assert poll() == []
    asked = poll.server.requests[-1].headers
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"v1"', "Sun, 01 Nov 2026 12:00:00 GMT")


def test_a_file_whose_delivery_was_not_recorded_is_fetched_again(poll):
    [first], [again] = poll(record=False), poll()
    assert first.identity == again.identity
    assert "if-none-match" not in poll.server.requests[-1].headers
    assert poll() == []


@pytest.mark.parametrize("honours", [True, False])
@pytest.mark.parametrize(("tag", "modified"), [('"v1"', NOON), ('W/"weak"', None), (None, NOON), (None, None)])
def test_the_same_version_never_comes_twice(poll, site, honours, tag, modified):
    site.tag, site.modified, site.honours = tag, modified, honours
    [got] = poll()
    assert got.source_time == modified
    assert [poll(), poll()] == [[], []]


@pytest.mark.parametrize("honours", [True, False])
@pytest.mark.parametrize("known", ["both", "tag", "time", "nothing"])
def test_new_content_always_comes(poll, site, honours, known):
    site.honours = honours
    for version in range(1, 4):
        site.body = b"SKU\nA%d\n" % version
        site.tag = f'"v{version}"' if known in {"both", "tag"} else None
        site.modified = NOON.replace(minute=version) if known in {"both", "time"} else None
        [got] = poll()
        assert got.path.read_bytes() == site.body
        assert poll() == []


def test_new_content_within_the_same_second_comes_when_the_server_sends_it(poll, site):
    site.tag, site.honours = None, False
    poll()
    site.body = b"changed"
    assert [g.path.read_bytes() for g in poll()] == [b"changed"]


@pytest.mark.parametrize("tag", ['"v1"', 'W/"v1"'])
@pytest.mark.parametrize("modified", [NOON, None])
def test_new_content_under_an_etag_that_stayed_comes_once_when_the_server_sends_it(poll, site, tag, modified):
    site.tag, site.modified, site.honours = tag, modified, False
    [first] = poll()
    site.body = b"SKU\nB\n"
    [second] = poll()
    assert (second.path.read_bytes(), second.identity != first.identity) == (site.body, True)
    assert poll() == []


@pytest.mark.parametrize("tagged", [True, False])
def test_content_that_returns_to_an_older_version_is_news_where_no_time_says_otherwise(poll, site, tagged):
    site.modified, identities = None, []
    for body in (b"one", b"two", b"one", b"one", b"two"):
        site.body, site.tag = body, f'"{body.decode()}"' if tagged else None
        identities += [g.identity for g in poll()]
    assert len(identities) == len(set(identities)) == 4
    assert "|again 2026-11-02T08:03:00+00:00" in identities[2]


def test_an_older_version_with_its_own_older_time_is_not_news(poll, site):
    for version in (1, 2, 1, 2):
        site.body, site.tag, site.modified = b"%d" % version, f'"v{version}"', NOON.replace(minute=version)
        poll()
    assert len(poll.seen.identities) == 2


@pytest.mark.parametrize("told", ["yesterday", "Fri, 31 Dec 9999 23:59:59 -0100"])
def test_a_date_that_is_none_is_as_good_as_none(poll, site, told):
    site.tag = None
    poll.server.answer = lambda _request, line: line.send(reply(200, b"x", Last_Modified=told))
    [got] = poll()
    assert got.source_time is None
    assert got.identity.startswith("stock.csv|sha256 ")


def test_an_endless_etag_becomes_a_short_identity(poll, site):
    site.tag = '"' + "x" * 5000 + '"'
    [got] = poll()
    assert len(got.identity) < 200
    assert poll() == []


def ask(server, tmp_path, conn: Connection | None, **options) -> dict[str, str]:
    source = WebFileSource(WebFileOptions(**{"url": server.url(), "private_host": True} | options), conn)
    fetch(source, feed({"type": "web_file"}), tmp_path / "spool")
    return dict(server.requests[-1].headers)


def login(server, **fields) -> Connection:
    return Connection("acme_web", host="127.0.0.1", port=server.port, **fields)


def test_the_login_is_basic_bearer_or_a_header_of_its_own(tmp_path):
    with web_server.running(web_server.always(reply(200, b"x"))) as server:
        secret = Secret(CANARY)
        assert "authorization" not in ask(server, tmp_path, None)
        assert "authorization" not in ask(server, tmp_path, login(server))
        basic = ask(server, tmp_path, login(server, login="Zoë", password=secret))["authorization"]
        assert base64.b64decode(basic.removeprefix("Basic ")).decode() == f"Zoë:{CANARY}"
        assert ask(server, tmp_path, login(server, password=secret))["authorization"] == f"Bearer {CANARY}"
        own = ask(server, tmp_path, login(server, password=secret, extra={"header": "X-Api-Key"}))
        assert own["x-api-key"] == CANARY
        assert "authorization" not in own


@pytest.mark.parametrize(
    "fields",
    [
        {"password": Secret(f"{CANARY}\r\nX: y")},
        {"password": Secret(f"{CANARY}é")},
        {"password": Secret(CANARY), "extra": {"header": "A: b\r\nC"}},
    ],
)
def test_a_login_that_no_header_can_carry_is_refused_without_being_shown(tmp_path, fields):
    with web_server.running(web_server.always(reply(200, b"x"))) as server:
        with pytest.raises(CredentialsError) as caught:
            ask(server, tmp_path, login(server, **fields))
        assert CANARY not in str(caught.value) + repr(caught.value.__cause__)
        assert server.requests == []


def test_an_address_beside_the_connections_host_is_a_mistake(tmp_path):
    with web_server.running(web_server.always(reply(200, b"x"))) as server:
        for wrong in (
            login(server, login="acme", password=Secret(CANARY)).__class__("acme_web", host="acme.example"),
            Connection("acme_web"),
        ):
            with pytest.raises(ConfigError, match="acme_web"):
                ask(server, tmp_path, wrong)
        assert server.requests == []
        assert ask(server, tmp_path, Connection("acme_web", host="http://127.0.0.1", port=server.port))


def test_a_query_is_sent_and_never_shown(tmp_path, caplog):
    with web_server.running(lambda _request, line: line.send(reply(404))) as server, caplog.at_level(logging.DEBUG):
        with pytest.raises(ConfigError) as caught:
            ask(server, tmp_path, None, url=server.url(f"/stock.csv?token={CANARY}"))
        assert server.requests[0].target.endswith(CANARY)
    shown = [str(caught.value), caught.value.detail, repr(caught.value.__cause__), *(r.getMessage() for r in caplog.records)]
    assert not any(CANARY in text for text in shown)


def test_headers_of_an_answer_are_in_no_log(tmp_path, caplog):
    def answer(_request, line) -> None:
        line.send(reply(302, Location=f"/stock.csv?signature={CANARY}", Set_Cookie=f"session={CANARY}"))

    with web_server.running(answer) as server, caplog.at_level(logging.DEBUG):
        source = WebFileSource(WebFileOptions(url=server.url(), private_host=True))
        with pytest.raises(PermanentError, match="redirects more than"):
            fetch(source, feed({"type": "web_file"}), tmp_path / "spool")
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "http://acme.example/x"}, "not encrypted"),
        ({"url": "https://acme.example/x", "plain": True}, "goes with http"),
        ({"url": "https://acme:secret@acme.example/x"}, "without login"),
        ({"url": "ftp://acme.example/x"}, "https://host/path"),
        ({"url": "https://acme.example/x", "hosts": ["https://b.example"]}, "a host is written as"),
        ({"url": "https://acme.example/x", "verify": False}, "Extra inputs"),
    ],
)
def test_wrong_options_are_told_when_the_file_is_read(options, message):
    with pytest.raises(ValidationError, match=message):
        WebFileOptions(**options)


def test_plain_http_to_another_machine_is_marked_and_to_this_one_is_not(tmp_path):
    with web_server.running(web_server.always(reply(200, b"x"))) as server:
        lookup = lambda _host, port: [(2, 1, 6, "", ("127.0.0.1", port))]  # noqa: E731 - a name server of one line
        for host, codes in (("intranet.example", ["PLAIN-TRANSFER"]), ("localhost", [])):
            options = WebFileOptions(url=server.url(host=host), plain=True, private_host=True)
            [got] = fetch(WebFileSource(options, lookup=lookup), feed({"type": "web_file"}), tmp_path / "spool")
            assert [f.code for f in got.findings] == codes


def test_acknowledging_does_nothing(tmp_path):
    WebFileSource(WebFileOptions(url="https://acme.example/x")).acknowledge({})


def test_ipv6_addresses_are_asked_with_brackets(tmp_path):
    with web_server.running(web_server.always(reply(200, b"x")), address="::1") as server:
        headers = ask(server, tmp_path, Connection("acme_web", host="::1", port=server.port), url=server.url(host="[::1]"))
        assert headers["host"] == f"[::1]:{server.port}"
