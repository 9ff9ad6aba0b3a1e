"""`stockfeed init` and `stockfeed demo`: from nothing to a working folder, or to a running show.

Never overwrites a file that is already there.
"""

import importlib
import re
from importlib import resources

import click

from stockfeed.cli.output import emit, emit_json
from stockfeed.cli.session import Session, json_option, pass_session

_SOURCE = re.compile(r"(?<=\n)# The keys of one kind of source.*?(?=\n\n# -----)", re.DOTALL)

_TABLE = '[feed.format]\ntype = "delimited"               #'
#: What a paged interface delivers, whatever its pages hold: one JSON document a line.
_PAGES = """[feed.format]
lines = true                     # each line is a page; its list is at rows: "$[*]", or "$.items[*]" with rows = "items" above
rows = "$[*]"
type = "json_doc"                #"""


def template_text(source: str | None = None) -> str:
    """Return the supplier template: every key, explained; for one kind of source, or with the keys of all kinds.

    Raises ConfigError, with a suggestion, for an unknown kind.
    """
    folder = resources.files("stockfeed.cli")
    whole = folder.joinpath("supplier_template.toml").read_text(encoding="utf-8")
    if source is None:
        return whole
    from connectors.registry import source_options_model

    source_options_model(source)  # it exists
    section = folder.joinpath("source_templates", f"{source}.toml").read_text(encoding="utf-8")
    text = _SOURCE.sub(lambda _: section.rstrip("\n"), whole)
    return text.replace(_TABLE, _PAGES) if source == "web_api" else text


@click.command()
@json_option
@pass_session
def init(session: Session, *, as_json: bool) -> None:
    """Make the configuration, the state folder and the database.

    Safe to repeat: what is there stays as it is.

    \b
    Example:
      stockfeed init
    """
    from stockfeed.cli.db import make_folder, upgrade_database

    settings = session.settings
    folders = (settings.config_dir / "suppliers", settings.config_dir / "channels", settings.state_dir)
    made = [str(folder) for folder in folders if make_folder(folder)]
    template = settings.config_dir / "_template.toml"
    if not template.exists():
        template.write_text(template_text(), encoding="utf-8")
        made.append(str(template))
    revision = upgrade_database(session)
    if as_json:
        emit_json({"type": "initialised", "made": made, "revision": revision})
        return
    for path in made:
        emit(f"made {path}")
    emit(f"The database is at revision {revision}.")
    emit("Next: stockfeed feeds template > config/suppliers/acme.toml")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> int:
    """Show it all at work: suppliers, a shop, Airflow.

    Stays up until Ctrl-C; with ONCE=1 it ends by itself.

    \b
    Example:
      ONCE=1 stockfeed demo
    """
    # by name: the demo stands beside the command line, not below it
    run = importlib.import_module("stockfeed.demo.run").main
    code = run(list(arguments))
    return int(code or 0)
