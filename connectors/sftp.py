"""SFTP servers through paramiko: an open session on a server whose host key is pinned, and its folders as a source of files.

Never accepts an unknown or changed host key, never uses keys or agents of the machine's user, never follows remote links.
"""

import io
import logging
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from connectors.host_keys import HostKey, check_host_key, host_label, read_pins
from connectors.pickup import Poll, clear_up, fetch_new, put_answer
from connectors.selection import SelectionOptions
from connectors.spool import Limits
from schemas.connections import Connection, Secret
from schemas.durations import Duration
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen

if TYPE_CHECKING:
    import paramiko

_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")  # RFC 8332: how an ssh-rsa key signs since SHA-1 is gone

_KEEP_ALIVE = 30  # seconds; the session is idle while a file settles


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect and agree on keys, between two answers, for one file altogether."""

    connect: float = 15.0
    idle: float = 30.0
    deadline: float = 900.0


DEFAULT_TIMEOUTS = Timeouts()


class SftpOptions(SelectionOptions):
    """`[feed.source] type = "sftp"`."""

    backend: Literal["paramiko", "pysftp"] = "paramiko"
    connect_timeout: Duration = timedelta(seconds=15)
    idle_timeout: Duration = timedelta(seconds=30)
    deadline: Duration = timedelta(minutes=15)  # for one file

    @property
    def timeouts(self) -> Timeouts:
        """Return the time-outs in seconds."""
        return Timeouts(self.connect_timeout.total_seconds(), self.idle_timeout.total_seconds(), self.deadline.total_seconds())


class SftpSource:
    """Supplier files on an SFTP server."""

    def __init__(
        self,
        options: SftpOptions,
        connection: Connection,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options, self._connection, self._sleep, self._now = options, connection, sleep, now

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        """Yield each new complete file, oldest first, downloaded into `spool`; see `protocols.Source`."""
        from connectors.sftp_folder import RemoteFolder

        times = self._options.timeouts
        limits = Limits(idle=times.idle, deadline=times.deadline)
        poll = Poll(self._options, limits, self._now, self._sleep, in_order=feed.mode == "delta")
        with self._session() as client:
            folder = RemoteFolder(client, self._options.path, endpoint(self._connection), times.deadline)
            yield from fetch_new(folder, poll, seen, spool)

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Leave, move or delete a committed file; safe to repeat, and new content under the same name stays."""
        from connectors.sftp_folder import RemoteFolder

        if self._options.after == "leave":
            return
        with self._session() as client:
            clear_up(RemoteFolder(client, self._options.path, endpoint(self._connection)), self._options, reference)

    def answer(self, name: str, content: bytes) -> bool:
        """Put an acknowledgement into `answers_to`, if there is one; see `protocols.Answering`."""
        from connectors.sftp_folder import RemoteFolder

        if self._options.answers_to is None:
            return False
        with self._session() as client:
            return put_answer(RemoteFolder(client, self._options.path, endpoint(self._connection)), self._options, name, content)

    def _session(self) -> "AbstractContextManager[paramiko.SFTPClient]":
        if self._options.backend == "pysftp":
            from connectors.legacy_sftp import open_pysftp

            return open_pysftp(self._connection, self._options.timeouts)
        return open_sftp(self._connection, self._options.timeouts)


@contextmanager
def open_sftp(connection: Connection, timeouts: Timeouts = DEFAULT_TIMEOUTS) -> "Iterator[paramiko.SFTPClient]":
    """Give a logged-in SFTP client on a server whose host key is pinned; the session is closed at the end.

    Every answer must come within `timeouts.idle`. Raises CredentialsError (host key, login), TransientError (unreachable),
    ConfigError. Errors of the caller's own calls are not translated here: put them under `remote_errors`.
    """
    import paramiko

    with verified_transport(connection, timeouts) as transport:
        with remote_errors(endpoint(connection)):
            _log_in(transport, connection)
            client = paramiko.SFTPClient.from_transport(transport)
            if client is None:
                raise PermanentError(
                    f"{endpoint(connection)} opens no SFTP session", "Ask the supplier to allow SFTP for this login."
                )
            client.sock.settimeout(timeouts.idle)
            transport.set_keepalive(_KEEP_ALIVE)
        yield client


