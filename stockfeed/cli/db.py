"""`stockfeed db`: bring the database to the newest tables, and verify the rules that are never broken.

Never changes a number: `check` only reads.
"""

import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.errors import ConfigError
from stockfeed.cli.output import emit, emit_json, show_rows
from stockfeed.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from stockfeed.settings import Settings
    from stockfeed.store.roles import RoleState

_FAULTS = (("rule", "rule"), ("subject", "where"), ("message", "what is wrong"))


@click.group()
def db() -> None:
    """The database.

    \b
    Example:
      stockfeed db upgrade
    """


@db.command()
@json_option
@pass_session
def upgrade(session: Session, *, as_json: bool) -> None:
    """Make or update the tables and views; safe to repeat.

    \b
    Example:
      stockfeed db upgrade
    """
    revision = upgrade_database(session)
    if as_json:
        emit_json({"type": "upgraded", "revision": revision})
    else:
        emit(f"The database is at revision {revision}.")


def make_folder(folder: Path) -> bool:
    """Make a folder and those above it; return False when it was there. Raises ConfigError when it cannot be made."""
    if folder.is_dir():
        return False
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ConfigError(
            f"the folder {folder} cannot be made: {error.strerror}", "Check the path and its access rights."
        ) from error
    return True


def upgrade_database(session: Session) -> str:
    """Make or update the tables of this environment's database and return the revision that is now in place."""
    from stockfeed.store.engine import make_engine
    from stockfeed.store.upgrade import upgrade as upgrade_tables

    settings = session.settings
    if settings.database_url.startswith("sqlite:///"):
        make_folder(settings.state_dir)
    engine = make_engine(settings.database_url, busy_seconds=settings.busy_seconds)
    try:
        return upgrade_tables(engine)
    finally:
        engine.dispose()


def _require_newest(settings: "Settings") -> None:
    from stockfeed.store.engine import make_engine
    from stockfeed.store.upgrade import current_revision, newest_revision

    engine = make_engine(settings.database_url, busy_seconds=settings.busy_seconds)
    try:
        current, newest = current_revision(engine), newest_revision()
    finally:
        engine.dispose()
    if current != newest:
        raise ConfigError(f"the database is at revision {current}, this program needs {newest}", "Run `stockfeed db upgrade`.")


@db.command()
@click.option("--archive", type=click.Path(path_type=Path), metavar="FOLDER", help="The archived bytes, if elsewhere.")
@click.option(
    "--channel-log",
    "logs",
    multiple=True,
    metavar="[CHANNEL=]FILE",
    help="What a channel received, as JSON lines.",
)
@json_option
@pass_session
def check(session: Session, *, archive: Path | None, logs: tuple[str, ...], as_json: bool) -> int:
    """Verify the rules that are never broken, and show the first 20 faults.

    Reads the database, the archive and, if given, what a channel received; changes nothing. Exit code 1 when a rule is broken.

    \b
    Example:
      stockfeed db check
      stockfeed db check --channel-log shop=shop.ndjson --json
    """
    from urllib.parse import unquote

    from sqlalchemy import make_url

    from stockfeed.checker import check_database

    settings = session.settings
    _require_newest(settings)
    url = make_url(settings.database_url)
    faults = check_database(
        url,
        archive or settings.archive_dir,
        datetime.now(UTC),
        channel_logs=_channel_logs(settings, logs),
        secrets=[unquote(str(url.password or ""))],
    )
    show_rows(faults, _FAULTS, as_json=as_json, nothing="All rules hold.")
    return 1 if faults else 0


def _channel_logs(settings: "Settings", logs: tuple[str, ...]) -> dict[str, Path]:
    """Return the files by channel code. A file without a code is the only configured channel's."""
    from stockfeed.settings import load_config

    found: dict[str, Path] = {}
    for given in logs:
        code, _, path = given.rpartition("=")
        if not code:
            channels = list(load_config(settings, isolate=True).channels)
            if len(channels) != 1:
                raise ConfigError(f"which channel's log is {path}?", "Write it as --channel-log CHANNEL=FILE.")
            [code] = channels
        if not Path(path).is_file():
            raise ConfigError(f"there is no channel log {path}", "Check the path.")
        found[code] = Path(path)
    return found


@db.command()
@click.option("--sql", is_flag=True, help="Only print what an administrator runs where this login may not make roles.")
@json_option
@pass_session
def roles(session: Session, *, sql: bool, as_json: bool) -> None:
    """Make PostgreSQL's group roles and set their rights; safe to repeat.

    Run it as the owner, the login that runs `db upgrade`.

    \b
    Example:
      stockfeed db roles
      stockfeed db roles --sql
    """
    from stockfeed.store.roles import administrator_sql

    if sql:
        emit(administrator_sql().rstrip())
        return
    state = _set_roles(session)
    if state is None:
        raise ConfigError(
            "SQLite has no roles",
            "Give its file and folder to one user; use PostgreSQL where several programs have different rights.",
        )
    if state.missing:
        raise ConfigError(
            f"the server lacks {', '.join(state.missing)}, and this login may not make roles",
            "Let an administrator run what `stockfeed db roles --sql` prints, then run `stockfeed db roles` again.",
        )
    if as_json:
        emit_json({"type": "roles", "roles": list(state.present)})
    else:
        emit(f"{', '.join(state.present)} have their rights. Make logins members of them.")


def _set_roles(session: Session) -> "RoleState | None":
    from stockfeed.store import roles as rights
    from stockfeed.store.engine import make_engine, write

    engine = make_engine(session.settings.database_url, busy_seconds=session.settings.busy_seconds)
    try:
        if engine.dialect.name != "postgresql":
            return None
        _require_newest(session.settings)
        with write(engine) as connection:
            rights.make_roles(connection)
            return rights.set_rights(connection)
    finally:
        engine.dispose()
