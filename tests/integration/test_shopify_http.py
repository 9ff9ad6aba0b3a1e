import gzip
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connectors.http import (
    HttpLimits,
    JsonClient,
    NoAnswerError,
    RefusedError,
    UnauthorizedError,
    check_base_url,
    retry_after_seconds,
    run_concurrently,
)
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError

CANARY = "canary-6f1d0c"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


class Scripted:
    """An HTTP server that answers every POST with the status, headers and body set before."""

    def __init__(self):
        self.answer = (200, {}, b"{}")
        self.received = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                scripted.received.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
                status, headers, body = scripted.answer
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def client(self, **limits):
        url = f"http://127.0.0.1:{self.server.server_port}"
        return JsonClient(url, "the shop", limits=HttpLimits(**limits), now=lambda: NOW)


@pytest.fixture
def server():
    with Scripted() as running:
        yield running


def test_a_document_goes_out_as_json_and_the_answer_comes_back_parsed(server):
    server.answer = (200, {}, b'{"a": [1, null, "\xc3\xa9"]}')
    assert server.client().post_json("/x", {"q": "é", "n": None}, {"X-Token": Secret(CANARY)}) == {"a": [1, None, "é"]}
    path, headers, body = server.received[0]
    assert (path, headers["X-Token"], json.loads(body)) == ("/x", CANARY, {"q": "é", "n": None})


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after"),
    [
        (401, {}, UnauthorizedError, None),
        (403, {}, CredentialsError, None),
        (429, {"Retry-After": "2.5"}, TransientError, 2.5),
        (429, {"Retry-After": "Mon, 23 Nov 2026 08:00:30 GMT"}, TransientError, 30),
        (429, {}, TransientError, None),
        (500, {}, NoAnswerError, None),
        (503, {"Retry-After": "9"}, TransientError, 9),
        (404, {}, RefusedError, None),
        (302, {"Location": "http://127.0.0.1:1/stolen"}, RefusedError, None),
        (204, {}, NoAnswerError, None),
    ],
)
def test_each_status_becomes_the_error_its_caller_can_act_on(server, status, headers, kind, retry_after):
    server.answer = (status, headers, b"" if status == 204 else json.dumps({"error": f"token {CANARY} is bad"}).encode())
    with pytest.raises(kind) as caught:
        server.client().post_json("/", {}, {"X-Token": Secret(CANARY)})
    assert getattr(caught.value, "retry_after", None) == retry_after
    assert CANARY not in f"{caught.value} {caught.value.detail} {caught.value!r}"
    assert caught.value.hint
    assert len(server.received) == 1


def test_an_overload_is_known_not_to_have_been_accepted_and_a_failure_is_not(server):
    server.answer = (429, {}, b"")
    with pytest.raises(TransientError) as caught:
        server.client().post_json("/", {})
    assert not isinstance(caught.value, NoAnswerError)


@pytest.mark.parametrize("body", [b"<!doctype html><p>Enter password", b"  <html>"])
def test_a_web_page_under_200_is_no_answer_of_the_api(server, body):
    server.answer = (200, {"Content-Type": "text/html"}, body)
    with pytest.raises(PermanentError, match="web page"):
        server.client().post_json("/", {})


def test_half_a_document_is_no_answer(server):
    server.answer = (200, {}, b'{"data": {"a"')
    with pytest.raises(NoAnswerError, match="cut short"):
        server.client().post_json("/", {})


def test_a_body_that_is_too_large_is_not_read_to_its_end_even_when_it_was_compressed(server):
    server.answer = (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 5_000_000))
    with pytest.raises(NoAnswerError, match="more than 100,000 bytes"):
        server.client(max_body=100_000).post_json("/", {})


def test_a_shop_that_is_not_there_was_sent_nothing():
    client = JsonClient("http://127.0.0.1:9", "the shop", limits=HttpLimits(connect=1))
    with pytest.raises(TransientError, match="cannot be reached") as caught:
        client.post_json("/", {})
    assert not isinstance(caught.value, NoAnswerError)


def test_a_header_with_a_line_break_is_refused_without_showing_it(server):
    with pytest.raises(CredentialsError) as caught:
        server.client().post_json("/", {}, {"X-Token": Secret(CANARY + "\r\nX-Other: 1")})
    assert CANARY not in str(caught.value)
    assert server.received == []


def test_a_form_is_encoded_and_its_secrets_are_blanked_in_messages(server):
    server.answer = (400, {}, f"bad {CANARY}".encode())
    client = server.client()
    with pytest.raises(RefusedError) as caught:
        client.post_form("/token", {"client_secret": Secret(CANARY), "a": "b c&d"})
    assert server.received[0][2] == f"client_secret={CANARY}&a=b+c%26d".encode()
    assert caught.value.detail == "bad ***"


def test_texts_of_others_become_one_short_printable_line(server):
    assert server.client().clean("a\n\x1b[31mb\u202ec" + "x" * 500, 12) == "a ?[31mb?cx…"


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
        "https://user:pw@shop.example.com",
        "https://shop.example.com/admin",
        "https://shop.example.com?x=1",
        "https://shop.example.com:99999",
        "shop.example.com",
        "https://",
    ],
)
def test_addresses_that_would_leak_or_mislead_are_refused(url):
    with pytest.raises(ConfigError) as caught:
        check_base_url(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://shop.example.com", "http://127.0.0.1:80", "http://[::1]:8080", "http://localhost:1"])
def test_https_and_loopback_addresses_are_accepted(url):
    assert check_base_url(url + "/") == url


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("0", 0), (" 12 ", 12), ("soon", None), ("-5", None), ("٣", None), ("Mon, 23 Nov 2026 07:00:00 GMT", 0)],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert retry_after_seconds(header, NOW) == seconds


def test_concurrent_work_keeps_its_order_and_raises_its_errors():
    assert list(run_concurrently(lambda n: n * 2, range(9), 3)) == [n * 2 for n in range(9)]
    with pytest.raises(ZeroDivisionError):
        list(run_concurrently(lambda n: 1 // n, [1, 0, 2], 2))


def test_a_closed_client_opens_again(server):
    client = server.client()
    client.post_json("/", {})
    client.close()
    client.close()
    assert client.post_json("/", {}) == {}
