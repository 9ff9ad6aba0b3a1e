"""An FTP session: connecting, TLS, login, and data connections that end with proof of their end.

Never sends a login before TLS unless plain FTP was asked for by name, and never connects to an address that the server names.
"""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Literal

from connectors.ftp_control import Control, Reply, ftp_errors
from connectors.tls import client_context
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, StockfeedError, TransientError

Encryption = Literal["explicit", "implicit", "none"]

_PORT, _IMPLICIT_PORT = 21, 990
_PASV = re.compile(rb"\d{1,3},\d{1,3},\d{1,3},\d{1,3},(\d{1,3}),(\d{1,3})")
_EPSV = re.compile(rb"\((.)\1\1(\d{1,5})\1\)")
_READY, _TLS_AGREED, _DONE, _LOGGED_IN, _SUPERFLUOUS, _PASSWORD_WANTED = 220, 234, 226, 230, 202, 331
_WRONG_LOGIN = 430  # not in RFC 959, and in use
_LEAST_FINAL_REFUSAL = 500
_HIGHEST_PORT = 65535
_PIECE = 1 << 16
_KEEP_ALIVE = 30  # seconds; routers forget a control connection that is idle during a long download


@dataclass(frozen=True, slots=True)
class FtpTimeouts:
    """Seconds: to connect, between two received pieces, for one file or listing altogether."""

    connect: float = 15.0
    idle: float = 30.0
    deadline: float = 900.0


def endpoint(connection: Connection, encryption: Encryption) -> str:
    """Return "ftps://host" or "ftp://host:port" for messages; the port only where it is not the usual one."""
    host = connection.host or ""
    usual = _IMPLICIT_PORT if encryption == "implicit" else _PORT
    port = connection.port or usual
    shown = f"[{host}]" if ":" in host else host
    return f"{'ftp' if encryption == 'none' else 'ftps'}://{shown}" + ("" if port == usual else f":{port}")


@contextmanager
def open_ftp(connection: Connection, encryption: Encryption, timeouts: FtpTimeouts) -> "Iterator[FtpSession]":
    """Give a logged-in session in binary mode; it is closed at the end.

    Raises CredentialsError (login), PermanentError (certificate, no TLS, not FTP), TransientError (unreachable), ConfigError.
    Errors of the caller's own calls are not translated here: put them under `ftp_errors`.
    """
    place = endpoint(connection, encryption)
    if not connection.host:
        raise ConfigError(f"connection {connection.name!r} has no host", "Add the host name of the supplier's server.")
    user, password = _login_of(connection)
    context = None if encryption == "none" else client_context(connection)
    usual = _IMPLICIT_PORT if encryption == "implicit" else _PORT
    with ExitStack() as stack:
        with ftp_errors(place):
            sock = socket.create_connection((connection.host, connection.port or usual), timeout=timeouts.connect)
            stack.callback(sock.close)
            _keep_alive(sock)
            control = Control(sock, place, timeouts.idle)
            _greet(control, context, connection.host, encryption)
            stack.callback(control.close)
            control.hide(password)
            _log_in(control, connection.name, user, password.reveal().encode())
            session = FtpSession(control, connection.host, context, timeouts)
            session.prepare()
        yield session
        session.quit()


