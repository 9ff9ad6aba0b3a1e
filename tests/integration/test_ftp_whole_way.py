"""FTP and web files from the server to the inventory with the command line: what a fault leaves behind, which is nothing."""

import json
from urllib.parse import quote

import pytest

from stockfeed.cli.boundary import run
from tests.servers import ftp_lying, web_server
from tests.servers.feeds import CANARY
from tests.servers.ftp_lying import Lies
from tests.servers.web_server import reply

SUPPLIER = """
[supplier]
code = "acme"
name = "Acme"

[[feed]]
code = "stock"
source = {{ connection = "acme", {source} }}
format = {{ type = "delimited" }}
timezone = "UTC"
quantities = "net"
stale_after = "3650d"
trust_first = true
guard = {{ enabled = false }}
[feed.columns]
supplier_sku = "sku"
on_hand = "qty"
"""


class Shell:
    def __init__(self, capsys) -> None:
        self.capsys = capsys

    def __call__(self, *words: str) -> int:
        code = run(list(words))
        self.told = self.capsys.readouterr()
        assert CANARY not in self.told.out + self.told.err
        return code

    def json(self, *words: str) -> list[dict]:
        assert self(*words, "--json") == 0
        return [json.loads(line) for line in self.told.out.splitlines()]

    def stock(self) -> dict[str, str]:
        return {row["supplier_sku"]: row["on_hand"] for row in self.json("inventory", "show")}

    def states(self) -> list[str]:
        return [row["state"] for row in self.json("deliveries", "list")]


@pytest.fixture
def configured(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STOCKFEED_LOG_LEVEL", "DEBUG")
    shell = Shell(capsys)
    assert shell("init") == 0

    def configure(source: str, address: str) -> Shell:
        (tmp_path / "config" / "suppliers" / "acme.toml").write_text(SUPPLIER.format(source=source), encoding="utf-8")
        monkeypatch.setenv("AIRFLOW_CONN_ACME", address)
        return shell

    return configure


def test_an_ftp_delivery_is_applied_marked_and_moved_on_and_a_cut_one_changes_nothing(configured):
    lies = Lies(files={b"1.csv": b"sku,qty\nA,5\n"})
    with ftp_lying.running(lies) as server:
        source = 'type = "ftp", plain = true, path = "/", settle = "0s", after = "delete", idle_timeout = "0.5s"'
        shell = configured(source, f"ftp://acme:{quote(CANARY)}@127.0.0.1:{server.port}")
        assert shell("sync") == 0
        applied = shell.stock()
        assert shell.states() == ["applied"]
        [delivery] = shell.json("deliveries", "list")
        assert "PLAIN-TRANSFER" in json.dumps(shell.json("deliveries", "show", str(delivery["id"])))
        assert b"DELE 1.csv" in lies.commands

        lies.files[b"2.csv"] = b"sku,qty\nA,9\n" * 1000
        for cut_with in ("226", "426", "reset", "silence"):
            lies.cut_at, lies.cut_with = 500, cut_with
            assert shell("sync") == 75, cut_with
            assert (shell.stock(), shell.states()) == (applied, ["applied"])
        lies.cut_at, lies.files[b"2.csv"] = None, b"sku,qty\nA,9\n"
        assert shell("sync") == 0
        assert len(shell.states()) == 2
        assert shell.stock() != applied


def test_a_web_file_is_applied_once_for_each_version_and_a_cut_one_changes_nothing(configured):
    version = {"body": b"sku,qty\nA,5\n", "cut": 0, "asked": []}

    def answer(request, line) -> None:
        tag = f'"{len(version["body"])}"'
        version["asked"].append(request.headers.get("if-none-match"))
        whole = reply(200, version["body"], ETag=tag)
        line.send(
            reply(304, content_length="") if request.headers.get("if-none-match") == tag else whole[: len(whole) - version["cut"]]
        )

    with web_server.running(answer) as server:
        shell = configured(
            f'type = "web_file", url = "{server.url()}", private_host = true',
            f"http://acme:{quote(CANARY)}@127.0.0.1:{server.port}",
        )
        assert shell("sync") == shell("sync") == 0
        applied = shell.stock()
        assert (len(applied), shell.states()) == (1, ["applied"])
        assert version["asked"] == [None, '"12"']

        version |= {"body": b"sku,qty\nA,5\nB,7\n", "cut": 4}
        assert shell("sync") == 75
        assert (shell.stock(), shell.states()) == (applied, ["applied"])
        version["cut"] = 0
        assert shell("sync") == 0
        assert set(shell.stock()) == {"A", "B"}
        assert version["asked"][-1] == '"12"'
