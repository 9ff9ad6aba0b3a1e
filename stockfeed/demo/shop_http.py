"""The demo shop's HTTP side: routes, tokens, faults on the wire.

Never listens on anything but this machine, and never logs a header.
"""

import json
import secrets
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from stockfeed.demo.shop_faults import Fault, actual_cost, requested_cost
from stockfeed.demo.shop_page import render_page
from stockfeed.demo.shop_schema import execute

if TYPE_CHECKING:
    from stockfeed.demo.shop import Shop

_LARGEST_BODY = 8 * 1024 * 1024
_SILENCE = 60.0  # seconds an unanswered request is held open, unless the shop stops or the caller leaves


class ShopServer(ThreadingHTTPServer):
    """One thread per connection; a caller that leaves in the middle is no error."""

    daemon_threads = False  # closing the server waits for its requests
    block_on_close = True
    request_queue_size = 64

    def __init__(self, shop: "Shop", port: int) -> None:
        super().__init__(("127.0.0.1", port), ShopHandler)
        self.shop = shop
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that stopping can close idle ones."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget and close a finished connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about broken connections, which faults and impatient callers cause; show anything else."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def drop_connections(self) -> None:
        """End the connections that callers keep open."""
        self.stopping.set()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._open.discard(connection)  # the caller was faster


class ShopHandler(BaseHTTPRequestHandler):
    """GraphQL, the token endpoint, the page, and the demo's own door to sell something."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024  # one packet for head and body
    server: ShopServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer the page, and the shop's records for programs."""
        stock = self.server.shop.stock
        path = urlsplit(self.path).path
        if path == "/":
            self._answer(200, render_page(stock).encode(), {"Content-Type": "text/html; charset=utf-8"})
        elif path == "/stock.json":
            with stock.lock:
                shown = [
                    {"sku": i.sku, "tracked": i.tracked, "available": dict(i.available), "sold": i.sold}
                    for i in stock.items.values()
                ]
            self._json(200, shown)
        elif path == "/log.ndjson":
            lines = self.server.shop.log_lines()
            self._answer(200, "".join(lines).encode(), {"Content-Type": "application/x-ndjson"})
        elif path.startswith("/bulk/"):
            self._bulk_file()
        else:
            self._json(404, {"errors": "Not Found"})

    def do_POST(self) -> None:
        """Answer GraphQL, token and sell requests."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > _LARGEST_BODY:
            self.close_connection = True
            self._json(413, {"errors": "Payload Too Large"})
            return
        body = self.rfile.read(length)
        path = urlsplit(self.path).path
        if path == f"/admin/api/{self.server.shop.api_version}/graphql.json":
            self._graphql(body)
        elif path == "/admin/oauth/access_token":
            self._token(body)
        elif path == "/sell":
            self._sell()
        else:
            self._json(404, {"errors": "Not Found"})

    def _graphql(self, body: bytes) -> None:
        shop = self.server.shop
        if not shop.accepts(self.headers.get("X-Shopify-Access-Token") or ""):
            self._json(401, {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"})
            return
        try:
            request = json.loads(body)
            text, variables = str(request["query"]), request.get("variables") or {}
        except (ValueError, KeyError, TypeError):
            self._json(400, {"errors": {"query": "Required parameter missing or invalid"}})
            return
        operation = request.get("operationName")
        shop.count(operation or "")
        fault = shop.faults.take(operation or "")
        if fault is not None and fault.kind in {"answer", "reset"}:
            self._fail(fault)
            return
        if fault is not None and fault.kind == "sale_first":
            shop.sell_one_of_each(variables)
        shop.wait_latency()
        answer = self._run(text, variables, operation)
        if fault is None or fault.kind == "sale_first":
            self._json(200, answer)
        else:
            self._fail(fault, json.dumps(answer).encode())

    def _run(self, text: str, variables: dict[str, Any], operation: str | None) -> dict[str, Any]:
        shop = self.server.shop
        code, cost = shop.bucket.take(requested_cost(text, variables))
        if code:
            message = "Throttled" if code == "THROTTLED" else "Query cost exceeds the single query max cost limit"
            return {"errors": [{"message": message, "extensions": {"code": code}}], "extensions": {"cost": cost}}
        with shop.writing(text):
            result = execute(shop.stock, text, variables, operation, shop.bulk)
        shop.bucket.give_back(cost, actual_cost(text, result.data))
        return {**result.formatted, "extensions": {"cost": cost}}

    def _fail(self, fault: Fault, answer: bytes = b"") -> None:
        if fault.kind == "answer":
            self._answer(fault.status, fault.body, {"Content-Type": "application/json", **fault.headers})
            return
        self.close_connection = True
        if fault.kind == "silent_after_accept":
            self.server.stopping.wait(_SILENCE)
        elif fault.kind == "cut_after_accept":
            headers = {"Content-Type": "application/json", "Connection": "close"}
            self._answer(200, answer[: len(answer) // 2], headers)
        else:
            # Linger 0 makes the kernel send RST instead of a polite end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _bulk_file(self) -> None:
        shop = self.server.shop
        shop.count("download")
        shop.downloads.append({name.lower(): value for name, value in self.headers.items()})
        key = parse_qs(urlsplit(self.path).query).get("X-Signature", [""])[0]
        file, fault = shop.bulk.download(key), shop.faults.take("download")
        if fault is not None and fault.kind == "cut_after_accept" and file:
            self.close_connection = True
            self._head(200, {"Content-Length": str(len(file))})
            self.wfile.write(file[: len(file) // 2])
        elif fault is not None:
            self._fail(fault, file or b"")
        elif file is None:
            self._answer(403, b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code></Error>", {})
        else:
            self._answer(200, file, {"Content-Type": "application/jsonl"})

    def _token(self, body: bytes) -> None:
        form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        fault = self.server.shop.faults.take("token")
        if fault is not None:
            self._fail(fault)
            return
        token = self.server.shop.grant(form.get("client_id", ""), form.get("client_secret", ""))
        if form.get("grant_type") != "client_credentials" or token is None:
            self._json(400, {"error": "invalid_client", "error_description": "The client credentials were refused."})
            return
        scope = "read_inventory,write_inventory,read_locations"
        self._json(200, {"access_token": token, "scope": scope, "expires_in": self.server.shop.token_seconds})

    def _sell(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()}
        units = query.get("units", "1")
        try:
            sold = self.server.shop.sell(query.get("sku", ""), int(units), query.get("location"))
        except (KeyError, ValueError):
            self._json(404, {"error": "no such SKU, or units is not a number"})
            return
        if "back" in query:
            self._answer(303, b"", {"Location": "/"})
        else:
            self._json(200, {"sku": query["sku"], "sold": sold})

    def _json(self, status: int, document: object) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Request-Id": secrets.token_hex(8)}
        self._answer(status, json.dumps(document).encode(), headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, {"Content-Length": str(len(body)), **headers})
        self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        for name, value in {"Content-Security-Policy": policy, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
