"""The limited process in which one untrusted file is unpacked and parsed: `python -I -m stockfeed.reading_child`.

Reads one JSON request line from standard input, writes messages (transforms.formats.wire) to standard output. Ends when the
parent's end of standard input closes. Never opens anything but the requested file and what it unpacks into its own temporary
folder, and never sees a setting or a secret.
"""

import ctypes
import gc
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn, cast

import polars as pl
from pydantic import TypeAdapter

from schemas.errors import ConfigError, DeliveryError
from schemas.records import RawBatch, Reader
from stockfeed.reading_process import FOLDER
from transforms.formats.archives import unpack
from transforms.formats.beside import AT_ONCE
from transforms.formats.limits import Limits
from transforms.formats.options import ReaderOptions
from transforms.formats.registry import load_reader, options_model
from transforms.formats.wire import batch_message, end_message, error_message

_OPEN_FILES = 64
_WRITTEN_BYTES = 16_000_000  # error output; besides, only what is unpacked is written
_GRACE_SECONDS = 2
_MOST_WAITING = 5.0  # seconds until threads rest: one that never does must not keep a file from being read
_NEW_OBJECTS = 20_000  # between two searches for garbage: rows of cells are none
_NEW_NETWORK = 0x4000_0000  # CLONE_NEWNET
_NEW_USER = 0x1000_0000  # CLONE_NEWUSER
_LEAVING = threading.Lock()


def main() -> None:
    """Parse the requested file and write its batches, then an error or the end."""
    try:
        _answer()
    except BrokenPipeError:  # nobody listens any more: as when standard input ends, which the other thread may not have seen yet
        _leave()


def _answer() -> None:
    leave_the_network()
    line = sys.stdin.buffer.readline()
    if not line:
        remove_the_folder()  # the parent died before it asked for anything
        return
    request: dict[str, Any] = json.loads(line)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    out = _take_standard_output()
    warnings.simplefilter("ignore")  # libraries warn about styles; what matters comes back as notes
    options = cast("ReaderOptions", options_model(request["format"]).model_validate(request["options"]))
    reader = load_reader(request["format"])
    gc.freeze()  # what is loaded stays: no search for garbage looks at it again
    gc.set_threshold(_NEW_OBJECTS)
    AT_ONCE.set("check_first" not in request)
    limits = TypeAdapter(Limits).validate_python(request["limits"])
    limit_this_process(limits, written=limits.unpacked_bytes if options.archive != "none" else 0)
    try:
        if "unpack" in request:
            _unpack(Path(request["path"]), Path(request["unpack"]), options)
            out.write(end_message())
            out.flush()
            return
        for batch in _batches(reader, Path(request["path"]), options):
            out.write(batch_message(batch))
            out.flush()
        out.write(end_message())
    except (DeliveryError, ConfigError) as error:
        out.write(error_message(error))
    out.flush()


def _batches(reader: Reader, path: Path, options: ReaderOptions) -> Iterator[RawBatch]:
    """Yield the batches of the file, or of the file in the archive that it is."""
    if options.archive == "none":
        yield from reader(lambda: path.open("rb"), options)
        return
    with tempfile.NamedTemporaryFile() as target, path.open("rb") as stream:  # in the folder that the parent removes
        unpacked = unpack(stream, target, tempfile.TemporaryFile, options)
        target.flush()
        if unpacked is None:
            yield from reader(lambda: path.open("rb"), options)
            return
        found = {"archive": unpacked.archive} | ({"member": unpacked.member} if unpacked.member else {})
        notes, table = unpacked.notes, Path(target.name)
        for batch in reader(lambda: table.open("rb"), options.inside()):
            yield replace(batch, reading={**batch.reading, **found}, notes=(*notes, *batch.notes))
            notes = ()


