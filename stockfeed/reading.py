"""A delivery's file as batches of text cells: options checked, workbooks and archives parsed in a limited child process.

Never parses a workbook or an archive in this process, and never lets a child process outlive its reader.
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
from collections.abc import Collection, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from schemas.errors import ConfigError, DeliveryError, TransientError
from schemas.feed_config import TypedSection
from transforms.formats.content import ARCHIVE_HEAD, archive_kind
from transforms.formats.limits import Limits
from transforms.formats.options import ReaderOptions
from transforms.formats.registry import find, load_reader, options_model

if TYPE_CHECKING:
    from schemas.records import RawBatch

_HEADER_LIMIT = 256_000_000  # bytes of one message: batches are bounded, so more is not ours
_PAYLOAD_LIMIT = 2_000_000_000
_STDERR_SHOWN = 4_000
_EXIT_SECONDS = 10
UNPACKED = "unpacked"  # the file that a child writes which only unpacks
_PIPE_READ = 1 << 20
_OUT_OF_MEMORY = ("memoryerror", "memory allocation", "out of memory", "cannot allocate memory")  # Python, Rust, OpenBLAS, libc
_DISK_FULL = ("no space left on device", "disk quota exceeded")
_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "SYSTEMROOT")  # what the interpreter itself may need to start


def read_batches(
    path: Path, section: TypedSection, *, expected_columns: Collection[str] = (), identifier_columns: Collection[str] = ()
) -> "Iterator[RawBatch]":
    """Return the batches of the file at `path`, read as the feed's `format` table says.

    `expected_columns` are header names that help to find the header (`header_row = "auto"`); `identifier_columns` those that hold
    SKUs and barcodes, in which a workbook's dates and fractions are reported. Raises ConfigError at once for wrong options;
    DeliveryError while the file is read, FILE-LIMIT or FILE-CRASH also for what happens to the child process.
    """
    with_options = opened_batches(path, section, expected_columns=expected_columns, identifier_columns=identifier_columns)
    return _each(with_options)


def opened_batches(
    path: Path, section: TypedSection, *, expected_columns: Collection[str] = (), identifier_columns: Collection[str] = ()
) -> "AbstractContextManager[Iterator[RawBatch]]":
    """Return the same as a context: a child process starts on entering it, before the first batch is asked for, and ends with it.

    So it can start while this process still loads what it needs for the batches.
    """
    options = checked_options(section, expected_columns=expected_columns, identifier_columns=identifier_columns)
    return _opened(path, section.type, options)


def _each(context: "AbstractContextManager[Iterator[RawBatch]]") -> "Iterator[RawBatch]":
    with context as batches:
        yield from batches


def checked_options(
    section: TypedSection, *, expected_columns: Collection[str] = (), identifier_columns: Collection[str] = ()
) -> ReaderOptions:
    """Return the typed options of a format table. Raises ConfigError that lists every mistake."""
    columns = {"expected_columns": tuple(expected_columns), "identifier_columns": tuple(identifier_columns)}
    given = {name: value for name, value in columns.items() if value}
    try:
        options = options_model(section.type).model_validate(section.options | given)
    except ValidationError as error:
        mistakes = [f"format.{'.'.join(map(str, m['loc']))}: {m['msg']}" for m in error.errors(include_url=False)]
        raise ConfigError("; ".join(mistakes), f'Correct the [feed.format] table of type "{section.type}".') from error
    assert isinstance(options, ReaderOptions)
    return options


@contextmanager
def plain_file(path: Path, name: str, options: ReaderOptions) -> "Iterator[tuple[Path, ReaderOptions]]":
    """Yield a file of the format `name` as it is out of its archive, and the options it is read with there; gone afterwards.

    For those that look into a file without its rows. Raises DeliveryError as reading does.
    """
    if not _is_packed(path, options):
        yield path, options
        return
    with tempfile.TemporaryDirectory(prefix="stockfeed-reading-") as folder:
        request = {**_request(path, name, options), "unpack": UNPACKED}
        child = _Child(Path(folder), request, options.limits)
        try:
            for _ in child.batches():
                pass
        finally:
            child.end()
        unpacked = Path(folder) / UNPACKED
        yield (unpacked, options.inside()) if unpacked.exists() else (path, options)


def _request(path: Path, name: str, options: ReaderOptions) -> dict[str, Any]:
    limits = TypeAdapter(Limits).dump_python(options.limits)
    return {"format": name, "path": str(path.resolve()), "options": options.model_dump(mode="json"), "limits": limits}


def _is_packed(path: Path, options: ReaderOptions) -> bool:
    """Return whether the file has to be unpacked, which only a child process does."""
    if options.archive != "auto":
        return options.archive != "none"
    with path.open("rb") as stream:
        return archive_kind(stream.read(ARCHIVE_HEAD)) is not None


@contextmanager
def _opened(path: Path, name: str, options: ReaderOptions) -> "Iterator[Iterator[RawBatch]]":
    """Yield the batches that are read here, or by a limited child process, which is gone when this context is left."""
    if not find(name).limited and not _is_packed(path, options):
        batches = load_reader(name)(lambda: path.open("rb"), options)
        try:
            yield batches
        finally:
            if isinstance(batches, Generator):
                batches.close()  # and with it the file
        return
    with tempfile.TemporaryDirectory(prefix="stockfeed-reading-") as folder:
        child = _Child(Path(folder), _request(path, name, options), options.limits)
        try:
            yield child.batches()
        finally:
            child.end()


class _Child:
    """The child process, its pipes, and why it ended."""

    def __init__(self, folder: Path, request: dict[str, Any], limits: Limits) -> None:
        self._stderr = folder / "stderr.txt"
        self._limits = limits
        self._waited = 0.0
        self._buffer = bytearray()
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        # One Polars thread and few malloc arenas: threads and arenas reserve memory that counts against the limit.
        threads = {"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        with self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "stockfeed.reading_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=folder,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "TMPDIR": str(folder), **threads, **kept},
                start_new_session=True,
            )
        assert self._process.stdout is not None
        with suppress(OSError):  # a system may allow less: then both processes wait for each other more often
            fcntl.fcntl(self._process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_READ)
        self._write(json.dumps(request).encode() + b"\n")

    def batches(self) -> "Iterator[RawBatch]":
        """Yield the child's batches. Raises its DeliveryError, or one that says how it died."""
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
            return self._over("memory_bytes", f"reading takes over {self._limits.memory_bytes} bytes of memory")
        if code < 0:
            return self._crashed(f"it was stopped by the signal {signal.Signals(-code).name}")
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
        return self._stderr.read_bytes()[-_STDERR_SHOWN:].decode(errors="backslashreplace")
