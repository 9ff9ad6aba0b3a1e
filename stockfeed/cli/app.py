"""The tree of commands; each one's module is loaded when it is called or listed.

Never loads settings or configuration by itself: `--help` works on a broken installation.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path

import click

from stockfeed import __version__
from stockfeed.cli.session import Session

#: Command → "module:attribute", in the order of the help page: setting up, things, verbs, questions.
COMMANDS: Mapping[str, str] = {
    "init": "stockfeed.cli.setup:init",
    "demo": "stockfeed.cli.setup:demo",
    "db": "stockfeed.cli.db:db",
    "feeds": "stockfeed.cli.feeds:feeds",
    "deliveries": "stockfeed.cli.deliveries:deliveries",
    "rejections": "stockfeed.cli.rejections:rejections",
    "inventory": "stockfeed.cli.inventory:inventory",
    "channels": "stockfeed.cli.channels:channels",
    "sync": "stockfeed.cli.verbs:sync",
    "allocate": "stockfeed.cli.verbs:allocate",
    "publish": "stockfeed.cli.verbs:publish",
    "reconcile": "stockfeed.cli.verbs:reconcile",
    "sweep": "stockfeed.cli.verbs:sweep",
    "serve-uploads": "stockfeed.cli.uploads:serve_uploads",
    "why": "stockfeed.cli.inventory:why",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is used or described."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it by name
        """Return the command names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click passes it by name
        """Return the command with this name, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with. Raises NoSuchCommand with the nearest known name."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.option("--config", type=click.Path(file_okay=False, path_type=Path), help="Configuration folder (default ./config).")
@click.option("--debug", is_flag=True, help="Show tracebacks and debug events.")
@click.version_option(__version__, "--version", message="stockfeed %(version)s")
@click.pass_context
def stockfeed(context: click.Context, config: Path | None, *, debug: bool) -> None:
    """Supplier stock in, available-to-sell quantities out.

    \b
    Exit codes: 0 done, 1 fault, 2 held for a person, 3 configuration,
    4 a person must look, 75 try again later, 130 interrupted.

    \b
    Example:
      stockfeed feeds check
      stockfeed feeds try acme.stock --file sample.csv
      stockfeed sync acme.stock
      stockfeed publish
    """
    context.obj = Session(config_dir=config, debug=debug)
