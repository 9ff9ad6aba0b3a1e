"""The limited child process that reads one file: how it is started, asked, listened to and ended.

Never lets a child process outlive its context. Loads nothing that takes time: a process may be started ahead, while what its
batches need is loaded here.
"""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigError, DeliveryError, TransientError

if TYPE_CHECKING:
    from schemas.records import RawBatch
    from transforms.formats.limits import Limits

FOLDER = "stockfeed-reading-"  # how the folder of a process begins
_HEADER_LIMIT = 256_000_000  # bytes of one message: batches are bounded, so more is not ours
_PAYLOAD_LIMIT = 2_000_000_000
_STDERR_SHOWN = 4_000
_EXIT_SECONDS = 10
_PIPE_READ = 1 << 20
#: What is said of memory by Python (the second: where even an error finds no room), Rust, OpenBLAS, libc and jemalloc.
_OUT_OF_MEMORY = (
    *("memoryerror", "error return without exception set"),
    *("memory allocation", "out of memory", "cannot allocate memory", "background thread creation failed"),
)
_DISK_FULL = ("no space left on device", "disk quota exceeded")
_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "SYSTEMROOT")  # what the interpreter itself may need to start

_AHEAD: ContextVar[list["ReadingProcess"]] = ContextVar("started ahead")


@contextmanager
def started_ahead() -> "Iterator[None]":
    """Within this context the first file that needs a child process finds it started already, which takes a third of a second.

    Where none can be started now (no room, no process left), one is started for the file, which then says what is wrong.
    """
    with ExitStack() as life:
        ahead = []
        with suppress(OSError):
            ahead.append(life.enter_context(_started()))
        before = _AHEAD.set(ahead)
        try:
            yield
        finally:
            _AHEAD.reset(before)


@contextmanager
def reading_process() -> "Iterator[ReadingProcess]":
    """Yield a process that waits for one request; it is gone when this context is left."""
    ahead = _AHEAD.get([])
    if not ahead or not ahead[-1].is_alive():
        with _started() as process:
            yield process
        return
    process = ahead.pop()
    try:
        yield process
    finally:
        process.end()


@contextmanager
def _started() -> "Iterator[ReadingProcess]":
    with tempfile.TemporaryDirectory(prefix=FOLDER) as folder:
        process = ReadingProcess(Path(folder))
        try:
            yield process
        finally:
            process.end()


class ReadingProcess:
    """The child process, its pipes and its `folder`, and why it ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran_out_of_memory = False
        self._stderr = folder / "stderr.txt"
        self._waited = 0.0
        self._buffer = bytearray()
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        # One Polars thread and few malloc arenas: threads and arenas reserve memory that counts against the limit.
        threads = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        lean = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}  # looking for some opens the metadata of every installed package
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "stockfeed.reading_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "TMPDIR": str(folder), **threads, **lean, **kept},
                start_new_session=True,
            )
        assert self._process.stdout is not None
        with suppress(OSError):  # a system may allow less: then both processes wait for each other more often
            fcntl.fcntl(self._process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_READ)

    def is_alive(self) -> bool:
        """Return whether the process still waits or works."""
        return self._process.poll() is None

    def batches(self, request: dict[str, Any], limits: "Limits") -> "Iterator[RawBatch]":
        """Send the only request, and return its batches. Raises the child's DeliveryError, or one that says how it died."""
        self._limits = limits
        self._write(json.dumps(request).encode() + b"\n")
        return self._batches()

    def _batches(self) -> "Iterator[RawBatch]":
        from transforms.formats.wire import LENGTHS, parse_message

        while True:
            header_size, payload_size = LENGTHS.unpack(self._take(LENGTHS.size))
            if header_size > _HEADER_LIMIT or payload_size > _PAYLOAD_LIMIT:
                raise self._crashed("it answered what no reader answers")
            parts = self._take(header_size), self._take(payload_size)
            try:
                message = parse_message(*parts)
            except ValueError as error:
                raise self._crashed("it answered what no reader answers") from error
            if message is None:
                return
            if isinstance(message, (DeliveryError, ConfigError)):
                raise message
            yield message

    def end(self) -> None:
        """Stop the child if it still runs, and wait for it."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_EXIT_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # a request that never arrived: closing tries to send it once more
                pipe.close()

    def _write(self, request: bytes) -> None:
        """Send the request; the pipe stays open, because its end tells the child that this process is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except BrokenPipeError:
            error = self._died()
            self.end()
            raise error from None

    def _take(self, size: int) -> bytes:
        """Return the next `size` bytes of the child's output, waiting for at most the wall-clock limit in all."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        ready = select.poll()
        ready.register(output, select.POLLIN | select.POLLHUP)
        while len(self._buffer) < size:
            began = time.monotonic()
            left = self._limits.wall_seconds - self._waited
            if left <= 0 or not ready.poll(left * 1000):
                raise self._over("wall_seconds", f"reading takes over {self._limits.wall_seconds} seconds")
            data = os.read(output, _PIPE_READ)
            self._waited += time.monotonic() - began
            if not data:
                raise self._died()
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _died(self) -> DeliveryError | TransientError:
        """Return the error for a child that closed its output without an end: which limit or crash it was, or a full disk."""
        code = self._process.wait(_EXIT_SECONDS)
        said = self._said()
        if code == -signal.SIGXCPU:
            return self._over("cpu_seconds", f"reading takes over {self._limits.cpu_seconds} seconds of CPU time")
        if any(words in said.lower() for words in _DISK_FULL):
            return TransientError(
                f"the disk is full: {tempfile.gettempdir()} has no room to unpack this file into",
                "Free some space, or set TMPDIR to a larger disk; it is tried again.",
                said,
            )
        if any(words in said.lower() for words in _OUT_OF_MEMORY):
            self.ran_out_of_memory = True
            return self._over("memory_bytes", f"reading takes over {self._limits.memory_bytes} bytes of memory")
        if code < 0:
            names = {one.value: one.name for one in signal.Signals}  # most of the real-time signals have none
            return self._crashed(f"it was stopped by the signal {names.get(-code, -code)}")
        return self._crashed(f"it ended with exit code {code}")

    def _over(self, setting: str, what: str) -> DeliveryError:
        return DeliveryError(
            f"{what}, which is the limit ({setting})",
            f"Save the file again without unused sheets and formats, split it, or raise format.limits.{setting} of this feed.",
            self._said(),
            code="FILE-LIMIT",
        )

    def _crashed(self, how: str) -> DeliveryError:
        return DeliveryError(
            f"the reader crashed on this file: {how}",
            "Save the file again from its program; report the file if it happens again.",
            self._said(),
            code="FILE-CRASH",
        )

    def _said(self) -> str:
        try:
            return self._stderr.read_bytes()[-_STDERR_SHOWN:].decode(errors="backslashreplace")
        except FileNotFoundError:  # a child that is left alone removes the folder
            return ""
