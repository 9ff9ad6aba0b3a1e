"""Files that are pushed: through the HTTP door with a token, and by hand. Recorded once, refused clearly, told in JSON."""

import base64
import hashlib
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest

from connectors.registry import load_source
from connectors.upload import PREFIX, is_allowed, new_token, token_hash
from schemas.errors import ConfigError
from schemas.transfer import Seen
from stockfeed.web.server import Listening
from tests.integration.hostile_world import HostileWorld, HourClock
from tests.integration.uploads.door import CSV, HEAD, OTHER, TOKEN, config, door, push
from tests.servers.certificates import Authority
from tests.servers.feeds import feed, fetch


def test_a_pushed_file_is_safe_when_the_answer_comes_and_the_next_sync_applies_it(opened):
    world, client = opened
    answer = push(client)
    assert answer.status_code == 201
    told = answer.json()
    assert (told["feed"], told["name"], told["size"], told["state"]) == ("acme.stock", "stock.csv", len(CSV), "received")
    assert told["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert world.app.archive.verified(told["sha256"]).read_bytes() == CSV
    assert list(world.app.settings.spool_dir.iterdir()) == []
    [outcome] = world.sync()
    assert (outcome.state, outcome.name) == ("applied", "stock.csv")
    assert world.stock() == {"A1": 5.0, "A2": 6.0}


def test_the_same_key_is_one_delivery_and_without_a_key_the_same_file_confirms_the_stock(opened):
    world, client = opened
    first, again = push(client, Idempotency_Key="run-1"), push(client, Idempotency_Key="run-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["state"] == "known"
    assert [one.state for one in world.sync()] == ["applied"]
    world.clock.now = world.clock.now.replace(hour=9)
    assert push(client).status_code == 201
    assert [one.state for one in world.sync()] == ["unchanged"]


@pytest.mark.parametrize(
    "token",
    ["wrong", OTHER, TOKEN[:-1], f"{TOKEN}x", token_hash(TOKEN)],
    ids=["wrong", "another", "shorter", "longer", "the hash"],  # tokens are made anew in each process
)
def test_a_wrong_token_is_refused_and_nothing_is_said_of_the_feed(opened, token):
    world, client = opened
    refused = push(client, token=token)
    unknown = push(client, feed="acme.nothing", token=token)
    assert refused.status_code == unknown.status_code == 401
    assert refused.json() == unknown.json()
    assert refused.headers["www-authenticate"] == "Bearer"
    assert world.query("SELECT * FROM delivery") == []


def test_a_feed_of_another_source_takes_nothing(opened):
    assert push(opened[1], feed="acme.folder").status_code == 401


def test_a_token_opens_its_own_feed_only(opened):
    assert push(opened[1], feed="acme.other", token=OTHER).status_code == 201
    assert push(opened[1], feed="acme.other").status_code == 401


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("..%2F..%2Fetc%2Fpasswd.csv", 404),
        ("%2e%2e", 422),
        ("a%00.csv", 422),
        ("a%0Ab.csv", 422),
        ("..%5Cx.csv", 422),
        ("x" * 2000 + ".csv", 422),
        ("stock.pdf", 422),
    ],
)
def test_a_name_is_never_a_path(opened, tmp_path, name, status):
    answer = push(opened[1], name=name)
    assert answer.status_code == status, answer.text
    assert "error" in answer.json()
    assert [p for p in tmp_path.rglob("*") if p.suffix == ".csv" or p.name == "passwd"] == []


def test_without_a_token_nothing_is_taken(opened):
    assert opened[1].put("/v1/feeds/acme.stock/deliveries/stock.csv", content=CSV).status_code == 401
    basic = {"Authorization": f"Basic {TOKEN}"}
    assert opened[1].put("/v1/feeds/acme.stock/deliveries/stock.csv", content=CSV, headers=basic).status_code == 401


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_over_the_limit_is_refused_and_leaves_nothing(opened, declared):
    world, client = opened
    content = b"x" * 5_000_001
    try:
        answer = push(client, content if declared else iter([content[:3_000_000], content[3_000_000:]]))
    except httpx.WriteError:  # it ended while the rest was on its way
        assert not declared
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "size")
    assert list(world.app.settings.spool_dir.glob("*")) == []
    assert push(client, b"x" * 5_000_000).status_code == 201


