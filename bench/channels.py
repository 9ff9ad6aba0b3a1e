"""The measured places that sell: five channels on a large stock, and one local shop at the end of a slow line."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from feeds import Expected, FeedFile
from process import Measured, settle_disk
from product import Place, place, require

_CHANNEL = """
[channel]
code = "CODE"
name = "Bench"
kind = "shopify"
connection = "bench_shop"
locations = ["gid://shopify/Location/1"]
"""
#: Channel → (share in %, buffer, minimum, maximum), and what `available_to_sell` must then hold of a quantity q.
_RULES = {
    "c1": (100, 0, 0, 999_999),
    "c2": (80, 5, 0, 999_999),
    "c3": (50, 2, 3, 100),
    "c4": (100, 10, 0, 999),
    "c5": (30, 3, 0, 50),
}
_RIGHT = "MIN({maximum}, CASE WHEN {value} < {minimum} THEN 0 ELSE MAX(0, {value}) END)"
_WRONG_ATS = """
SELECT COUNT(*) FROM inventory i LEFT JOIN available_to_sell a
ON a.channel = '{channel}' AND a.sku = i.sku WHERE a.quantity IS NOT {right}
"""


class Dirty:
    """A stock that is on sale in five channels, of which a thousandth changes back and forth."""

    def __init__(self, where: Place, files: tuple[FeedFile, FeedFile]) -> None:
        self._place, self._files = where, files
        for code, (share, buffer, minimum, maximum) in _RULES.items():
            rules = f'share = "{share}%"\nbuffer = {buffer}\nminimum = {minimum}\nmaximum = {maximum}\n'
            path = where.folder / "config/channels" / f"{code}.toml"
            path.write_text(_CHANNEL.replace("CODE", code) + rules)
        where.sync(files[0], "applied")
        where.stockfeed("allocate", "--json")
        self._round = 0

    def measure(self) -> Measured:
        """Return what `stockfeed allocate` takes once a thousandth of the stock has changed."""
        self._round += 1
        file = self._files[self._round % 2]
        self._place.sync(file, "applied")
        settle_disk()
        measured = self._place.stockfeed("allocate", "--json")
        changed = self._files[1].expected.changed
        require("computed", [answer["computed"] for answer in measured.answers], [changed] * len(_RULES))
        for code in _RULES:
            require(f"wrong quantities of {code}", self._place.query(_wrong(code))[0][0], 0)
        return measured

    def idle(self) -> Measured:
        """Return what the same command takes when nothing has changed."""
        return self._place.stockfeed("allocate", "--json")


def _wrong(code: str) -> str:
    share, buffer, minimum, maximum = _RULES[code]
    value = f"(i.on_hand / 1000 * {share} / 100 - {buffer})"
    return _WRONG_ATS.format(channel=code, right=_RIGHT.format(maximum=maximum, minimum=minimum, value=value))


class Shelf:
    """A shop that lists so many SKUs; each delivery changes every quantity a little."""

    def __init__(self, where: Place, listed: int, url: str) -> None:
        self._place, self._listed, self._url, self._round = where, listed, url, 0
        (where.folder / "config/channels/shop.toml").write_text(_CHANNEL.replace("CODE", "shop"))
        self._deliver()
        where.stockfeed("allocate", "--json")
        where.stockfeed("channels", "approve", "shop", "--reason", "measured")
        where.stockfeed("publish", "--json")

    def measure(self) -> Measured:
        """Return what `stockfeed publish` takes when every listing has a new quantity."""
        self._deliver()
        settle_disk()
        measured = self._place.stockfeed("publish", "--json")
        require("confirmed", measured.answer["confirmed"], self._listed)
        with urllib.request.urlopen(f"{self._url}/stock.json", timeout=60) as answer:  # noqa: S310 (our own shop)
            shown = [sum(item["available"].values()) for item in json.load(answer)]
        require("units shown", sum(shown), self._units())
        return measured

    def _deliver(self) -> None:
        self._round += 1
        path = self._place.folder / "delivery.csv"
        rows = (f"S{n:06},,,{self._quantity(n)},1.00,W,,Active,N\n" for n in range(self._listed))
        path.write_text("Supplier SKU,UPC/GTIN,Description,Qty,Cost,Warehouse,Restock Date,Status,Discontinued\n" + "".join(rows))
        expected = Expected(self._listed, 0, self._units(), 100 * self._listed, self._listed)
        measured = self._place.sync(FeedFile(path, expected), "applied")
        self._place.check(measured.answer, expected, self._listed)

    def _quantity(self, number: int) -> int:
        return 100 + number % 400 + self._round

    def _units(self) -> int:
        return sum(map(self._quantity, range(self._listed)))


@contextmanager
def shop_place(work: Path, listed: int, latency: int) -> Iterator[Shelf]:
    """Yield a shop in a process of its own that answers after `latency` milliseconds, and a place that publishes to it."""
    token = secrets.token_urlsafe(24)
    with place(work) as where:
        skus, port = where.folder / "skus.txt", where.folder / "shop.port"
        skus.write_text("".join(f"S{n:06}\n" for n in range(listed)))
        command = [sys.executable, "-m", "stockfeed.demo.shop", "--port-file", port, "--skus", skus, "--latency-ms", str(latency)]
        environ = {**os.environ, "STOCKFEED_DEMO_SHOP_TOKEN": token}
        shop = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, env=environ)
        try:
            url = f"http://127.0.0.1:{_port(shop, port)}"
            where.environ["AIRFLOW_CONN_BENCH_SHOP"] = f"shopify://:{quote(token)}@127.0.0.1/?base_url={quote(url, safe='')}"
            yield Shelf(where, listed, url)
        finally:
            shop.terminate()
            shop.wait(30)


def _port(shop: subprocess.Popen[bytes], file: Path) -> int:
    ends = time.monotonic() + 60
    while not file.is_file():
        if shop.poll() is not None or time.monotonic() > ends:
            raise SystemExit("the local shop did not start")
        time.sleep(0.05)
    return int(file.read_text())
