"""Where errors become words: one line, a remedy, an exit code, and a traceback only with --debug.

One of the two places that catch everything (the web's handler is the other). Never prints a secret that we know.
"""

import errno
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from schemas.errors import ConfigError, StockfeedError, TransientError
from stockfeed.redaction import KNOWN, one_line

INTERRUPTED = 130
_FAULT = 1


def run(arguments: Sequence[str]) -> int:
    """Return the exit code of one command line; every error has been told on stderr."""
    from stockfeed.cli.app import stockfeed

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    debug = "--debug" in arguments
    try:
        code = stockfeed.main(args=list(arguments), prog_name="stockfeed", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        _say("Interrupted.")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary of the command line: every error is told, none is lost
        _drop_unsent_output()
        if isinstance(error, click.exceptions.NoArgsIsHelpError):  # a group alone: its page is the whole answer
            click.echo(error.format_message(), err=True)
            return ConfigError.exit_code
        known = _known(error)
        return tell(known, debug=debug) if known else _tell_fault(error, debug=debug)
    return code if isinstance(code, int) else 0


def _drop_unsent_output() -> None:
    """Let go of what stdout cannot take, on a full disk for example: Python would try again at exit, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _known(error: Exception) -> StockfeedError | None:
    """Return the error as one of ours, None for a fault that nobody foresaw."""
    if isinstance(error, StockfeedError):
        return error
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "stockfeed"
        return ConfigError(error.format_message(), f"See `{command} --help`.")
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        place = f" ({error.filename})" if error.filename else ""
        return TransientError(f"the disk is full{place}", "Free some space, then run the same command again.")
    if isinstance(error, OSError) and error.errno == errno.EIO:
        place = f" ({error.filename})" if error.filename else ""
        return TransientError(f"a disk could not be read or written{place}", "Check the disk, then run the same command again.")
    return None


def tell(error: StockfeedError, *, debug: bool = False) -> int:
    """Print an error's line and remedy on stderr and return its exit code; with `debug` its detail and traceback too."""
    if debug:
        _say(KNOWN.text("".join(traceback.format_exception(error))).rstrip())
        if error.detail:
            _say(KNOWN.text(error.detail))
    _say(f"{click.style('Error:', fg='red', bold=True)} {_clean(error.message)}")
    for line in error.hint.splitlines():
        _say(f"→ {_clean(line)}")
    return error.exit_code


def _tell_fault(error: Exception, *, debug: bool) -> int:
    text = KNOWN.text("".join(traceback.format_exception(error)))
    if debug:
        _say(text.rstrip())
    log = _keep(text)
    kept = f"The traceback is in {log}; run again" if log else "Run again"
    _say(f"{click.style('Error:', fg='red', bold=True)} unexpected fault: {type(error).__name__}: {_clean(str(error))[:300]}")
    _say(f"→ {kept} with --debug to see it here, and report it.")
    return _FAULT


def _keep(text: str) -> Path | None:
    """Return the new file that holds `text`, readable only by us; None when no folder can be written."""
    name = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
    for folder in (_log_folder(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / name
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", errors="replace"
            ) as file:
                file.write(text)
        except OSError:
            continue  # the next folder; without any the caller says so
        return path
    return None


def _log_folder() -> Path:
    return Path(os.environ.get("STOCKFEED_STATE") or ".state").absolute() / "logs"


def _clean(text: str) -> str:
    return one_line(KNOWN.text(" ".join(text.splitlines())))


def _say(line: str) -> None:
    click.echo(line, err=True)
