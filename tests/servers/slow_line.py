"""A relay on loopback that delivers every byte some time later, as a long line does."""

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def slow_line(port: int, one_way: float) -> Iterator[int]:
    """Yield the port of a relay to `port` that adds `one_way` seconds in each direction."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    sockets = [listener]

    def start(work, *args) -> None:
        threads.append(threading.Thread(target=work, args=args))
        threads[-1].start()

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # the end of the test
                return
            far = socket.create_connection(("127.0.0.1", port))
            sockets.extend((near, far))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for one, other in ((near, far), (far, near)):
                waiting: queue.Queue[tuple[float, bytes]] = queue.Queue()
                start(_receive, one, waiting, one_way)
                start(_deliver, waiting, other)

    start(accept)
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for each in sockets:
            each.close()


def _receive(source: socket.socket, waiting: "queue.Queue[tuple[float, bytes]]", one_way: float) -> None:
    data = b"start"
    while data:
        try:
            data = source.recv(1 << 18)
        except OSError:
            data = b""
        waiting.put((time.monotonic() + one_way, data))


def _deliver(waiting: "queue.Queue[tuple[float, bytes]]", target: socket.socket) -> None:
    while True:
        due, data = waiting.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
        except OSError:
            return
