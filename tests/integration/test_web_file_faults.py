"""A web server that refuses, redirects, cuts, drips, lies or breaks TLS: what each looks like from our side."""

import gzip
import os
import socket
import time
import tracemalloc
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.addresses import parse_address
from connectors.web_file import WebFileOptions, WebFileSource
from connectors.web_login import login_headers
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, TransientError
from schemas.transfer import Seen
from tests.servers import web_server
from tests.servers.certificates import Authority, outdated_context, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.web_server import always, reply

CONTENT = b"SKU;Qty\r\n" + b"A;1\r\n" * 20_000


@pytest.fixture
def serve():
    with ExitStack() as stack:
        yield lambda answer, *args, **kw: stack.enter_context(web_server.running(answer, *args, **kw))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def fetch_from(server, spool: Path, seen: Seen | None = None, *, conn: Connection | None = None, lookup=None, **options):
    defaults = {"url": server.url(), "private_host": True, "idle_timeout": "5s", "connect_timeout": "2s"}
    clock = Clock()
    given = {"lookup": lookup} if lookup else {}
    source = WebFileSource(WebFileOptions(**defaults | options), conn, now=clock, sleep=clock.sleep, **given)
    of = feed({"type": "web_file", **defaults})
    return fetch(source, of, spool, seen)


def nothing_left(spool: Path) -> bool:
    return not spool.exists() or list(spool.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, CredentialsError, "refused"),
        (403, CredentialsError, "refused"),
        (404, ConfigError, "no such file"),
        (410, ConfigError, "no such file"),
        (400, PermanentError, "HTTP 400"),
        (204, PermanentError, "HTTP 204"),
        (206, PermanentError, "HTTP 206"),
        (408, TransientError, "HTTP 408"),
        (429, TransientError, "HTTP 429"),
        (500, TransientError, "HTTP 500"),
        (502, TransientError, "HTTP 502"),
        (503, TransientError, "HTTP 503"),
        (304, PermanentError, "nothing is known"),
        (302, PermanentError, "redirects to nowhere"),
    ],
)
def test_each_status_is_the_right_kind_of_error(serve, tmp_path, status, error, message):
    seen = Seen()
    answer = reply(status, content_length="") if status == 304 else reply(status, b"" if status == 204 else b"<html>no")
    with pytest.raises(error, match=message) as caught:
        fetch_from(serve(always(answer)), tmp_path / "spool", seen)
    assert type(caught.value) is error
    assert caught.value.hint
    assert nothing_left(tmp_path / "spool")
    assert seen.listing == {}


@pytest.mark.parametrize(
    ("status", "value", "wait"),
    [(429, "17", 17), (503, "Mon, 02 Nov 2026 08:01:00 GMT", 60), (503, "soon", None), (503, "9" * 400, 86_400)],
)
def test_retry_after_is_passed_on(serve, tmp_path, status, value, wait):
    with pytest.raises(TransientError) as caught:
        fetch_from(serve(always(reply(status, Retry_After=value))), tmp_path / "spool")
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("kept", [0, 1, 50_000, len(CONTENT) - 1])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_cut_is_never_taken_for_whole(serve, tmp_path, kept, chunked):
    if chunked:
        head = reply(Transfer_Encoding="chunked", content_length="")
        data = head + b"%x\r\n" % len(CONTENT) + CONTENT[:kept]
    else:
        data = reply(200, CONTENT)[: len(reply(200, CONTENT)) - len(CONTENT) + kept]
    with pytest.raises(TransientError, match="cut short"):
        fetch_from(serve(always(data)), tmp_path / "spool")
    assert nothing_left(tmp_path / "spool")


def test_a_chunked_body_without_its_last_chunk_is_cut_short(serve, tmp_path):
    data = reply(Transfer_Encoding="chunked", content_length="") + b"3\r\nabc\r\n"
    with pytest.raises(TransientError, match="cut short"):
        fetch_from(serve(always(data)), tmp_path / "spool")
    [got] = fetch_from(serve(always(data + b"0\r\n\r\n")), tmp_path / "spool")
    assert got.path.read_bytes() == b"abc"


