"""An interface that gives a list page by page, as a test says: by next link, cursor, page number or offset, with faults."""

import csv
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.servers.feeds import CANARY
from tests.servers.web_server import Line, Request, reply

BASIC = "Basic " + b64encode(f"acme:{CANARY}".encode()).decode()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=";"))


@dataclass
class Interface:
    """`faults` are whole answers that are given instead of the next ones. `tokens` are those that count; None: a password does."""

    rows: Callable[[], list]
    paging: str = "next"
    size: int = 2
    with_total: bool = True
    end_at: int | None = None
    next_link: str | None = None
    faults: list[bytes] = field(default_factory=list)
    tokens: set[str] | None = None
    given: int = 0
    asked: list[str] = field(default_factory=list)

    def answer(self, request: Request, line: Line) -> None:
        self.asked.append(request.target)
        if request.method == "POST":
            line.send(self._token(request))
        elif request.headers.get("authorization") not in self._right():
            line.send(reply(401, WWW_Authenticate="Basic"))
        elif self.faults:
            line.send(self.faults.pop(0))
        else:
            whole = self._page(request)
            line.send(whole if self.end_at is None else whole[: whole.index(b"\r\n\r\n") + 4 + self.end_at])

    def _right(self) -> set[str]:
        return {BASIC} if self.tokens is None else {f"Bearer {token}" for token in self.tokens}

    def _token(self, request: Request) -> bytes:
        fields = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if fields != {"grant_type": "client_credentials", "client_id": "acme", "client_secret": CANARY}:
            return reply(401, json.dumps({"error": "invalid_client"}).encode(), Content_Type="application/json")
        self.given += 1
        token = f"{CANARY}-token-{self.given}"
        self.tokens = {token}
        return reply(200, json.dumps({"access_token": token, "token_type": "Bearer"}).encode(), Content_Type="application/json")

    def _page(self, request: Request) -> bytes:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}
        rows = self.rows()
        start = (int(query.get("page", "1")) - 1) * self.size if self.paging == "page" else int(query.get(self._name(), "0"))
        document: dict = {"items": rows[start : start + self.size]}
        if self.with_total:
            document["total"] = len(rows)
        more, headers = start + self.size < len(rows), {}
        if more and self.paging == "next":
            document["next"] = self.next_link or f"/stock?start={start + self.size}"
        elif more and self.paging == "link":
            headers["Link"] = f'</stock?start={start + self.size}>; rel="next"'
        elif more and self.paging == "cursor":
            document["next"] = str(start + self.size)
        return reply(200, json.dumps(document).encode(), Content_Type="application/json", **headers)

    def _name(self) -> str:
        return {"next": "start", "link": "start"}.get(self.paging, self.paging)
