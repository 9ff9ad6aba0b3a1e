"""A local shop that speaks Shopify's Admin GraphQL contract, shows its stock on a page, and sells it.

Never reachable from another machine, and never a place for real tokens: it is for the demo and the tests.
Run it alone with `python -m stockfeed.demo.shop --port-file shop.port --skus skus.txt`.
"""

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stockfeed.demo.shop_bulk import ShopBulk
from stockfeed.demo.shop_faults import CostBucket, Fault, FaultKind, Faults
from stockfeed.demo.shop_http import ShopServer
from stockfeed.demo.shop_stock import DEFAULT_LOCATION, AcceptedSet, ShopLocation, ShopStock

__all__ = ["DEFAULT_LOCATION", "Shop", "ShopLocation", "ShopRules"]


@dataclass(frozen=True, slots=True)
class ShopRules:
    """How the shop behaves: the plan's query points, seconds of latency, life of a fetched token."""

    maximum_points: float = 20_000  # the bucket of a Plus shop; a Standard one has 2000 and restores 100
    restore_rate: float = 1000
    latency: float = 0.0
    token_seconds: float = 86_399
    api_version: str = "2026-10"


class Shop:
    """The running shop: a context manager, or `start()` and `stop()`. `stock` is its state, `faults` its bad days."""

    def __init__(
        self,
        skus: Iterable[str] | Mapping[str, int] = (),
        *,
        token: str | None = None,
        locations: Sequence[ShopLocation] = (),
        rules: ShopRules | None = None,
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self.client_id, self.client_secret = "stockfeed-demo", secrets.token_urlsafe(24)
        self.stock = ShopStock(locations)
        for sku, available in (skus if isinstance(skus, Mapping) else dict.fromkeys(skus, 0)).items():
            self.stock.add(sku, available)
        rules = rules or ShopRules()
        self.api_version, self.token_seconds, self._latency = rules.api_version, rules.token_seconds, rules.latency
        self.bucket = CostBucket(rules.maximum_points, rules.restore_rate, clock)
        self.faults = Faults()
        self.bulk = ShopBulk(self.stock)
        self.requests: Counter[str] = Counter()
        self.downloads: list[dict[str, str]] = []  # headers of each request for a file
        self._granted: set[str] = set()
        self._wanted_port = port
        self._server: ShopServer | None = None
        self._thread: threading.Thread | None = None
        self._counting = threading.Lock()

    # life

    def start(self) -> Self:
        """Return the shop, listening on 127.0.0.1; `port` and `url` are known from here on."""
        self._server = ShopServer(self, self._wanted_port)
        self.bulk.base = self.url
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="demo-shop")
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the server and every connection; safe to repeat."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        server.drop_connections()
        server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Return the port the shop listens on."""
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Return the address of the shop, without a path."""
        return f"http://127.0.0.1:{self.port}"

    # trade

    def sell(self, sku: str, units: int = 1, location: str | None = None) -> int:
        """Return the units sold to a customer: at most what is available. Raises KeyError for an unknown SKU."""
        return self.stock.sell(sku, units, location)

    def available(self, sku: str, location: str | None = None) -> int | None:
        """Return what customers see as available."""
        return self.stock.available(sku, location)

    @property
    def log(self) -> list[AcceptedSet]:
        """Return every quantity the shop accepted so far, oldest first."""
        with self.stock.lock:
            return list(self.stock.log)

    def log_lines(self) -> list[str]:
        """Return the channel log as NDJSON lines for `stockfeed db check`: every event, then what is shown now."""
        return [json.dumps(event) + "\n" for event in self.stock.events()]

    def write_log(self, path: Path) -> None:
        """Write the channel log to a file; a reader sees the whole one or none."""
        part = path.with_name(path.name + ".part")
        part.write_text("".join(self.log_lines()), encoding="utf-8")
        part.replace(path)

    # bad days

    def fail_next(self, kind: FaultKind, operation: str = "", *, times: int = 1, **answer: Any) -> None:
        """Let the next `times` requests named `operation` have a fault; `answer` holds status, headers and body."""
        body = answer.pop("body", b"{}")
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.faults.order(Fault(kind, operation, body=encoded, **answer), times)

    def expire_tokens(self) -> None:
        """Forget the fetched tokens: the next use of one is answered 401."""
        self._granted.clear()

    # what the HTTP side asks

    def accepts(self, token: str) -> bool:
        """Return whether a request with this token may pass."""
        return secrets.compare_digest(token.encode(), self.token.encode()) or token in self._granted

    def grant(self, client_id: str, client_secret: str) -> str | None:
        """Return a new token for the right client id and secret, else None."""
        if client_id != self.client_id or not secrets.compare_digest(client_secret.encode(), self.client_secret.encode()):
            return None
        token = secrets.token_urlsafe(24)
        self._granted.add(token)
        return token

    def count(self, operation: str) -> None:
        """Count a request of this operation."""
        with self._counting:
            self.requests[operation] += 1

    def wait_latency(self) -> None:
        """Wait as long as a request to a distant shop takes."""
        if self._latency:
            time.sleep(self._latency)

    def writing(self, text: str) -> AbstractContextManager[Any]:
        """Return the lock a mutation holds while it runs; queries need none."""
        return self.stock.lock if text.lstrip().startswith("mutation") else nullcontext()

    def sell_one_of_each(self, variables: Mapping[str, Any]) -> None:
        """Sell one unit of each item a request is about to set."""
        rows = (variables.get("input") or {}).get("quantities") or ()
        for row in rows:
            item = self.stock.items.get(row["inventoryItemId"])
            if item is not None and item.sku is not None:
                self.stock.sell(item.sku, 1, row["locationId"])


def read_skus(path: Path) -> dict[str, int]:
    """Return SKU → opening quantity from a text file: one SKU a line, optionally a tab and a quantity behind it."""
    skus: dict[str, int] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        sku, _, quantity = line.rstrip("\r").partition("\t")
        if sku:
            skus[sku] = int(quantity or 0)
    return skus


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the shop until SIGTERM or Ctrl-C and return the exit code. The token comes from the environment."""
    import argparse
    import os
    import signal

    parser = argparse.ArgumentParser(prog="python -m stockfeed.demo.shop", description="A local shop to try stockfeed against.")
    parser.add_argument("--port-file", type=Path, required=True, help="written with the port once the shop answers")
    parser.add_argument("--skus", type=Path, required=True, help="one SKU a line, optionally a tab and its opening quantity")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token-env", default="STOCKFEED_DEMO_SHOP_TOKEN", help="environment variable that holds the access token")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--channel-log", type=Path, help="written when the shop ends: what it received, sold and shows")
    chosen = parser.parse_args(arguments)
    token = os.environ.get(chosen.token_env)
    if not token:
        parser.error(f"set the access token in the environment variable {chosen.token_env}")
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopped.set())
    rules = ShopRules(latency=chosen.latency_ms / 1000)
    with Shop(read_skus(chosen.skus), token=token, rules=rules, port=chosen.port) as shop:
        part = chosen.port_file.with_name(chosen.port_file.name + ".part")
        part.write_text(str(shop.port))
        part.replace(chosen.port_file)  # a reader sees the whole number or no file
        print(f"demo shop: {shop.url}", flush=True)
        stopped.wait()
        if chosen.channel_log:
            shop.write_log(chosen.channel_log)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
