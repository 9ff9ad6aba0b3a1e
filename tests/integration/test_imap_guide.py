"""The example of docs/sources/imap.md is run, so that the page stays true."""

import re
import tomllib

import pytest

from connectors.registry import load_source, source_options_model
from schemas.feed_config import Feed
from stockfeed.cli.boundary import run
from stockfeed.secrets import find_connection
from tests.conftest import REPOSITORY
from tests.integration.test_ftp_guide import blocks
from tests.servers import dovecot
from tests.servers.feeds import Clock, fetch


def test_the_example_is_a_right_supplier_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("suppliers", "channels"):
        (tmp_path / "config" / name).mkdir(parents=True)
    (tmp_path / "config" / "suppliers" / "nordwind.toml").write_text(blocks("imap", "toml")[0], encoding="utf-8")
    assert run(["feeds", "check"]) == 0
    assert capsys.readouterr().out.startswith("No mistakes: 1 feed")


def test_page_and_template_name_every_option():
    page = (REPOSITORY / "docs/sources/imap.md").read_text("utf-8")
    template = (REPOSITORY / "stockfeed/cli/source_templates/imap.toml").read_text("utf-8")
    names = set(source_options_model("imap").model_fields)
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []
    assert [name for name in names if not re.search(rf"^(# )?{name} = ", template, re.MULTILINE)] == []


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
