"""The pipelined download beside one request at a time, with a line that takes its time."""

import os
import time

import pytest

from connectors.sftp import open_sftp
from connectors.sftp_folder import PipelinedDownload, RemoteFolder
from stockfeed.demo.sftp_server import Login, SftpServer
from tests.servers.feeds import CANARY, connection
from tests.servers.slow_line import slow_line

SIZE = 2_000_000
ONE_WAY = 0.005  # seconds


def download(conn, window: int, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, float]:
    monkeypatch.setattr(PipelinedDownload, "WINDOW", window)
    with open_sftp(conn) as client:
        started = time.perf_counter()
        with RemoteFolder(client, "/", "sftp://x").open("stock.bin", SIZE) as read:
            content = b"".join(iter(lambda: read(0), b""))
        return content, time.perf_counter() - started


def test_a_long_line_costs_a_few_round_trips_and_not_one_for_each_piece(tmp_path, monkeypatch):
    content = os.urandom(SIZE)
    (tmp_path / "stock.bin").write_bytes(content)
    with SftpServer(tmp_path, Login("acme", CANARY)) as server, slow_line(server.port, ONE_WAY) as port:
        far = connection(server)
        far = type(far)(far.name, far.conn_type, far.host, port, far.login, far.password, extra=far.extra)
        naive, naive_seconds = download(far, 1, monkeypatch)
        pipelined, pipelined_seconds = download(far, 256, monkeypatch)
    assert naive == pipelined == content
    assert naive_seconds > SIZE / 32768 * 2 * ONE_WAY
    assert pipelined_seconds < naive_seconds / 2
