"""Every source under test with its fake server: where its files are outside, how it is configured, and how to break it."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from connectors.http import is_loopback
from connectors.registry import load_source
from schemas.connections import Connection, Secret
from schemas.transfer import Seen
from stockfeed.demo.sftp_server import Login, SftpServer
from stockfeed.demo.shop import Shop
from tests.servers import dovecot, ftp_pyftpd, paged_api, stores, web_server
from tests.servers.bigcommerce_store import STORE, BigStore
from tests.servers.certificates import Authority, server_context
from tests.servers.cutting_line import cutting_line
from tests.servers.feeds import CANARY, Clock, connection, feed, fetch
from tests.servers.magento_shop import MagentoShop
from tests.servers.sftp_faults import Faults
from tests.servers.woo_shop import WooShop


@dataclass
class Harness:
    """One source under test."""

    outside: Path
    spool: Path
    source: dict
    connection: Connection | None = None
    break_reading: Callable[[], None] | None = None
    carries_line_breaks: bool = True  # in the names of files
    has_folders: bool = True  # that can be missing
    identity_begins: str = "stock.csv|"
    clock: Clock = field(default_factory=Clock)

    def load(self, **options):
        of = feed({**self.source, **options})
        return load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of

    def fetch(self, seen: Seen | None = None, **options):
        source, of = self.load(**options)
        return fetch(source, of, self.spool, seen)

    def point_to(self, *, host: str | None = None, port: int | None = None) -> None:
        """Let connection and source lead to another server."""
        old = f"{self.connection.host}:{self.connection.port}"
        self.connection = replace(self.connection, host=host or self.connection.host, port=port or self.connection.port)
        if "url" in self.source:
            new = f"{self.connection.host}:{self.connection.port}"
            self.source = self.source | {"url": self.source["url"].replace(old, new)}


def _folder(tmp_path: Path, _stack: ExitStack) -> Harness:
    outside = tmp_path / "outside"
    return Harness(outside, tmp_path / "spool", {"type": "folder", "path": str(outside)})


def _sftp(tmp_path: Path, stack: ExitStack, backend: str = "paramiko") -> Harness:
    outside, faults = tmp_path / "outside", Faults()
    server = stack.enter_context(SftpServer(outside, Login("acme", CANARY), files=faults.files))

    def break_reading() -> None:
        faults.end_at = 5

    source = {"type": "sftp", "path": "/", "backend": backend}
    return Harness(outside, tmp_path / "spool", source, connection(server), break_reading)


def _ftp(tmp_path: Path, stack: ExitStack, without: tuple[str, ...] = ()) -> Harness:
    outside = tmp_path / "outside"
    server = stack.enter_context(ftp_pyftpd.running(outside, Authority(tmp_path), without=without))

    def break_reading() -> None:
        server.end_at = 5

    source = {"type": "ftp", "path": "/"}
    return Harness(outside, tmp_path / "spool", source, server.connection(), break_reading, carries_line_breaks=False)


def _web_file(tmp_path: Path, stack: ExitStack) -> Harness:
    outside, authority, broken = tmp_path / "outside", Authority(tmp_path), []
    answer = web_server.folder(outside, break_at=lambda: broken[0] if broken else None)
    server = stack.enter_context(web_server.running(answer, server_context(authority.issue("127.0.0.1"))))
    source = {"type": "web_file", "url": server.url(), "private_host": True}
    return Harness(outside, tmp_path / "spool", source, server.connection(authority), lambda: broken.append(5))


class _StoreHarness(Harness):
    """Login and password are what the store wants to know: the key file of Google's account is made of them."""

    token_uri: str

    def load(self, **options):
        told = self.connection
        try:
            self.connection = stores.with_key(self.source["store"], told, self.token_uri)
            return super().load(**options)
        finally:
            self.connection = told


def _object_store(tmp_path: Path, stack: ExitStack, scheme: str = "s3") -> Harness:
    store = stores.running(scheme, tmp_path, stack)

    def break_reading() -> None:
        store.bucket.end_at = 5

    source = {"type": "object_store", "store": scheme, "path": "nordwind"}
    harness = _StoreHarness(store.root, store.spool, source, store.connection, break_reading, has_folders=False)
    harness.carries_line_breaks = scheme != "gs"  # Google allows none in a name
    harness.token_uri = store.server.url("/token")
    return harness


class _MailHarness(Harness):
    """The files lie outside as a supplier has them; each new content is sent as a mail before the mailbox is looked at."""

    server: dovecot.Dovecot
    sent: set

    def load(self, **options):
        for path in sorted(self.outside.iterdir()):
            content, at = path.read_bytes(), path.stat().st_mtime
            if (path.name, content, at) not in self.sent:
                self.sent.add((path.name, content, at))
                message_id = f"<stock.csv.{len(self.sent)}@acme.example>"
                self.server.deliver(dovecot.mail({path.name: content}, message_id=message_id), at=at)
        return super().load(**options)


