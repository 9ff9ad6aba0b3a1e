"""Deliver files one after the other, each to a feed of its own; one JSON line each, and at last the memory that was used.

`python -m tests.integration.hostile_walk FOLDER TEMPLATE FILE…`: run as a process of its own, so that its memory can be measured.
"""

import json
import resource
import sys
import time
from pathlib import Path

from tests.integration.hostile_world import HostileWorld, HourClock, feed_toml

DOCUMENTS = frozenset({".json", ".xml"})
SHEETS = frozenset({".xls", ".xlsx", ".xlsm", ".xlsb", ".ods", ".doc"})


def form_of(path: Path) -> dict[str, object]:
    """What a hurried engineer would declare: the header and the archive are found, nothing is promised."""
    if path.suffix == ".json":
        return {"type": "json_doc"}
    if path.suffix == ".xml":
        return {"type": "xml_doc", "rows": "//item", "doctype": "ignore"}
    kind = "spreadsheet" if path.suffix in SHEETS else "delimited"
    return {"type": kind, "header_row": "auto", "archive": "auto"}


def deliver(folder: Path, template: Path, path: Path) -> dict[str, object]:
    folder.mkdir()
    world = HostileWorld(
        folder,
        feed_toml(folder / "inbox", form_of(path), ("sku", "quantity") if path.suffix in DOCUMENTS else ()),
        HourClock(),
        template,
    )
    began = time.monotonic()
    outcome = world.deliver(path.read_bytes(), path.name)
    seconds = time.monotonic() - began
    world.close()
    told = {"state": outcome.state, "reason": outcome.reason, "name": outcome.name, "rows": outcome.rows_read}
    return {"file": str(path), "seconds": seconds, **told}


def main(folder: str, template: str, *files: str) -> None:
    for number, file in enumerate(files):
        print(json.dumps(deliver(Path(folder) / str(number), Path(template), Path(file))), flush=True)  # noqa: T201 (its result)
    # not ru_maxrss: that of a process counts what its parent had when it was forked
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    own = next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
    used = {"SELF": own, "CHILDREN": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024}
    print(json.dumps({"megabytes": used}), flush=True)  # noqa: T201 (its result)


if __name__ == "__main__":
    main(*sys.argv[1:])
