"""pysftp as the SFTP client of a feed that asks for it (`backend = "pysftp"`), behind an adapter that makes it safe to use.

Never runs without a pinned host key, and offers a password or an RSA key only: pysftp 0.2.9 knows nothing else.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from connectors.sftp import (
    DEFAULT_TIMEOUTS,
    Timeouts,
    endpoint,
    load_private_key,
    login_error,
    login_name,
    remote_errors,
    send_at_once,
    verified_transport,
)
from schemas.connections import Connection
from schemas.errors import ConfigError

if TYPE_CHECKING:
    import paramiko

_importing = threading.Lock()


@contextmanager
def open_pysftp(connection: Connection, timeouts: Timeouts = DEFAULT_TIMEOUTS) -> "Iterator[paramiko.SFTPClient]":
    """Give the SFTP client of a logged-in pysftp connection; it is closed at the end.

    pysftp has no time-outs and no useful error for a wrong host key, so a first handshake of our own, within
    `timeouts.connect`, finds and checks the server's key; pysftp then accepts exactly this key. Raises as `open_sftp`,
    and ConfigError when pysftp is not installed or the private key is not RSA.
    """
    import paramiko

    pysftp = import_pysftp()
    login = _login(connection)
    with verified_transport(connection, timeouts) as transport:
        key = transport.get_remote_server_key()
    options = _pinned_options(pysftp, connection, key)
    # Made and started in two steps: when the login is refused, pysftp leaves its connection open and nobody else has it.
    session = pysftp.Connection.__new__(pysftp.Connection)
    with closing(session):
        with remote_errors(endpoint(connection)):
            try:
                session.__init__(connection.host, port=connection.port or 22, cnopts=options, **login)
            except paramiko.AuthenticationException as error:
                raise login_error(connection, error) from error
            client: paramiko.SFTPClient = session.sftp_client
            client.sock.settimeout(timeouts.idle)
            send_at_once(client.sock.get_transport())
        with closing(client.sock.get_transport()):  # before pysftp says goodbye to a server that may be gone
            yield client


def import_pysftp() -> ModuleType:
    """Return the module pysftp. Raises ConfigError when it is not installed.

    pysftp imports the name `paramiko.DSSKey`, which paramiko 4 removed; it is supplied during the import and only then.
    """
    import paramiko

    with _importing:
        missing = not hasattr(paramiko, "DSSKey")
        if missing:
            paramiko.DSSKey = _NoDsaKey  # type: ignore[attr-defined]  # the name is gone on purpose, see above
        try:
            import pysftp
        except ModuleNotFoundError as error:
            raise ConfigError(
                'backend = "pysftp" needs the package pysftp', 'Install stockfeed[legacy-sftp], or use backend = "paramiko".'
            ) from error
        finally:
            if missing:
                del paramiko.DSSKey  # type: ignore[attr-defined]  # as above
    module: ModuleType = pysftp
    return module


class _NoDsaKey:
    """Stands where pysftp expects DSA keys."""

    @classmethod
    def from_private_key_file(cls, *_: object) -> None:
        raise ConfigError("DSA keys are not supported", "Use an RSA key.")


def _login(connection: Connection) -> dict[str, Any]:
    import paramiko

    user, key = login_name(connection), load_private_key(connection)
    if key is not None and not isinstance(key, paramiko.RSAKey):
        raise ConfigError(
            f"connection {connection.name!r}: pysftp takes a password or an RSA key only",
            'Use an RSA key, or backend = "paramiko" for Ed25519 and ECDSA keys.',
        )
    if key is not None:
        return {"username": user, "private_key": key}
    if connection.password is None:
        # without either, pysftp would try the key files of the machine's user
        raise ConfigError(f"connection {connection.name!r} has neither a password nor a private key", "Add one of them.")
    return {"username": user, "password": connection.password.reveal()}


def _pinned_options(pysftp: ModuleType, connection: Connection, key: "paramiko.PKey") -> Any:
    # CnOpts reads a known_hosts file when it is made and fails without one. pysftp looks keys up by the bare host name
    # whatever the port, so this is the name to use.
    with tempfile.NamedTemporaryFile("w", suffix=".known_hosts") as known_hosts:
        known_hosts.write(f"{connection.host} {key.get_name()} {key.get_base64()}\n")
        known_hosts.flush()
        return pysftp.CnOpts(knownhosts=known_hosts.name)