@contextmanager
def verified_transport(connection: Connection, timeouts: Timeouts = DEFAULT_TIMEOUTS) -> "Iterator[paramiko.Transport]":
    """Give a transport whose server has proved to hold a pinned host key; nothing secret was sent yet.

    Raises CredentialsError with both fingerprints for any other key, TransientError when the server cannot be reached.
    """
    import paramiko

    _keep_tracebacks_off_the_screen()
    read_pins(connection)  # a pin that cannot be read is a mistake whether or not the server answers
    with remote_errors(endpoint(connection)):
        sock = socket.create_connection(_address(connection), timeout=timeouts.connect)
    with closing(sock), closing(paramiko.Transport(sock)) as transport:
        with remote_errors(endpoint(connection)):
            send_at_once(transport)
            transport.banner_timeout = transport.handshake_timeout = timeouts.connect
            transport.auth_timeout = transport.channel_timeout = timeouts.idle
            _prefer(transport, read_pins(connection).kinds)
            transport.start_client(timeout=timeouts.connect)
            key = transport.get_remote_server_key()
        check_host_key(HostKey(key.get_name(), key.asbytes()), connection)
        yield transport


@contextmanager
def remote_errors(place: str) -> Iterator[None]:
    """Turn what paramiko and sockets raise into our errors, with `place` named. Wrap remote calls only."""
    import paramiko
    from paramiko.ssh_exception import IncompatiblePeer

    try:
        yield
    except TimeoutError as error:
        raise TransientError(f"{place}: no answer in time", "It is tried again; ask the supplier if it happens often.") from error
    except socket.gaierror as error:
        raise TransientError(
            f"{place}: the host name is not known ({error.strerror})", "Check the host of the connection."
        ) from error
    except PermissionError as error:
        raise ConfigError(
            f"{place}: permission denied", "Ask the supplier to give this login access, or correct `path`."
        ) from error
    except FileNotFoundError as error:
        raise TransientError(f"{place}: the file is gone", "The folder is listed again at the next poll.") from error
    except IncompatiblePeer as error:
        raise PermanentError(
            f"{place}: no algorithm in common ({error})",
            "Ask the supplier to update the server: it offers outdated algorithms only.",
        ) from error
    except (paramiko.SFTPError, ValueError, struct.error) as error:  # the latter two: packets that make no sense
        raise PermanentError(
            f"{place} does not speak proper SFTP ({error})", "Ask the supplier: a login script that prints text is a usual cause."
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "connection closed"
        raise TransientError(f"{place}: {reason}", "It is tried again; check host and port of the connection.") from error


def send_at_once(transport: "paramiko.Transport") -> None:
    """Switch off Nagle's algorithm, which paramiko leaves on: 64 MB one request at a time take 0.4 s instead of 12 s."""
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def endpoint(connection: Connection) -> str:
    """Return "sftp://host" or "sftp://[host]:port" for messages."""
    return f"sftp://{host_label(connection)}"


def load_private_key(connection: Connection) -> "paramiko.PKey | None":
    """Return the key of the extras `private_key` (text) or `key_file` (path), opened with `passphrase`; None without either.

    Ed25519, ECDSA and RSA, in OpenSSH, PEM or PKCS#8 form. Raises CredentialsError, which never holds any of the text.
    """
    text, path = _secret(connection, "private_key"), _secret(connection, "key_file")
    if path and not text:
        try:
            text = Path(path).expanduser().read_text("ascii")
        except (OSError, UnicodeDecodeError):
            raise CredentialsError(
                f"connection {connection.name!r}: the file named by `key_file` cannot be read",
                "Check the path and its permissions.",
            ) from None
    if not text:
        return None
    passphrase = _secret(connection, "passphrase") or _secret(connection, "private_key_passphrase")
    return _parse_private_key(text.replace("\\n", "\n").strip() + "\n", passphrase, connection.name)


def _parse_private_key(text: str, passphrase: str | None, name: str) -> "paramiko.PKey":
    import paramiko
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
        load_ssh_private_key,
    )

    load = load_ssh_private_key if "BEGIN OPENSSH" in text else load_pem_private_key
    data = text.encode()
    try:
        try:
            key = load(data, passphrase.encode() if passphrase else None)
        except TypeError:  # a passphrase is needed and absent, or given and not needed
            if not passphrase:
                raise CredentialsError(
                    f"connection {name!r}: the private key is encrypted", "Put its passphrase into the extra `passphrase`."
                ) from None
            key = load(data, None)
    except (ValueError, UnsupportedAlgorithm):  # `from None`: nothing of the key's text may reach a traceback
        raise CredentialsError(
            f"connection {name!r}: the private key cannot be read", "Check the key's text (all its lines) and the passphrase."
        ) from None
    makers: tuple[tuple[type, Callable[[IO[str]], paramiko.PKey]], ...] = (
        (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key.from_private_key),
        (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey.from_private_key),
        (rsa.RSAPrivateKey, paramiko.RSAKey.from_private_key),
    )
    for kind, make in makers:
        if isinstance(key, kind):
            plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
            return make(io.StringIO(plain))
    raise CredentialsError(f"connection {name!r}: this type of private key is not supported", "Use an Ed25519, ECDSA or RSA key.")


