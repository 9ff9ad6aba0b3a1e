"""A small hand-made FTP server that lies, cuts and falls silent exactly as a test says. It serves one folder from memory."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from schemas.connections import Connection, Secret
from tests.servers.feeds import CANARY

STAMP = b"20261101060000"


@dataclass
class Lies:
    """What is served and what goes wrong; the fields may be changed while the server runs."""

    files: dict[bytes, bytes] = field(default_factory=dict)
    listed_sizes: dict[bytes, int] = field(default_factory=dict)  # instead of the real ones, in MLSD, MLST and SIZE
    listing: bytes | None = None  # the whole answer to MLSD or LIST
    facts: bool = True  # False: neither MLSD nor MLST
    replies: dict[str, bytes] = field(default_factory=dict)  # verb → raw reply instead of doing it
    cut_at: int | None = None  # data connections of RETR end here …
    cut_with: Literal["226", "426", "reset", "silence", "nothing"] = "226"  # … in this way
    cut_listing: bool = False  # the listing is cut too, in the same way
    grow_on_read: bool = False
    claims: bytes = b"127,0,0,1"  # the address in PASV answers
    greeting: bytes = b"220 ready\r\n"
    slipped_in: bytes = b""  # sent in the clear together with the answer to AUTH
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    tls_end: bool = True  # False: data connections end without TLS's own end mark
    data_context: ssl.SSLContext | None = None  # another certificate on data connections
    let_go: threading.Event = field(default_factory=threading.Event)
    commands: list[bytes] = field(default_factory=list)


@dataclass
class LyingFtp:
    port: int
    lies: Lies

    def connection(self, **changes) -> Connection:
        fields = {"host": "127.0.0.1", "port": self.port, "login": "acme", "password": Secret(CANARY)}
        return Connection("acme_ftp", "ftp", **fields | changes)


@contextmanager
def running(lies: Lies, address: str = "127.0.0.1") -> Iterator[LyingFtp]:
    """Give a server; every thread and socket of it is gone at the end."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:  # the end of the test
                return
            threads.append(threading.Thread(target=_serve, args=(sock, lies, address)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield LyingFtp(listener.getsockname()[1], lies)
    finally:
        lies.let_go.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def _serve(sock: socket.socket, lies: Lies, address: str) -> None:
    sock.settimeout(10)
    session = _Session(sock, lies, address)
    try:
        session.talk()
    except OSError:
        return  # the client went away, or the test made the server do so
    finally:
        session.close()


class _Session:
    def __init__(self, sock: socket.socket, lies: Lies, address: str) -> None:
        self.sock, self.lies, self.address = sock, lies, address
        self.passive: socket.socket | None = None
        self.private = False
        self.verbs: dict[str, Callable[[bytes], None]] = {
            "AUTH": self.auth, "FEAT": self.feat, "PASV": self.pasv, "EPSV": self.epsv, "MLSD": self.listing, "LIST": self.listing,
            "MLST": self.mlst, "SIZE": self.size, "MDTM": self.mdtm, "RETR": self.retr,
        }  # fmt: skip
        self.answers = {
            "USER": b"331 password?", "PASS": b"230 in", "PBSZ": b"200 ok", "TYPE": b"200 ok", "CWD": b"250 ok",
            "PWD": b'257 "/"', "OPTS": b"200 ok", "QUIT": b"221 bye", "DELE": b"250 ok",
        }  # fmt: skip

    def close(self) -> None:
        for each in (self.sock, self.passive):
            if each:
                each.close()

    def talk(self) -> None:
        if self.lies.implicit:
            self.sock = self.lies.tls.wrap_socket(self.sock, server_side=True)
        self.sock.sendall(self.lies.greeting)
        received = b""
        while piece := self.sock.recv(4096):
            received += piece
            while b"\r\n" in received:
                line, _, received = received.partition(b"\r\n")
                self.obey(line)

    def obey(self, line: bytes) -> None:
        self.lies.commands.append(line)
        verb, _, argument = line.partition(b" ")
        name = verb.decode("latin-1").upper()
        if name in self.lies.replies:
            self.sock.sendall(self.lies.replies[name])
        elif name == "PROT":
            self.private = True
            self.say(b"200 ok")
        elif name in self.verbs:
            self.verbs[name](argument)
        else:
            self.say(self.answers.get(name, b"500 unknown"))

    def say(self, text: bytes) -> None:
        self.sock.sendall(text + b"\r\n")

    def auth(self, _argument: bytes) -> None:
        if not self.lies.tls:
            return self.say(b"502 no TLS here")
        self.sock.sendall(b"234 go ahead\r\n" + self.lies.slipped_in)
        self.sock = self.lies.tls.wrap_socket(self.sock, server_side=True)
        return None

    def feat(self, _argument: bytes) -> None:
        self.say(b"211-features\r\n MLST type*;size*;modify*;\r\n UTF8\r\n211 end" if self.lies.facts else b"211 none")

    def pasv(self, _argument: bytes) -> None:
        port = self.listen()
        self.say(b"227 Entering Passive Mode (%b,%d,%d)." % (self.lies.claims, port // 256, port % 256))

    def epsv(self, _argument: bytes) -> None:
        self.say(b"229 Entering Extended Passive Mode (|||%d|)" % self.listen())

    def listen(self) -> int:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        if self.passive:
            self.passive.close()
        self.passive = socket.create_server((self.address, 0), family=family)
        self.passive.settimeout(10)
        return self.passive.getsockname()[1]

    def shown_size(self, name: bytes) -> int:
        return self.lies.listed_sizes.get(name, len(self.lies.files[name]))

    def facts(self, name: bytes) -> bytes:
        return b"type=file;size=%d;modify=%b; %b" % (self.shown_size(name), STAMP, name)

    def listing(self, _argument: bytes) -> None:
        lines = self.lies.listing
        if lines is None:
            lines = b"".join(self.facts(name) + b"\r\n" for name in self.lies.files)
        self.transfer(lines, cut=self.lies.cut_at if self.lies.cut_listing else None)

    def mlst(self, name: bytes) -> None:
        if not self.lies.facts:
            return self.say(b"500 unknown")
        return self.say(b"250-here\r\n " + self.facts(name) + b"\r\n250 end" if name in self.lies.files else b"550 no such file")

    def size(self, name: bytes) -> None:
        self.say(b"213 %d" % self.shown_size(name) if name in self.lies.files else b"550 no such file")

    def mdtm(self, name: bytes) -> None:
        self.say(b"213 " + STAMP if name in self.lies.files else b"550 no such file")

    def retr(self, name: bytes) -> None:
        if name not in self.lies.files:
            return self.say(b"550 no such file")
        content = self.lies.files[name]
        if self.lies.grow_on_read:
            self.lies.files[name] += b"more"
        return self.transfer(content, cut=self.lies.cut_at)

    def transfer(self, content: bytes, cut: int | None) -> None:
        data, _ = self.passive.accept()
        self.say(b"150 here it comes")
        with data:
            if self.private and (self.lies.data_context or self.lies.tls):
                data = (self.lies.data_context or self.lies.tls).wrap_socket(data, server_side=True)
            data.sendall(content if cut is None else content[:cut])
            if cut is not None and self.lies.cut_with in {"reset", "silence"}:
                return self.drop(data)
            if isinstance(data, ssl.SSLSocket) and self.lies.tls_end:
                data = _ended(data)
            data.close()
        if cut is None or self.lies.cut_with == "226":
            self.say(b"226 all sent")
        elif self.lies.cut_with == "426":
            self.say(b"426 connection closed, transfer aborted")
        else:
            self.lies.let_go.wait(10)  # the data ended, and nothing is said about it
        return None

    def drop(self, data: socket.socket) -> None:
        if self.lies.cut_with == "silence":
            self.lies.let_go.wait(10)
            return
        data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends RST
        data.close()
        self.say(b"426 reset")


def _ended(data: ssl.SSLSocket) -> socket.socket:
    """Send TLS's end mark; whether the client answers it is its own affair."""
    data.settimeout(0.2)
    try:
        return data.unwrap()
    except OSError:
        return data
