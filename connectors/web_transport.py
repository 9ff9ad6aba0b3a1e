"""One HTTP request to addresses that were checked beforehand, with an end to every wait.

Never looks a name up, never uses a proxy, never follows a redirect, and speaks HTTP/1.1 only. It stands on httpcore, the
layer below httpx: only there can a connection go to a given address while TLS checks the host's name.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from connectors.addresses import WebAddress
from connectors.http import keep_headers_out_of_logs
from connectors.tls import failed_handshake, refused_certificate
from schemas.errors import TransientError


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to connect and between two pieces, and the moment (monotonic clock) at which everything must be over."""

    connect: float
    idle: float
    over_at: float
    seconds: float  # altogether, for messages
    monotonic: Callable[[], float] = time.monotonic

    def left(self, most: float) -> float:
        """Return `most` seconds, or fewer near the end. Raises TimeoutError after it."""
        rest = self.over_at - self.monotonic()
        if rest <= 0:
            raise TimeoutError
        return min(most, rest)

    @property
    def is_over(self) -> bool:
        """Return whether the time for everything is used up."""
        return self.monotonic() >= self.over_at


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (names in small letters; of repeated ones the last) and the body's pieces as they came over the wire."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


@contextmanager
def ask(
    address: WebAddress,
    ips: list[str],
    headers: Mapping[str, str],
    patience: Patience,
    context: ssl.SSLContext,
    *,
    content: bytes | None = None,
) -> Iterator[Answer]:
    """Give the answer to a GET, or to a POST of `content`, connected to the first of `ips` that takes the connection.

    The headers of a POST tell its length. Raises TransientError (unreachable, silent, cut short), PermanentError (certificate).
    The body is read under the same rules through `Answer.pieces`.
    """
    keep_headers_out_of_logs()
    sent = [(b"Host", address.authority.encode("ascii")), *((k.encode(), v.encode("latin-1")) for k, v in headers.items())]
    url = httpcore.URL(
        scheme=address.scheme.encode(), host=address.host.encode("ascii"), port=address.port, target=address.target.encode("ascii")
    )
    waits = {"connect": patience.connect, "read": patience.idle, "write": patience.idle, "pool": patience.connect}
    backend = _CheckedAddresses(address, ips, patience)
    with httpcore.ConnectionPool(ssl_context=context, max_connections=1, network_backend=backend) as pool:
        with web_errors(address, patience):
            method = "GET" if content is None else "POST"
            answer = pool.handle_request(
                httpcore.Request(method, url, headers=sent, content=content, extensions={"timeout": waits})
            )
        try:
            named = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in answer.headers}
            yield Answer(answer.status, named, _pieces(answer, address, patience))
        finally:
            answer.close()


@contextmanager
def web_errors(address: WebAddress, patience: Patience) -> Iterator[None]:
    """Turn what httpcore raises into our errors, with the address named (without its query)."""
    place = address.shown
    try:
        yield
    except (httpcore.TimeoutException, TimeoutError) as error:
        if patience.is_over:
            raise TransientError(
                f"{place} took longer than {patience.seconds:g} s",
                "It is tried again; if it stays slow, ask the supplier or raise `deadline` for this source.",
            ) from error
        raise TransientError(
            f"{place}: no data for {patience.idle:g} s", "It is tried again; ask the supplier if it happens often."
        ) from error
    except httpcore.ConnectError as error:
        raise TransientError(
            f"{address.origin} cannot be reached: {error}", "It is tried again; check the host in `url`."
        ) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise TransientError(
            f"{place}: the answer was cut short or is not proper HTTP", "Nothing was recorded; it is tried again.", str(error)[:300]
        ) from error


def _pieces(answer: httpcore.Response, address: WebAddress, patience: Patience) -> Iterator[bytes]:
    body = iter(answer.stream) if isinstance(answer.stream, Iterable) else iter(())
    while True:
        with web_errors(address, patience):
            piece = next(body, b"")
        if not piece:
            return
        yield piece


class _CheckedAddresses(httpcore.NetworkBackend):
    """Connects to the given addresses, whatever the name of the host resolves to by now."""

    def __init__(self, address: WebAddress, ips: list[str], patience: Patience) -> None:
        self._address, self._ips, self._patience = address, ips, patience

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the point of this class: the name was looked up and checked before
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - httpcore's signature
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - httpcore's signature
    ) -> httpcore.NetworkStream:
        reason = "it has no address"
        for ip in self._ips:
            try:
                sock = socket.create_connection((ip, port), self._patience.left(timeout or self._patience.connect))
            except OSError as error:
                reason = error.strerror or str(error) or "no answer in time"
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return _TimedStream(sock, self._address, self._patience)
        raise httpcore.ConnectError(reason)


class _TimedStream(httpcore.NetworkStream):
    """A socket whose every wait ends, at the latest when the time for everything is over: one byte a second is not progress."""

    def __init__(self, sock: socket.socket, address: WebAddress, patience: Patience) -> None:
        self._sock, self._address, self._patience = sock, address, patience

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._sock.settimeout(self._patience.left(timeout or self._patience.idle))
            return self._sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._sock.settimeout(self._patience.left(timeout or self._patience.idle))
            self._sock.sendall(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            self._sock.settimeout(self._patience.left(timeout or self._patience.connect))
            sock = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname, suppress_ragged_eofs=False)
        except TimeoutError as error:
            self.close()
            raise httpcore.ConnectTimeout from error
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise refused_certificate(self._address.origin, error) from error
        except ssl.SSLEOFError as error:
            self.close()
            raise httpcore.ConnectError("the connection was closed") from error
        except ssl.SSLError as error:
            self.close()
            raise failed_handshake(self._address.origin, error) from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(error.strerror or str(error)) from error
        return _TimedStream(sock, self._address, self._patience)

    def get_extra_info(self, info: str) -> Any:
        return self._sock if info == "socket" else None