def test_a_body_of_unknown_length_is_taken_only_when_the_feed_says_so_and_then_marked(serve, tmp_path):
    server = serve(always(reply(200, b"SKU\nA\n", content_length="")))
    with pytest.raises(PermanentError, match="does not tell its length"):
        fetch_from(server, tmp_path / "spool")
    [got] = fetch_from(server, tmp_path / "spool", allow_unknown_length=True)
    assert [(f.code, f.severity) for f in got.findings] == [("LENGTH-UNKNOWN", "warn")]


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_slow_drip_ends_at_the_deadline(serve, tmp_path, where):
    whole = reply(200, CONTENT)
    head = len(whole) - len(CONTENT)

    def answer(_request, line):
        if where == "body":
            line.send(whole[:head])
        line.drip(whole[head:] if where == "body" else whole, 0.05)

    started = time.monotonic()
    with pytest.raises(TransientError, match=r"took longer than 0\.6 s"):
        fetch_from(serve(answer), tmp_path / "spool", deadline="0.6s")
    assert time.monotonic() - started < 3
    assert nothing_left(tmp_path / "spool")


@pytest.mark.parametrize("after", [0, 20, 5000])
def test_a_silent_server_is_given_up_after_the_idle_time_out(serve, tmp_path, after):
    def answer(_request, line):
        line.send(reply(200, CONTENT)[:after])
        line.silence()

    with pytest.raises(TransientError, match=r"no data for 0\.5 s"):
        fetch_from(serve(answer), tmp_path / "spool", idle_timeout="0.5s")
    assert nothing_left(tmp_path / "spool")


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH\r\n", b"\x00\x01\x02", b"HTTP/1.1 abc\r\n\r\n", b""], ids=["ssh", "binary", "status", "empty"]
)
def test_what_is_no_http_is_worth_another_try(serve, tmp_path, garbage):
    with pytest.raises(TransientError, match="not proper HTTP"):
        fetch_from(serve(always(garbage)), tmp_path / "spool")


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "12, 13", "٣"])
def test_a_length_that_is_none_is_no_answer(serve, tmp_path, length):
    data = reply(200, content_length="").replace(b"Connection", f"Content-Length: {length}\r\nConnection".encode(), 1)
    with pytest.raises(TransientError, match="not proper HTTP"):
        fetch_from(serve(always(data)), tmp_path / "spool")


def test_endless_headers_are_bounded(serve, tmp_path):
    with pytest.raises(TransientError, match="not proper HTTP"):
        fetch_from(serve(always(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000)), tmp_path / "spool")


@pytest.mark.parametrize("size", [999, 1000, 1001])
@pytest.mark.parametrize("kind", ["length", "chunked", "gzip"])
def test_the_size_limit_counts_on_the_wire_and_unpacked(serve, tmp_path, size, kind):
    content = os.urandom(size) if kind != "gzip" else b"x" * size
    data = {
        "length": lambda: reply(200, content),
        "chunked": lambda: reply(Transfer_Encoding="chunked", content_length="") + b"%x\r\n%b\r\n0\r\n\r\n" % (size, content),
        "gzip": lambda: reply(200, gzip.compress(content), Content_Encoding="gzip"),
    }[kind]()
    server = serve(always(data))
    if size <= 1000:
        assert [got.size for got in fetch_from(server, tmp_path / "spool", max_size=1000)] == [size]
        return
    with pytest.raises(DeliveryError, match="larger than 1000") as caught:
        fetch_from(server, tmp_path / "spool", max_size=1000)
    assert caught.value.code == "FILE-LIMIT"
    assert nothing_left(tmp_path / "spool")


def test_a_gzip_bomb_stops_at_the_limit_with_little_memory(serve, tmp_path):
    bomb = gzip.compress(b"\0" * 200_000_000, 9)
    server = serve(always(reply(200, bomb, Content_Encoding="gzip")))
    tracemalloc.start()
    with pytest.raises(DeliveryError, match="larger than 100000000"):
        fetch_from(server, tmp_path / "spool", max_size=100_000_000, idle_timeout="30s")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert nothing_left(tmp_path / "spool")


