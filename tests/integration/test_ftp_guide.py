"""The examples of the pages in docs/sources are run, so that the pages stay true."""

import json
import re
import tomllib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from connectors.registry import load_source
from schemas.feed_config import Feed
from stockfeed.secrets import find_connection
from tests.servers import ftp_pyftpd, object_server, web_server
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import Clock, fetch, put

PAGES = Path(__file__).parents[2] / "docs" / "sources"
CONTENT = b"Artikel;Bestand\r\nA-1;5\r\n"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / f"{page}.md").read_text("utf-8"), re.DOTALL)


def connections(page: str, block: int = 0, filled: Mapping[str, str] = MappingProxyType({})) -> list:
    text = blocks(page, "console")[block]
    for command, output in filled.items():
        text = text.replace(command, output)
    values = re.findall(r"AIRFLOW_CONN_NORDWIND='(.*?)'", text, re.DOTALL)
    return [find_connection("nordwind", {"AIRFLOW_CONN_NORDWIND": value}) for value in values]


def test_the_example_of_ftp_fetches_and_moves(tmp_path):
    outside = tmp_path / "root" / "out"
    outside.mkdir(parents=True)
    put(outside, "bestand_1.csv", CONTENT)
    put(outside, "other.csv", CONTENT)
    of = Feed.model_validate(tomllib.loads(blocks("ftp", "toml")[0])["feed"][0])
    with ftp_pyftpd.running(tmp_path / "root", Authority(tmp_path)) as server:
        ours = server.connection()
        for shown in connections("ftp"):
            assert (shown.host, shown.port, shown.login) == ("ftp.nordwind.example", 21, "user")
            clock = Clock()
            source = load_source(
                of,
                replace(shown, host=ours.host, port=ours.port, login=ours.login, password=ours.password, extra=ours.extra),
                now=clock,
                sleep=clock.sleep,
            )
            got = fetch(source, of, tmp_path / "spool")
            for each in got:
                source.acknowledge(each.reference)
    assert {p.name for p in outside.iterdir()} == {"other.csv", "done"}
    assert (outside / "done" / "bestand_1.csv").read_bytes() == CONTENT


def test_the_example_of_object_store_fetches(tmp_path):
    (tmp_path / "export").mkdir()
    put(tmp_path / "export", "bestand_1.csv", CONTENT)
    put(tmp_path / "export", "other.csv", CONTENT)
    shown, elsewhere = connections("object_store")
    assert (elsewhere.host, elsewhere.port, elsewhere.login, elsewhere.password.reveal()) == (
        "minio.nordwind.example", 9000, "key id", "secret",
    )  # fmt: skip
    assert set(elsewhere.extra) == {"region", "ca_file"}
    assert (shown.login, shown.host, shown.extra["region"]) == ("AKIA…", "", "eu-central-1")
    authority, clock = Authority(tmp_path), Clock()
    bucket = object_server.Bucket(tmp_path)
    with web_server.running(bucket.answer(), server_context(authority.issue("127.0.0.1"))) as server:
        source_table = tomllib.loads(blocks("object_store", "toml")[0])["feed"][0]
        source_table["source"]["path"] = f"{object_server.BUCKET}/export"
        of = Feed.model_validate(source_table)
        source = load_source(of, server.connection(authority, extra={**shown.extra, "ca_file": str(authority.ca_file)}), now=clock)
        assert [got.name for got in fetch(source, of, tmp_path / "spool")] == ["bestand_1.csv"]


def test_the_connections_of_object_store_to_google_and_azure_are_read():
    key = {"client_email": "acme@nordwind.example", "private_key": "…", "token_uri": "https://oauth2.googleapis.com/token"}
    google, azure = connections("object_store", 1, {"'\"$(cat key.json)\"'": json.dumps(key)})
    assert json.loads(google.extra["keyfile_json"].reveal()) == key
    assert (google.host, azure.host, azure.login, azure.password.reveal()) == (None, None, "account", "key")


def test_the_example_of_web_api_fetches_and_is_read(tmp_path):
    from stockfeed.reading import read_batches

    [shown] = connections("web_api")
    assert (shown.host, shown.login) == ("api.nordwind.example", "user")
    authority = Authority(tmp_path)
    feed_of_page = tomllib.loads(blocks("web_api", "toml")[0])["feed"][0]
    answer = web_server.always(web_server.reply(200, blocks("web_api", "json")[0].encode()))
    with web_server.running(answer, server_context(authority.issue("127.0.0.1"))) as server:
        source_of_page = feed_of_page["source"] | {"url": server.url("/v1/stock"), "private_host": True}
        of = Feed.model_validate(feed_of_page | {"source": source_of_page})
        [got] = fetch(load_source(of, server.connection(authority)), of, tmp_path / "spool")
    batches = list(read_batches(got.path, of.format, expected_columns=("sku", "free")))
    assert [row[2:] for batch in batches for row in batch.frame.rows()] == [("A-1", "5"), ("A-2", "0")]


def test_the_example_of_web_file_fetches(tmp_path):
    (tmp_path / "export").mkdir()
    put(tmp_path / "export", "bestand.csv", CONTENT)
    [shown] = connections("web_file")
    authority = Authority(tmp_path)
    context = server_context(authority.issue("files.nordwind.example"))
    feed_of_page = tomllib.loads(blocks("web_file", "toml")[0])["feed"][0]
    with ExitStack() as stack:
        server = stack.enter_context(web_server.running(web_server.folder(tmp_path), context))
        ours = server.connection(authority)
        source_of_page = feed_of_page["source"]
        source_of_page["url"] = source_of_page["url"].replace(".example/", f".example:{server.port}/")
        of = Feed.model_validate(json.loads(json.dumps(feed_of_page)) | {"source": source_of_page | {"private_host": True}})
        source = load_source(of, replace(shown, port=server.port, login=ours.login, password=ours.password, extra=ours.extra))
        source._lookup = lambda _host, port: [(2, 1, 6, "", ("127.0.0.1", port))]  # a name server for the supplier of the page
        [got] = fetch(source, of, tmp_path / "spool")
    assert (got.path.read_bytes(), got.name) == (CONTENT, "bestand.csv")
