"""What the forking process learns before it forks: the SQL text of every statement, which a long-running worker knows as well.

Compiling statements is half of the time of a small run. The cache of compiled statements is SQLAlchemy's own; here all
engines of the process share one. Reading a file is left out: Polars would start threads, which a forked child has not.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert

from tests.crash.world import NEW_SKUS, SKUS


class SharedStatements(dict[Any, Any]):
    """Compiled statements by everything but the dialect object, of which each engine has its own."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_of_kind(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_of_kind(key), value)


def _of_kind(key: Any) -> Any:
    dialect, *rest = key
    return (type(dialect), *rest)


def share_statements() -> None:
    """Let every engine made from here on use one cache."""
    shared, make = SharedStatements(), Engine.__init__

    def make_sharing(engine: Engine, *arguments: Any, **named: Any) -> None:
        make(engine, *arguments, **named)
        engine._compiled_cache = shared

    Engine.__init__ = make_sharing  # type: ignore[method-assign]


def share_certificates() -> None:
    """Let every HTTP client made from here on use one set of trusted certificates: reading it is a tenth of a small run."""
    from functools import lru_cache

    module = importlib.import_module("httpx._transports.default")
    module.create_ssl_context = lru_cache(module.create_ssl_context)  # type: ignore[attr-defined]
    module.create_ssl_context(verify=True, cert=None, trust_env=False)  # type: ignore[attr-defined]


def run_here(request: dict[str, Any]) -> list[int]:
    """Run commands in this very process, a delivery's rows coming from nowhere; return their exit codes."""
    from stockfeed.cli.boundary import run

    with _elsewhere(request), _rows_from_nowhere():
        return [run(words) for words in request["commands"]]


@contextmanager
def _elsewhere(request: dict[str, Any]) -> Iterator[None]:
    folder, environ, streams = Path.cwd(), dict(os.environ), (os.dup(1), os.dup(2))
    out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environ"])
        for number in (1, 2):
            os.dup2(out, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
            os.close(stream)
        os.close(out)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)


@contextmanager
def _rows_from_nowhere() -> Iterator[None]:
    module = importlib.import_module("stockfeed.pipeline.by_line")
    from stockfeed.pipeline.stage import Staged
    from stockfeed.store import staging
    from transforms.guard import Profile

    def stage(_job: Any, connection: Any, *_arguments: Any) -> Staged:
        staging.create(connection)
        rows = [
            {"n": n, "supplier_sku": sku, "location": "", "condition": "", "on_hand": 7000 + n, "row": n + 1}
            for n, sku in enumerate((*SKUS[2:], *NEW_SKUS), start=1)
        ]
        connection.execute(insert(staging.staged), rows)
        profile = Profile(len(rows), 0, len(rows), 7000 * len(rows), 0, 0, 7000.0, 0.0, 7001, 0.1)
        return Staged(rows_read=len(rows), rows_accepted=len(rows), profile=profile)

    real, module.stage_delivery = module.stage_delivery, stage  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.stage_delivery = real  # type: ignore[attr-defined]