def test_gzip_is_undone_and_what_is_broken_or_cut_is_an_error(serve, tmp_path):
    packed = gzip.compress(CONTENT)
    [got] = fetch_from(serve(always(reply(200, packed, Content_Encoding="gzip"))), tmp_path / "spool")
    assert got.path.read_bytes() == CONTENT
    [twice] = fetch_from(serve(always(reply(200, packed + packed, Content_Encoding="x-gzip"))), tmp_path / "spool")
    assert twice.path.read_bytes() == CONTENT * 2
    for broken, message in (
        (packed[:-1], "cut short"),
        (packed[:10], "cut short"),
        (b"no gzip", "damaged"),
        (packed + b"junk", "damaged"),
        (packed[:200] + b"\0\1\2\3" + packed[204:], "damaged"),
    ):
        with pytest.raises(TransientError, match=message):
            fetch_from(serve(always(reply(200, broken, Content_Encoding="gzip"))), tmp_path / "other")
    assert nothing_left(tmp_path / "other")


def test_gzip_that_ends_before_its_first_byte_is_cut_short_and_no_empty_file(serve, tmp_path):
    head = b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: "v1"\r\nConnection: close\r\n\r\n'
    seen = Seen()
    with pytest.raises(TransientError, match="cut short"):
        fetch_from(serve(lambda _, line: line.send(head)), tmp_path / "spool", seen)
    assert (nothing_left(tmp_path / "spool"), seen.listing) == (True, {})


def test_a_gz_file_served_as_a_file_stays_one(serve, tmp_path):
    packed = gzip.compress(CONTENT)
    server = serve(always(reply(200, packed, Content_Type="application/gzip")))
    [got] = fetch_from(server, tmp_path / "spool", url=server.url("/stock.csv.gz"))
    assert (got.path.read_bytes(), got.name) == (packed, "stock.csv.gz")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "../../x"])
def test_an_encoding_that_was_not_asked_for_is_refused(serve, tmp_path, encoding):
    with pytest.raises(PermanentError, match="not asked for"):
        fetch_from(serve(always(reply(200, b"x", Content_Encoding=encoding))), tmp_path / "spool")


def test_a_web_page_is_left_to_the_reader(serve, tmp_path):
    [got] = fetch_from(serve(always(reply(200, b"<html>log in", Content_Type="text/html"))), tmp_path / "spool")
    assert got.path.read_bytes() == b"<html>log in"


def test_wrong_certificates_are_refused_and_nothing_is_sent(serve, authority, tmp_path):
    stranger = Authority(tmp_path)
    wrong = {
        "IP address mismatch": server_context(authority.issue("203.0.113.9", "else.example", file="name.pem")),
        "expired": server_context(authority.issue("127.0.0.1", valid=timedelta(days=-1), file="old.pem")),
        "unable to get local issuer|self-signed": server_context(stranger.issue("127.0.0.1", file="strange.pem")),
        "TLS could not be agreed": outdated_context(authority.issue("127.0.0.1", file="outdated.pem")),
    }
    for message, context in wrong.items():
        server = serve(always(reply(200, b"x")), context)
        with pytest.raises(PermanentError, match=message):
            fetch_from(server, tmp_path / "spool", conn=server.connection(authority))
        assert server.requests == []


def named(address: str = "127.0.0.1", times: list | None = None):
    """A name server that knows one address for every name; `times` collects the questions."""

    def lookup(host, port):
        if times is not None:
            times.append(host)
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    return lookup


def test_the_name_is_looked_up_once_and_the_certificate_is_that_of_the_name(serve, authority, tmp_path):
    server = serve(always(reply(200, b"x")), server_context(authority.issue("files.acme.example", file="named.pem")))
    asked = []
    conn = server.connection(authority, host="files.acme.example")
    [got] = fetch_from(server, tmp_path / "spool", conn=conn, lookup=named(times=asked), url=server.url(host="files.acme.example"))
    assert got.size == 1
    assert asked == ["files.acme.example"]
    assert server.requests[0].headers["host"] == f"files.acme.example:{server.port}"
    with pytest.raises(PermanentError, match="Hostname mismatch"):
        fetch_from(
            server,
            tmp_path / "spool",
            conn=server.connection(authority, host="other.example"),
            lookup=named(),
            url=server.url(host="other.example"),
        )


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00:ec2::254"])
def test_a_public_name_that_leads_inside_is_refused(serve, tmp_path, address):
    server = serve(always(reply(200, b"x")))
    with pytest.raises(PermanentError, match="nothing was sent"):
        fetch_from(
            server, tmp_path / "spool", lookup=named(address), private_host=False, url="https://files.acme.example/stock.csv"
        )
    assert server.requests == []