def test_a_connection_that_ends_before_the_file_records_nothing(tmp_path, template):
    with door(tmp_path, template, config()) as (world, client):
        with socket.create_connection(("127.0.0.1", client.port)) as line:
            line.sendall(HEAD + CSV)
            line.shutdown(socket.SHUT_WR)
            line.settimeout(10)
            line.recv(1000)
        client.stop()  # returns when what was begun has come to its end
        assert world.query("SELECT * FROM delivery") == []
        assert list(world.app.settings.spool_dir.glob("*")) == []


def test_a_digest_that_does_not_fit_records_nothing(opened):
    right = base64.b64encode(hashlib.sha256(CSV).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"else").digest()).decode()
    assert push(opened[1], Content_Digest=f"sha-256=:{wrong}:").status_code == 422
    assert opened[0].query("SELECT * FROM delivery") == []
    assert push(opened[1], Content_Digest=f"sha-512=:AAAA:, sha-256=:{right}:").status_code == 201


def test_a_digest_that_cannot_be_read_is_refused_and_not_taken_for_checked(opened):
    written = hashlib.sha256(CSV)
    for wrong in (f"sha-256=:{written.hexdigest()}:", f"sha-256={base64.b64encode(written.digest()).decode()}", "SHA-256=:AAAA:"):
        answer = push(opened[1], Content_Digest=wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "digest"), wrong
    assert opened[0].query("SELECT * FROM delivery") == []
    assert push(opened[1], Content_Digest="sha-512=:AAAA:").status_code == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Idempotency_Key": "x" * 201}, 400),
        ({"Stock_Time": "yesterday"}, 400),
        ({"Stock_Time": "2026-11-02T08:00"}, 400),
    ],
)
def test_what_is_not_understood_is_refused_in_json_with_a_remedy(opened, headers, status):
    answer = push(opened[1], **headers)
    assert answer.status_code == status
    assert answer.json()["error"]["remedy"]


def test_the_time_of_the_stock_is_kept_and_asked_for_where_the_feed_is_ordered_by_it(tmp_path, template):
    with door(tmp_path, template, config('order_by = "source_time"')) as (world, client):
        assert push(client).status_code == 422
        assert push(client, Stock_Time="2026-11-30T08:00:00+01:00").status_code == 201
        [row] = world.query("SELECT source_time FROM delivery")
        assert str(row.source_time).replace(" ", "T").startswith("2026-11-30T07:00")


def test_other_addresses_and_methods_are_answered_in_json(opened):
    client = opened[1]
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/").json()["error"]["code"] == "address"
    assert client.delete("/v1/feeds/acme.stock/deliveries/x").status_code == 405


def test_a_fault_is_told_without_its_words(opened, monkeypatch):
    monkeypatch.setattr("stockfeed.web.uploads.receive", lambda *_: 1 / 0)
    answer = push(opened[1])
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "fault")
    assert "division" not in answer.text


def test_a_large_file_is_never_whole_in_memory(opened, tmp_path):
    import tracemalloc

    content = os.urandom(1 << 20)
    tracemalloc.start()
    try:
        answer = push(opened[1], iter([content] * 4))
        assert answer.status_code == 201
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_nothing_is_fetched_from_a_source_that_is_pushed_to(tmp_path):
    of = feed({"type": "upload"})
    source = load_source(of, None)
    assert fetch(source, of, tmp_path, Seen(waiting={"a": "b"})) == []
    source.acknowledge({})


def test_tokens_are_prefixed_random_and_compared_by_hash():
    assert TOKEN.startswith(PREFIX)
    assert len(TOKEN) >= 47
    assert new_token() != new_token()
    assert is_allowed(TOKEN, [token_hash(OTHER), token_hash(TOKEN)])
    assert not is_allowed(TOKEN, [token_hash(OTHER)])
    assert not is_allowed("", [])
    with pytest.raises(ConfigError, match="sha256"):
        load_source(feed({"type": "upload", "tokens": [TOKEN]}), None)


