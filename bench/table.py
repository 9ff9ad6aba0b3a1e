"""The rows of the table: what is measured, what it may take, and how both are shown."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from process import Measured


@dataclass(slots=True)
class Row:
    """One line of the table: at most so many seconds, or so many times the yardstick's seconds, and so much memory (MB)."""

    work: str
    memory_limit: float
    seconds_limit: float | None = None
    yardstick: str | None = None
    ratio_limit: float | None = None
    runs: list[Measured] = field(default_factory=list)
    yardstick_runs: list[Measured] = field(default_factory=list)
    idle_runs: list[Measured] = field(default_factory=list)  # the same command with nothing to do: start-up

    @property
    def seconds(self) -> float:
        """Return the median of the seconds of wall clock."""
        return statistics.median(run.wall for run in self.runs)

    @property
    def memory(self) -> float:
        """Return the highest memory of any run, in MB."""
        return max(run.memory for run in self.runs)

    @property
    def limit(self) -> float | None:
        """Return the seconds it may take; None when that depends on a yardstick that is not there."""
        if self.seconds_limit is not None:
            return self.seconds_limit
        if not self.yardstick_runs or self.ratio_limit is None:
            return None
        return self.ratio_limit * statistics.median(run.wall for run in self.yardstick_runs)

    @property
    def is_within(self) -> bool:
        """Return whether neither time nor memory is above its limit."""
        return (self.limit is None or self.seconds <= self.limit) and self.memory <= self.memory_limit

    def cells(self) -> tuple[str, ...]:
        """Return the row as the table shows it."""
        limit = "–" if self.limit is None else f"{self.limit:.2f}"
        against = "–"
        if self.yardstick_runs:
            yardstick = statistics.median(run.wall for run in self.yardstick_runs)
            against = f"{self.yardstick} {yardstick:.2f} s × {self.ratio_limit:g}"
        cpu = statistics.median(run.cpu for run in self.runs)
        idle = f"{statistics.median(run.wall for run in self.idle_runs):.2f}" if self.idle_runs else "–"
        memory = (f"{self.memory:.0f}", f"{self.memory_limit:g}")
        within = "yes" if self.is_within else "NO"
        return (self.work, f"{self.seconds:.2f}", limit, idle, against, f"{cpu:.2f}", *memory, within)

    def as_json(self) -> dict[str, Any]:
        """Return everything that was measured for this row."""
        runs = {"runs": self.runs, "yardstick_runs": self.yardstick_runs, "idle_runs": self.idle_runs}
        shown = {name: [{"wall": r.wall, "cpu": r.cpu, "memory_mb": r.memory} for r in found] for name, found in runs.items()}
        limits = {"seconds_limit": self.seconds_limit, "ratio_limit": self.ratio_limit, "memory_limit_mb": self.memory_limit}
        return {"work": self.work, "yardstick": self.yardstick, **limits, **shown, "within": self.is_within}


_HEADER = ("work", "s", "at most", "idle s", "yardstick", "cpu s", "MB", "at most", "within")


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown, columns aligned."""
    lines = [_HEADER, *(row.cells() for row in rows if row.runs)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    shown = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([shown[0], rule, *shown[1:]]) + "\n"


def write_results(folder: Path, rows: Sequence[Row], *, rounds: int) -> None:
    """Write `latest.json` and `latest.md`."""
    folder.mkdir(exist_ok=True)
    load = os.getloadavg()[0]
    about = {"python": platform.python_version(), "system": platform.platform(), "cpus": os.cpu_count(), "rounds": rounds}
    document = {**about, "load_at_the_end": round(load, 2), "rows": [row.as_json() for row in rows if row.runs]}
    (folder / "latest.json").write_text(json.dumps(document, indent=1) + "\n")
    words = (
        f"# The last measured figures\n\nWritten by `make bench`: medians of {rounds} rounds, whole processes, everything included"
        " (archive, contract, guard, history). Each run's outcome was checked exactly before it counted. Memory is the"
        f" highest of all rounds. {os.cpu_count()} processors, Python {about['python']}, load {load:.1f} at the end.\n\n"
    )
    (folder / "latest.md").write_text(words + markdown(rows))