def test_metadata_addresses_are_refused_even_for_a_private_host(serve, tmp_path):
    with pytest.raises(PermanentError, match="metadata"):
        fetch_from(serve(always(b"")), tmp_path / "spool", lookup=named("169.254.169.254"), url="https://intranet.example/x")


def test_redirects_are_followed_to_allowed_hosts_only_and_the_login_stays_at_home(serve, authority, tmp_path):
    context = server_context(authority.issue("127.0.0.1", "localhost", file="both.pem"))
    end = serve(always(reply(200, b"moved")), context)
    start = serve(lambda _request, line: line.send(reply(302, Location=end.url("/new.csv"))), context)
    conn = start.connection(authority)
    with pytest.raises(PermanentError, match="not an allowed host"):
        fetch_from(start, tmp_path / "spool", conn=conn)
    assert end.requests == []
    # `hosts` admits it, and it is still inside our networks: only the source's own host may be
    with pytest.raises(PermanentError, match="this machine"):
        fetch_from(start, tmp_path / "spool", conn=conn, hosts=(f"127.0.0.1:{end.port}",))
    assert end.requests == []
    assert start.requests[0].headers["authorization"].startswith("Basic ")


def test_a_redirect_on_the_same_server_keeps_the_login(serve, tmp_path):
    def answer(request, line):
        line.send(reply(301, Location="/deep/../b.csv?x=1#part") if request.target == "/stock.csv" else reply(200, b"there"))

    server = serve(answer)
    conn = Connection("acme_web", host="127.0.0.1", port=server.port, login="acme", password=Secret(CANARY))
    [got] = fetch_from(server, tmp_path / "spool", conn=conn)
    assert (got.path.read_bytes(), got.name) == (b"there", "stock.csv")
    assert [r.target for r in server.requests] == ["/stock.csv", "/b.csv?x=1"]
    assert server.requests[0].headers["authorization"] == server.requests[1].headers["authorization"]


def test_the_login_is_not_sent_to_another_allowed_server(serve, tmp_path):
    server = serve(always(reply(200, b"x")))
    conn = Connection("acme_web", host="portal.acme.example", login="acme", password=Secret(CANARY))
    assert login_headers(conn, parse_address(server.url())) == {}


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://2130706433/x",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://acme@evil.example/",
        "https://127.0.0.1\\@evil.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/_x",
        "ftp://127.0.0.1/x",
        "//evil.example/x",
        "https://evil.example",
        "https:///x",
        "javascript:alert(1)",
        "https://127.0.0.1.evil.example/",
        "https://①②⑦.0.0.1/",
        "http://127.0.0.1:22/",
        "\x00",
        "https://localhost:1/",
    ],
)
def test_a_redirect_to_anything_else_is_refused(serve, tmp_path, location):
    server = serve(lambda _request, line: line.send(reply(302, Location=location.encode().decode("latin-1"))))
    with pytest.raises((PermanentError, TransientError)):
        fetch_from(server, tmp_path / "spool")
    assert len(server.requests) == 1
    assert nothing_left(tmp_path / "spool")


def test_a_redirect_out_of_encryption_is_refused(serve, authority, tmp_path):
    server = serve(
        lambda _request, line: line.send(reply(302, Location=f"http://127.0.0.1:{port[0]}/")),
        server_context(authority.issue("127.0.0.1")),
    )
    port = [server.port]
    with pytest.raises(PermanentError, match="not encrypted"):
        fetch_from(server, tmp_path / "spool", conn=server.connection(authority))


def test_a_redirect_without_end_is_ended(serve, tmp_path):
    server = serve(lambda request, line: line.send(reply(302, Location=request.target + "x")))
    with pytest.raises(PermanentError, match="more than 5 times"):
        fetch_from(server, tmp_path / "spool")
    assert len(server.requests) == 6


def test_every_hop_counts_into_the_deadline(serve, tmp_path):
    def answer(request, line):
        line.over.wait(0.2)
        line.send(reply(302, Location=request.target + "x"))

    with pytest.raises(TransientError, match=r"took longer than 0\.5 s"):
        fetch_from(serve(answer), tmp_path / "spool", deadline="0.5s")