def _imap(tmp_path: Path, stack: ExitStack) -> Harness:
    if why := dovecot.missing():
        pytest.skip(why)
    server = stack.enter_context(dovecot.running())
    gate = stack.enter_context(cutting_line(server.port))

    def break_reading() -> None:
        source, of = harness.load()
        fetch(source, of, tmp_path / "rehearsal")
        gate.wait_for_ends()
        gate.cut_at = gate.passed - 500  # inside the mail: after it comes the end of the session only

    source = {"type": "imap", "senders": ["stock@acme.example"], "authserv_id": dovecot.AUTHSERV_ID}
    connection = server.connection(port=gate.port)
    harness = _MailHarness(tmp_path / "outside", tmp_path / "spool", source, connection, break_reading)
    harness.server, harness.sent, harness.identity_begins = server, set(), "<stock.csv."
    return harness


def _web_api(tmp_path: Path, stack: ExitStack) -> Harness:
    outside, authority = tmp_path / "outside", Authority(tmp_path)
    interface = paged_api.Interface(rows=lambda: paged_api.rows_of(outside / "stock.csv"))
    server = stack.enter_context(web_server.running(interface.answer, server_context(authority.issue("127.0.0.1"))))

    def break_reading() -> None:
        interface.end_at = 5

    source = {"type": "web_api", "url": server.url("/stock"), "rows": "items", "private_host": True}
    return Harness(outside, tmp_path / "spool", source, server.connection(authority), break_reading)


class _ShopHarness(Harness):
    """What lies outside is what the shop has: its items are those of the file. Login and password are the client's of the app."""

    shop: Shop

    def load(self, **options):
        stock, file = self.shop.stock, self.outside / "stock.csv"
        stock.items.clear()
        for row in paged_api.rows_of(file) if file.exists() else []:
            stock.add(row["SKU"], int(row["Qty"]))
        told = self.connection
        scheme = "http" if is_loopback(told.host) else "https"
        try:
            here = {"base_url": f"{scheme}://{told.host}:{told.port}"}
            self.connection = replace(told, extra=told.extra | here if told.extra else {})
            return super().load(**options)
        finally:
            self.connection = told


def _shopify(tmp_path: Path, stack: ExitStack, read: str = "bulk") -> Harness:
    shop = stack.enter_context(Shop())
    shop.client_id, shop.client_secret = "acme", CANARY

    def break_reading() -> None:
        shop.fail_next("cut_after_accept", "download" if read == "bulk" else "StockPage")

    source = {"type": "shopify", "read": read, "timeout": "5s"}
    login = Connection("acme_shop", host="127.0.0.1", port=shop.port, login="acme", password=Secret(CANARY))
    login = replace(login, extra={"grant": "client_credentials"})
    harness = _ShopHarness(tmp_path / "outside", tmp_path / "spool", source, login, break_reading)
    harness.shop = shop
    return harness


def _rest_shop(tmp_path: Path, stack: ExitStack, shop: BigStore | MagentoShop | WooShop, source: dict) -> Harness:
    """The shop has what the file outside has."""
    outside, authority = tmp_path / "outside", Authority(tmp_path)

    def answer(request: web_server.Request, line: web_server.Line) -> None:
        shop.clear()
        for row in paged_api.rows_of(outside / "stock.csv") if (outside / "stock.csv").exists() else ():
            shop.add(row["SKU"], int(row["Qty"]))
        shop.answer(request, line)

    server = stack.enter_context(web_server.running(answer, server_context(authority.issue("127.0.0.1"))))

    def break_reading() -> None:
        cut = web_server.reply(200, b'{"ite', content_length="999")
        shop.before = lambda number, _path, _page: cut if number > 1 else None

    source = {**source, "url": server.url(source["url"]), "private_host": True, "page_size": 2}
    return Harness(outside, tmp_path / "spool", source, server.connection(authority), break_reading)


def _bigcommerce(tmp_path: Path, stack: ExitStack) -> Harness:
    return _rest_shop(tmp_path, stack, BigStore(), {"type": "bigcommerce", "url": f"/stores/{STORE}/v3", "items_size": 2})


def _magento(tmp_path: Path, stack: ExitStack) -> Harness:
    return _rest_shop(tmp_path, stack, MagentoShop(), {"type": "magento", "url": "/rest/all/V1"})


def _woocommerce(tmp_path: Path, stack: ExitStack) -> Harness:
    return _rest_shop(tmp_path, stack, WooShop(), {"type": "woocommerce", "url": "/wp-json/wc/v3"})


FOLDERS = {
    "folder": _folder,
    "ftp": _ftp,
    "object_store": _object_store,
    "object_store/az": lambda tmp_path, stack: _object_store(tmp_path, stack, "az"),
    "object_store/gs": lambda tmp_path, stack: _object_store(tmp_path, stack, "gs"),
    "ftp/list": lambda tmp_path, stack: _ftp(tmp_path, stack, ("MLSD", "MLST")),
    "sftp": _sftp,
    "sftp/pysftp": lambda tmp_path, stack: _sftp(tmp_path, stack, "pysftp"),
}
HARNESSES = FOLDERS | {"web_file": _web_file, "imap": _imap}
#: Sources that ask an interface: what they hand on is its answer, not a file of ours.
INTERFACES = {
    "bigcommerce": _bigcommerce,
    "magento": _magento,
    "shopify": _shopify,
    "shopify/paged": lambda tmp_path, stack: _shopify(tmp_path, stack, "paged"),
    "web_api": _web_api,
    "woocommerce": _woocommerce,
}
REMOTE = [name for name in HARNESSES if name != "folder"]
