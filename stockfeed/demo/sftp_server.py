"""A small real SFTP server on loopback that serves one folder: the demo's supplier, and the tests' counterpart.

Never listens beyond 127.0.0.1, never reaches outside its folder, and is no server for production.
"""

import base64
import errno
import functools
import hashlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_FAILURE, SFTP_OK, SFTP_PERMISSION_DENIED
from typing_extensions import override

_P = ParamSpec("_P")
_R = TypeVar("_R")
LOOPBACK = "127.0.0.1"
_BACKLOG = 50


@dataclass(frozen=True, slots=True)
class Login:
    """Who may log in: a user with a password, with authorised public keys, or with either."""

    user: str
    password: str | None = field(default=None, repr=False)
    keys: Sequence[paramiko.PKey] = ()


class SftpServer:
    """An SFTP server for `root`, running from `start()` to `stop()` or inside a `with`.

    The host key is made at the start unless one is given. `files` makes the object that serves one session
    (default: `ServedFolder`); tests hand in one that misbehaves.
    """

    def __init__(
        self,
        root: Path,
        login: Login,
        *,
        host_key: paramiko.PKey | None = None,
        port: int = 0,
        files: "Callable[[paramiko.ServerInterface, Path], ServedFolder] | None" = None,
    ) -> None:
        self.root, self.login = root, login
        self.host_key_pair = host_key or paramiko.ECDSAKey.generate()
        self.port = port
        self._files = files or ServedFolder
        self._socket: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._sessions: list[paramiko.Transport] = []
        self._lock = threading.Lock()

    @property
    def host_key(self) -> str:
        """Return the public host key as the connection extra `host_key` takes it."""
        return f"{self.host_key_pair.get_name()} {self.host_key_pair.get_base64()}"

    @property
    def host_key_line(self) -> str:
        """Return the known_hosts line of the running server."""
        return f"[{LOOPBACK}]:{self.port} {self.host_key}"

    @property
    def fingerprint(self) -> str:
        """Return "SHA256:…" of the host key."""
        digest = hashlib.sha256(self.host_key_pair.asbytes()).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def start(self) -> Self:
        """Return the running server; `port` holds the port it listens on. Raises OSError when the port is taken."""
        logging.getLogger("paramiko").addHandler(logging.NullHandler())  # or it prints a traceback for each client that hangs up
        self._socket = socket.create_server((LOOPBACK, self.port), backlog=_BACKLOG)
        self.port = self._socket.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, args=(self._socket,), name="sftp-server", daemon=True)
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """End every session and wait until the server's threads are gone; safe to repeat."""
        if self._socket is None or self._acceptor is None:
            return
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._acceptor.join()
        self._socket.close()
        self._socket = None
        self.hang_up()

    def hang_up(self) -> None:
        """Drop every open session; the server goes on listening."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()
            session.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # stop() shut the listener down
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(client)
            transport.add_server_key(self.host_key_pair)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, sftp_si=lambda door: self._files(door, self.root))
            with self._lock:
                self._sessions = [t for t in self._sessions if t.is_alive()] + [transport]
            transport.start_server(event=threading.Event(), server=_Door(self.login))


class _Door(paramiko.ServerInterface):
    """Lets one login in."""

    def __init__(self, login: Login) -> None:
        self._login = login

    @override
    def get_allowed_auths(self, username: str) -> str:
        ways = ("publickey",) * bool(self._login.keys) + ("password",) * (self._login.password is not None)
        return ",".join(ways)

    @override
    def check_auth_password(self, username: str, password: str) -> int:
        known = self._login.password is not None and (username, password) == (self._login.user, self._login.password)
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    @override
    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = username == self._login.user and key in self._login.keys
        return AUTH_SUCCESSFUL if known else AUTH_FAILED

    @override
    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


def _answered(act: "Callable[_P, _R]") -> "Callable[_P, _R | int]":
    """Return `act` with its errors turned into SFTP status codes, which is how paramiko wants them."""

    @functools.wraps(act)
    def answer(*args: _P.args, **kwargs: _P.kwargs) -> _R | int:
        try:
            return act(*args, **kwargs)
        except ValueError:  # a NUL in the name
            return SFTP_PERMISSION_DENIED
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)

    return answer


class ServedFile(paramiko.SFTPHandle):
    """An open file; paramiko reads and writes through `readfile` and `writefile`."""

    def __init__(self, flags: int, file: Any) -> None:
        super().__init__(flags)
        self.readfile = self.writefile = file

    @override
    @_answered
    def stat(self) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class ServedFolder(paramiko.SFTPServerInterface):
    """The files of one folder, as one session sees them; "/" is the folder itself."""

    def __init__(self, server: paramiko.ServerInterface, root: Path) -> None:
        super().__init__(server)
        self.root = root.resolve()

    def local(self, path: str, *, follow: bool = False) -> Path:
        """Return the local path of a remote one. Raises PermissionError for anything outside the folder."""
        full = self.root / os.path.normpath("/" + path).lstrip("/")
        within = full.resolve() if follow or full == self.root else full.parent.resolve() / full.name
        if not within.is_relative_to(self.root):
            raise PermissionError(errno.EACCES, "outside the served folder")
        return within

    @override
    @_answered
    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes]:
        with os.scandir(self.local(path, follow=True)) as found:
            return [paramiko.SFTPAttributes.from_stat(e.stat(follow_symlinks=False), e.name) for e in found]

    @override
    @_answered
    def stat(self, path: str) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(self.local(path, follow=True).stat())

    @override
    @_answered
    def lstat(self, path: str) -> paramiko.SFTPAttributes:
        return paramiko.SFTPAttributes.from_stat(self.local(path).lstat())

    @override
    @_answered
    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle:
        handle = os.open(self.local(path, follow=True), flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        modes = {os.O_RDONLY: "rb", os.O_WRONLY: "wb", os.O_RDWR: "r+b"}
        return ServedFile(flags, os.fdopen(handle, modes[flags & os.O_ACCMODE]))

    @override
    @_answered
    def remove(self, path: str) -> int:
        self.local(path).unlink()
        return SFTP_OK

    @override
    @_answered
    def rename(self, oldpath: str, newpath: str) -> int:
        if os.path.lexists(self.local(newpath)):
            return SFTP_FAILURE  # SFTP 3: rename does not replace
        return self.posix_rename(oldpath, newpath)

    @override
    @_answered
    def posix_rename(self, oldpath: str, newpath: str) -> int:
        self.local(oldpath).replace(self.local(newpath))
        return SFTP_OK

    @override
    @_answered
    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        self.local(path).mkdir()
        return SFTP_OK

    @override
    @_answered
    def rmdir(self, path: str) -> int:
        self.local(path).rmdir()
        return SFTP_OK

    @override
    @_answered
    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        paramiko.SFTPServer.set_file_attr(str(self.local(path, follow=True)), attr)
        return SFTP_OK
