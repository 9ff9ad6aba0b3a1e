"""One installation of stockfeed in a folder of its own, used through the command line as its people use it."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stockfeed.cli.boundary import run
from stockfeed.demo.sftp_server import SftpServer
from stockfeed.demo.shop import DEFAULT_LOCATION, Shop

LOG_LINE = "timestamp="  # an event on stderr, for files and schedulers; everything else there is for the person

FEED = """
[[feed]]
code = "stock"
source = {source}
format = {{ type = "{format}" }}
timezone = "UTC"
quantities = "net"
stale_after = "3650d"
trust_first = true
{more}
columns = {columns}
"""
COLUMNS = '{ supplier_sku = "SKU", on_hand = "Qty" }'


@dataclass(frozen=True)
class Answer:
    """What one command gave."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> list[str]:
        """The lines on stderr that are for the person."""
        return [line for line in self.err.splitlines() if not line.startswith(LOG_LINE)]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Site:
    """A folder with configuration, a drop folder, an environment; `secrets` are texts that nothing may ever say."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    @property
    def inbox(self) -> Path:
        return self.folder / "in"

    def process(self, *words: str, **streams: Any) -> Answer:
        """Run `stockfeed …` as a process of its own."""
        command = [sys.executable, "-m", "stockfeed", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        done = subprocess.run(
            command, cwd=self.folder, env=self._whole_environment(), encoding="utf-8", timeout=120, check=False, **pipes
        )
        return self._heard(Answer(done.returncode, done.stdout or "", done.stderr or ""))

    def __call__(self, *words: str) -> Answer:
        """Run the same command line in this process: quicker, where a process of its own would show nothing more."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(self.folder)
            for name in os.environ.keys() - self._whole_environment().keys():
                patch.delenv(name)
            for name, value in self.environment.items():
                patch.setenv(name, value)
            code = run(words)
        return self._heard(Answer(code, out.getvalue(), err.getvalue()))

    def rows(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        """The JSON objects that a command answers with; it must end with `code`."""
        answer = self(*words, "--json")
        assert answer.code == code, answer
        return answer.rows

    def add_supplier(
        self, code: str = "acme", *, source: str | None = None, form: str = "delimited", columns: str = COLUMNS, more: str = ""
    ) -> None:
        """Write a supplier's file; by default its deliveries are put into `in/<code>`."""
        (self.inbox / code).mkdir(parents=True, exist_ok=True)
        folder = f'{{ type = "folder", path = "in/{code}", settle = "0s" }}'
        feed = FEED.format(source=source or folder, format=form, columns=columns, more=more)
        path = self.folder / "config" / "suppliers" / f"{code}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'[supplier]\ncode = "{code}"\nname = "{code.title()}"\n{feed}', encoding="utf-8")

    def add_sftp_supplier(self, server: SftpServer, code: str = "acme") -> None:
        """Write a supplier whose deliveries lie on `server`, and the connection to log in with."""
        self.add_supplier(code, source=f'{{ type = "sftp", connection = "{code}", path = "/", settle = "0s" }}')
        self.connect_sftp(server, code)

    def connect_sftp(self, server: SftpServer, code: str = "acme", **changes: Any) -> None:
        """Set the connection to `server`; `changes` replace its port, password or host_key (None: no pin)."""
        parts = {"port": server.port, "password": server.login.password, "host_key": server.host_key} | changes
        pin = "" if parts["host_key"] is None else f"/?host_key={quote(parts['host_key'], safe='')}"
        self.secrets.add(parts["password"])
        address = f"sftp://{server.login.user}:{quote(parts['password'], safe='')}@127.0.0.1:{parts['port']}{pin}"
        self.environment[f"AIRFLOW_CONN_{code.upper()}"] = address

    def add_shop(self, shop: Shop, code: str = "shop", *, more: str = "") -> None:
        """Write a Shopify channel that publishes to `shop`, and its connection."""
        self.add_channel(code, "shopify", f'connection = "{code}"\nlocations = ["{DEFAULT_LOCATION}"]\n{more}')
        self.connect_shop(shop, code)

    def connect_shop(self, shop: Shop, code: str = "shop", *, token: str | None = None, url: str | None = None) -> None:
        """Set the connection to `shop`, with another token or address if given."""
        secret = token or shop.token
        self.secrets.add(secret)
        address = f"shopify://:{quote(secret, safe='')}@127.0.0.1/?base_url={quote(url or shop.url, safe='')}"
        self.environment[f"AIRFLOW_CONN_{code.upper()}"] = address

    def add_channel(self, code: str, kind: str, rest: str) -> None:
        """Write a channel's file."""
        path = self.folder / "config" / "channels" / f"{code}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'[channel]\ncode = "{code}"\nname = "{code.title()}"\nkind = "{kind}"\n{rest}\n', encoding="utf-8")

    def deliver(self, rows: dict[str, Any], at: datetime, *, to: Path | None = None, name: str = "stock.csv") -> Path:
        """Put a CSV file that is of the instant `at` where the supplier puts it."""
        text = "SKU,Qty\n" + "".join(f"{sku},{quantity}\n" for sku, quantity in rows.items())
        return self.date((to or self.inbox / "acme") / name, text, at)

    @staticmethod
    def date(path: Path, content: str | bytes, at: datetime) -> Path:
        """Write a file that is of the instant `at`."""
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path

    def levels(self) -> dict[str, str]:
        """SKU → on hand, as the command line shows it."""
        return {row["supplier_sku"]: row["on_hand"] for row in self.rows("inventory", "show", "--limit", "100000")}

    def _whole_environment(self) -> dict[str, str]:
        ours = ("STOCKFEED_", "AIRFLOW_")
        return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | self.environment

    def _heard(self, answer: Answer) -> Answer:
        self.said += [answer.out, answer.err]
        return answer
