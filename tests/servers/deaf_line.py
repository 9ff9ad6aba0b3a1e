"""A line to PostgreSQL that from one message on carries nothing to the server, as when sending fails and the driver goes on."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from sqlalchemy import URL, make_url

_LENGTH = struct.Struct("!I")


@contextmanager
def deaf_line(url: str, begins: bytes, lost: bytes) -> Iterator[str]:
    """Yield the address of a line to the server at `url`, good for one connection.

    Once a query whose text holds `begins` has gone through, messages of the kind `lost` (a letter of the protocol,
    https://www.postgresql.org/docs/current/protocol-message-formats.html) and all that follow them are lost.
    """
    parsed = make_url(url)
    with ExitStack() as life:
        listener = life.enter_context(socket.create_server(("127.0.0.1", 0)))

        def carry() -> None:
            with listener.accept()[0] as client, _connect(parsed) as server:
                back = threading.Thread(target=_back, args=(server, client), daemon=True)
                back.start()
                _forth(client, server, begins, lost)
                with suppress(OSError):  # the server was first
                    server.shutdown(socket.SHUT_RDWR)
                back.join()

        carrying = threading.Thread(target=carry, daemon=True)
        carrying.start()
        port = listener.getsockname()[1]
        query = {"sslmode": "disable", "gssencmode": "disable"}
        yield URL.create(
            "postgresql", parsed.username, parsed.password, "127.0.0.1", port, parsed.database, query
        ).render_as_string(hide_password=False)
        carrying.join(10)


def _connect(url: URL) -> socket.socket:
    host = url.query.get("host") or url.host or "127.0.0.1"
    port = url.port or 5432
    if str(host).startswith("/"):
        line = socket.socket(socket.AF_UNIX)
        line.connect(f"{host}/.s.PGSQL.{port}")
        return line
    return socket.create_connection((str(host), port))


def _back(server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):  # one end is gone
        while content := server.recv(65_536):
            client.sendall(content)
        client.shutdown(socket.SHUT_RDWR)


def _forth(client: socket.socket, server: socket.socket, begins: bytes, lost: bytes) -> None:
    with suppress(OSError, struct.error):  # one end is gone
        head = client.recv(4, socket.MSG_WAITALL)  # the first message has no letter
        server.sendall(head + client.recv(_LENGTH.unpack(head)[0] - 4, socket.MSG_WAITALL))
        has_begun = is_deaf = False
        while kind := client.recv(1):
            length = client.recv(4, socket.MSG_WAITALL)
            body = client.recv(_LENGTH.unpack(length)[0] - 4, socket.MSG_WAITALL)
            has_begun |= begins in body
            is_deaf |= has_begun and kind == lost
            if not is_deaf:
                server.sendall(kind + length + body)
