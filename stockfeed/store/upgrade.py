"""Brings a database to the newest tables, views and rights, and says which revision it has."""

from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from stockfeed.store import roles
from stockfeed.store.engine import read, write

log = structlog.get_logger()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(engine: Engine) -> str:
    """Run the missing migrations and set the roles' rights, in one transaction; return the revision that is now in place.

    A PostgreSQL login that may not make roles goes on without them, with a warning.
    """
    config = _alembic()
    with write(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        state = roles.set_rights(connection)
    if state is not None and state.missing:
        log.warning("database_roles_missing", missing=", ".join(state.missing), remedy="see `stockfeed db roles --sql`")
    return newest_revision()


def newest_revision() -> str:
    """Return the newest revision that this version of stockfeed knows."""
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    assert head is not None
    return head


def current_revision(engine: Engine) -> str | None:
    """Return the revision of this database, None when it was never upgraded."""
    with read(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()
