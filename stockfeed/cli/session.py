"""What every command of one command line shares: its options, settings and the opened application.

Never opens anything before a command asks for it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import datetime

    from stockfeed.bootstrap import App
    from stockfeed.settings import Config, Settings


@dataclass
class Session:
    """The global options, and what they lead to."""

    config_dir: Path | None = None
    debug: bool = False

    @cached_property
    def _settings(self) -> "Settings":
        from stockfeed.settings import load_settings

        return load_settings(os.environ, config_dir=self.config_dir)

    @cached_property
    def settings(self) -> "Settings":
        """Return the settings of this environment, and configure logging by them. Raises ConfigError."""
        from stockfeed.logs import configure_logging

        settings = self._settings
        # a person at a terminal gets the answer; events are for files and schedulers, or on request
        quiet = sys.stderr.isatty() and not os.environ.get("STOCKFEED_LOG_LEVEL")
        configure_logging("DEBUG" if self.debug else "WARNING" if quiet else settings.log_level, settings.log)
        return settings

    @cached_property
    def config(self) -> "Config":
        """Return all suppliers, feeds and channels. Raises ConfigError with every mistake of the configuration."""
        from stockfeed.settings import load_config

        return load_config(self._settings)  # loggers are made later, and take a while

    @contextmanager
    def app(self) -> Iterator["App"]:
        """Yield the opened application. Raises ConfigError with every mistake of the configuration."""
        config = self.config  # before the application: what knows no database is loaded in a third of the time
        from stockfeed.bootstrap import open_app

        with open_app(self.settings, config=config) as app:
            yield app


pass_session = click.make_pass_decorator(Session)


def actor() -> str:
    """Return who acts, for the audit: the user name of this process, "cli" without one."""
    import getpass

    try:
        return f"{getpass.getuser()} (cli)"
    except (KeyError, OSError):  # a container's user id without a name
        return "cli"


def instant(text: str) -> "datetime":
    """Return a point in time as a person writes it, with its zone. Raises ConfigError."""
    from datetime import datetime

    from schemas.errors import ConfigError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigError(f"{text!r} is no instant with a time zone", 'Write for example "2026-11-02T08:00Z".')
    return found


def reason_option(act: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator of the required option --reason, kept in the audit beside the act."""
    return click.option("--reason", required=True, metavar="TEXT", help=f"Why you {act}; kept in the audit.")


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line, for programs.")
