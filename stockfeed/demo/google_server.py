"""Google's Sheets, Drive and token services on loopback, for one spreadsheet and one service account.

Never reachable from another machine. The assertion that asks for a token is verified as Google verifies it (RFC 7523).
"""

import json
import secrets
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from stockfeed.demo.certificates import server_context
from stockfeed.demo.spreadsheet import Answer, Spreadsheet

ACCOUNT = "stock@demo.example"
_AUDIENCE = "https://oauth2.googleapis.com/token"  # google-auth names Google's own address, whatever the key file's token_uri is
_REFUSED: Answer = (401, {"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}})


class GoogleServer:
    """The running services: a context manager. `url` is known while they run."""

    def __init__(self, sheet: Spreadsheet, certificate: Path) -> None:
        self.sheet, self._token = sheet, secrets.token_urlsafe(24)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._server = _Server(self, server_context(certificate))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="demo-google")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Return the address of all three services."""
        return f"https://127.0.0.1:{self._server.server_port}"

    def service_key(self) -> dict[str, str]:
        """Return the service account's key file, as Google's console gives it out."""
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        private = self._key.private_bytes(*form).decode()
        fields = {"type": "service_account", "project_id": "demo", "private_key_id": "1", "private_key": private, "client_id": "1"}
        return fields | {"client_email": ACCOUNT, "token_uri": f"{self.url}/token"}

    def grant(self, form: dict[str, list[str]]) -> Answer:
        """Return the answer to somebody who asks for a token."""
        from google.auth import exceptions, jwt

        public = self._key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        try:
            said = jwt.decode(form["assertion"][0], certs=public, audience=_AUDIENCE)  # type: ignore[no-untyped-call]
        except (KeyError, ValueError, exceptions.GoogleAuthError):
            return 400, {"error": "invalid_grant"}
        if said.get("iss") != ACCOUNT:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": self._token, "expires_in": 3600, "token_type": "Bearer"}

    def answer(self, address: str, authorization: str) -> Answer:
        """Return the answer to a GET."""
        if not secrets.compare_digest(authorization.encode(), f"Bearer {self._token}".encode()):
            return _REFUSED
        parts = urlsplit(address)
        return self.sheet.answer(unquote(parts.path), {name: values[0] for name, values in parse_qs(parts.query).items()})


class _Server(ThreadingHTTPServer):
    def __init__(self, services: GoogleServer, context: ssl.SSLContext) -> None:
        self.services = services
        super().__init__(("127.0.0.1", 0), _Handler)
        # the handshake is made by the thread of its connection: one that stays silent must not stop the others
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_GET(self) -> None:
        self._say(*self.server.services.answer(self.path, self.headers.get("Authorization", "")))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say(*self.server.services.grant(parse_qs(body.decode())))

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing: the demo has its own voice."""
