"""The examples of docs/sources/imap.md, google_sheets.md and upload.md are run, so that the pages stay true."""

import json
import re
import subprocess
import tomllib
from dataclasses import replace

import pytest

from connectors.registry import load_source
from schemas.connections import Secret
from schemas.feed_config import Feed
from stockfeed.secrets import find_connection
from tests.integration.test_ftp_guide import blocks
from tests.servers import dovecot, sheets
from tests.servers.feeds import Clock, fetch

PAGES = ("imap", "google_sheets", "upload")


def test_the_connection_of_the_page_is_read_as_meant():
    [value] = re.findall(r"AIRFLOW_CONN_NORDWIND='(.*?)'", blocks("imap", "console")[0])
    shown = find_connection("nordwind", {"AIRFLOW_CONN_NORDWIND": value})
    assert (shown.host, shown.login) == ("imap.buyer.example", "feeds@buyer.example")
    as_json = find_connection("nordwind", {"AIRFLOW_CONN_NORDWIND": blocks("imap", "json")[0]})
    assert "…" not in repr(as_json.extra["client_secret"])


@pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))
def test_the_example_fetches_and_moves(tmp_path):
    of = Feed.model_validate(tomllib.loads(blocks("imap", "toml")[0])["feed"][0])
    vouched = f"{dovecot.AUTHSERV_ID}; dmarc=pass header.from=nordwind.example"
    with dovecot.running() as server:
        for number, name in enumerate(["bestand_1.csv", "logo.png"]):
            raw = dovecot.mail(
                {name: b"Artikel;Bestand\nA-1;5\n"}, message_id=f"<{number}@nordwind.example>", sender="bestand@nordwind.example",
                Subject="Bestand vom 1.11.", Authentication_Results=vouched,
            )  # fmt: skip
            server.deliver(raw)
        source = load_source(of, server.connection(), now=Clock())
        [got] = fetch(source, of, tmp_path / "spool")
        assert (got.name, got.findings) == ("bestand_1.csv", ())
        source.acknowledge(got.reference)
        assert len(server.names()) == 1
        assert len(server.names(".Done")) == 1


def test_the_example_of_google_sheets_fetches(tmp_path):
    of = Feed.model_validate(tomllib.loads(blocks("google_sheets", "toml")[0])["feed"][0])
    shown = find_connection("nordwind", {"AIRFLOW_CONN_NORDWIND": blocks("google_sheets", "json")[0]})
    assert "…" not in repr(shown.extra)
    with sheets.running(tmp_path) as services:
        services.cells = {"Notizen": [], "Bestand": [["Nordwind"], [], ["Artikel", "Bestand"], ["0042", sheets.Number(5, "5")]]}
        connection = services.connection()
        as_object = {**connection.extra, "keyfile": Secret(json.dumps(json.loads(connection.extra["keyfile"].reveal())))}
        [got] = fetch(load_source(of, replace(connection, extra=as_object), now=Clock()), of, tmp_path / "spool")
    assert got.path.read_bytes() == b"Artikel,Bestand\r\n0042,5\r\n"


def test_the_key_file_may_be_an_object_of_the_connections_json():
    """As the page shows it: the store of connections keeps it as one secret text."""
    shown = find_connection("nordwind", {"AIRFLOW_CONN_NORDWIND": blocks("google_sheets", "json")[0]})
    assert json.loads(shown.extra["keyfile"].reveal())["type"] == "service_account"


def test_the_command_of_the_page_puts_the_key_file_in_whole(tmp_path):
    key = {"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nAA+/=\n", "client_email": "stock@p.iam.example"}
    (tmp_path / "key.json").write_text(json.dumps(key, indent=2), encoding="utf-8")
    [command] = [one.removeprefix("$ ") for one in blocks("google_sheets", "console")]
    script = f'{command}printf %s "$AIRFLOW_CONN_NORDWIND"'
    value = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    shown = find_connection("nordwind", {"AIRFLOW_CONN_NORDWIND": value})
    assert json.loads(shown.extra["keyfile"].reveal()) == key


def test_the_request_of_the_upload_page_is_the_one_that_is_taken():
    [command] = [line for line in "".join(blocks("upload", "console")).splitlines() if "curl" in line]
    assert "-T bestand.csv" in command
    assert "Authorization: Bearer" in command
    assert "/v1/feeds/nordwind.stock/deliveries/bestand.csv" in command