def _log_in(transport: "paramiko.Transport", connection: Connection) -> None:
    import paramiko

    user = login_name(connection)
    key, password = load_private_key(connection), connection.password
    if key is None and password is None:
        raise CredentialsError(
            f"connection {connection.name!r} has neither a password nor a private key",
            "Add the password, or the extra `private_key` or `key_file`.",
        )
    try:
        if key is not None:
            _offer_key(transport, user, key, has_password=password is not None)
        if password is not None and not transport.is_authenticated():
            transport.auth_password(user, password.reveal())
    except paramiko.AuthenticationException as error:
        raise login_error(connection, error) from error
    if not transport.is_authenticated():
        raise _refused(connection, "the server wants a further proof")


def _offer_key(transport: "paramiko.Transport", user: str, key: "paramiko.PKey", *, has_password: bool) -> None:
    import paramiko

    try:
        transport.auth_publickey(user, key)
    except paramiko.AuthenticationException:
        if not has_password or not transport.is_active():
            raise
        # the password is tried next; its own refusal is then reported


def login_name(connection: Connection) -> str:
    """Return the user name. Raises CredentialsError when the connection has none."""
    if not connection.login:
        raise CredentialsError(f"connection {connection.name!r} has no login", "Add the user name the supplier gave you.")
    return connection.login


def login_error(connection: Connection, error: "paramiko.AuthenticationException") -> CredentialsError | TransientError:
    """Return CredentialsError for a refused login, TransientError when the server gave no answer, which says nothing about it."""
    import paramiko

    if isinstance(error, paramiko.BadAuthenticationType):
        return _refused(connection, f"the server takes {', '.join(error.allowed_types)} only")
    if any(word in str(error).lower() for word in ("timeout", "shut down")):
        return TransientError(f"{endpoint(connection)} hung up during login", "It is tried again.")
    return _refused(connection)


def _refused(connection: Connection, why: str = "") -> CredentialsError:
    reason = f" ({why})" if why else ""
    return CredentialsError(
        f"{endpoint(connection)} refused the login {connection.login!r}{reason}",
        f"Check user, password and key of connection {connection.name!r} with the supplier.",
    )


def _secret(connection: Connection, name: str) -> str | None:
    value = connection.extra.get(name)
    return value.reveal() if isinstance(value, Secret) else str(value or "") or None


def _address(connection: Connection) -> tuple[str, int]:
    if not connection.host:
        raise ConfigError(f"connection {connection.name!r} has no host", "Add the host name of the supplier's server.")
    return connection.host, connection.port or 22


def _prefer(transport: "paramiko.Transport", kinds: tuple[str, ...]) -> None:
    # The pinned types come first, so that a server with keys of several types shows the pinned one. The others stay in
    # the list only to be able to name the fingerprint of a key that is then refused.
    options = transport.get_security_options()
    wanted = [name for kind in kinds for name in (_RSA_SIGNATURES if kind == "ssh-rsa" else (kind,))]
    known = [name for name in wanted if name in options.key_types]
    options.key_types = (*known, *(name for name in options.key_types if name not in known))


def _keep_tracebacks_off_the_screen() -> None:
    # paramiko logs a traceback for each error that it also raises; without any handler Python prints it to stderr
    logger = logging.getLogger("paramiko")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
