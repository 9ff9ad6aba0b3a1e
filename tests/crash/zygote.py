"""A process that has imported the product and forks one child for each request: a run without the second of starting up.

One JSON request a line on stdin; two answers on stdout: the child's process id, then how it ended. It stays on one thread:
modules that start threads when they are imported are left to the children.
"""

import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from tests.crash.killer import arm
from tests.crash.warming import run_here, share_certificates, share_statements

_FIRST = (
    "polars",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql.psycopg",
    "psycopg",
    "httpx",
    "httpcore",
    "paramiko",
)
_PACKAGES = ("schemas", "connectors", "stockfeed", "transforms")
_LEFT_OUT = ("migrations", "demo", "__main__", "reading_child")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    _warm_up()
    gc.collect()
    gc.freeze()
    print(json.dumps({"ready": os.getpid()}), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        if "warm" in request:
            _get_warmer(request, answers)
        else:
            _serve(request, answers)


def _get_warmer(request: dict[str, Any], answers: Any) -> None:
    before = _threads()
    codes = run_here(request)
    if _threads() != before:
        msg = f"running {request['commands']} here starts threads, which a forked child has not"
        raise RuntimeError(msg)
    gc.collect()
    gc.freeze()
    print(json.dumps({"codes": codes}), file=answers)


class Frame:
    """Stands for an empty frame that a module makes when it is imported; a child makes the real one (see `_warm_up`)."""

    def __init__(self, *, schema: Any) -> None:
        self.schema = schema


def _warm_up() -> None:
    """Import the product. Polars starts its threads with the first frame, and a forked child would wait for them for ever."""
    for name in _FIRST:
        importlib.import_module(name)
    before, polars = _threads(), importlib.import_module("polars")
    real, polars.DataFrame = polars.DataFrame, Frame
    for name in _our_modules():
        importlib.import_module(name)
        if _threads() != before:
            msg = f"importing {name} starts threads, which a forked child has not: see tests/crash/zygote.py"
            raise RuntimeError(msg)
    polars.DataFrame = real
    share_statements()
    share_certificates()


def _make_frames() -> None:
    """Put real frames where modules hold the ones that were left out."""
    import polars as pl

    made: dict[int, pl.DataFrame] = {}
    for module in [m for name, m in sys.modules.items() if name.split(".")[0] in _PACKAGES]:
        for name, value in vars(module).items():
            if isinstance(value, Frame):
                setattr(module, name, made.setdefault(id(value), pl.DataFrame(schema=value.schema)))


def _our_modules() -> list[str]:
    root = Path(__file__).parent.parent.parent
    files = [path.relative_to(root) for package in _PACKAGES for path in sorted((root / package).rglob("*.py"))]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files]
    return [name for name in names if not any(part in name for part in _LEFT_OUT)]


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _serve(request: dict[str, Any], answers: Any) -> None:
    gate, opened = os.pipe()
    report, told = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(opened)
        os.close(report)
        _be_the_child(request, gate, told)
    os.close(gate)
    os.close(told)
    print(json.dumps({"pid": child}), file=answers)
    if request["fault"].get("kind") == "gate":
        sys.stdin.readline()  # whoever asked for the gate has attached to the child
        began = time.monotonic()
    os.close(opened)
    fault = request["fault"]
    hung = False
    watched = os.pidfd_open(child)
    if fault.get("kind") == "time":
        _wait(watched, fault["seconds"])
        os.kill(child, signal.SIGKILL)
    if not _wait(watched, request["timeout"]):
        hung = True
        os.kill(child, signal.SIGKILL)
    _, wait_status, usage = os.wait4(child, 0)
    status = os.waitstatus_to_exitcode(wait_status)
    os.close(watched)
    with os.fdopen(report) as file:
        codes = [int(word) for word in file.read().split()]
    answer = {"status": status, "codes": codes, "hung": hung, "seconds": time.monotonic() - began}
    answer["cpu"] = usage.ru_utime + usage.ru_stime
    print(json.dumps(answer), file=answers)


def _wait(watched: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _be_the_child(request: dict[str, Any], gate: int, told: int) -> None:
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environ"])
        out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        _make_frames()
        os.read(gate, 1)  # ends when the parent opens the gate
        _run(request, told)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 (the child ends here whatever happens)
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _run(request: dict[str, Any], told: int) -> None:
    from stockfeed.cli import main as command_line

    fault = request["fault"]
    if fault.get("kind") == "point":
        arm(fault["point"], fault["side"], fault.get("call"))
    for words in request["commands"]:
        try:
            if words[0] == "@retain":
                code = _retain()
            else:
                command_line(words)
        except SystemExit as end:
            code = int(end.code or 0)
        _tell(told, f"{code}\n".encode())
    sys.setprofile(None)
    threading.setprofile(None)


def _tell(told: int, words: bytes) -> None:
    try:
        os.write(told, words)
    except OSError:  # the injected fault hit this line instead of the product's: it comes once
        os.write(told, words)


def _retain() -> int:
    """Return how retention ended. It has no command of its own: the nightly DAG calls the verb."""
    from schemas.errors import StockfeedError
    from stockfeed.bootstrap import open_app
    from stockfeed.pipeline.retention import retain
    from stockfeed.settings import load_settings

    try:
        with open_app(load_settings(os.environ)) as app:
            retain(app)
    except StockfeedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    main()
