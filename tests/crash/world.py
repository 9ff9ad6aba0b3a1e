"""One installation to damage: a supplier's folder (or SFTP server), a shop, a partner's file, a database; and its truth.

A prepared one, with a first delivery applied and published, is made once for each kind and copied for each scenario.
"""

import os
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from stockfeed.demo.sftp_server import SftpServer
from stockfeed.demo.shop import DEFAULT_LOCATION, Shop
from stockfeed.demo.shop_stock import ShopStock
from tests.crash.databases import Databases
from tests.crash.forks import Ended, Forks
from tests.crash.truth import MOST_SOLD, Sent, Truth

SKUS = ("NA", "001", "1", "1E5", "True", "nan", "MARCH1", "A", "b", "B-2", "Ä Ö", "x,y")
NEW_SKUS = ("N1", "N2")  # first seen in a later delivery
_STEP = 10
_QUANTITIES = range(2 * _STEP, 100 * _STEP, _STEP)
_PADDING = 40_000  # bytes in each row of a large file

FEED = """
[supplier]
code = "acme"
name = "Acme"

[[feed]]
code = "stock"
source = {{ type = "{type}", {place}, select = "all_new", pattern = "*.csv", settle = "0s", after = "{after}"{more} }}
format = {{ type = "delimited" }}
mode = "{mode}"
order_by = "source_time"
timezone = "UTC"
quantities = "net"
stale_after = "72h"
trust_first = true
columns = {{ supplier_sku = "sku", on_hand = "qty" }}
"""
CHANNEL = '[channel]\ncode = "{code}"\nname = "{code}"\nkind = "{kind}"\nlocations = ["{place}"]\n{rest}\n'


@dataclass
class Outside:
    """What is not ours, and one for all scenarios: the shop, the SFTP server, the forking process, the database servers."""

    forks: Forks
    shop: Shop
    sftp: SftpServer
    databases: dict[str, Databases]
    folder: Path
    bases: "dict[tuple[str, str, str], World]" = field(default_factory=dict)


@dataclass
class World:
    """One installation in `root`, with its truth; `rng` decides quantities and sales."""

    outside: Outside
    root: Path
    url: str
    database: str
    source: str
    mode: str
    truth: Truth
    rng: random.Random
    environ: dict[str, str] = field(default_factory=dict)
    quantities: dict[str, list[int]] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    @property
    def inbox(self) -> Path:
        return self.root / "in"

    @property
    def state(self) -> Path:
        return self.root / "state"

    # deliveries

    def send(self, name: str, hours_ago: float, kind: str = "normal", *, large: bool = False, replay: bytes | None = None) -> Sent:
        """Put a file where the supplier puts it and let the truth know."""
        rows: dict[str, int] = {}
        bad: frozenset[str] = frozenset()
        if kind == "unchanged":
            assert replay is not None
            content = replay
        elif kind == "rejected":
            content = b"what\n1\n"
        else:
            rows, bad = self._rows(kind)
            content = _as_csv(rows, bad, large=large)
        one = Sent(name, content, hours_ago, kind, rows, bad)
        part = self.root / f"{name}.part"
        part.write_bytes(content)
        at = self.began - 3600 * hours_ago
        os.utime(part, (at, at))
        part.rename(self.inbox / name)
        self.truth.deliver(one)
        return one

    def _rows(self, kind: str) -> tuple[dict[str, int], frozenset[str]]:
        if kind == "held":
            return dict.fromkeys(SKUS, 0), frozenset()
        share = 0.85 if kind != "first" else 0.0  # the first file has all of the old ones
        # an older delta counts where no newer one speaks of a SKU: what it says is overtaken only if the first file said it too
        known = SKUS if kind == "stale" and self.mode == "delta" else (*SKUS, *NEW_SKUS)
        met = NEW_SKUS[:1] if kind not in ("first", "stale") else ()  # the shop is asked about it: its points are reached
        chosen = [sku for sku in known if self.rng.random() < share or sku in met] or list(SKUS)
        rows = {sku: self._quantity(sku) for sku in chosen}
        bad = frozenset(self.rng.sample(chosen, 2)) if kind == "partial" else frozenset()
        return {sku: quantity for sku, quantity in rows.items() if sku not in bad}, bad

    def _quantity(self, sku: str) -> int:
        """Return a quantity that this SKU never had before, so that it says which delivery it is of."""
        left = self.quantities.setdefault(sku, self.rng.sample(_QUANTITIES, 20) if sku not in self.quantities else [])
        if self.rng.random() < 0.08 and 0 not in (state.get(sku) for state in self.truth.history):
            return 0
        return left.pop()

    def sell(self) -> None:
        """Let customers buy a few units of some SKUs at the shop."""
        for sku in self.rng.sample(SKUS, 4):
            units = min(self.rng.randint(1, 3), MOST_SOLD - self.truth.sold.get(sku, 0))
            if units > 0:
                self.truth.sold[sku] = self.truth.sold.get(sku, 0) + self.outside.shop.sell(sku, units)

    # runs

    def run(self, *commands: tuple[str, ...], **how: object) -> Ended:
        extra = how.pop("environ", {})
        assert isinstance(extra, dict)
        return self.outside.forks.run(commands, {**self.environ, **extra}, self.root, **how)  # type: ignore[arg-type]

    def configure(self) -> None:
        """Write configuration and environment; paths are relative, so that a copy is the same configuration."""
        self.outside.sftp.root = self.inbox
        for folder in ("in", "out", "tmp", "state", "config/suppliers", "config/channels"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        is_sftp = self.source.startswith("sftp")
        after = {"sftp": "delete"}.get(self.source, self.source)
        place = 'connection = "acme", path = "/"' if is_sftp else 'path = "in"'
        more = ', move_to = "done"' if after == "move" else ""
        words = {"type": "sftp" if is_sftp else "folder", "place": place, "after": after, "more": more, "mode": self.mode}
        (self.root / "config/suppliers/acme.toml").write_text(FEED.format(**words))
        gate = "[channel.gate]\nenabled = false"
        web = CHANNEL.format(code="web", kind="shopify", place=DEFAULT_LOCATION, rest=f'connection = "web"\n{gate}')
        partner = CHANNEL.format(code="partner", kind="feed_file", place="main", rest=f'path = "out"\n{gate}')
        (self.root / "config/channels/web.toml").write_text(web)
        (self.root / "config/channels/partner.toml").write_text(partner)
        self.environ = self._environment()

    def _environment(self) -> dict[str, str]:
        shop, sftp = self.outside.shop, self.outside.sftp
        pin = quote(sftp.host_key, safe="")
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.root), "TMPDIR": str(self.root / "tmp"),
            "STOCKFEED_CONFIG": str(self.root / "config"), "STOCKFEED_STATE": str(self.state),
            "STOCKFEED_DATABASE_URL": self.url, "STOCKFEED_FILE_BYTES": "1", "STOCKFEED_LOG_LEVEL": "WARNING",
            "AIRFLOW_CONN_WEB": f"shopify://:{quote(shop.token, safe='')}@127.0.0.1/?base_url={quote(shop.url, safe='')}",
            "AIRFLOW_CONN_ACME": f"sftp://{sftp.login.user}:{sftp.login.password}@127.0.0.1:{sftp.port}/?host_key={pin}",
        }  # fmt: skip


