"""The database roles on PostgreSQL (S14): each login tries every statement on every table and view, and may do exactly its part."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, exc, inspect, make_url, text

from schemas.errors import ConfigError
from stockfeed.pipeline.acknowledge import acknowledge_all
from stockfeed.pipeline.acts import reject_delivery, release_delivery, release_feed, undo_delivery
from stockfeed.pipeline.channel_acts import approve_channel
from stockfeed.pipeline.retention import retain
from stockfeed.pipeline.sweep import sweep
from stockfeed.store.engine import make_engine, read
from stockfeed.store.roles import administrator_sql
from stockfeed.store.upgrade import upgrade
from tests.integration.pipeline.conftest import World, many
from tests.integration.publish.conftest import Desk
from tests.servers.postgres import own_server

WHO = {"actor": "ann", "reason": "checked"}

# S select, I insert, U update, D delete, T truncate
MATRIX = """
                      owner   ingest  publisher  readonly
alembic_version       SIUDT   S       S          -
ats_change            SI      S       SI         -
audit                 SI      SI      SI         -
available_to_sell     SIUDT   S       SIU        -
available_to_sell_v1  S       S       S          S
change_feed_v1        S       S       S          S
channel               SIUDT   S       SIU        -
check_run             SIUDT   SIUD    SIUD       -
clock                 SIUDT   SU      SU         -
contract_audit        SI      SI      S          -
delivery              SIUDT   SIU     S          -
dirty_mark            SIUDT   SIUD    SI         -
feed                  SIUDT   SIU     S          -
feed_location         SIUDT   SIUD    S          -
held_level            SIUDT   SIUD    S          -
hold                  SIUDT   SIU     SIU        -
inventory             SIUDT   SIUD    S          -
inventory_v1          S       S       S          S
last_reading          SIUDT   SIUD    S          -
level_change          SI      SI      S          -
listing               SIUDT   S       SIU        -
product               SIUDT   SIU     S          -
product_link          SIUDT   SIUD    S          -
publication           SIUDT   S       SIUD       -
rejection             SIUDT   SIUD    S          -
reservation           SIUDT   SIU     SIU        -
unified_stock_v1      S       S       S          S
"""
STATEMENTS = {
    "S": "SELECT * FROM {name} LIMIT 1",
    "I": "INSERT INTO {name} DEFAULT VALUES",
    "U": "UPDATE {name} SET {column} = {column} WHERE false",
    "D": "DELETE FROM {name} WHERE false",
    "T": "TRUNCATE {name}",
}
#: What PostgreSQL says of a statement that the login may do and the data do not allow: constraints, a table others point to.
NOT_FORBIDDEN = ("23", "0A000")
FORBIDDEN = ("42501", "55000")  # insufficient privilege; a view that cannot be written
FOR_THE_OWNER_ONLY = (
    "CREATE TABLE mine (a int)",
    "DROP TABLE inventory",
    "ALTER TABLE level_change ADD COLUMN mine int",
    "ALTER TABLE level_change DISABLE TRIGGER ALL",
    "ALTER TABLE level_change OWNER TO CURRENT_USER",
    "CREATE OR REPLACE VIEW inventory_v1 AS SELECT 1",
    "CREATE ROLE mine",
    "COPY product FROM PROGRAM 'true'",
    "SET ROLE owner_of_all",
    "SET session_replication_role = replica",
)


def expected() -> dict[tuple[str, str], str]:
    header, *rows = [line.split() for line in MATRIX.strip().splitlines()]
    return {(role, row[0]): "" if mark == "-" else mark for row in rows for role, mark in zip(header, row[1:], strict=True)}


class Server:
    """A PostgreSQL server of this module's own: roles belong to a whole server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *statements: str) -> None:
        engine = make_engine(self.url)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def login(self, name: str, options: str, database: str) -> str:
        """Make a login and return its address of the database."""
        password = secrets.token_hex(8)
        self.run(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' {options}")
        return make_url(self.url).set(username=name, password=password, database=database).render_as_string(hide_password=False)

    def owned_database(self, owner: str, options: str = "") -> str:
        url = self.login(owner, options, f"db_{owner}")
        self.run(f"CREATE DATABASE db_{owner} OWNER {owner}")
        return url


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as url:
        yield Server(url)


@pytest.fixture(scope="module")
def addresses(server: Server) -> dict[str, str]:
    """Address of one upgraded database by role; its owner may make roles."""
    owner = server.owned_database("owner_of_all", "CREATEROLE")
    engine = make_engine(owner)
    upgrade(engine)
    engine.dispose()
    members = ("ingest", "publisher", "readonly")
    return {"owner": owner} | {
        name: server.login(f"login_{name}", f"IN ROLE stockfeed_{name}", "db_owner_of_all") for name in members
    }


@pytest.fixture
def connect(addresses: dict[str, str]) -> Iterator[Callable[[str], Engine]]:
    engines: list[Engine] = []

    def by_role(role: str) -> Engine:
        engines.append(make_engine(addresses[role]))
        return engines[-1]

    yield by_role
    for engine in engines:
        engine.dispose()


def outcome(engine: Engine, statement: str) -> str:
    """Return "" when the login may do this, else PostgreSQL's code of the refusal; nothing is kept."""
    with engine.connect() as connection:
        try:
            connection.execute(text(statement))
        except exc.DBAPIError as error:
            code = str(error.orig.sqlstate)
            return "" if code.startswith(NOT_FORBIDDEN) else code
        finally:
            connection.rollback()
    return ""


def test_each_role_may_do_exactly_its_part_of_every_table_and_view(connect):
    owner = inspect(connect("owner"))
    names = {name: owner.get_columns(name)[0]["name"] for name in [*owner.get_table_names(), *owner.get_view_names()]}
    wanted = expected()
    assert {name for _, name in wanted} == set(names), "a table or view has no line in the matrix and in stockfeed.store.roles"
    found, codes = {}, set()
    for role in ("owner", "ingest", "publisher", "readonly"):
        engine = connect(role)
        for name, column in names.items():
            tried = {mark: outcome(engine, sql.format(name=name, column=column)) for mark, sql in STATEMENTS.items()}
            found[role, name] = "".join(mark for mark, code in tried.items() if not code)
            codes |= set(tried.values()) - {""}
    assert found == wanted
    assert codes <= {*FORBIDDEN, "42809"}, "a statement was refused for another reason than its rights"


@pytest.mark.parametrize("role", ["ingest", "publisher", "readonly"])
def test_no_role_but_the_owner_may_change_how_the_database_is_made(connect, role):
    engine = connect(role)
    tried = {statement: outcome(engine, statement) for statement in FOR_THE_OWNER_ONLY}
    assert tried == dict.fromkeys(FOR_THE_OWNER_ONLY, "42501")


def test_ingest_can_do_everything_a_delivery_and_its_operator_need(addresses, tmp_path, clock):
    world = World(tmp_path, addresses["ingest"], clock)
    try:
        world.configure('mode = "snapshot"\nmissing_after = 1').deliver(many(30, GONE=1))
        release_feed(world.app, "acme.stock", **WHO)
        assert world.deliver("sku,qty\n" + "".join(f"S{n:03},{n + 1}\n" for n in range(30)) + "BAD,x\n").state == "applied"
        held = world.deliver(many(30, 0))
        assert reject_delivery(world.app, held.delivery_id, **WHO).state == "rejected"
        held = world.deliver(many(30, 0, OTHER=0))
        released = release_delivery(world.app, held.delivery_id, **WHO)
        assert undo_delivery(world.app, released.delivery_id, **WHO).state == "undone"
        world.edit('settle = "0s"', 'settle = "0s", after = "delete"')
        world.deliver(many(30, 12))
        assert acknowledge_all(world.app, "acme.stock") >= 1
        clock.advance(days=2)
        assert sweep(world.app).stale
        retain(world.app)
    finally:
        world.close()


def test_publisher_can_do_everything_a_channel_needs(connect, tmp_path, clock):
    from dataclasses import replace

    desk = Desk(connect("owner"), clock, tmp_path)
    desk.add_feed("maker.stock")
    shop = desk.add_channel(approved=False)
    shop.list_skus("A", "B")
    desk.deliver("maker.stock", {"A": 10, "B": 20})
    desk.app = replace(desk.app, engine=connect("publisher"))
    approve_channel(desk.app, "shop", **WHO)
    assert desk.publish().confirmed == 2
    shop.sell("A", 3)
    desk.deliver("maker.stock", {"A": 11})
    desk.publish()
    desk.reconcile()
    assert shop.shows("A") == 11 - 3


def test_a_login_that_may_not_do_something_is_told_in_one_line(connect):
    with pytest.raises(ConfigError, match="permission denied for table feed") as caught, read(connect("readonly")) as connection:
        connection.execute(text("SELECT * FROM feed"))
    assert "stockfeed db roles" in caught.value.hint


def test_reading_writes_nothing_even_for_the_owner(connect):
    from schemas.errors import PermanentError

    with pytest.raises(PermanentError, match="read-only"), read(connect("owner")) as connection:
        connection.execute(text("UPDATE clock SET value = value"))


def test_rights_that_somebody_added_by_hand_are_taken_back_by_the_next_upgrade(addresses, connect):
    owner = connect("owner")
    with owner.begin() as connection:
        connection.execute(text("GRANT UPDATE, DELETE ON audit TO stockfeed_ingest, owner_of_all"))
    assert outcome(connect("ingest"), "DELETE FROM audit") == ""
    upgrade(owner)
    for role in ("ingest", "owner"):
        assert outcome(connect(role), "DELETE FROM audit WHERE false") == "42501"


def test_a_login_that_may_not_make_roles_upgrades_and_is_told_what_is_missing(tmp_path):
    """On a server without the roles; then the administrator makes them, and the owner sets their rights."""
    with own_server() as administrator:
        server = Server(administrator)
        url = server.owned_database("plain")
        done = run_cli(tmp_path, url, "db", "upgrade")
        assert done.returncode == 0, done.stderr
        assert "database_roles_missing" in done.stderr
        refused = run_cli(tmp_path, url, "db", "roles")
        assert refused.returncode == 3
        assert "stockfeed_ingest, stockfeed_publisher, stockfeed_readonly" in refused.stderr
        server.run(*(line for line in administrator_sql().splitlines() if not line.startswith("--")))
        assert run_cli(tmp_path, url, "db", "roles").returncode == 0
        engine = make_engine(server.login("late", "IN ROLE stockfeed_readonly", "db_plain"))
        assert outcome(engine, "SELECT * FROM inventory_v1") == ""
        assert outcome(engine, "SELECT * FROM inventory") == "42501"
        engine.dispose()


def run_cli(folder: Path, url: str, *words: str):
    import os
    import subprocess
    import sys

    environment = {**os.environ, "STOCKFEED_DATABASE_URL": url, "STOCKFEED_STATE": str(folder / "state")}
    command = [sys.executable, "-m", "stockfeed", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_sqlite_says_that_it_has_no_roles(tmp_path):
    done = run_cli(tmp_path, f"sqlite:///{tmp_path / 'x.sqlite3'}", "db", "roles")
    assert (done.returncode, "SQLite has no roles" in done.stderr) == (3, True)


def test_reading_writes_nothing_on_sqlite(tmp_path):
    from schemas.errors import PermanentError
    from stockfeed.store.engine import write

    engine = make_engine(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    upgrade(engine)
    with pytest.raises(PermanentError, match="read-only"), read(engine) as connection:
        connection.execute(text("UPDATE clock SET value = value"))
    with write(engine) as connection:  # the same connection of the pool writes again
        connection.execute(text("UPDATE clock SET value = value + 1"))
    engine.dispose()
