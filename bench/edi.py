"""Line items a second of the EDI readers, and their memory: `python -m bench.edi [LINES]`, each format in a process of its own.

A line is LIN, QTY and one segment more, as most suppliers send. The limits are those the readers were built for.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_ROUNDS = 3
LIMITS = {"edi_x12": 150_000, "edifact": 60_000}
_ISA = "ISA*00*          *00*          *ZZ*SUPPLIER       *ZZ*BUYER          *261123*1253*U*00401*000000905*0*P*>~"


def x12(lines: int) -> Iterator[str]:
    """Yield the parts of an 846 with so many line items."""
    yield _ISA + "GS*IB*SUPPLIER*BUYER*20261123*1253*1*X*004010~ST*846*0001~BIA*00*DD*STK1*20261123*1253~"
    for n in range(1, lines + 1):
        yield f"LIN*{n}*VP*AB-{n:07}*UP*4006381333931~PID*F****WIDGET NUMBER {n}~QTY*33*{n % 500}*EA~"
    yield f"CTT*{lines}~SE*{lines * 3 + 4}*0001~GE*1*1~IEA*1*000000905~"


def edifact(lines: int) -> Iterator[str]:
    """Yield the parts of an INVRPT with so many line items."""
    yield "UNA:+.? 'UNB+UNOC:3+SUPPLIER:14+BUYER:14+261123:1253+905'"
    yield "UNH+1+INVRPT:D:96A:UN:EAN004'BGM+35+STK1+9'DTM+137:20261123:102'"
    for n in range(1, lines + 1):
        yield f"LIN+{n}++4006381333931:EN'PIA+5+AB-{n:07}:SA'QTY+145:{n % 500}:PCE'"
    yield f"UNT+{lines * 3 + 4}+1'UNZ+1+905'"


def measure(kind: str, path: Path) -> None:
    """Read the file and print its line items a CPU second, and how much memory grew, in MB."""
    from transforms.formats.edi_options import EdifactOptions, X12Options
    from transforms.formats.registry import load_reader

    read, options = load_reader(kind), X12Options() if kind == "edi_x12" else EdifactOptions()
    before, fastest, rows = _peak(), float("inf"), 0
    for _ in range(_ROUNDS):
        began = time.process_time()
        rows = sum(batch.frame.height for batch in read(lambda: path.open("rb"), options))
        fastest = min(fastest, time.process_time() - began)
    print(f"{kind}: {rows} line items, {rows / fastest:,.0f} a CPU second (at least {LIMITS[kind]:,}), +{_peak() - before} MB")


def _peak() -> int:
    """Return the most memory this process has had, in MB (VmHWM: ru_maxrss would count its parent's)."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


def main(arguments: list[str]) -> None:
    """Measure both formats on files of the given number of lines (100,000), or with two arguments one file."""
    if len(arguments) == 2:  # noqa: PLR2004 - a format and a path
        measure(arguments[0], Path(arguments[1]))
        return
    lines = int(arguments[0]) if arguments else 100_000
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in (("edi_x12", x12), ("edifact", edifact)):
            path = Path(folder) / kind
            path.write_text("".join(make(lines)), encoding="ascii")
            subprocess.run([sys.executable, "-m", "bench.edi", kind, str(path)], check=True, env=dict(os.environ))


if __name__ == "__main__":
    main(sys.argv[1:])
