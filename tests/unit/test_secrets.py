import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.connections import Connection, Secret
from schemas.errors import CredentialsError
from stockfeed.redaction import Redactor, one_line, redact
from stockfeed.secrets import connection_from_json, connection_from_uri, find_connection, names_a_secret

URIS = [
    "sftp://user:pw@host:22",
    "sftp://user:p%40ss%3Aw%2Frd@Host.Example:2222/out%2Fbox?host_key=ssh-ed25519%20AAAA%2BB%3D&timeout=30",
    "sftp://user@host",
    "sftp://host",
    "sftp://:only-password@host",
    "sftp://user:@host",
    "sftp://@:22",
    "sftp://",
    "my-type://host/schema",
    "postgresql://u:p@h:5432/db?sslmode=require&empty=",
    "http://https://api.example:8443/v1",
    "http://https://user:pw@api.example/v1",
    "ftp://us%20er:p%25w@h/%2Fvar%2Fdata",
    "sftp://%2Fsocket%2Fpath:pw@%2Fvar%2Frun:1",
    "sftp://[::1]:22",
    "shopify://:tok@shop.example?__extra__=%7B%22api_version%22%3A%20%222026-10%22%2C%20%22nested%22%3A%20%7B%22a%22%3A%201%7D%7D",
    "shopify://:tok@shop.example/?flag=true&count=5&list=%5B1%2C2%5D&same=1&same=2",
    "sftp://user:p+w@host?key=a+b",
    "//host/schema",
    "google-cloud-platform://?project=x",
]
JSONS = [
    '{"conn_type": "sftp", "host": "h", "login": "u", "password": "p", "port": 22, "schema": "s", "extra": {"a": 1}}',
    '{"conn_type": "my-type", "host": "h", "port": "2222", "extra": "{\\"token\\": \\"x\\", \\"deep\\": {\\"b\\": [1]}}"}',
    '{"conn_type": "postgresql", "description": "words", "login": "ü%41"}',
    '{"host": "h", "extra": {}}',
    "{}",
    '{"conn_type": "sftp", "extra": null, "port": null}',
]

AIRFLOW = """
import json, sys
from airflow.sdk.definitions.connection import Connection
uris, texts = json.load(sys.stdin)
found = [Connection.from_uri(uri, conn_id="c") for uri in uris] + [Connection.from_json(text, conn_id="c") for text in texts]
fields = ("conn_type", "host", "login", "password", "port", "schema")
print(json.dumps([{f: getattr(c, f) for f in fields} | {"extra": json.loads(c.extra) if c.extra else {}} for c in found]))
"""


def revealed(value):
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return {key: revealed(inner) for key, inner in value.items()}
    return [revealed(inner) for inner in value] if isinstance(value, list) else value


def plain(connection: Connection) -> dict:
    fields = {name: revealed(getattr(connection, name)) for name in ("host", "login", "password", "port", "schema", "extra")}
    return {"conn_type": connection.conn_type, **fields}


def test_every_connection_means_the_same_as_in_airflow(tmp_path):
    environ = os.environ | {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AIRFLOW],
        input=json.dumps([URIS, JSONS]),
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    theirs = json.loads(told.stdout.splitlines()[-1])
    ours = [plain(connection_from_uri("c", uri)) for uri in URIS] + [plain(connection_from_json("c", text)) for text in JSONS]
    for written, mine, their in zip([*URIS, *JSONS], ours, theirs, strict=True):
        their["conn_type"] = their["conn_type"] or ""  # ours is a text in any case
        assert mine == their, written


def test_a_connection_is_found_by_name_in_both_forms():
    environ = {"AIRFLOW_CONN_ACME": "sftp://u:secret-1@h", "AIRFLOW_CONN_SHOP": ' {"conn_type": "shopify", "password": "secret-2"}'}
    assert find_connection("acme", environ).password.reveal() == "secret-1"
    assert find_connection("shop", environ).password.reveal() == "secret-2"


