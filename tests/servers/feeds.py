"""What source tests share: a feed, a connection, and one call that fetches everything."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.connections import Connection, Secret
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen
from stockfeed.demo.sftp_server import SftpServer

CANARY = "canary-7f3a-never-shown"
LONG_AGO = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)


def feed(source: dict, **others) -> Feed:
    return Feed.model_validate(
        {
            "code": "stock",
            "source": source,
            "format": {"type": "delimited"},
            "timezone": "UTC",
            "quantities": "net",
            "stale_after": "24h",
            "columns": {"supplier_sku": "SKU", "on_hand": "Qty"},
            **others,
        }
    )


def connection(server: SftpServer, **changes) -> Connection:
    fields = {"login": "acme", "password": Secret(CANARY), "extra": {"host_key": server.host_key}} | changes
    return Connection("acme_sftp", "sftp", host="127.0.0.1", port=server.port, **fields)


class Clock:
    """A clock that `sleep` moves, so that nothing waits."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def put(folder: Path, name: str | bytes, content: bytes = b"SKU,Qty\nA,1\n", at: datetime = LONG_AGO) -> None:
    path = folder / os.fsdecode(name)
    path.write_bytes(content)
    os.utime(path, (at.timestamp(), at.timestamp()))


def everything(folder: Path) -> dict[str, tuple[bytes, float]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime) for p in folder.iterdir()}


def fetch(source, of: Feed, spool: Path, seen: Seen | None = None) -> list[Fetched]:
    return list(source.fetch(of, Seen() if seen is None else seen, spool))
