"""pyftpdlib on a free loopback port: explicit TLS or none, with any of its commands switched off, and files that end early."""

import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.connections import Connection, Secret
from tests.servers.certificates import Authority
from tests.servers.feeds import CANARY

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pyftpdlib stands on asyncore, which left Python with 3.12
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.filesystems import AbstractedFS
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer


@dataclass
class FtpServer:
    """A running server; the fields that say what goes wrong may be changed while it runs."""

    port: int
    ca_file: Path
    end_at: int | None = None  # files seem to end here, whatever their listed size; the transfer is confirmed all the same
    logins: int = 0
    encrypted_data: int = 0

    def connection(self, **changes) -> Connection:
        fields = {"login": "acme", "password": Secret(CANARY), "extra": {"ca_file": str(self.ca_file)}} | changes
        return Connection("acme_ftp", "ftp", **{"host": "127.0.0.1", "port": self.port} | fields)


@contextmanager
def running(
    root: Path,
    authority: Authority,
    *,
    tls: bool = True,
    without: tuple[str, ...] = (),
    claims: str | None = None,
    host: str = "127.0.0.1",
) -> Iterator[FtpServer]:
    """Give a server on `root`; `without` are commands it does not know, `claims` an address its PASV answers name."""
    server = FtpServer(0, authority.ca_file)
    handler = _handler(server, root, authority, tls=tls)
    handler.proto_cmds = {name: rules for name, rules in handler.proto_cmds.items() if name not in without}
    handler.masquerade_address = claims
    loop = IOLoop()
    over = threading.Event()
    ftpd = FTPServer((host, 0), handler, ioloop=loop)
    server.port = ftpd.address[1]

    def serve() -> None:
        while not over.is_set():
            loop.loop(timeout=0.02, blocking=False)
        ftpd.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        over.set()
        thread.join()


def _handler(server: FtpServer, root: Path, authority: Authority, *, tls: bool) -> type:
    users = DummyAuthorizer()
    users.add_user("acme", CANARY, str(root), perm="elradfmwMT")

    class Handler(TLS_FTPHandler if tls else FTPHandler):
        authorizer = users
        use_sendfile = False
        unicode_errors = "surrogateescape"  # names are bytes
        auth_failed_timeout = 0.05
        abstracted_fs = type("Files", (_Files,), {"server": server})
        if tls:
            certfile = str(authority.issue("127.0.0.1", "::1", "localhost"))
            tls_control_required = tls_data_required = True

        def on_login(self, _username) -> None:
            server.logins += 1

        def ftp_PROT(self, line) -> None:  # noqa: N802 - pyftpdlib finds commands by name
            server.encrypted_data += line.upper() == "P"
            super().ftp_PROT(line)

    return Handler


class _Files(AbstractedFS):
    server: FtpServer

    def stat(self, path):
        return self.lstat(path)  # pyftpdlib calls a link by what it points to; most servers call it a link

    def format_mlsx(self, basedir, listing, perms, facts, ignore_err=True):  # noqa: FBT002 - pyftpdlib's signature
        for name, line in zip(listing, super().format_mlsx(basedir, listing, perms, facts, ignore_err), strict=True):
            mode = Path(basedir, name).lstat().st_mode
            regular = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
            yield line if regular else line.replace(b"type=file", b"type=OS.unix=other")

    def open(self, filename, mode):
        file = super().open(filename, mode)
        if self.server.end_at is not None and "r" in mode:
            short = file.read(self.server.end_at)
            file.close()
            return _short_file(short, filename)
        return file


def _short_file(content: bytes, name: str):
    from io import BytesIO

    file = BytesIO(content)
    file.name = name
    return file
