"""`stockfeed db`: bring the database to the newest tables, and verify the rules that are never broken.

Never changes a number: `check` only reads.
"""

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.errors import ConfigError
from stockfeed.cli.output import emit, emit_json, show_rows
from stockfeed.cli.session import Session, json_option, pass_session

if TYPE_CHECKING:
    from sqlalchemy import Engine

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


def _require_newest(engine: "Engine") -> None:
    from stockfeed.store.upgrade import current_revision, newest_revision

    current, newest = current_revision(engine), newest_revision()
    if current != newest:
        raise ConfigError(f"the database is at revision {current}, this program needs {newest}", "Run `stockfeed db upgrade`.")


@db.command()
@json_option
@pass_session
def check(session: Session, *, as_json: bool) -> int:
    """Verify the invariants on database, archive and channel log.

    Exit code 4 when a rule is broken.

    \b
    Example:
      stockfeed db check
    """
    from stockfeed.checker import check_database

    with session.app() as app:
        _require_newest(app.engine)
        faults = check_database(app.engine, app.settings.archive_dir, app.clock())
    show_rows(faults, _FAULTS, as_json=as_json, nothing="All rules hold.")
    return 4 if faults else 0


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
        _require_newest(engine)
        with write(engine) as connection:
            rights.make_roles(connection)
            return rights.set_rights(connection)
    finally:
        engine.dispose()
