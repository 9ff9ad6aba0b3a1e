"""The yardstick programs beside the repository: other ways to do part of the same work, run in an environment of their own.

Without them only our own figures are shown.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

from feeds import SHARED, FeedFile
from postgresql import keywords
from process import Measured, run, settle_disk

PEERS = SHARED / "peers"
_ARGUMENTS = {
    "polars_executemany": ("polars_adbc.py", "--db", "sqlite", "--load", "copy"),
    "polars_copycsv": ("polars_adbc.py", "--db", "postgres", "--load", "copy"),
    "linediff": ("linediff.py", "--db", "sqlite"),
    "linediff/postgresql": ("linediff.py", "--db", "postgres"),
}
_NEEDED = ("polars", "numpy", "psycopg", "psycopg-binary")


class Yardsticks:
    """The yardstick programs, their environment and their database."""

    def __init__(self, work: Path, postgres: str) -> None:
        self._work, self._postgres = work, postgres
        self._python = work / "venv/lean/bin/python"

    @property
    def are_there(self) -> bool:
        """Return whether the programs are beside the repository."""
        return PEERS.is_dir()

    def prepare(self) -> None:
        """Make their environment, with our own versions of what they import."""
        if self._python.is_file():
            return
        uv = Path(sys.executable).with_name("uv")
        wanted = [f"{name}=={importlib.metadata.version(name)}" for name in _NEEDED]
        folder = self._python.parent.parent
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        environ = {**os.environ, "VIRTUAL_ENV": str(folder)}
        subprocess.run([uv, "pip", "install", "--quiet", "--compile-bytecode", *wanted], check=True, env=environ)

    def load(self, name: str, file: FeedFile, *, first: bool) -> Measured:
        """Return what a yardstick took to load a feed, the first time into an empty table. Raises SystemExit when it is wrong."""
        script, *arguments = _ARGUMENTS[name]
        out = self._work / "out" / name.replace("/", "_")
        out.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, "BENCH_TMP": str(self._work), "PYTHONDONTWRITEBYTECODE": "1"}
        if self._postgres:
            environ["BENCH_PG"] = keywords(self._postgres)
        command = [self._python, PEERS / script, "--feed", file.path, "--out", out, *arguments, *(["--reset"] if first else [])]
        settle_disk()
        measured = run(command, folder=self._work, environ=environ)
        changed = file.expected.valid if first else file.expected.changed
        wanted = [file.expected.valid, file.expected.quarantined, changed]
        found = [measured.answer[part] for part in ("valid", "quarantined", "changed")]
        if found != wanted:
            raise SystemExit(f"{name} counts {json.dumps(found)}, expected {json.dumps(wanted)}")
        return measured
