"""The command line: `main` is the boundary where every error becomes one line, a remedy and an exit code.

Never does a feed's work itself: commands call the verbs of `stockfeed.pipeline` and the reads of `stockfeed.store`.
Importing this package loads no client library and no database: commands load what they need when they run.
"""

import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from stockfeed.cli.boundary import run

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["main"]

_NEW_OBJECTS = 20_000  # between two searches for garbage: starting makes some 300,000 objects, none of which is any


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line (default: this process's) and end the process with its exit code.

    0 done · 1 a fault of ours · 2 held for a person · 3 configuration · 4 a person must look · 75 try again · 130 Ctrl-C.
    """
    sys.unraisablehook = _note_unraisable
    if argv is not None:
        sys.exit(run(list(argv)))
    gc.set_threshold(_NEW_OBJECTS)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would open the metadata of every installed package
    code = run(sys.argv[1:])
    gc.freeze()  # the end of the process frees all memory at once; Python would look at each object first
    sys.exit(code)


def _note_unraisable(fault: "UnraisableHookArgs", /) -> None:
    """Log what failed while a client library tidied up after an error that is told anyway; shown with --debug only."""
    import logging

    error = f"{type(fault.exc_value).__name__}: {fault.exc_value}"
    logging.getLogger(__name__).debug("tidying_up_failed in %s: %s", type(fault.object).__name__, error)
