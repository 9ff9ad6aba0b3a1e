"""The other end of the zygote: runs commands in forked children, damaged or not, and says how each ended."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

REPOSITORY = Path(__file__).parent.parent.parent
SECONDS = 120.0  # no run of these small files takes a tenth of it


@dataclass(frozen=True)
class Ended:
    """How a child ended: its status (negative: the signal), the exit code of each command that ended, seconds it took."""

    status: int
    codes: list[int]
    hung: bool
    seconds: float
    cpu: float = 0.0
    note: dict[str, Any] = field(default_factory=dict)

    @property
    def killed(self) -> bool:
        return self.status == -9 and not self.hung


class Forks:
    """A running zygote."""

    def __enter__(self) -> Self:
        environ = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "POLARS_MAX_THREADS": "2"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environ,
        )  # fmt: skip
        self.pid = self._hear()["ready"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def run(
        self,
        commands: Sequence[Sequence[str]],
        environ: Mapping[str, str],
        folder: Path,
        *,
        fault: Mapping[str, Any] | None = None,
        attach: "Callable[[int], AbstractContextManager[dict[str, Any]]] | None" = None,
    ) -> Ended:
        """Run the commands in one child; `attach` is given its process id before it begins, and closed after it ended."""
        request = {
            "commands": commands, "environ": dict(environ), "cwd": str(folder), "out": str(folder / "out.txt"),
            "fault": {"kind": "gate"} if attach else dict(fault or {}), "timeout": SECONDS,
        }  # fmt: skip
        self._say(json.dumps(request))
        pid = self._hear()["pid"]
        if attach is None:
            return Ended(**self._hear())
        with attach(pid) as note:
            self._say("go")
            answer = self._hear()
        return Ended(**answer, note=note)

    def warm(self, commands: Sequence[Sequence[str]], environ: Mapping[str, str], folder: Path) -> list[int]:
        """Let the forking process itself run commands, so that its children know their statements; return the exit codes."""
        request = {"commands": commands, "environ": dict(environ), "cwd": str(folder), "out": str(folder / "out.txt"), "warm": True}
        self._say(json.dumps(request))
        codes: list[int] = self._hear()["codes"]
        return codes

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            msg = "the forking process ended"
            raise RuntimeError(msg)
        answer: dict[str, Any] = json.loads(line)
        return answer
