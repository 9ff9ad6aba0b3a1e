"""A program with all the children it starts, in a session of its own, that can be ended as a whole.

Never ends a process outside that session, and never believes a signal: it looks whether every process is gone.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_SESSION_FIELD = 3  # of /proc/<pid>/stat, counted after the command's closing bracket: state, ppid, pgrp, session
_PAUSE = 0.2


class ProcessGroup:
    """One program started in a new session; a context manager that leaves none of its processes behind."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, folder: Path) -> None:
        self._command, self._environment, self._log, self._folder = list(command), dict(environment), log, folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            # a session of its own: Ctrl-C in our terminal must not reach it before we have said goodbye
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def ended(self) -> int | None:
        """Return the program's exit code, None while it runs."""
        return None if self._process is None else self._process.poll()

    def alive(self) -> list[int]:
        """Return the ids of the session's processes that still run; zombies do not count."""
        if self._process is None:
            return []
        self._process.poll()
        return session_members(self._process.pid)

    def stop(self, patience: float = 20.0) -> list[int]:
        """Return the ids of processes that survived: empty, after SIGTERM and, when `patience` seconds have passed, SIGKILL.

        Whoever presses Ctrl-C meanwhile has no patience left.
        """
        for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            try:
                self._end(number, seconds)
            except KeyboardInterrupt:
                continue
        return self.alive()

    def _end(self, number: signal.Signals, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self._signal(number)
        while self.alive() and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            if number == signal.SIGKILL:
                self._signal(number)  # also those started since the last look

    def _signal(self, number: signal.Signals) -> None:
        # each process by its id: some of them lead process groups of their own
        for pid in self.alive():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # it ended between listing and signal, which is what we want


def session_members(session: int) -> list[int]:
    """Return the ids of the processes of a session that still run (Linux: /proc; elsewhere: `ps`)."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,sess=,stat="], capture_output=True, text=True, check=True).stdout  # noqa: S607 - ps is where the system has it
        rows = [line.split() for line in listed.splitlines()]
        return [int(pid) for pid, owner, state in rows if owner == str(session) and not state.startswith("Z")]
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _belongs(stat, session)]


def _belongs(stat: Path, session: int) -> bool:
    try:
        fields = stat.read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it ended while we were reading
    return int(fields[_SESSION_FIELD]) == session and fields[0] not in {"Z", "X"}
