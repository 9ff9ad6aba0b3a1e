"""Running the upload door: one process, few connections, TLS unless it listens on this machine only."""

import errno
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.http import is_loopback
from schemas.errors import ConfigError
from stockfeed.bootstrap import App

if TYPE_CHECKING:
    from uvicorn import Config

MOST_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the door is. Without a certificate only this machine is listened to, unless a proxy in front speaks TLS."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False

    def check(self) -> None:
        """Raise ConfigError when tokens would travel in the clear, or when certificate and key are no pair."""
        if not (self.certificate or self.behind_proxy or is_loopback(self.host)):
            raise ConfigError(
                f"refusing to listen on {self.host} without TLS: tokens would travel in the clear",
                "Give --certificate and --key, or --behind-proxy where a proxy on this network speaks TLS.",
            )
        if self.key and not self.certificate:
            raise ConfigError("--key is given without --certificate", "Give both, or neither.")
        if self.certificate:
            _check_pair(self.certificate, self.key)

    def check_free(self) -> None:
        """Raise ConfigError when another program has the port, or when this one may not."""
        with suppress(socket.gaierror):  # told by the server itself
            for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    self._bind(probe, address)

    def _bind(self, probe: socket.socket, address: Any) -> None:
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:  # an address that this machine has not: the server tells it
                return
            raise ConfigError(
                f"port {self.port} of {self.host} cannot be listened on: {error.strerror}",
                "Give another --port, or end the program that has this one.",
            ) from error


def _check_pair(certificate: Path, key: Path | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except OSError as error:  # also ssl.SSLError
        why = error.reason if isinstance(error, ssl.SSLError) else error.strerror  # OpenSSL has no reason for what is no PEM
        raise ConfigError(
            "certificate and key cannot be used" + (f" ({why.replace('_', ' ').lower()})" if why else ""),
            "--certificate is a PEM file with the certificate first and its chain behind it, --key one with the private key that "
            "belongs to it, without a passphrase.",
        ) from error


def config_of(app: App, where: Listening) -> "Config":
    """Return how the server runs: few connections, none of them for ever, no word about itself."""
    import uvicorn

    from stockfeed.web.patience import protocol
    from stockfeed.web.uploads import make_web

    return uvicorn.Config(
        make_web(app), host=where.host, port=where.port, http=protocol(), ws="none", lifespan="off", access_log=False,
        log_config=None, server_header=False, limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=5,
        timeout_graceful_shutdown=60, ssl_certfile=where.certificate, ssl_keyfile=where.key,
    )  # fmt: skip


def serve(app: App, where: Listening) -> None:
    """Serve until the process is told to end (SIGINT, SIGTERM); what is being received is finished first. Raises ConfigError."""
    import uvicorn

    where.check()
    uvicorn.Server(config_of(app, where)).run()