def prepared(outside: Outside, database: str, source: str, mode: str) -> World:
    """Return the prepared installation of this kind: one delivery applied and published to both channels."""
    kind = (database, source, mode)
    if kind in outside.bases:
        return outside.bases[kind]
    root = outside.folder / "-".join(("base", *kind))
    (root / "state").mkdir(parents=True)
    url = outside.databases[database].new(root / "state")
    base = World(outside, root, url, database, source, mode, Truth(mode), random.Random(f"base/{kind}"))
    base.configure()
    outside.shop.stock = _empty_stock()
    base.send("first.csv", 3, "first")
    approve = [("channels", "approve", code, "--reason", "a crash scenario") for code in ("web", "partner")]
    ended = base.run(("db", "upgrade"), ("sync",), *approve, ("publish",))
    assert ended.codes == [0, 0, 0, 0, 0], (ended, (root / "out.txt").read_text())
    outside.bases[kind] = base
    return base


def _empty_stock() -> ShopStock:
    stock = ShopStock()
    for sku in (*SKUS, *NEW_SKUS):
        stock.add(sku, 0)
    return stock


def copied(base: World, root: Path, seed: str) -> World:
    """Return a copy of a prepared installation, with the shop as it was left by its first publish."""
    outside = base.outside
    shutil.copytree(base.root, root, ignore=shutil.ignore_patterns("stockfeed.sqlite3*", "out.txt"), dirs_exist_ok=True)
    url = outside.databases[base.database].new(root / "state", base.url)
    rng = random.Random(seed)
    world = World(outside, root, url, base.database, base.source, base.mode, base.truth.copy(), rng)
    world.quantities = {}
    world.began = base.began
    for sku in (*SKUS, *NEW_SKUS):
        used = {state.get(sku) for state in world.truth.history}
        world.quantities[sku] = [q for q in rng.sample(_QUANTITIES, 20) if q not in used]
    world.configure()
    outside.shop.stock = _empty_stock()
    for sku, quantity in world.truth.shown().items():
        outside.shop.stock.edit(sku, quantity)
    outside.shop.stock.log.clear()
    return world


def _as_csv(rows: dict[str, int], bad: frozenset[str], *, large: bool) -> bytes:
    padding = "p" * _PADDING if large else ""
    lines = [f"{_cell(sku)},{quantity},{padding}" for sku, quantity in rows.items()] + [
        f"{_cell(sku)},many,{padding}" for sku in bad
    ]
    return ("sku,qty,note\n" + "".join(line + "\n" for line in lines)).encode()


def _cell(text: str) -> str:
    return f'"{text}"' if "," in text else text
