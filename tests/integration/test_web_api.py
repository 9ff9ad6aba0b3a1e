"""The source web_api against an interface that has pages: all of them or none, and one clear outcome for each fault."""

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest

from connectors.registry import load_source
from connectors.web_api import WebApiSource
from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, TransientError
from tests.servers import paged_api, web_server
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch
from tests.servers.web_server import reply

ROWS = [{"sku": f"A{n}", "qty": n} for n in range(5)]


class Api:
    def __init__(self, tmp_path, stack: ExitStack) -> None:
        self.rows = list(ROWS)
        self.interface = paged_api.Interface(rows=lambda: self.rows)
        authority = Authority(tmp_path)
        self.server = stack.enter_context(web_server.running(self.answer, server_context(authority.issue("127.0.0.1"))))
        self.plain = stack.enter_context(web_server.running(self.answer))
        self.connection = self.server.connection(authority)
        self.spool, self.clock = tmp_path / "spool", Clock()

    def answer(self, request, line) -> None:
        self.interface.answer(request, line)  # which tests replace

    def fetch(self, **options):
        of = feed({"type": "web_api", "url": self.server.url("/stock"), "rows": "items", "private_host": True, **options})
        return fetch(load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of, self.spool)

    def skus(self, **options) -> list[str]:
        [got] = self.fetch(**options)
        pages = [json.loads(line) for line in got.path.read_text().splitlines()]
        return [row["sku"] for page in pages for row in page["items"]]


@pytest.fixture
def api(tmp_path):
    with ExitStack() as stack:
        yield Api(tmp_path, stack)


@pytest.mark.parametrize("paging", ["next", "link", "cursor", "page", "offset"])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("total", ["", "total"])
def test_all_pages_come_each_once(api, paging, count, total):
    api.rows, api.interface.paging = ROWS[:count], paging
    assert api.skus(paging="next" if paging == "link" else paging, total=total) == [row["sku"] for row in ROWS[:count]]


def test_the_pages_are_handed_on_as_they_came_and_read_as_one_table(api):
    [got] = api.fetch()
    from schemas.feed_config import TypedSection
    from stockfeed.reading import read_batches

    section = TypedSection(type="json_doc", lines=True, rows="$.items[*]")
    batches = list(read_batches(got.path, section, expected_columns=("sku", "qty")))
    assert [row[2:] for batch in batches for row in batch.frame.rows()] == [(row["sku"], str(row["qty"])) for row in ROWS]


def test_the_same_answer_at_another_time_is_another_arrival(api):
    [first] = api.fetch()
    api.clock.sleep(60)
    [second] = api.fetch()
    assert first.sha256 == second.sha256
    assert first.identity != second.identity
    assert second.source_time == api.clock()


def test_records_that_are_missing_are_told(api):
    api.interface.rows = lambda: ROWS if len(api.interface.asked) < 2 else [*ROWS[:3], ROWS[4]]
    with pytest.raises(TransientError, match="changed while it was read: 5 records, then 4"):
        api.fetch(total="total", paging="offset")
    api.interface.rows = lambda: ROWS
    with pytest.raises(TransientError, match="2 records came, and there are 5"):
        api.fetch(total="total", paging="none")
    assert list(api.spool.iterdir()) == []


def loop_of_two(request, line) -> None:
    other = "/stock?at=b" if request.target.endswith("=a") else "/stock?at=a"
    line.send(reply(200, json.dumps({"items": [{"sku": request.target}], "next": other}).encode()))


def test_pages_that_go_round_are_told(api):
    api.interface.answer = loop_of_two
    with pytest.raises(PermanentError, match="page 4 was read already"):
        api.fetch()


def test_an_interface_that_does_not_know_the_page_parameter_is_told(api):
    with pytest.raises(PermanentError, match="page 2 was read already"):
        api.fetch(paging="page", parameter="seite")


@pytest.mark.parametrize(
    "link", ["https://elsewhere.example/stock", "https://169.254.169.254/latest", "file:///etc/passwd", "http://127.0.0.1/x"]
)
def test_a_next_link_to_another_host_is_never_followed(api, link):
    api.interface.next_link = link
    with pytest.raises(PermanentError, match=r"not an allowed host|no plain web address|not encrypted"):
        api.fetch()
    assert api.interface.asked == ["/stock"]


