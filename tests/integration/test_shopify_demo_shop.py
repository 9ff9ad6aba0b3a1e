import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from html.parser import HTMLParser

import pytest

from stockfeed.demo.shop import Shop, read_skus
from tests.servers.shop import publish_items, shop_channel


def call(url: str, method: str = "GET", body: bytes | None = None, headers: dict | None = None):
    request = urllib.request.Request(url, body, headers or {}, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.status, answer.headers, answer.read()


@pytest.fixture
def shop():
    with Shop({"A": 5, "<b>&'\"": 2}) as running:
        yield running


def test_the_shop_sells_at_most_what_it_has(shop):
    assert [shop.sell("A", 2), shop.sell("A", 9), shop.sell("A")] == [2, 3, 0]
    assert (shop.available("A"), shop.stock.item("A").sold, len(shop.stock.sales)) == (0, 5, 2)
    shop.stock.edit("A", -3)
    assert shop.sell("A") == 0
    with pytest.raises(KeyError):
        shop.sell("a")


def test_another_process_can_sell_through_the_address(shop):
    assert json.loads(call(f"{shop.url}/sell?sku=A&units=2", "POST", b"")[2]) == {"sku": "A", "sold": 2}
    assert shop.available("A") == 3
    for wrong in ("sku=gone&units=1", "sku=A&units=many", ""):
        with pytest.raises(urllib.error.HTTPError) as caught:
            call(f"{shop.url}/sell?{wrong}", "POST", b"")
        assert caught.value.code == 404
        caught.value.close()


class Cells(HTMLParser):
    """Collects the text of the table cells and the names of all tags."""

    def __init__(self):
        super().__init__()
        self.cells, self.tags, self._inside = [], set(), False

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 - the library asks for it
        self.tags.add(tag)
        self._inside = tag == "td"

    def handle_data(self, data):
        if self._inside:
            self.cells.append(data)


def test_the_page_shows_what_can_be_bought_and_escapes_it(shop):
    shop.sell("A", 2)
    status, headers, body = call(shop.url + "/")
    page = Cells()
    page.feed(body.decode())
    assert status == 200
    assert page.cells == ["A", "3", "2", "<b>&'\"", "2", "0"]
    assert "b" not in page.tags
    assert "script" not in page.tags
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_the_button_of_the_page_sells_and_comes_back(shop):
    status, _, body = call(f"{shop.url}/sell?sku=A&units=1&back=1", "POST", b"")
    assert status == 200  # after the redirect to the page
    assert b"Demo shop" in body
    assert shop.available("A") == 4


def test_the_log_tells_every_accepted_quantity_in_order(shop):
    channel = shop_channel(shop)
    [a] = publish_items(channel, {"A": 9}, expected={"A": 5})
    list(channel.publish([a]))
    shop.sell("A", 2)
    shop.stock.edit("A", 9)
    lines = [json.loads(line) for line in call(shop.url + "/log.ndjson")[2].splitlines()]
    assert [(line["type"], line["sku"], line.get("quantity", line.get("units"))) for line in lines] == [
        ("set", "A", 9), ("sold", "A", 2), ("edited", "A", 9), ("shown", "A", 9), ("shown", "<b>&'\"", 2)
    ]  # fmt: skip
    assert lines[0]["before"] == 5
    assert lines[0]["key"]
    assert lines[0]["at"].endswith("+00:00")
    stock = json.loads(call(shop.url + "/stock.json")[2])
    assert stock[0] == {"sku": "A", "tracked": True, "available": {"gid://shopify/Location/1": 9}, "sold": 2}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/admin/api/2026-10/graphql.json", b"{}", {}, 401),
        ("/admin/api/2026-10/graphql.json", b"{}", {"X-Shopify-Access-Token": "wrong"}, 401),
        ("/admin/api/2025-01/graphql.json", b"{}", {}, 404),
        ("/admin/oauth/access_token", b"grant_type=client_credentials&client_id=a&client_secret=b", {}, 400),
        ("/elsewhere", b"", {}, 404),
    ],
)
def test_requests_without_the_right_token_or_address_are_refused(shop, path, body, headers, status):
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(shop.url + path, "POST", body, headers)
    assert caught.value.code == status
    caught.value.close()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ nothing }", "INVALID_DOCUMENT"),
        ("{ nodes(", "INVALID_DOCUMENT"),
        ("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", "INVALID_VARIABLE"),
    ],
)
def test_operations_outside_the_contract_are_errors_with_a_code(shop, query, code):
    headers = {"X-Shopify-Access-Token": shop.token}
    status, _, body = call(f"{shop.url}/admin/api/2026-10/graphql.json", "POST", json.dumps({"query": query}).encode(), headers)
    assert status == 200
    assert json.loads(body)["errors"][0]["extensions"]["code"] == code


def test_a_body_that_is_not_json_is_refused(shop):
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(f"{shop.url}/admin/api/2026-10/graphql.json", "POST", b"[1]", {"X-Shopify-Access-Token": shop.token})
    assert caught.value.code == 400
    caught.value.close()


def test_stopping_twice_is_harmless_and_frees_the_port():
    shop = Shop(["A"]).start()
    port = shop.port
    shop.stop()
    shop.stop()
    with Shop(["A"], port=port) as again:
        assert again.port == port


def test_skus_are_read_exactly_with_their_opening_quantity(tmp_path):
    file = tmp_path / "skus.txt"
    file.write_bytes("NA\r\n001\t7\n é\n\na,b\t0\n".encode())
    assert read_skus(file) == {"NA": 0, "001": 7, " é": 0, "a,b": 0}


def test_it_runs_as_a_program_until_it_is_told_to_stop(tmp_path):
    skus, port_file = tmp_path / "skus.txt", tmp_path / "port"
    skus.write_text("A\t5\n")
    command = [sys.executable, "-m", "stockfeed.demo.shop", "--port-file", str(port_file), "--skus", str(skus)]
    environment = {**os.environ, "STOCKFEED_DEMO_SHOP_TOKEN": "made-up-for-this-test"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        assert line == f"demo shop: http://127.0.0.1:{port_file.read_text()}\n"
        assert json.loads(call(f"{line.split()[-1]}/sell?sku=A&units=1", "POST", b"")[2])["sold"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_does_not_start_without_a_token(tmp_path):
    command = [sys.executable, "-m", "stockfeed.demo.shop", "--port-file", "p", "--skus", "s", "--token-env", "SURELY_NOT_SET"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert "SURELY_NOT_SET" in done.stderr