def test_tokens_never_travel_in_the_clear():
    with pytest.raises(ConfigError, match="in the clear"):
        Listening("0.0.0.0", 1).check()
    Listening("127.0.0.1", 1).check()
    Listening("0.0.0.0", 1, behind_proxy=True).check()


def test_a_certificate_and_a_key_that_are_no_pair_are_told_before_anybody_is_listened_to(tmp_path):
    one, other = Authority(tmp_path).issue("127.0.0.1", file="one.pem"), Authority(tmp_path).issue("127.0.0.1", file="other.pem")
    (tmp_path / "key.pem").write_text("no key")
    Listening("0.0.0.0", 1, one, one).check()
    for key in (other, tmp_path / "key.pem", tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match="certificate and key cannot be used"):
            Listening("0.0.0.0", 1, one, key).check()
    with pytest.raises(ConfigError, match="without --certificate"):
        Listening("127.0.0.1", 1, key=one).check()


def test_a_port_that_another_program_has_is_told_before_anybody_is_listened_to():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 cannot be listened on: Address already in use"):
            Listening("127.0.0.1", port).check_free()
    Listening("127.0.0.1", port).check_free()


@contextmanager
def installed(tmp_path, template):
    world = HostileWorld(tmp_path, config(), HourClock(), template)
    world.close()
    yield {
        **os.environ,
        "STOCKFEED_CONFIG": str(tmp_path / "config"),
        "STOCKFEED_STATE": str(tmp_path / "state"),
        "STOCKFEED_DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
    }


def stockfeed(environ, *arguments):
    return subprocess.run([sys.executable, "-m", "stockfeed", *arguments], env=environ, capture_output=True, text=True, check=False)


def test_a_person_adds_a_file_by_hand(tmp_path, template):
    (tmp_path / "stock.csv").write_bytes(CSV)
    (tmp_path / "bad.csv").write_bytes(b"")
    with installed(tmp_path, template) as environ:
        done = stockfeed(environ, "deliveries", "add", "acme.stock", str(tmp_path / "stock.csv"))
        assert (done.returncode, done.stdout) == (0, "Delivery 1 of acme.stock is applied.\n"), done.stderr
        bad = stockfeed(environ, "deliveries", "add", "acme.folder", str(tmp_path / "bad.csv"), "--json")
        assert (bad.returncode, '"state": "rejected"' in bad.stdout) == (4, True)
        left = stockfeed(environ, "deliveries", "add", "acme.stock", str(tmp_path / "stock.csv"), "--record-only")
        assert (left.returncode, "received" in left.stdout) == (0, True)
        wrong = stockfeed(environ, "deliveries", "add", "acme.stok", str(tmp_path / "stock.csv"))
        assert (wrong.returncode, "acme.stock" in wrong.stderr) == (3, True)
        late = stockfeed(environ, "deliveries", "add", "acme.stock", str(tmp_path / "stock.csv"), "--at", "today")
        assert (late.returncode, "2026-11-02" in late.stderr) == (3, True)


def test_the_door_is_served_by_its_command_and_ends_when_it_is_told_to(tmp_path, template):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with installed(tmp_path, template) as environ:
        [file] = (tmp_path / "config" / "suppliers").glob("*.toml")
        file.write_text(file.read_text(encoding="utf-8").replace(f'"{token_hash(OTHER)}"', ""), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "stockfeed", "serve-uploads", "--port", str(port)],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert b"Taking files for acme.stock at " in process.stdout.readline()
            assert b"acme.other has no `tokens`" in process.stdout.readline()
            with httpx.Client(
                transport=httpx.HTTPTransport(retries=8), base_url=f"http://127.0.0.1:{port}", trust_env=False
            ) as client:
                assert push(client).status_code == 201
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=20)
    assert process.returncode in {0, -signal.SIGTERM}, err
    assert TOKEN not in err.decode()


def test_a_token_is_made_with_its_line_for_the_file(tmp_path, template):
    with installed(tmp_path, template) as environ:
        made = stockfeed(environ, "feeds", "token")
    token = next(word for word in made.stdout.split() if word.startswith(PREFIX))
    assert token_hash(token) in made.stdout