def _unpack(path: Path, target: Path, options: ReaderOptions) -> None:
    """Write what the archive holds to the target, in the folder that the parent removes; nothing when it is no archive."""
    with target.open("w+b") as out, path.open("rb") as stream:
        unpacked = unpack(stream, out, tempfile.TemporaryFile, options)
    if unpacked is None:
        target.unlink()


def leave_the_network() -> bool:
    """Return whether this process has no network any more. Not every system allows it, and nothing here needs a network.

    Called before any thread is started: with threads, Linux refuses a new user namespace, which unprivileged users need.
    """
    if _unshare(_NEW_NETWORK):
        return True
    trial = os.fork()  # some systems allow the namespace and then no file in it: that must not happen to this process
    if trial == 0:
        os._exit(0 if _in_own_namespace() else 1)
    _, status = os.waitpid(trial, 0)
    return status == 0 and _in_own_namespace()


def _in_own_namespace() -> bool:
    """Return whether this process went into a user and network namespace of its own and can still make files there."""
    user, group = os.geteuid(), os.getegid()
    if not _unshare(_NEW_USER | _NEW_NETWORK):
        return False
    try:
        for name, mapping in (("uid_map", f"{user} {user} 1"), ("setgroups", "deny"), ("gid_map", f"{group} {group} 1")):
            Path(f"/proc/self/{name}").write_text(mapping, encoding="ascii")
        tempfile.TemporaryFile().close()
    except OSError:
        return False
    return True


def _unshare(flags: int) -> bool:
    return bool(ctypes.CDLL(None).unshare(flags) == 0)


def limit_this_process(limits: Limits, *, written: int = 0) -> None:
    """Set the limits on memory, CPU time, open files and written bytes, above what this process already uses.

    `written` is what may be unpacked into one file.

    Memory is limited by RLIMIT_DATA, which Linux counts for all private writable memory. RLIMIT_AS would not do: Polars
    reserves about 1 GB of address space that it never touches (measured: 950 MB reserved, 247 MB data, 113 MB resident).
    """
    pl.DataFrame({"c": ["warm"]}).lazy().select(pl.col("c") + "ed").collect()  # allocators reserve their pools now
    _wait_for_the_threads()
    used = _data_bytes() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (used, used))
    cpu = int(time.process_time()) + 1 + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + _GRACE_SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_WRITTEN_BYTES + written, _WRITTEN_BYTES + written))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the supplier's data


def _wait_for_the_threads() -> None:
    """Return once every other thread of this process sleeps, or after five seconds.

    A thread that a library has started takes its stack and its pool, 8 MB and more, when the system first gives it a turn: on a
    busy machine that is after its maker went on, and would count as memory that the file needed.
    """
    own = str(threading.get_native_id())
    ends = time.monotonic() + _MOST_WAITING
    while time.monotonic() < ends:
        if all(_state_of(thread) == "S" for thread in Path("/proc/self/task").iterdir() if thread.name != own):
            return
        time.sleep(0.0005)


def _state_of(thread: Path) -> str:
    """Return the letter of a thread's state (proc(5): S is asleep); of one that has ended, S."""
    try:
        stat = (thread / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "S"
    return stat.rpartition(")")[2].split()[0]


def _data_bytes() -> int:
    """Return the private writable memory of this process in bytes (VmData)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))


def _take_standard_output() -> IO[bytes]:
    """Return the message pipe; whatever a library prints goes to standard error instead."""
    pipe = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)
    return pipe


def _end_with_the_parent() -> None:
    """Leave as soon as the parent closes our standard input, by dying or on purpose."""
    while os.read(0, 1):
        continue
    _leave()


def _leave() -> NoReturn:
    """End this process with its folder gone, whichever thread comes first."""
    with _LEAVING:
        remove_the_folder()
        os._exit(0)


def remove_the_folder() -> None:
    """Remove what a parent that was killed cannot: the folder of this process, where it unpacks."""
    folder = Path(os.environ.get("TMPDIR", ""))  # not tempfile's: on a full disk that is another one, or an error
    if folder.name.startswith(FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
