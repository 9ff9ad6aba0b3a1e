"""What the end-to-end tests share: an installation of its own, driven through the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stockfeed.demo.sftp_server import Login, SftpServer
from tests.e2e.outcomes import AT, STOCK
from tests.servers.site import Site
from tests.servers.small_disk import SmallDisk, mounted


@pytest.fixture
def bare_site(tmp_path: Path) -> Iterator[Site]:
    """An installation whose database was not made yet. Nothing it ever said or logged holds one of its secrets."""
    folder = tmp_path / "site"
    (folder / "config").mkdir(parents=True)
    site = Site(folder)
    yield site
    logs = [path.read_text(encoding="utf-8") for path in (folder / ".state" / "logs").glob("*.log")]
    for secret in site.secrets:
        assert not [text for text in (*site.said, *logs) if secret in text]


@pytest.fixture
def site(bare_site: Site, database_url: str) -> Site:
    """An installation on an empty database; each test using it runs on both kinds."""
    bare_site.environment["STOCKFEED_DATABASE_URL"] = database_url
    return bare_site


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    (tmp_path / "supplier").mkdir()
    with SftpServer(tmp_path / "supplier", Login("acme", "canary-Pw_31")) as running:
        yield running


@pytest.fixture
def sftp_site(bare_site: Site, server: SftpServer) -> Site:
    """A supplier whose file lies on an SFTP server; SQLite."""
    assert bare_site("db", "upgrade").code == 0
    bare_site.add_sftp_supplier(server)
    bare_site.deliver(STOCK, AT, to=server.root)
    return bare_site


@pytest.fixture
def folder_site(bare_site: Site) -> Site:
    """A supplier whose file lies in a folder; SQLite."""
    assert bare_site("db", "upgrade").code == 0
    bare_site.add_supplier()
    bare_site.deliver(STOCK, AT)
    return bare_site


@pytest.fixture
def disk(bare_site: Site) -> Iterator[SmallDisk]:
    """A small disk that holds the whole state: database, archive, spool."""
    with mounted(bare_site.folder / ".state", "64m") as disk:
        yield disk