def test_slowing_down_is_obeyed_with_and_without_a_time(api):
    api.interface.faults = [reply(429, Retry_After="7"), reply(429), reply(429)]
    assert len(api.skus()) == 5
    assert api.clock.slept == [7.0, 2.0, 4.0]


def test_slowing_down_for_long_is_left_to_the_next_try(api):
    api.interface.faults = [reply(429, Retry_After="3600")]
    with pytest.raises(TransientError, match="slow down") as caught:
        api.fetch()
    assert (caught.value.retry_after, api.clock.slept) == (3600.0, [])
    api.interface.faults = [reply(429)] * 9
    with pytest.raises(TransientError, match="slow down"):
        api.fetch()
    assert api.clock.slept == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (reply(200, b"<!doctype html><title>Login</title>", Content_Type="text/html"), PermanentError, "web page instead of JSON"),
        (reply(200, b'{"items": [{"sku": "A'), TransientError, "cut short or is not JSON"),
        (reply(200, b'{"items": []}', content_length="999"), TransientError, "cut short"),
        (reply(200, b'{"errors": [{"message": "x"}], "items": []}'), PermanentError, "tells of errors in 'errors'"),
        (reply(200, b'{"data": []}'), PermanentError, "no list at 'items'; it has data"),
        (reply(200, b'{"items": null}'), PermanentError, "no list at 'items'"),
        (reply(302, Location="/else"), PermanentError, "HTTP 302"),
        (reply(403), CredentialsError, "refused the login 'acme'"),
        (reply(404), PermanentError, "HTTP 404"),
        (reply(503, Retry_After="9"), TransientError, "cannot answer now"),
        (reply(200, b'{"items": [' + b" " * 2_000_000 + b"]}"), DeliveryError, "larger than|more than"),
    ],
)
@pytest.mark.parametrize("page", [1, 2])
def test_each_fault_has_one_outcome_and_leaves_nothing(api, fault, error, words, page):
    answer = api.interface.answer

    def faulty(request, line) -> None:
        if len(api.interface.asked) + 1 == page:
            api.interface.faults = [fault]
        answer(request, line)

    api.interface.answer = faulty
    with pytest.raises(error, match=words):
        api.fetch(max_page=1_000_000)
    assert list(api.spool.iterdir()) == []


def test_a_page_that_is_too_large_names_the_option_that_limits_a_page(api):
    with pytest.raises(DeliveryError, match="larger than 20 bytes") as caught:
        api.fetch(max_page=20)
    assert "`max_page`" in caught.value.hint


def test_a_token_is_got_with_the_clients_credentials_and_renewed_once(api):
    api.interface.tokens = set()
    api.connection = replace(api.connection, port=api.plain.port)
    options = {"url": api.plain.url("/stock"), "token_url": api.plain.url("/token")}
    assert len(api.skus(**options)) == 5
    assert api.interface.asked == ["/token", "/stock", "/stock?start=2", "/stock?start=4"]
    answer = api.interface.answer

    def expires(request, line) -> None:
        if request.target == "/stock?start=2" and api.interface.given == 2:
            api.interface.tokens = set()
        answer(request, line)

    api.interface.answer = expires
    assert len(api.skus(**options)) == 5
    assert api.interface.given == 3


def test_wrong_clients_credentials_are_a_mistake_of_the_login(api, caplog):
    caplog.set_level("DEBUG")
    api.interface.tokens = set()
    api.connection = replace(api.connection, port=api.plain.port, password=Secret(f"{CANARY}-wrong"))
    with pytest.raises(CredentialsError) as caught:
        api.fetch(url=api.plain.url("/stock"), token_url=api.plain.url("/token"))
    shown = [str(caught.value), caught.value.detail, *(record.getMessage() for record in caplog.records)]
    assert not any(CANARY in text for text in shown)


def test_the_token_is_asked_for_under_the_connections_own_authority(api):
    api.interface.tokens = set()
    assert len(api.skus(token_url=api.server.url("/token"))) == 5


