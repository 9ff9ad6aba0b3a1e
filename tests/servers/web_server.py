"""A small web server on loopback that answers exactly what a test says, byte for byte, and one that serves a folder."""

import email.utils
import hashlib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from schemas.connections import Connection, Secret
from tests.servers.certificates import Authority
from tests.servers.feeds import CANARY


@dataclass(frozen=True)
class Request:
    target: str
    headers: Mapping[str, str]  # names in small letters
    method: str = "GET"
    body: bytes = b""


class Line:
    """The connection, as a test's answer writes to it."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock, self.over = sock, over

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, every: float) -> None:
        """Send byte by byte, until the client or the test ends."""
        for position in range(len(data)):
            if self.over.wait(every):
                return
            self.sock.sendall(data[position : position + 1])

    def silence(self) -> None:
        self.over.wait(10)

    def is_left(self) -> bool:
        """Return whether the client closes the line before ten silent seconds are over."""
        self.sock.settimeout(10)
        try:
            return self.sock.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Answer = Callable[[Request, Line], None]


@dataclass
class WebServer:
    port: int
    scheme: str
    answer: Answer
    requests: list[Request] = field(default_factory=list)

    def connection(self, authority: Authority, **changes) -> Connection:
        fields = {"login": "acme", "password": Secret(CANARY), "extra": {"ca_file": str(authority.ca_file)}} | changes
        return Connection("acme_web", "https", **{"host": "127.0.0.1", "port": self.port} | fields)

    def url(self, target: str = "/stock.csv", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{target}"


@contextmanager
def running(answer: Answer, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[WebServer]:
    """Give a server; every thread and socket of it is gone at the end."""
    listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    server = WebServer(listener.getsockname()[1], "https" if context else "http", answer)
    over = threading.Event()
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket) -> None:
        with sock:
            sock.settimeout(10)
            try:
                whole = context.wrap_socket(sock, server_side=True) if context else sock
                with whole:
                    _converse(server, whole, over)
            except OSError:
                return  # the client went away, or refused the certificate

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:  # the end of the test
                return
            threads.append(threading.Thread(target=serve, args=(sock,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield server
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def _converse(server: WebServer, sock: socket.socket, over: threading.Event) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = sock.recv(65536)
        if not piece:
            return
        received += piece
    first, *rest = received.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    body = received.partition(b"\r\n\r\n")[2]
    if "100-continue" in headers.get("expect", "").lower():
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    while len(body) < int(headers.get("content-length", "0")):
        piece = sock.recv(65536)
        if not piece:
            return
        body += piece
    request = Request(first.split(" ")[1], headers, first.split(" ")[0], body)
    server.requests.append(request)
    server.answer(request, Line(sock, over))
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(0.2)
        try:
            sock.unwrap()
        except OSError:
            return


def reply(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """Return a whole answer; header names are written with _ for -, and Content-Length is added unless given as ""."""
    fields = {"content_length": str(len(body))} | headers
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value != ""]
    return ("\r\n".join([f"HTTP/1.1 {status} Reason", *lines, "Connection: close", "", ""])).encode("latin-1") + body


def always(data: bytes) -> Answer:
    return lambda _request, line: line.send(data)


def folder(root: Path, *, break_at: Callable[[], int | None] = lambda: None) -> Answer:
    """Serve the files of a folder to one login, with ETag, Last-Modified and conditions, as common servers do."""
    wanted = "Basic " + b64encode(f"acme:{CANARY}".encode()).decode()

    def answer(request: Request, line: Line) -> None:
        path = root / request.target.lstrip("/")
        if request.headers.get("authorization") != wanted:
            line.send(reply(401, WWW_Authenticate="Basic"))
        elif not path.is_file():
            line.send(reply(404, b"<h1>not here</h1>"))
        else:
            line.send(_file(path, request, break_at()))

    return answer


def _file(path: Path, request: Request, end: int | None) -> bytes:
    content, modified = path.read_bytes(), email.utils.formatdate(path.stat().st_mtime, usegmt=True)
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    if request.headers.get("if-none-match") == tag:
        return reply(304, ETag=tag, content_length="")
    whole = reply(200, content, ETag=tag, Last_Modified=modified)
    return whole if end is None else whole[: len(whole) - len(content) + end]
