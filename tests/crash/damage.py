"""The ways a run is damaged from outside: system calls through strace, an answer that never comes, a full or read-only disk."""

import re
import select
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sqlalchemy import make_url

_ATTACH_SECONDS = 20.0
_QUERY, _COMMIT = b"Q", b"COMMIT\0"  # psycopg commits by this message alone; BEGIN ISOLATION LEVEL READ COMMITTED is none


def can_trace() -> bool:
    """Whether strace is here and may attach to a process."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-e", "trace=none", "true"], capture_output=True, check=False)
    return done.returncode == 0


def can_mount() -> bool:
    """Whether a disk may be mounted here."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    # in a namespace of its own, which ends with the command and takes the mount with it
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return done.returncode == 0


#: A write to an event counter: eight bytes that no disk is behind, so that these errors never come (eventfd(2)). Threads of
#: libraries that wake each other by it die of them.
_COUNTER = re.compile(r'write\(\d+, "\\1(\\0){7}", 8\) += -1 .*INJECTED')


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
            note["impossible"] = bool(_COUNTER.search(lines))

    return attach


def _wait_for_attachment(strace: "subprocess.Popen[str]") -> None:
    assert strace.stderr is not None
    ready, _, _ = select.select([strace.stderr], [], [], _ATTACH_SECONDS)
    line = strace.stderr.readline() if ready else ""
    if not re.search("attached", line):
        strace.kill()
        msg = f"strace did not attach: {line}"
        raise RuntimeError(msg)


@dataclass(eq=False)
class _Line:
    """One connection through the proxy; `cut` once its COMMIT was the one."""

    client: socket.socket
    server: socket.socket
    cut: bool = False

    def hang_up(self) -> None:
        """End both connections, and so what waits for them; safe to repeat."""
        for end in (self.client, self.server):
            with suppress(OSError):  # it was closed before
                end.shutdown(socket.SHUT_RDWR)


class CommitProxy:
    """A loopback door to PostgreSQL that cuts a line at the n-th COMMIT: before the server has it, or before its answer.

    Other lines, and those opened afterwards, go on.
    """

    def __init__(self, url: str, nth: int, side: str) -> None:
        self._target = _address(url)
        self._left, self._side = nth, side
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._lines: list[_Line] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.cut = False
        port = self._listener.getsockname()[1]
        parsed = make_url(url).set(host="127.0.0.1", port=port, query={"sslmode": "disable", "gssencmode": "disable"})
        self.url = parsed.render_as_string(hide_password=False)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(10)
        for line in self._lines:  # whoever has left a line open: a killed run, or a pool that was not emptied
            line.hang_up()
        for thread in self._threads:
            thread.join(10)
        for end in (self._listener, *(end for line in self._lines for end in (line.client, line.server))):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # the door is closed
                return
            line = _Line(client, self._connect())
            self._lines.append(line)
            for work in (self._to_server, self._to_client):
                thread = threading.Thread(target=self._relay, args=(work, line), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        kind, address = self._target
        server = socket.socket(kind, socket.SOCK_STREAM)
        server.connect(address)
        return server

    def _relay(self, work: Callable[[_Line], None], line: _Line) -> None:
        with suppress(OSError):  # one side hung up: the other is told below
            work(line)
        if line.cut and work == self._to_client:
            return  # the other thread waits for the server before it cuts the line
        line.hang_up()

    def _to_server(self, line: _Line) -> None:
        client, server = line.client, line.server
        first = _exactly(client, 4)
        server.sendall(first + _exactly(client, struct.unpack("!I", first)[0] - 4))
        while True:
            head = _exactly(client, 5)
            body = _exactly(client, struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] == _QUERY and body == _COMMIT and self._is_the_one(line):
                if self._side == "after":
                    server.sendall(head + body)
                    _wait_until_done(server)
                return
            server.sendall(head + body)

    def _to_client(self, line: _Line) -> None:
        while True:
            select.select([line.server], [], [])
            with self._lock:  # an answer is taken only while it is sure that nobody cuts the line
                if line.cut:
                    return
                ready, _, _ = select.select([line.server], [], [], 0)
                data = line.server.recv(1 << 16) if ready else None
            if data == b"":
                return
            line.client.sendall(data or b"")

    def _is_the_one(self, line: _Line) -> bool:
        with self._lock:
            self._left -= 1
            line.cut = self._left == 0
            self.cut = self.cut or line.cut
            return line.cut


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
