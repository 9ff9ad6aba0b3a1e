"""Copies into the private spool folder."""

import hashlib
import io
import stat
from pathlib import Path

import pytest

from connectors.spool import Limits, put, spool_stream
from schemas.errors import DeliveryError, TransientError


def test_the_copy_has_the_right_bytes_hash_and_size_and_is_private(tmp_path):
    content = bytes(range(256)) * 5000
    spooled = spool_stream(io.BytesIO(content).read, tmp_path / "spool", "x")
    assert spooled.path.read_bytes() == content
    assert (spooled.sha256, spooled.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert stat.S_IMODE(spooled.path.stat().st_mode) == 0o600


def test_two_copies_of_one_origin_have_two_random_names(tmp_path):
    first, second = (spool_stream(io.BytesIO(b"a").read, tmp_path, "../../etc/passwd") for _ in range(2))
    assert first.path != second.path
    assert first.path.parent == second.path.parent == tmp_path


def test_an_empty_stream_is_an_empty_file(tmp_path):
    assert spool_stream(io.BytesIO().read, tmp_path, "x").size == 0


def test_a_stream_over_the_limit_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(DeliveryError, match="larger than 100 bytes") as caught:
        spool_stream(io.BytesIO(b"a" * 101).read, tmp_path, "x", limits=Limits(size=100))
    assert caught.value.code == "FILE-LIMIT"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [99, 100])
def test_a_stream_up_to_the_limit_is_taken(tmp_path, size):
    assert spool_stream(io.BytesIO(b"a" * size).read, tmp_path, "x", limits=Limits(size=100)).size == size


def test_a_failing_stream_leaves_nothing(tmp_path):
    pieces = iter([b"abc"])

    def read(_: int) -> bytes:
        for piece in pieces:
            return piece
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        spool_stream(read, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


def test_an_endless_trickle_ends_at_the_deadline(tmp_path):
    ticks = iter(range(0, 10_000, 10))
    with pytest.raises(TransientError, match="longer than 900 s"):
        spool_stream(lambda _: b"a", tmp_path, "x", monotonic=lambda: next(ticks))
    assert list(tmp_path.iterdir()) == []


def test_a_pause_longer_than_the_idle_time_out_is_an_error(tmp_path):
    ticks = iter([0, 0, 31, 31, 31])
    with pytest.raises(TransientError, match="no data for 30 s"):
        spool_stream(lambda _: b"a", tmp_path, "x", monotonic=lambda: next(ticks))


def test_a_socket_time_out_says_so(tmp_path):
    def read(_: int) -> bytes:
        raise TimeoutError

    with pytest.raises(TransientError, match="x: no data for 30 s"):
        spool_stream(read, tmp_path, "x")


def test_a_full_disk_says_how_much_is_free_and_what_to_do(tmp_path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    with full.open("wb", buffering=0) as handle, pytest.raises(TransientError, match=r"disk full .* MB free") as caught:
        put(handle, b"a", tmp_path)
    assert "STOCKFEED_STATE" in caught.value.hint
