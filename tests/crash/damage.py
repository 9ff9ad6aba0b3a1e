"""The ways a run is damaged from outside: system calls through strace, an answer that never comes, a full or read-only disk."""

import re
import select
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

_ATTACH_SECONDS = 20.0
_TERMINATE, _QUERY, _PARSE = b"X", b"Q", b"P"


def can_trace() -> bool:
    """Whether strace is here and may attach to a process."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-e", "trace=none", "true"], capture_output=True, check=False)
    return done.returncode == 0


def injected(call: str, action: str, nth: int, log: Path) -> Callable[[int], Any]:
    """Return what attaches to a process and damages its n-th system call of this name, counted over all its threads."""

    @contextmanager
    def attach(pid: int) -> Iterator[dict[str, Any]]:
        note: dict[str, Any] = {}
        # rename also as the kernel's newer calls; what does not exist on this machine is left out by the question mark
        names = {"rename": "?rename,?renameat,?renameat2", "unlink": "?unlink,?unlinkat"}.get(call, call)
        rule = f"inject={names}:{action}:when={nth}"
        strace = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-e", f"trace={names}", "-e", rule, "-o", str(log)], stderr=subprocess.PIPE, text=True
        )
        assert strace.stderr is not None
        try:
            _wait_for_attachment(strace)
            yield note
        finally:
            strace.wait(_ATTACH_SECONDS)
            strace.stderr.close()
            lines = log.read_text(errors="replace") if log.exists() else ""
            note["hit"] = "INJECTED" in lines or "killed by SIGKILL" in lines

    return attach


def _wait_for_attachment(strace: "subprocess.Popen[str]") -> None:
    assert strace.stderr is not None
    ready, _, _ = select.select([strace.stderr], [], [], _ATTACH_SECONDS)
    line = strace.stderr.readline() if ready else ""
    if not re.search("attached", line):
        strace.kill()
        msg = f"strace did not attach: {line}"
        raise RuntimeError(msg)


class CommitProxy:
    """A loopback door to PostgreSQL that cuts the line at the n-th COMMIT: before the server has it, or before its answer."""

    def __init__(self, url: str, nth: int, side: str) -> None:
        self._target = _address(url)
        self._left, self._side = nth, side
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.cut = False
        port = self._listener.getsockname()[1]
        parsed = make_url(url).set(host="127.0.0.1", port=port, query={"sslmode": "disable", "gssencmode": "disable"})
        self.url = parsed.render_as_string(hide_password=False)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "CommitProxy":
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._acceptor, *self._threads):
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # the door is closed
                return
            server = self._connect()
            for work in (self._to_server, self._to_client):
                thread = threading.Thread(target=self._relay, args=(work, client, server), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        kind, address = self._target
        server = socket.socket(kind, socket.SOCK_STREAM)
        server.connect(address)
        return server

    def _relay(self, work: Callable[[socket.socket, socket.socket], None], client: socket.socket, server: socket.socket) -> None:
        try:
            work(client, server)
        except OSError:
            pass  # one side hung up: the other is told by the shutdown below
        for side in (client, server):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed before

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        first = _exactly(client, 4)
        server.sendall(first + _exactly(client, struct.unpack("!I", first)[0] - 4))
        while True:
            head = _exactly(client, 5)
            body = _exactly(client, struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] in (_QUERY, _PARSE) and b"COMMIT" in body.upper() and self._is_the_one():
                if self._side == "after":
                    server.sendall(head + body)
                    _wait_until_done(server)
                return
            server.sendall(head + body)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        # the answers are only looked at here, so that the other thread can take the one to the last COMMIT away
        while True:
            select.select([server], [], [])
            with self._lock:
                if self.cut:
                    return
                ready, _, _ = select.select([server], [], [], 0)
                if ready:
                    data = server.recv(1 << 16)
                    if not data:
                        return
                    client.sendall(data)

    def _is_the_one(self) -> bool:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self.cut = True
            return self.cut


def _wait_until_done(server: socket.socket) -> None:
    """Read until the server says that it is ready for the next query: the COMMIT is over."""
    seen = b""
    while b"COMMIT\0" not in seen and b"ROLLBACK\0" not in seen:
        data = server.recv(1 << 16)
        if not data:
            return
        seen += data


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = source.recv(count - len(data))
        if not piece:
            msg = "the line is cut"
            raise ConnectionResetError(msg)
        data += piece
    return data


def _address(url: str) -> tuple[socket.AddressFamily, Any]:
    parsed = make_url(url)
    host = parsed.query.get("host") or parsed.host or "127.0.0.1"
    port = parsed.port or 5432
    if str(host).startswith("/"):
        return socket.AF_UNIX, f"{host}/.s.PGSQL.{port}"
    return socket.AF_INET, (host, port)
