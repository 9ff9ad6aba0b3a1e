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

from connectors.sheet_cells import letters
from schemas.connections import Connection, Secret
from tests.servers import tokens
from tests.servers.certificates import server_context
from tests.servers.feeds import CANARY

KEY = "1aBcD-spreadsheet_key"


@dataclass
class Number:
    """A cell that holds a number and shows it in some format."""

    value: float
    shown: str


@dataclass
class Services:
    """`cells` by worksheet: rows of texts, booleans, Numbers. `quota`: reads that are left; None is endless."""

    account: tokens.TokenServer
    port: int = 0
    cells: dict[str, list[list[object]]] = field(default_factory=dict)
    modified: str = "2026-11-01T06:00:00.000Z"
    quota: int | None = None
    retry_after: str | None = None
    faults: list[tuple[int, object]] = field(default_factory=list)  # answers that come first, each once
    asked: list[str] = field(default_factory=list)
    contract: dict | None = None
    on_values: Callable[[], None] | None = None

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
        if path == f"/drive/v3/files/{KEY}":
            return 200, {"id": KEY, "name": "Lager / Stock", "modifiedTime": self.modified}
        if self.contract is not None:
            check(self.contract, path, query)
        if self.quota is not None:
            if self.quota <= 0:
                return 429, {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
            self.quota -= 1
        if path == f"/v4/spreadsheets/{KEY}":
            return 200, {"spreadsheetId": KEY, "properties": {"title": "Lager / Stock"}, "sheets": self._sheets()}
        match = re.fullmatch(rf"/v4/spreadsheets/{KEY}/values/'(.+)'!([A-Z]+)(\d+):([A-Z]+)(\d+)", path)
        return (
            self._values(match, query)
            if match
            else (404, {"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}})
        )

    def _sheets(self) -> list[dict]:
        return [
            {
                "properties": {
                    "sheetId": number, "title": title, "index": number, "sheetType": "GRID",
                    "gridProperties": {"rowCount": max(1000, len(rows)), "columnCount": 26},
                }
            }
            for number, (title, rows) in enumerate(self.cells.items())
        ]  # fmt: skip

    def _values(self, match: re.Match, query: dict[str, str]) -> tuple[int, object]:
        if self.on_values:
            self.on_values()
        title = match[1].replace("''", "'")
        first, last = int(match[3]), int(match[5])
        left, right = (next(n for n in range(1, 1000) if letters(n) == match[i]) for i in (2, 4))
        if title not in self.cells:
            return 400, {"error": {"code": 400, "message": "Unable to parse range", "status": "INVALID_ARGUMENT"}}
        rows = [row[left - 1 : right] for row in self.cells[title][first - 1 : last]]
        shown = [_trimmed([_render(cell, query["valueRenderOption"]) for cell in row]) for row in rows]
        while shown and not shown[-1]:
            shown.pop()
        answer: dict[str, object] = {"range": f"'{title}'!A{first}", "majorDimension": "ROWS"}
        return 200, answer | ({"values": shown} if shown else {})


def _render(cell: object, option: str) -> object:
    if isinstance(cell, Number):
        return cell.shown if option == "FORMATTED_VALUE" else cell.value
    if isinstance(cell, bool):
        return str(cell).upper() if option == "FORMATTED_VALUE" else cell
    return cell


def _trimmed(row: list[object]) -> list[object]:
    while row and row[-1] == "":
        row.pop()
    return row


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