def test_a_connection_that_is_not_set_names_the_variable_and_an_example():
    with pytest.raises(CredentialsError) as caught:
        find_connection("acme", {"AIRFLOW_CONN_ACME": " "}, conn_type="shopify")
    assert caught.value.message == "connection 'acme' is not set: looked for the variable AIRFLOW_CONN_ACME"
    assert "AIRFLOW_CONN_ACME='shopify://:access-token@shop.myshopify.com'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sftp://user:canary/7@host:22x", "host or port is not valid"),
        ("sftp://user:canary[7@host", "host or port is not valid"),
        ("http://https://user:canary]7@host", "host or port is not valid"),
        ("a://b://c://canary", "more than two"),
        ("imap.canary.example", "it is neither a URI nor a JSON object"),
        ("http://user:canary@https://host", "login and password go after the second ://"),
        ("sftp://h?__extra__=canary", "its __extra__ is not valid JSON at character 0"),
        ("sftp://h?__extra__=5", "its __extra__ is JSON, but not an object"),
        ('{"host": canary}', "it is not valid JSON at character 9"),
        ('{"hots": "canary"}', "unknown field 'hots'; did you mean host?"),
        ('{"host": ["canary"]}', "the field 'host' must be a text"),
        ('{"port": "canary"}', "the field 'port' must be a whole number"),
        ('{"extra": "canary"}', "its field 'extra' is not valid JSON"),
        ('{"extra": ["canary"]}', "the field 'extra' must be an object"),
    ],
)
def test_an_unreadable_connection_says_why_and_never_shows_its_value(text, why):
    with pytest.raises(CredentialsError) as caught:
        find_connection("acme", {"AIRFLOW_CONN_ACME": text})
    told = f"{caught.value} {caught.value.detail} {caught.value.__cause__!r}"
    assert why in told
    assert "AIRFLOW_CONN_ACME" in caught.value.hint
    assert "canary" not in told


@pytest.mark.parametrize(
    "key",
    ["password", "api_token", "client_secret", "clientSecret", "private_key", "key", "passphrase", "private_key_passphrase",
     "access-token", "keyfile_dict", "API_KEY", "account_keys", "Authorization"],
)  # fmt: skip
def test_extra_fields_that_name_a_secret_become_secrets(key):
    connection = connection_from_json("c", json.dumps({"extra": {key: "canary-1", "deep": {key: "canary-2"}}}))
    assert names_a_secret(key)
    assert connection.extra[key].reveal() == "canary-1"
    assert "canary" not in repr(connection) + str(connection) + repr(connection.extra) + f"{connection.extra}"


@pytest.mark.parametrize(
    "key", ["host_key", "public_key", "known_hosts", "key_file", "token_url", "monkey", "base_url", "grant", "api_version"]
)
def test_other_extra_fields_stay_readable(key):
    assert connection_from_uri("c", f"sftp://h?{key}=x").extra == {key: "x"}


@given(st.text(min_size=1, max_size=60))
def test_any_text_gives_a_connection_or_a_credentials_error(text):
    try:
        found = find_connection("c", {"AIRFLOW_CONN_C": text})
    except CredentialsError:
        return
    assert found.name == "c"


def test_secrets_are_masked_in_every_form_the_longest_first():
    secret = "s3cr/et+ & more"
    text = f"{secret} s3cr%2Fet%2B%20%26%20more s3cr/et%2B%20%26%20more s3cr%2Fet%2B+%26+more czNjci9ldCsgJiBtb3Jl s3cr"
    assert redact(text, [Secret(secret), "s3cr/"]) == "*** *** *** *** *** s3cr"


def test_a_secret_too_short_to_hide_anything_is_left():
    assert redact("a banana", ["a", ""]) == "a banana"


def test_log_events_are_masked_at_any_depth():
    redactor = Redactor()
    redactor.learn_connection(Connection("c", password=Secret("canary-1"), extra={"deep": [{"token": Secret("canary-2")}]}))
    event = redactor(None, "info", {"event": "x canary-1", "n": 5, "deep": {"canary-2": ["canary-1", ValueError("canary-2")]}})
    assert event == {"event": "x ***", "n": 5, "deep": {"***": ["***", "***"]}}


def test_one_line_stays_one_line():
    assert one_line("a\nb\x1b[31m\u202ec é ✓") == "a\\nb\\x1b[31m\\u202ec é ✓"
