"""The limited process in which one untrusted file is parsed: `python -I -m stockfeed.reading_child`.

Reads one JSON request line from standard input, writes messages (transforms.formats.wire) to standard output. Ends when the
parent's end of standard input closes. Never opens anything but the requested file, and never sees a setting or a secret.
"""

import json
import os
import resource
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import IO, Any

import polars as pl
from pydantic import TypeAdapter

from schemas.errors import ConfigError, DeliveryError
from transforms.formats.limits import Limits
from transforms.formats.registry import load_reader, options_model
from transforms.formats.wire import batch_message, end_message, error_message

_OPEN_FILES = 64
_WRITTEN_BYTES = 16_000_000  # error output; the reader itself writes no file
_GRACE_SECONDS = 2


def main() -> None:
    """Parse the requested file and write its batches, then an error or the end."""
    request: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    out = _take_standard_output()
    warnings.simplefilter("ignore")  # libraries warn about styles; what matters comes back as notes
    options = options_model(request["format"]).model_validate(request["options"])
    reader, path = load_reader(request["format"]), Path(request["path"])
    limit_this_process(TypeAdapter(Limits).validate_python(request["limits"]))
    try:
        for batch in reader(lambda: path.open("rb"), options):
            out.write(batch_message(batch))
            out.flush()
        out.write(end_message())
    except (DeliveryError, ConfigError) as error:
        out.write(error_message(error))
    out.flush()


def limit_this_process(limits: Limits) -> None:
    """Set the limits on memory, CPU time, open files and written bytes, above what this process already uses.

    Memory is limited by RLIMIT_DATA, which Linux counts for all private writable memory. RLIMIT_AS would not do: Polars
    reserves about 1 GB of address space that it never touches (measured: 950 MB reserved, 247 MB data, 113 MB resident).
    """
    pl.DataFrame({"c": ["warm"]}).lazy().select(pl.col("c") + "ed").collect()  # allocators reserve their pools now
    used = _data_bytes() + limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (used, used))
    cpu = int(time.process_time()) + 1 + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + _GRACE_SECONDS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_WRITTEN_BYTES, _WRITTEN_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the supplier's data


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
    os._exit(0)


if __name__ == "__main__":
    main()
