"""SSH host keys pinned in a connection: reading them, and comparing what a server presents (OpenSSH `known_hosts`, sshd(8)).

Never connects, and never learns a key by itself: a key that is not pinned is refused.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError

_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk)-[a-z0-9@.-]+$")
_SSH_PORT = 22
_LINE_PARTS = 2  # type and key


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public host key: its type, e.g. "ssh-ed25519", and its bytes in SSH wire form (RFC 4253 §6.6)."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """Return "SHA256:…" as ssh-keygen -l prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def line(self) -> str:
        """Return "ssh-ed25519 AAAA…", the form that `host_key` takes."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True, slots=True)
class Pins:
    """The host keys a connection accepts, and those it never accepts (@revoked)."""

    accepted: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the types of the accepted keys, in the order given, each once."""
        return tuple(dict.fromkeys(k.kind for k in self.accepted))


def host_label(connection: Connection) -> str:
    """Return the name under which known_hosts lists the server: "host", or "[host]:port" beside port 22."""
    host, port = connection.host or "", connection.port or _SSH_PORT
    return host if port == _SSH_PORT else f"[{host}]:{port}"


def read_pins(connection: Connection) -> Pins:
    """Return the keys pinned by the extras `host_key` (one or several) and `known_hosts` (text) of a connection.

    Lines: "TYPE KEY" or "KEY" alone for this server, or known_hosts lines "HOSTS TYPE KEY" (plain or hashed names,
    "[host]:port", "*") of which those of this server count. Raises ConfigError for a line that is no host key.
    """
    accepted: list[HostKey] = []
    revoked: list[HostKey] = []
    for line in _lines(connection):
        marker, hosts, key = _parse(line, connection)
        if hosts is None or _is_for(hosts, host_label(connection)):
            (revoked if marker == "@revoked" else accepted).append(key)
    return Pins(tuple(dict.fromkeys(accepted)), tuple(revoked))


def check_host_key(presented: HostKey, connection: Connection) -> None:
    """Return when the server's key is pinned. Raises CredentialsError with both fingerprints otherwise; call before login."""
    pins = read_pins(connection)
    server = f"sftp://{host_label(connection)}"
    shown = f"{presented.kind} {presented.fingerprint}"
    if presented in pins.revoked:
        raise CredentialsError(
            f"{server} presents a revoked host key: {shown}", "Do not connect; ask the supplier which key is right."
        )
    if presented in pins.accepted:
        return
    remedy = (
        f"Compare the fingerprint with the supplier by another way than this connection; only if it is the same, "
        f"set the extra `host_key` of connection {connection.name!r} to: {presented.line}"
    )
    if pins.accepted:
        pinned = ", ".join(f"{k.kind} {k.fingerprint}" for k in pins.accepted)
        raise CredentialsError(f"{server}: the host key is not the pinned one: pinned {pinned}, presented {shown}", remedy)
    raise CredentialsError(f"{server}: no host key is pinned: pinned none, presented {shown}", remedy)


def _lines(connection: Connection) -> Iterator[str]:
    for name in ("host_key", "known_hosts"):
        value = connection.extra.get(name) or ()
        for text in value if isinstance(value, (list, tuple)) else (value,):
            written = text.reveal() if isinstance(text, Secret) else str(text)
            # in a URI or a .env file a line break is often written as the two characters \n
            stripped = (part.strip() for part in written.replace("\\n", "\n").splitlines())
            yield from (part for part in stripped if part and not part.startswith("#"))


def _parse(line: str, connection: Connection) -> tuple[str, str | None, HostKey]:
    words = line.split()
    marker = words.pop(0) if words[0].startswith("@") else ""
    if marker not in {"", "@revoked"}:
        raise ConfigError(f"connection {connection.name!r}: {marker} lines are not supported", "Pin the server's own host key.")
    hosts = None
    if len(words) > _LINE_PARTS and not _KEY_TYPE.match(words[0]):
        hosts = words.pop(0)
    if len(words) > 1 and _KEY_TYPE.match(words[0]):
        words.pop(0)  # the key names its own type
    return marker, hosts, _decode(words[0] if words else "", connection)


def _decode(text: str, connection: Connection) -> HostKey:
    try:
        blob = base64.b64decode(text, validate=True)
        kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii")
    except (binascii.Error, ValueError):
        kind = ""
    if not _KEY_TYPE.match(kind):
        raise ConfigError(
            f"connection {connection.name!r}: `host_key` is not an SSH host key",
            'Write it as "ssh-ed25519 AAAA…" (a line of ssh-keyscan); a fingerprint alone is not enough.',
        )
    return HostKey(kind, blob)


def _is_for(hosts: str, label: str) -> bool:
    return any(_same_host(name, label.lower()) for name in hosts.split(","))


def _same_host(name: str, label: str) -> bool:
    if not name.startswith("|1|"):
        return name == "*" or name.lower() == label
    try:  # hashed: |1|salt|HMAC-SHA1(salt, host)
        _, _, salt, digest = name.split("|")
        expected = base64.b64decode(digest)
        return hmac.compare_digest(hmac.new(base64.b64decode(salt), label.encode(), hashlib.sha1).digest(), expected)
    except (ValueError, binascii.Error):
        return False
