"""Databases that are locked, read-only, unreachable, absent or empty: one clear line, a remedy, the exit code, nothing lost."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import make_url

from stockfeed.store.engine import make_engine
from tests.e2e.outcomes import (
    AT,
    FEED,
    SHOWN,
    STOCK,
    closed_port,
    everything_is_right,
    refused,
    shows_its_traceback_with_debug,
    synced,
)
from tests.servers.site import Site
from tests.servers.small_disk import SmallDisk


@contextmanager
def a_database(server: str) -> Iterator[str]:
    """The URL of a new, empty database of a PostgreSQL server."""
    name = f"outcomes_{os.urandom(6).hex()}"
    engine = make_engine(server)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
            try:
                yield make_url(server).set(database=name).render_as_string(hide_password=False)
            finally:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        engine.dispose()


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds SQLite's write lock."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield
        other.communicate()


def test_a_locked_database_is_a_try_again_after_the_configured_wait(folder_site: Site) -> None:
    database = folder_site.folder / ".state" / "stockfeed.sqlite3"
    folder_site.environment["STOCKFEED_BUSY_SECONDS"] = "0.05"
    with locked(database):
        for words in (["sync"], ["db", "upgrade"], ["init"], ["sweep"]):
            answer = folder_site.process(*words)
            refused(answer, 75, rf"{FEED}the database sqlite:///{database} is locked by another process", "Try again when")
        shows_its_traceback_with_debug(folder_site, "sync", code=75)
        assert folder_site.rows("inventory", "show") == []  # readers do not wait
        assert folder_site.rows("feeds", "list")[0]["feed"] == "acme.stock"
    synced(folder_site)


def test_a_database_locked_in_the_middle_of_a_sync_loses_nothing(folder_site: Site) -> None:
    synced(folder_site)
    folder_site.deliver(STOCK | {"A": 6}, AT + timedelta(minutes=1))
    folder_site.environment["STOCKFEED_BUSY_SECONDS"] = "0.05"
    with locked(folder_site.folder / ".state" / "stockfeed.sqlite3"):
        assert folder_site.process("sync").code == 75
    assert folder_site.process("sync").code == 0
    everything_is_right(folder_site, SHOWN | {"A": "6"}, deliveries=2)


def test_a_read_only_database_needs_a_person(folder_site: Site) -> None:
    database = folder_site.folder / ".state" / "stockfeed.sqlite3"
    folder_site.environment["STOCKFEED_DATABASE_URL"] = f"sqlite:///file:{database}?mode=ro&uri=true"
    for words in (["sync"], ["sweep"]):
        refused(folder_site.process(*words), 4, rf"{FEED}the database \S+ is read-only", "Give the process write access")
    shows_its_traceback_with_debug(folder_site, "sync", code=4)
    assert folder_site.rows("inventory", "show") == []
    del folder_site.environment["STOCKFEED_DATABASE_URL"]
    synced(folder_site)


def test_a_database_on_a_disk_that_is_mounted_read_only_cannot_be_opened(disk: SmallDisk, folder_site: Site) -> None:
    disk.remount("ro")
    for words in (["sync"], ["inventory", "show"], ["sweep"], ["db", "upgrade"]):
        refused(folder_site.process(*words), 3, r"the database \S+ cannot be opened", "the folder's access rights")
    disk.remount("rw")
    synced(folder_site)


def test_a_postgresql_database_that_only_reads_needs_a_person(bare_site: Site, postgres_url: str) -> None:
    with a_database(postgres_url) as url:
        bare_site.environment["STOCKFEED_DATABASE_URL"] = url
        assert bare_site("db", "upgrade").code == 0
        bare_site.add_supplier()
        bare_site.deliver(STOCK, AT)
        bare_site.environment["PGOPTIONS"] = "-c default_transaction_read_only=on"
        refused(bare_site.process("sync"), 4, rf"{FEED}the database postgresql\S+ is read-only", "write access")
        del bare_site.environment["PGOPTIONS"]
        synced(bare_site)


def test_an_unreachable_postgresql_server_is_a_try_again(bare_site: Site, postgres_url: str) -> None:
    for supplier in ("acme", "globex"):
        bare_site.add_supplier(supplier)  # what concerns all of them is told once
    bare_site.deliver(STOCK, AT)
    bare_site.secrets.add("canary-Pg_64")
    with a_database(postgres_url) as url:
        bare_site.environment["STOCKFEED_DATABASE_URL"] = url
        assert bare_site("db", "upgrade").code == 0
        place = f"127.0.0.1:{closed_port()}/stock"
        bare_site.environment["STOCKFEED_DATABASE_URL"] = f"postgresql://stock:canary-Pg_64@{place}"
        message = rf"the database postgresql\+psycopg://stock:\*\*\*@{re.escape(place)} cannot be reached"
        for words in (["sync"], ["db", "upgrade"], ["inventory", "show"], ["db", "check"]):
            refused(bare_site.process(*words), 75, message, "Check that it runs, then try again")
        shows_its_traceback_with_debug(bare_site, "sync", code=75)
        bare_site.environment["STOCKFEED_DATABASE_URL"] = url
        synced(bare_site)


def test_a_database_or_user_that_does_not_exist_is_a_mistake_of_the_setting(site: Site, database_url: str) -> None:
    if database_url.startswith("sqlite"):
        wrong = {f"{database_url.replace('stockfeed.sqlite3', 'nowhere')}/stock.sqlite3": "cannot be opened"}
    else:
        url = make_url(database_url)
        wrong = {str(u): "does not exist" for u in (url.set(database="nowhere"), url.set(username="nobody_here"))}
    site.add_supplier()
    site.deliver(STOCK, AT)
    for address, sentence in wrong.items():
        site.environment["STOCKFEED_DATABASE_URL"] = address
        for words in (["sync"], ["inventory", "show"]):
            refused(site.process(*words), 3, rf"the database \S+ {sentence}", "Check STOCKFEED_DATABASE_URL")
    site.environment["STOCKFEED_DATABASE_URL"] = database_url
    synced(site)


def test_a_database_without_tables_is_told_what_to_run(bare_site: Site, postgres_url: str) -> None:
    bare_site.add_supplier()
    bare_site.deliver(STOCK, AT)
    with a_database(postgres_url) as url:
        for address in (url, f"sqlite:///{bare_site.folder}/new.sqlite3"):
            bare_site.environment["STOCKFEED_DATABASE_URL"] = address
            bare_site.environment["STOCKFEED_STATE"] = str(bare_site.folder / f"state-{address[:6]}")
            for words in (["sync"], ["inventory", "show"], ["deliveries", "list"], ["allocate"], ["sweep"]):
                answer = bare_site.process(*words)
                refused(answer, 3, r"the database \S+ has no tables yet", "^→ Run `stockfeed db upgrade`.$")
            refused(bare_site.process("db", "check"), 3, "the database is at revision None.*", "Run `stockfeed db upgrade`.")
            assert bare_site("db", "upgrade").code == 0
            synced(bare_site)
