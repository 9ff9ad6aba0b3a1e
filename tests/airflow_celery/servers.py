"""The servers of the production shape on this machine: PostgreSQL with its logins and roles, and Redis."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url, text

from stockfeed.demo.airflow_site import free_port
from stockfeed.demo.process_group import ProcessGroup
from stockfeed.store.engine import make_engine
from tests.servers.postgres import own_server


@dataclass(frozen=True, slots=True)
class Databases:
    """Addresses with passwords: stockfeed's owner, its programs' login, and Airflow's. Never print them."""

    owner: str
    programs: str
    airflow: str


@contextmanager
def postgresql() -> Iterator[Databases]:
    """Yield a PostgreSQL server with the databases and logins that docker-compose.yml makes."""
    with own_server() as administrator:
        made = {name: secrets.token_hex(16) for name in ("stockfeed", "stockfeed_app", "airflow")}
        engine = make_engine(administrator)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for name, password in made.items():
                connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"))
            connection.execute(text("ALTER ROLE stockfeed CREATEROLE"))
            for name in ("stockfeed", "airflow"):
                connection.execute(text(f"CREATE DATABASE {name} OWNER {name}"))
        engine.dispose()
        server = make_url(administrator)

        def address(login: str, database: str, driver: str = "postgresql") -> str:
            url = server.set(drivername=driver, username=login, password=made[login], database=database)
            return url.render_as_string(hide_password=False)

        yield Databases(
            address("stockfeed", "stockfeed"),
            address("stockfeed_app", "stockfeed"),
            address("airflow", "airflow", "postgresql+psycopg2"),
        )


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Yield the address, with password, of a Redis of our own. Raises RuntimeError where Redis is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("redis-server is not installed (Debian: apt-get install redis-server)")
    port, password = free_port(), secrets.token_hex(16)
    settings = folder / "redis.conf"
    settings.touch(mode=0o600)
    settings.write_text(f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\ndir {folder}\n', "utf-8")
    with ExitStack() as life:
        life.enter_context(ProcessGroup([program, str(settings)], environment={}, log=folder / "redis.log", folder=folder))
        yield f"redis://:{password}@127.0.0.1:{port}/0"


def run(command: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Return the finished command, its output as text; it has ten minutes."""
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
