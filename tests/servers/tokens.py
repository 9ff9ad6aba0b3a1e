"""A token endpoint on loopback that answers as Microsoft's and Google's do, and tells a mail server whose token one is."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from schemas.connections import Connection, Secret
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY

ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass
class TokenServer:
    """`refusal` is the error that is answered instead of a token; `lifetime` in seconds, 0: tokens that have expired at once."""

    port: int
    ca_file: Path
    user: str = "acme"
    refusal: str | None = None
    status: int | None = None
    lifetime: int = 3600
    asked: list[dict[str, str]] = field(default_factory=list)
    tokens: dict[str, float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def connection(self, port: int | None = None, **extra) -> Connection:
        """A connection for a mailbox, with every secret a canary."""
        common = {"ca_file": str(self.ca_file), "client_id": "app-1", "tenant": "contoso", "authority": f"{self.url}/contoso"}
        secrets = {"client_secret": Secret(CANARY), "refresh_token": Secret(f"{CANARY}-refresh"), "token_uri": f"{self.url}/token"}
        return Connection("acme_mail", "imap", host="127.0.0.1", port=port, login=self.user, extra=common | secrets | extra)

    def answer(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        self.asked.append(form)
        if self.status:
            return self.status, {"error": "temporarily_unavailable"}
        if form.get("client_secret", CANARY) != CANARY:
            return 401, {"error": "invalid_client", "error_description": f"AADSTS7000215: wrong secret {form['client_secret']}"}
        if self.refusal:
            return 400, {"error": self.refusal, "error_description": "AADSTS50173 Token has been expired or revoked."}
        token = f"{CANARY}-token-{len(self.tokens)}"
        self.tokens[token] = time.time() + self.lifetime
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def whose(self, token: str) -> dict[str, object]:
        active = self.tokens.get(token, 0) > time.time()
        return {"email": self.user, "active": "true"} if active else {"active": "false"}


@contextmanager
def running(folder: Path) -> Iterator[TokenServer]:
    authority = Authority(folder)
    pem = authority.issue("127.0.0.1", file="tokens.pem")
    server = TokenServer(0, authority.ca_file)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {key: values[0] for key, values in parse_qs(body).items()}
            basic = self.headers.get("Authorization", "")
            if basic.startswith("Basic "):
                form["client_secret"] = base64.b64decode(basic[6:]).decode().partition(":")[2]
            self._say(*server.answer(form))

        def do_GET(self) -> None:
            path = urlsplit(self.path)
            if path.path == "/tokeninfo":
                return self._say(200, server.whose(parse_qs(path.query).get("access_token", [""])[0]))
            here = f"{server.url}/contoso"
            return self._say(
                200, {"issuer": f"{here}/v2.0", "authorization_endpoint": f"{here}/authorize", "token_endpoint": f"{here}/token"}
            )

        def _say(self, status: int, answer: object) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plain = ThreadingHTTPServer(("127.0.0.1", 0), Handler)  # for the mail server beside it
    http.socket = server_context(pem).wrap_socket(http.socket, server_side=True)
    server.port = http.server_port
    server.plain_port = plain.server_port  # type: ignore[attr-defined]
    threads = [threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True) for one in (http, plain)]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for one, thread in zip((http, plain), threads, strict=True):
            one.shutdown()
            one.server_close()
            thread.join(5)


def service_key(server: TokenServer) -> str:
    """A service account's key file, made for this run."""
    fields = {"type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": _private_key(), "client_id": "1"}
    return json.dumps(fields | {"client_email": "stock@p.iam.example", "token_uri": f"{server.url}/token"})


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
