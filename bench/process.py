"""Runs a command as a whole process and measures it: wall and processor seconds, highest memory, its last line of JSON."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATIENCE = 1800.0  # seconds after which a command is ended


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: seconds of wall clock, seconds of processor time (user and system), highest resident memory in MB."""

    wall: float
    cpu: float
    memory: float
    answers: tuple[dict[str, Any], ...]

    @property
    def answer(self) -> dict[str, Any]:
        """Return the last JSON line of the standard output."""
        return self.answers[-1]


def run(command: Sequence[str | Path], *, folder: Path, environ: Mapping[str, str]) -> Measured:
    """Return what a command took. Raises SystemExit with its last words when it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=err, cwd=folder, env=dict(environ))
        status, usage = _wait(process, began)
        wall = time.perf_counter() - began
        out.seek(0)
        err.seek(0)
        said, complained = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if status != 0:
        raise SystemExit(f"{command[0]} {command[1]} … ended with {status}:\n{said[-1500:]}\n{complained[-1500:]}")
    answers = tuple(json.loads(line) for line in said.splitlines() if line.startswith("{"))
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, answers)


def _wait(process: subprocess.Popen[bytes], began: float) -> tuple[int, Any]:
    """Return the exit code and the resources of a child; one that takes too long is killed."""
    pause = 0.002
    while True:
        found, status, usage = os.wait4(process.pid, os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage
        if time.perf_counter() - began > _PATIENCE:
            process.kill()
        time.sleep(pause)


def settle_disk() -> None:
    """Let the disk finish what earlier runs left to it, so that a run pays only for itself."""
    os.sync()
