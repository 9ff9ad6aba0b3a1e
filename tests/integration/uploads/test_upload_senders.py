"""Slow, silent and broken senders: each is ended, gives its place back, and keeps nobody else waiting."""

import base64
import select
import socket
import struct
import time
from contextlib import ExitStack

import pytest

from stockfeed.web.server import MOST_CONNECTIONS
from stockfeed.web.uploads import MOST_AT_ONCE
from tests.integration.uploads.door import CSV, HEAD, OTHER, push


def test_many_who_never_finish_their_headers_do_not_keep_the_door_shut(opened, monkeypatch):
    """Each sends its headers for ever, a byte at a time, and has shown no token."""
    _, client = opened
    monkeypatch.setattr("stockfeed.web.patience.HEADER_SECONDS", 1.0)
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", client.port))) for _ in range(MOST_CONNECTIONS)]
        for line in lines:
            line.settimeout(20)
            line.sendall(HEAD[:40])
        assert [line.recv(100) for line in lines] == [b""] * MOST_CONNECTIONS
        assert push(client).status_code == 201
    with socket.create_connection(("127.0.0.1", client.port)) as line:  # the second request of a connection as the first
        line.settimeout(20)
        line.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /hea")
        while line.recv(1000):
            pass


def test_a_silent_sender_is_ended(opened, monkeypatch):
    world, client = opened
    monkeypatch.setattr("stockfeed.web.uploads.IDLE_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", client.port)) as line:
        line.sendall(HEAD)
        line.settimeout(10)
        assert line.recv(1000).startswith(b"HTTP/1.1 503")
    assert world.query("SELECT * FROM delivery") == []


def test_slow_pushes_of_one_feed_leave_room_for_the_others(opened):
    """40 threads take files: as many slow senders with a right token could have filled them."""
    world, client = opened
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", client.port))) for _ in range(45)]
        for line in lines:
            line.settimeout(20)
            line.sendall(HEAD + CSV)
        taken = set(lines)
        while len(taken) > MOST_AT_ONCE:
            ready, _, _ = select.select(list(taken), [], [], 20)
            assert ready
            for line in ready:
                assert line.recv(1000).startswith(b"HTTP/1.1 429")
                taken.discard(line)
        refused = push(client)
        assert (refused.status_code, refused.json()["error"]["code"], refused.headers["Retry-After"]) == (429, "busy", "5")
        assert push(client, feed="acme.other", token=OTHER).status_code == 201
        for line in taken:
            line.sendall(b"\n" * (1000 - len(CSV)))
            assert line.recv(1000).startswith(b"HTTP/1.1 20")
    assert push(client).status_code == 201
    assert len(world.query("SELECT * FROM delivery")) >= 3


@pytest.mark.parametrize("fault", ["cut", "reset", "refused", "fault", "silent"])
def test_a_push_gives_its_place_back_however_it_ends(opened, monkeypatch, fault):
    _, client = opened
    if fault == "fault":
        monkeypatch.setattr("stockfeed.web.uploads.receive", lambda *_: 1 // 0)
    if fault == "silent":
        monkeypatch.setattr("stockfeed.web.uploads.IDLE_SECONDS", 0.2)
    for _ in range(MOST_AT_ONCE + 1):
        if fault == "refused":
            assert push(client, Content_Digest="sha-256=:" + base64.b64encode(bytes(32)).decode() + ":").status_code == 422
        elif fault == "fault":
            assert push(client).status_code == 500
        else:
            with socket.create_connection(("127.0.0.1", client.port), timeout=20) as line:
                line.sendall(HEAD + CSV)
                if fault == "silent":
                    assert not line.recv(1000).startswith(b"HTTP/1.1 429")
                if fault == "reset":
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    monkeypatch.undo()
    for _ in range(100):
        answer = push(client)
        if answer.status_code != 429:
            break
        time.sleep(0.05)  # until the server has seen what the lines' ends say
    assert answer.status_code == 201
