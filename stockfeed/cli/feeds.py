"""`stockfeed feeds`: what is configured, whether it is right, what a file would give, and letting a new feed out of shadow.

Never reads a supplier's server: `stockfeed sync` does.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from stockfeed.cli.output import emit, emit_json, show_record, show_rows
from stockfeed.cli.session import Session, actor, json_option, pass_session, reason_option

_LIST = (
    ("feed", "feed"),
    ("code", "feed"),
    ("in_shadow", "shadow"),
    ("is_stale", "stale"),
    ("as_of", "as of (UTC)"),
    ("levels", "levels"),
    ("waiting", "waiting"),
    ("held", "held"),
    ("last_error", "last error"),
)


@click.group()
def feeds() -> None:
    """Streams of stock from suppliers.

    \b
    Example:
      stockfeed feeds list
    """


@feeds.command("list")
@json_option
@pass_session
def list_feeds(session: Session, *, as_json: bool) -> None:
    """List the feeds with their state.

    \b
    Example:
      stockfeed feeds list --json
    """
    with session.app() as app:
        from stockfeed import reports

        show_rows(reports.feeds(app), _LIST, as_json=as_json, nothing="No feeds are configured: see `stockfeed feeds template`.")


@feeds.command()
@click.argument("patterns", nargs=-1, metavar="[FEED]...")
@json_option
@pass_session
def check(session: Session, patterns: tuple[str, ...], *, as_json: bool) -> int:
    """Check every configuration file and tell all mistakes at once.

    Connections that this environment does not have, or has in a way that
    cannot be read, are named as a note: inside Airflow they may come from
    elsewhere.

    \b
    Example:
      stockfeed feeds check
    """
    from stockfeed.settings import ConfigMistakesError, load_config

    try:
        config = load_config(session.settings)
    except ConfigMistakesError as error:
        if not as_json:
            raise
        for mistake in error.mistakes:
            emit_json({"type": "mistake", **asdict(mistake)})
        return error.exit_code
    chosen = config.select(patterns)
    used = config.connections()
    missing = _missing_connections(used)
    unreadable = _unreadable_connections(used.keys() - missing.keys())
    if as_json:
        summary = {"type": "summary", "feeds": list(chosen), "channels": list(config.channels)}
        emit_json(summary | {"missing_connections": missing, "unreadable_connections": unreadable})
        return 0
    emit(f"No mistakes: {_count(len(chosen), 'feed')}, {_count(len(config.channels), 'channel')}.")
    for name, users in missing.items():
        emit(f"Note: AIRFLOW_CONN_{name.upper()} is not set here; {', '.join(users)} cannot connect from this environment.")
    for name, why in unreadable.items():
        emit(f"Note: {why} (AIRFLOW_CONN_{name.upper()}); {', '.join(used[name])} cannot connect.")
    return 0


def _missing_connections(used: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: users for name, users in used.items() if not os.environ.get(f"AIRFLOW_CONN_{name.upper()}", "").strip()}


def _unreadable_connections(used: Iterable[str]) -> dict[str, str]:
    from schemas.errors import CredentialsError
    from stockfeed.secrets import find_connection

    found = {}
    for name in sorted(used):
        try:
            find_connection(name)
        except CredentialsError as error:
            found[name] = error.message
    return found


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@feeds.command("try")
@click.argument("feed", required=False)
@click.option("--file", "file", type=click.Path(path_type=Path), required=True, help="A file as the supplier sends it.")
@click.option("--stage", type=click.Choice(["read", "rules"]), default="rules", help="Stop after reading, or apply all rules.")
@json_option
@pass_session
def try_feed(session: Session, feed: str | None, file: Path, *, stage: str, as_json: bool) -> int:
    """Show what a file would give, without a server or a database.

    Without a feed: guess a first configuration for the file, and print it
    as TOML with what it is unsure of. A person decides and saves it.

    \b
    Exit codes: 0 it would be applied (also with rejected rows), 2 held,
    3 configuration, 4 the whole file is rejected, 75 try again.

    \b
    Example:
      stockfeed feeds try acme.stock --file sample.csv
      stockfeed feeds try acme.stock --file sample.csv --json --stage read
      stockfeed feeds try --file stranger.csv
    """
    from schemas.errors import ConfigError
    from stockfeed.cli.trial import report_guess, report_trial

    typed = None
    if feed is not None:
        from stockfeed.settings import load_feed

        typed = load_feed(session.settings, feed)
    if not file.is_file():
        raise ConfigError(f"there is no file {file}", "Give the path of a file as the supplier sends it.")
    if feed is None or typed is None:
        return report_guess(file, as_json=as_json)
    from stockfeed.pipeline.trial import try_file

    lines = try_file(session.settings, typed, file, stage="read" if stage == "read" else "rules")
    return report_trial(lines, file=file, feed=feed, as_json=as_json)


@feeds.command()
@click.argument("feed")
@reason_option("trust this feed's numbers")
@json_option
@pass_session
def release(session: Session, feed: str, *, reason: str, as_json: bool) -> None:
    """Let a new feed out of shadow: from now on its stock is offered.

    \b
    Example:
      stockfeed feeds release acme.stock --reason "compared with the portal"
    """
    with session.app() as app:
        from stockfeed.pipeline.acts import release_feed

        app.config.feed(feed)
        release_feed(app, feed, actor=actor(), reason=reason)
        if as_json:
            emit_json({"type": "released", "feed": feed})
        else:
            emit(f"{feed} is out of shadow; its stock is offered from the next `stockfeed allocate`.")


@feeds.command()
@click.argument("feed")
@json_option
@pass_session
def audit(session: Session, feed: str, *, as_json: bool) -> int:
    """Run Great Expectations on a feed's last delivery.

    The result is stored beside it.

    Exit code 4 when it disagrees with our own evaluation.

    \b
    Example:
      stockfeed feeds audit acme.stock
    """
    from stockfeed.cli.output import progress

    with session.app() as app, progress("auditing", 1) as step:
        from stockfeed.pipeline.whole_contract import audit_feed

        app.config.feed(feed)
        step(feed)
        result: dict[str, Any] = audit_feed(app, feed)
    show_record(result, as_json=as_json)
    return 0 if result.get("agrees", True) else 4


@feeds.command()
@json_option
def token(*, as_json: bool) -> None:
    """Make a token for a feed that files are pushed to.

    The token is shown once, for the supplier; its hash is for the file.

    \b
    Example:
      stockfeed feeds token
    """
    from connectors.upload import new_token, token_hash

    made = new_token()
    if as_json:
        emit_json({"type": "token", "token": made, "hash": token_hash(made)})
        return
    emit(f"Give this to the supplier; it is not shown again:\n  {made}")
    emit(f'Add this to the feed\'s [feed.source]:\n  tokens = ["{token_hash(made)}"]')


@feeds.command()
@click.argument("source", required=False)
def template(source: str | None) -> None:
    """Print a supplier file with every key explained.

    With SOURCE (sftp, ftp, web_file, …) its keys are those of that kind of
    source alone.

    \b
    Example:
      stockfeed feeds template sftp > config/suppliers/acme.toml
    """
    from stockfeed.cli.setup import template_text

    emit(template_text(source).rstrip("\n"))