class FtpSession:
    """A logged-in session."""

    def __init__(self, control: Control, host: str, context: ssl.SSLContext | None, timeouts: FtpTimeouts) -> None:
        self.control, self._host, self._context, self._timeouts = control, host, context, timeouts
        self.features: frozenset[str] = frozenset()

    def prepare(self) -> None:
        """Encrypt data connections, ask for the server's features, switch to UTF-8 names where offered, and to binary."""
        if self._context:
            self.command("PBSZ", b"0")
            self.command("PROT", b"P")
        reply = self.control.command("FEAT")
        if reply.ok:  # an old server may not know FEAT: it then offers nothing beyond RFC 959
            words = (line.split() for line in reply.lines[1:-1])
            self.features = frozenset(w[0].decode("latin-1").upper() for w in words if w)
        if "UTF8" in self.features:
            self.control.command("OPTS", b"UTF8 ON")  # a refusal is no matter: RFC 2640 servers need no such command
        self.command("TYPE", b"I")

    def command(self, verb: str, argument: bytes = b"") -> Reply:
        """Return the reply to a command that must succeed; raises what `Control.refusal` returns otherwise."""
        reply = self.control.command(verb, argument)
        if not reply.ok:
            raise self.control.refusal(f"{verb} was refused", reply)
        return reply

    def read_all(self, verb: str, most: int) -> bytes | Reply:
        """Return everything a data command without argument sends, or its refusal. Raises PermanentError above `most` bytes."""
        opened = self.start(verb)
        if isinstance(opened, Reply):
            return opened
        received, due = bytearray(), time.monotonic() + self._timeouts.deadline
        with closing(opened):
            while piece := opened.read(_PIECE):
                received += piece
                if len(received) > most:
                    raise PermanentError(
                        f"{self.control.place}: the listing is larger than {most} bytes", "Ask the supplier to clear up."
                    )
                if time.monotonic() > due:
                    msg = f"{self.control.place}: the listing took longer than {self._timeouts.deadline:g} s"
                    raise TransientError(msg, "It is tried again; ask the supplier to clear the folder up.")
        return bytes(received)

    def start(self, verb: str, argument: bytes = b"") -> "Download | Reply":
        """Return the running data transfer of a command, or the reply that refuses it."""
        with ExitStack() as undo:
            sock = socket.create_connection(self._data_address(), timeout=self._timeouts.connect)
            undo.callback(sock.close)
            reply = self.control.command(verb, argument)
            if not reply.preliminary:
                if reply.ok:
                    raise self.control.refusal(f"{verb} gave no data", reply)
                return reply
            sock.settimeout(self._timeouts.idle)
            if self._context:
                sock = self._encrypted(sock, self._context)
            undo.pop_all()
        return Download(sock, self.control, self._timeouts.idle)

    def quit(self) -> None:
        """Say goodbye; nobody waits for the answer."""
        try:
            self.control.send("QUIT")
        except OSError:
            return  # it is gone already, which is what was asked for

    def _encrypted(self, sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        control = self.control.sock
        # the session of the control connection shows the server that both come from the same client; vsftpd insists
        session = control.session if isinstance(control, ssl.SSLSocket) else None
        return context.wrap_socket(sock, server_hostname=self._host, session=session, suppress_ragged_eofs=False)

    def _data_address(self) -> tuple[str, int]:
        # always the host of the control connection: a server must not send us elsewhere (FTP bounce)
        address: str = self.control.sock.getpeername()[0]
        reply = None if self.control.sock.family == socket.AF_INET6 else self.control.command("PASV")
        if reply is None or reply.not_supported:
            reply = self.command("EPSV")
            found = _EPSV.search(b" ".join(reply.lines))
            port = int(found[2]) if found else 0
        else:
            pair = _PASV.search(b" ".join(reply.lines)) if reply.ok else None
            port = int(pair[1]) * 256 + int(pair[2]) if pair else 0
        if not 0 < port <= _HIGHEST_PORT:
            raise self.control.refusal("no port for the data connection", reply)
        return address, port


class Download:
    """A running data transfer."""

    def __init__(self, sock: socket.socket, control: Control, idle: float) -> None:
        self._sock, self._control, self._idle = sock, control, idle

    def read(self, most: int) -> bytes:
        """Return the next bytes, b"" at the end. The end counts only when the server confirms it (226).

        Raises TransientError when it says otherwise, TimeoutError when it says nothing, OSError for a broken connection.
        """
        piece = self._sock.recv(most)
        if not piece:
            self._sock.close()
            reply = self._control.read_reply()
            if not reply.ok or reply.preliminary:
                words = self._control.words(reply)
                raise TransientError(f"{self._control.place}: the transfer was broken off ({words})", "It is tried again.")
        return piece

    def send(self, content: bytes) -> None:
        """Send everything and end the transfer. Raises TransientError unless the server confirms that it has it (226)."""
        self._sock.sendall(content)
        if isinstance(self._sock, ssl.SSLSocket):
            self._sock.unwrap()  # some servers take a connection without this for one that was cut
        self._sock.close()
        reply = self._control.read_reply()
        if not reply.ok or reply.preliminary:
            words = self._control.words(reply)
            raise TransientError(f"{self._control.place}: the transfer was broken off ({words})", "It is tried again.")

    def close(self) -> None:
        """Close the data connection; safe to repeat."""
        self._sock.close()


def _login_of(connection: Connection) -> tuple[str, Secret]:
    if not connection.login:
        raise CredentialsError(
            f"connection {connection.name!r} has no login",
            'Add the user name the supplier gave you; "anonymous" where none is needed.',
        )
    if connection.password is None:
        raise CredentialsError(
            f"connection {connection.name!r} has no password", "Add it; servers that take any login want an e-mail address here."
        )
    return connection.login, connection.password


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux and Windows; others send theirs after two hours
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE)


def _greet(control: Control, context: ssl.SSLContext | None, host: str, encryption: Encryption) -> None:
    if context and encryption == "implicit":
        control.start_tls(context, host)
    try:
        reply = control.read_reply()
    except TimeoutError as error:
        if encryption == "implicit":
            raise
        hint = 'It is tried again; a server that waits for TLS from the first byte (often on port 990) needs tls = "implicit".'
        raise TransientError(f"{control.place}: no answer in time, the server has not greeted us", hint) from error
    while reply.preliminary:  # "120 ready in n minutes"
        reply = control.read_reply()
    if reply.code != _READY:
        raise control.refusal("the server takes no session", reply)
    if context and encryption == "explicit":
        reply = control.command("AUTH", b"TLS")
        if reply.code != _TLS_AGREED:
            raise _no_tls(control, reply)
        control.start_tls(context, host)


def _no_tls(control: Control, reply: Reply) -> StockfeedError:
    return PermanentError(
        f"{control.place} offers no encryption ({control.words(reply)})",
        "Ask the supplier for FTPS or SFTP. Nothing was sent; `plain = true` would send the password in the clear.",
    )


def _log_in(control: Control, name: str, user: str, password: bytes) -> None:
    reply = control.command("USER", user.encode())
    if reply.code == _PASSWORD_WANTED:
        reply = control.command("PASS", password)
    if reply.code in {_LOGGED_IN, _SUPERFLUOUS}:
        return
    if reply.code < _LEAST_FINAL_REFUSAL and reply.code != _WRONG_LOGIN and not reply.ok:
        raise control.refusal("no session now", reply)
    raise CredentialsError(
        f"{control.place} refused the login {user!r} ({control.words(reply)})",
        f"Check user and password of connection {name!r} with the supplier.",
    )
