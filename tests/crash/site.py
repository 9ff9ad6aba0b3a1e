"""What all scenarios share, opened and closed once: forking process, shop, SFTP server, database servers, a fast folder."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stockfeed.demo.sftp_server import Login, SftpServer
from stockfeed.demo.shop import Shop, ShopRules
from tests.crash.databases import Databases, postgres
from tests.crash.forks import Forks
from tests.crash.world import Outside, copied, prepared

_MEMORY = Path("/dev/shm")  # kill -9 loses nothing that was written, so no disk is needed, and memory is quicker


@contextmanager
def outside(databases: Sequence[str], server: str | None = None) -> Iterator[Outside]:
    """Yield everything, for these kinds of database; `server` is the URL of a running PostgreSQL."""
    with ExitStack() as stack:
        parent = _MEMORY if _MEMORY.is_dir() else None
        folder = Path(tempfile.mkdtemp(prefix="stockfeed-crash-", dir=parent))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "sftp").mkdir()
        if "postgresql" in databases and server is None:
            server = stack.enter_context(postgres(folder))
        kinds = {kind: Databases(kind, server) for kind in databases}
        for kind in kinds.values():
            stack.callback(kind.close)
        forks = stack.enter_context(Forks())
        shop = stack.enter_context(Shop(rules=ShopRules(maximum_points=1e9, restore_rate=1e9)))
        sftp = stack.enter_context(SftpServer(folder / "sftp", Login("acme", "a-password-of-the-tests")))
        made = Outside(forks, shop, sftp, kinds, folder)
        try:
            for kind in kinds:
                _warm(made, kind)
            yield made
        finally:
            for base in made.bases.values():
                kinds[base.database].drop(base.url)


def _warm(shared: Outside, database: str) -> None:
    """Let the forking process see a whole round of this database once."""
    base = prepared(shared, database, "delete", "snapshot")
    world = copied(base, shared.folder / f"warm-{database}", "warm")
    world.sell()
    world.send("second.csv", 2)
    commands = (("sync",), ("publish",), ("reconcile",), ("publish",), ("sweep",))
    codes = shared.forks.warm(commands, world.environ, world.root)
    assert codes == [0] * len(commands), (codes, (world.root / "out.txt").read_text())
    shared.databases[database].drop(world.url)
    shutil.rmtree(world.root)
