"""Google's Sheets, Drive and token services on loopback, as their documents say: spreadsheets that change, a quota, refusals.

With `contract`, the discovery document of Sheets v4, every request is checked against it.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from schemas.connections import Connection, Secret
from stockfeed.demo.spreadsheet import Number, Spreadsheet
from tests.servers import tokens
from tests.servers.certificates import server_context
from tests.servers.feeds import CANARY

__all__ = ["KEY", "Number", "Services", "running"]
KEY = "1aBcD-spreadsheet_key"


@dataclass
class Services:
    """`cells` by worksheet and when they were `modified`. `quota`: reads that are left; None is endless."""

    account: tokens.TokenServer
    port: int = 0
    sheet: Spreadsheet = field(default_factory=lambda: Spreadsheet(KEY, "Lager / Stock", "2026-11-01T06:00:00.000Z"))
    quota: int | None = None
    retry_after: str | None = None
    faults: list[tuple[int, object]] = field(default_factory=list)  # answers that come first, each once
    asked: list[str] = field(default_factory=list)
    contract: dict | None = None
    on_values: Callable[[], None] | None = None

    @property
    def cells(self) -> dict[str, list[list[object]]]:
        return self.sheet.cells

    @cells.setter
    def cells(self, cells: dict[str, list[list[object]]]) -> None:
        self.sheet.cells = cells

    @property
    def modified(self) -> str:
        return self.sheet.modified

    @modified.setter
    def modified(self, modified: str) -> None:
        self.sheet.modified = modified

    def connection(self, **extra) -> Connection:
        fields = {"ca_file": str(self.account.ca_file), "keyfile": Secret(tokens.service_key(self.account))}
        fields |= {"endpoint": f"https://127.0.0.1:{self.port}", "client_id": "app", "client_secret": Secret(CANARY)}
        fields |= {"refresh_token": Secret(f"{CANARY}-refresh"), "token_uri": f"{self.account.url}/token"}
        return Connection("acme_sheets", "google_cloud_platform", extra=fields | extra)

    def answer(self, path: str, query: dict[str, str], token: str) -> tuple[int, object]:
        if self.account.tokens.get(token, 0) < time.time():
            return 401, {"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}
        if self.faults:
            return self.faults.pop(0)
        if path.startswith("/drive/"):
            return self.sheet.answer(path, query)
        if self.contract is not None:
            check(self.contract, path, query)
        if self.quota is not None:
            if self.quota <= 0:
                return 429, {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
            self.quota -= 1
        if "/values/" in path and self.on_values:
            self.on_values()
        return self.sheet.answer(path, query)


def check(contract: dict, path: str, query: dict[str, str]) -> None:
    """Raise AssertionError for a request that the discovery document does not describe."""
    sheets = contract["resources"]["spreadsheets"]
    method = sheets["resources"]["values"]["methods"]["get"] if "/values/" in path else sheets["methods"]["get"]
    assert method["httpMethod"] == "GET"
    for name, value in query.items():
        described = method["parameters"][name]
        assert "enum" not in described or value in described["enum"], (name, value)
    assert re.fullmatch(re.sub(r"\{\+?\w+\}", "[^/]+", "/" + method["path"]), path.replace("/v4/", "/v4/", 1)), path


@contextmanager
def running(folder: Path, contract: dict | None = None) -> Iterator[Services]:
    with tokens.running(folder) as account:
        services = Services(account, contract=contract)
        wrong: list[BaseException] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                path, query = unquote(parts.path), {key: values[0] for key, values in parse_qs(parts.query).items()}
                services.asked.append(path)
                try:
                    status, answer = services.answer(path, query, self.headers.get("Authorization", "").removeprefix("Bearer "))
                except AssertionError as error:
                    wrong.append(error)
                    raise
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                if status in {429, 503} and services.retry_after:
                    self.send_header("Retry-After", services.retry_after)
                self.send_header("Content-Type", "text/html" if isinstance(answer, bytes) else "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.socket = server_context(folder / "tokens.pem").wrap_socket(http.socket, server_side=True)
        services.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield services
        finally:
            http.shutdown()
            http.server_close()
            thread.join(5)
    assert wrong == []
