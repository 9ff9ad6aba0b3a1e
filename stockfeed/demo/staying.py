"""How a program of the demo stays up and ends: Ctrl-C and the signals of a closing terminal take the same way out.

Never ends anything itself: every `with` on the way out ends what it started.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from schemas.errors import StockfeedError
from stockfeed.demo import telling
from stockfeed.demo.process_group import ProcessGroup

_INTERRUPTED = 130  # what a shell gives for Ctrl-C


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt in the body."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def stay(group: ProcessGroup, log: str, farewell: str) -> None:
    """Return when `group` has ended (its `log` is named then) or at Ctrl-C (`farewell` is said then)."""
    telling.say("Everything stays up. Ctrl-C ends it.")
    try:
        while group.ended is None:
            time.sleep(1)
        telling.say(f"Airflow has ended; see {log}.")
    except KeyboardInterrupt:
        telling.say(f"\n{farewell} …")


def run_as_program(main: Callable[[], int]) -> NoReturn:
    """End this process with what `main` returns; an error of ours is one line with its remedy and its own exit code."""
    try:
        sys.exit(main())
    except StockfeedError as problem:
        print(f"Error: {problem.message}\n→ {problem.hint}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