def test_the_name_of_the_token_server_is_looked_up_once_and_only_the_checked_address_is_asked(api):
    """A name that leads to another address a moment later (DNS rebinding) leads nowhere else."""
    api.interface.tokens, asked = set(), []

    def lookup(host, port):
        asked.append(host)
        return [(0, 0, 0, "", ("127.0.0.1" if host == "stock.invalid" else host, port))]

    here = f"http://127.0.0.1:{api.plain.port}"
    source = load_source(feed({"type": "web_api", "url": f"{here}/stock", "rows": "items", "private_host": True}), None)
    options = source._options.model_copy(
        update={"url": f"http://stock.invalid:{api.plain.port}/stock", "token_url": f"http://stock.invalid:{api.plain.port}/token"}
    )
    connection = replace(api.connection, host="stock.invalid", port=api.plain.port)
    [got] = fetch(WebApiSource(options, connection, lookup=lookup), feed({"type": "web_api", "url": here}), api.spool)
    assert got.size > 0
    assert asked == ["stock.invalid"] * 4  # the token, then three pages: each looked up where it is checked, and nowhere else
    assert api.plain.requests[0].target == "/token"


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (reply(429, Retry_After="7"), TransientError, "no token now"),
        (reply(429), TransientError, "no token now"),
        (reply(503), TransientError, "no token now"),
        (reply(302, Location="https://elsewhere.example/"), PermanentError, "redirects are not followed"),
        (reply(200, b"<html>log in</html>"), PermanentError, "a web page instead of a token"),
        (reply(200, b'{"access_token": "ab'), TransientError, "cut short"),
        (reply(200, b"[]"), CredentialsError, "no access_token"),
        (reply(200, b'{"access_token": 5}'), CredentialsError, "no access_token"),
        (reply(400, b'{"error": "invalid_scope"}'), CredentialsError, "invalid_scope"),
        (reply(401, f'{{"error": "{CANARY}"}}'.encode()), CredentialsError, "HTTP 401"),
        (reply(200, b" " * 2_000_000), DeliveryError, "larger than"),
    ],
)
def test_each_fault_of_the_token_server_has_one_outcome(api, fault, error, words):
    api.interface.tokens = set()
    api.interface._token = lambda _request: fault
    with pytest.raises(error, match=words) as caught:
        api.fetch(token_url=api.server.url("/token"))
    assert CANARY not in f"{caught.value} {caught.value.hint} {caught.value.detail}"


@pytest.mark.parametrize("there", [{"href": "/stock?start=2"}, ["/stock?start=2"], 2, True])
def test_a_next_page_that_is_no_address_is_told_and_not_taken_for_the_end(api, there):
    api.interface.answer = lambda _request, line: line.send(reply(200, json.dumps({"items": ROWS, "next": there}).encode()))
    with pytest.raises(PermanentError, match="'next' is no address"):
        api.fetch()


def test_a_truth_is_no_cursor(api):
    api.interface.answer = lambda _request, line: line.send(reply(200, json.dumps({"items": ROWS, "next": True}).encode()))
    with pytest.raises(PermanentError, match="'next' is no cursor"):
        api.fetch(paging="cursor")


def test_the_same_records_again_are_a_loop_though_the_rest_of_the_page_changes(api):
    """Half the list twice would have as many records as the whole."""
    served = iter(range(100))

    def answer(_request, line) -> None:
        line.send(reply(200, json.dumps({"items": ROWS[:2], "total": 4, "served": next(served)}).encode()))

    api.interface.answer = answer
    with pytest.raises(PermanentError, match="page 2 was read already"):
        api.fetch(paging="page", total="total")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_pages_in_another_encoding_are_one_file_all_the_same(api, encoding):
    answer = api.interface._page

    def encoded(request) -> bytes:
        body = answer(request).partition(b"\r\n\r\n")[2]
        return reply(200, body.decode().encode(encoding), Content_Type="application/json")

    api.interface._page = encoded
    assert len(api.skus()) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://api.example/stock"}, "not encrypted"),
        ({"token_url": "https://other.example/token"}, "add it to `hosts`"),
        ({"paging": "scroll"}, "paging"),
        ({"url": "https://elsewhere.example/stock"}, r"not the host of the connection 'acme_web', which is 127\.0\.0\.1:\d+"),
    ],
)
def test_a_wrong_option_is_named(api, options, words):
    with pytest.raises(ConfigError, match=words):
        api.fetch(**options)
