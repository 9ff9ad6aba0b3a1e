"""Damaged EDI files at random, for both readers: `make fuzz RUNS=… SEED=…`. Only a DeliveryError may come out, in 5 CPU seconds.

Each file is also read in blocks of two sizes: where a block ends must make no difference. A run is told by its seed and number.
"""

import argparse
import io
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from schemas.errors import DeliveryError
from tests.unit.formats.edi_making import invrpt, lines, x12
from transforms.formats import edi_x12, edifact
from transforms.formats.edi_answers import answers
from transforms.formats.edi_options import EdifactOptions, X12Options

SECONDS = 5.0
AT = datetime(2026, 11, 23, 13, 5, tzinfo=UTC)
X12_SEEDS = (
    x12(*lines(3), "CTT*3*6"),
    x12(*lines(80)),
    x12(*lines(50)) + x12(*lines(60), control=906).replace(b"~", b"}").replace(b"*", b"|"),
    x12("N1*WH*MAIN*92*W1", "LIN**VP*A*UP*4006381333931", "QTY*33*5*EA", "SDQ*EA*92*W1*2*W2*3", "SCH*9*EA***018*20261201"),
    x12("LIN**VP*A", "LS*9", "REF*WS*W1", "QTY*33*1", "REF*WS*W2", "QTY*33*2", "LE*9", "CTP**UCP*1.50", purpose="25"),
    x12(*lines(1)) + x12(*lines(2), control=906),
    x12(*lines(2)).replace(b"~", b"~\r\n"),
    b"\xef\xbb\xbf" + x12(*lines(2)).replace(b"*", b"|").replace(b"~", b"\n"),
)
EDIFACT_SEEDS = (
    invrpt("LIN+1++4006381333931:EN", "PIA+5+A?'B?+C:SA", "QTY+145:10,5:PCE", "LOC+14+W1"),
    invrpt(*(part for n in range(30) for part in (f"LIN+{n}++A?+{n}:SA", f"QTY+145:{n}"))),
    invrpt("NAD+WH+W1::92", "LIN+1++A:SA", "INV+2++1", "QTY+156:10", "QTY+145:20", "LOC+18+YA:::567", "CNT+2:1"),
    invrpt("LIN+1++A:SA", "QTY+145:3", una="") + invrpt("LIN+1++A:SA", "QTY+145:4", control="906"),
    invrpt("LIN+1++A:SA", "QTY+145:3", una="").replace(b"'", b"\n"),
    invrpt("LIN+1++A:SA", "QTY+145:3").replace(b"UNA:+.? '", b"UNA:+,! '"),
)
PIECES = (b"ISA", b"*", b"~", b"GS*", b"ST*846*", b"SE*", b"IEA", b"UNA", b"UNB+", b"UNH+", b"UNZ",
          b"'", b"?", b"+", b":", b"\x00", b"\xff",
          b"\n", b"\r\n", b" ", b"LIN", b"QTY", b"99999999999999999999", b"\xc3\xa9", b"'" * 9, b"~" * 9)  # fmt: skip


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The file with up to six random changes: bytes replaced, cut out, doubled, put in, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 5, 40)))
        kind = rng.randrange(6)
        if kind == 0:
            data[at:to] = bytes(rng.randrange(256) for _ in range(to - at))
        elif kind == 1:
            del data[at:to]
        elif kind == 2:
            data[at:at] = data[at:to]
        elif kind == 3 and at:
            del data[at:]
        else:
            data[at:at] = rng.choice(PIECES)
    return bytes(data)


def outcome(read: Callable[..., Any], content: bytes, options: Any) -> Any:
    """What a reader makes of the file: its rows and notes, or the refusal."""
    try:
        batches = list(read(lambda: io.BytesIO(content), options))
    except DeliveryError as error:
        return error.code, error.message
    return [row for batch in batches for row in batch.frame.rows()], batches[-1].reading, batches[-1].notes


def _refusal(observe: Callable[..., Any], content: bytes, options: Any) -> tuple[str, str] | None:
    try:
        list(observe(lambda: io.BytesIO(content), options))
    except DeliveryError as error:
        return error.code, error.message
    return None


def run(number: int, seed: int) -> None:
    """One damaged file through reading in two block sizes, observing, examining and answering."""
    rng = random.Random(f"{seed}:{number}")
    module, model, seeds, kind = rng.choice(
        ((edi_x12, X12Options, X12_SEEDS, "997"), (edifact, EdifactOptions, EDIFACT_SEEDS, "contrl"))
    )
    content = damaged(rng.choice(seeds), rng)
    began = time.process_time()
    envelope = rng.choice(("required", "optional"))
    whole, pieces = (
        model(envelope=envelope, block_bytes=size, test="read") for size in (1 << 20, rng.choice((1, 7, 64, 97, 500, 1500)))
    )
    told = outcome(module.read, content, whole)
    again = outcome(module.read, content, pieces)
    # of several reasons to refuse a file another one may be met first; whether it is refused may not differ
    assert again == told or len(again) == len(told) == 2, (seed, number, content, told, again)
    try:
        # goes segment by segment, where reading takes line items by their shape
        assert _refusal(module.observe, content, whole) == (told if len(told) == 2 else None), (seed, number, content, told)
        answers(module.examine(lambda: io.BytesIO(content), whole), kind, f"{number:064x}", AT)
    except DeliveryError:
        pass  # one clear outcome, as it should be
    except Exception as error:
        raise AssertionError((seed, number, content)) from error
    assert time.process_time() - began < SECONDS, (seed, number, content)


def main() -> None:
    """Run as many as asked for, and say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="go on where an earlier run with this seed ended")
    chosen = parser.parse_args()
    for number in range(chosen.first, chosen.first + chosen.runs):
        run(number, chosen.seed)
        if number % 10_000 == 9_999:
            sys.stdout.write(f"up to {number + 1} with seed {chosen.seed}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{chosen.runs} runs with seed {chosen.seed}: no uncaught exception, none over {SECONDS:g} s\n")


if __name__ == "__main__":
    main()
