"""Running the upload door: one process, few connections, TLS unless it listens on this machine only."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
        """Raise ConfigError when tokens would travel in the clear."""
        if not (self.certificate or self.behind_proxy or is_loopback(self.host)):
            raise ConfigError(
                f"refusing to listen on {self.host} without TLS: tokens would travel in the clear",
                "Give --certificate and --key, or --behind-proxy where a proxy on this network speaks TLS.",
            )


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
