"""The limited reading processes of a worker, as other tests find, wait for and stop them."""

import os
import select
from pathlib import Path

import openpyxl

_PATIENCE = 6_000  # looks, each at most a hundredth of a second


def workbook(path: Path, rows: int = 2, quantity: int = 0) -> Path:
    """Write a workbook with a header and `rows` records."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Stock")
    sheet.append(["sku", "quantity"])
    for number in range(rows):
        sheet.append([f"A{number}", quantity or number])
    book.save(path)
    return path


def reading_children(worker: int | None = None) -> set[int]:
    """Process ids of the reading children of `worker` (by default this process) that still run."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == (worker or os.getpid()) and fields[0] != "Z" and b"stockfeed.reading_child" in command:
            found.add(int(status.parent.name))
    return found


def wait_for_a_child(worker: int) -> int:
    """Return the id of the reading child of `worker` as soon as there is one; fails when the worker ends without one."""
    end = os.pidfd_open(worker)
    try:
        for _ in range(_PATIENCE):
            found = reading_children(worker)
            if found:
                return found.pop()
            if select.select([end], [], [], 0.01)[0]:
                break
    finally:
        os.close(end)
    message = f"process {worker} has ended, or waited too long, without a child that reads"
    raise AssertionError(message)
