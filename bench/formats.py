"""Measures each format's reader beside a public library on the same file, whole processes in turns: `make bench-formats`.

ROWS=100000 records a file, ROUNDS=5, ONLY=edi_x12,json_doc for some. Never part of the tests: figures depend on the machine.
Ends at once when either reads other records than the file has, and with 1 when a limit is not met.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from format_files import MAKERS, made, total
from process import Measured, run

ROWS = int(os.environ.get("ROWS") or "100000")
ROUNDS = int(os.environ.get("ROUNDS") or "5")
ONLY = [name for name in (os.environ.get("ONLY") or ",".join(MAKERS)).split(",") if name]
WORK = Path(os.environ.get("BENCH_TMP") or Path(tempfile.gettempdir()) / "stockfeed-bench")
HERE = Path(__file__).parent
#: The libraries measured beside ours, with the versions that were installed when the limits were set.
PEERS = ("pyx12==4.0.0", "pydifact==0.2.3", "ijson==3.6.0", "lxml==6.1.3", "pandas==3.1.1")
BESIDE = {
    "edi_x12": ("pyx12",), "edifact": ("pydifact",), "json_doc": ("ijson", "json_module"), "xml_doc": ("lxml",),
    "fixed_width": ("read_fwf",), "delimited": ("read_csv",),
}  # fmt: skip
SHOWN = {"json_module": "json.load", "lxml": "lxml.iterparse", "read_fwf": "pandas.read_fwf", "read_csv": "pandas.read_csv"}
#: Records a second of processor time without what starting takes; only what was promised has a limit.
LIMITS = {"edi_x12": 150_000, "edifact": 60_000}


@dataclass(slots=True)
class Reading:
    """One program on one file: what it takes with all records and with one, so that starting it can be told from reading."""

    kind: str
    program: str
    runs: list[Measured] = field(default_factory=list)
    idle: list[Measured] = field(default_factory=list)

    @property
    def whole(self) -> float:
        """Return the records a processor second of the whole process."""
        return ROWS / statistics.median(run.cpu for run in self.runs)

    @property
    def reading(self) -> float:
        """Return the records a processor second without what one record takes."""
        alone = statistics.median(run.cpu for run in self.runs) - statistics.median(run.cpu for run in self.idle)
        return ROWS / max(alone, 0.001)

    @property
    def limit(self) -> int | None:
        """Return how many it must be."""
        return LIMITS.get(self.kind) if self.program == "stockfeed" else None

    @property
    def is_met(self) -> bool:
        """Return whether the limit is met."""
        return self.limit is None or self.reading >= self.limit

    def cells(self) -> tuple[str, ...]:
        """Return the row as the table shows it."""
        wall = statistics.median(run.wall for run in self.runs)
        memory = max(run.memory for run in self.runs)
        limit = "–" if self.limit is None else f"{self.limit:,} {'yes' if self.is_met else 'NO'}"
        name = SHOWN.get(self.program, self.program)
        return (self.kind, name, f"{self.reading:,.0f}", limit, f"{self.whole:,.0f}", f"{wall:.2f}", f"{memory:.0f}")

    def as_json(self) -> dict[str, Any]:
        """Return everything that was measured."""
        shown = {
            name: [{"wall": r.wall, "cpu": r.cpu, "memory_mb": r.memory} for r in found]
            for name, found in (("runs", self.runs), ("idle_runs", self.idle))
        }
        return {
            "format": self.kind,
            "program": SHOWN.get(self.program, self.program),
            "records": ROWS,
            "limit": self.limit,
            **shown,
        }


def peers() -> Path:
    """Return the Python of an environment with the public libraries, made at the first use."""
    folder = WORK / "venv/formats"
    python = folder / "bin/python"
    if not python.is_file():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        environ = {**os.environ, "VIRTUAL_ENV": str(folder)}
        subprocess.run([uv, "pip", "install", "--quiet", "--compile-bytecode", *PEERS], check=True, env=environ)
    return python


def measured(one: Reading, count: int, python: Path) -> Measured:
    """Return what a program took to read a file. Raises SystemExit when it read anything else than what is in it."""
    path = made(WORK / "formats", one.kind, count)
    ours = [sys.executable, HERE / "format_ours.py", one.kind, path]
    command = ours if one.program == "stockfeed" else [python, HERE / "format_peers.py", one.program, path]
    found = run(command, folder=WORK, environ={**os.environ, "PYTHONPATH": ""})
    wanted = {"records": count, "quantities": total(count)}
    if found.answer != wanted:
        raise SystemExit(f"{one.program} reads {json.dumps(found.answer)} in {path}, expected {json.dumps(wanted)}")
    return found


def markdown(readings: list[Reading]) -> str:
    """Return the table as Markdown."""
    header = ("format", "program", "records / cpu s", "at least", "start included", "wall s", "MB")
    lines = [header, *(one.cells() for one in readings)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    shown = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    return "\n".join([shown[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *shown[1:]]) + "\n"


def write_results(readings: list[Reading]) -> None:
    """Write `results/formats.json` and `results/formats.md`."""
    load = round(os.getloadavg()[0], 1)
    about = {"python": platform.python_version(), "system": platform.platform(), "cpus": os.cpu_count(), "rounds": ROUNDS}
    document = {**about, "load_at_the_end": load, "rows": [one.as_json() for one in readings]}
    (HERE / "results/formats.json").write_text(json.dumps(document, indent=1) + "\n")
    words = (
        f"# Readers beside public libraries\n\nWritten by `make bench-formats`: the same {ROWS:,} records in each format, read by "
        f"each program as a whole process, in turns, medians of {ROUNDS} rounds. Seconds are processor time (user and system) of "
        "the process and of the limited child that documents are read in; the first figure leaves out what it takes to read "
        "a file of one record, the fourth does not. Memory is the highest of any process and round. Ours keeps every value as "
        "text, counts, checks limits and envelopes, and gives frames; the others find the values. Each run's records and sum of "
        f"quantities were checked before it counted. {os.cpu_count()} processors, Python {about['python']}, load {load} at the "
        "end.\n\n"
    )
    (HERE / "results/formats.md").write_text(words + markdown(readings))


def main() -> int:
    """Measure all rounds, write the results, and return 1 when a limit is not met."""
    python = peers()
    readings = [Reading(kind, program) for kind in ONLY for program in ("stockfeed", *BESIDE[kind])]
    for number in range(1, ROUNDS + 1):
        for one in readings:
            print(f"round {number} of {ROUNDS}: {one.kind}, {one.program}", flush=True)
            one.runs.append(measured(one, ROWS, python))
            one.idle.append(measured(one, 1, python))
    print(markdown(readings))
    write_results(readings)
    return 0 if all(one.is_met for one in readings) else 1


if __name__ == "__main__":
    raise SystemExit(main())
