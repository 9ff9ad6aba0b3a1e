"""A line to a server on loopback that can be cut after so many bytes of its answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class CuttingLine:
    port: int
    cut_at: int | None = None  # bytes from the server after which a connection ends
    passed: int = 0  # bytes from the server in the last connection that ended
    open: list[socket.socket] = field(default_factory=list)
    copying: list[threading.Thread] = field(default_factory=list)

    def wait_for_ends(self) -> None:
        """Return when every connection that was made has ended and been counted."""
        for thread in self.copying:
            thread.join(10)
            assert not thread.is_alive()


@contextmanager
def cutting_line(to: int) -> Iterator[CuttingLine]:
    listener = socket.create_server(("127.0.0.1", 0))
    line = CuttingLine(listener.getsockname()[1])
    thread = threading.Thread(target=_accept, args=(listener, line, to), daemon=True)
    thread.start()
    try:
        yield line
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in line.open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        thread.join(5)


def _accept(listener: socket.socket, line: CuttingLine, to: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", to))
            line.open += [client, server]
            for way in ((client, server, None), (server, client, line)):
                line.copying.append(threading.Thread(target=_copy, args=way, daemon=True))
                line.copying[-1].start()


def _copy(source: socket.socket, target: socket.socket, line: CuttingLine | None) -> None:
    passed = 0
    with suppress(OSError):
        while data := source.recv(65536):
            if line and line.cut_at is not None and passed + len(data) > line.cut_at:
                target.sendall(data[: max(0, line.cut_at - passed)])
                break
            passed += len(data)
            target.sendall(data)
    if line:
        line.passed = passed
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
