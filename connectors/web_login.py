"""The header that proves who we are to a web server, and to which server alone it is sent.

Never puts a secret into a message, and never gives the login to another server than the connection's.
"""

import base64

from connectors.addresses import WebAddress, parse_host
from schemas.connections import Connection
from schemas.errors import ConfigError, CredentialsError


def login_headers(connection: Connection | None, address: WebAddress, token: str | None = None) -> dict[str, str]:
    """Return the header that proves who we are, for the connection's own server; nothing for any other.

    A `token` that was got with the login goes in its place. Raises CredentialsError for what no header can carry.
    """
    if connection is None or connection.password is None or (address.host, address.port) != host_of(connection, address):
        return {}
    secret = connection.password.reveal()
    header = str(connection.extra.get("header") or "Authorization")
    if token is not None:
        header, secret = "Authorization", f"Bearer {token}"
    elif header == "Authorization":
        pair = base64.b64encode(f"{connection.login}:{secret}".encode()).decode("ascii")
        secret = f"Basic {pair}" if connection.login else f"Bearer {secret}"
    if not (header.isascii() and header.replace("-", "").replace("_", "").isalnum()):
        raise CredentialsError(f"connection {connection.name!r}: `header` is no header name", 'Write for example "X-Api-Key".')
    if not (secret.isascii() and secret.isprintable()):
        raise CredentialsError(
            f"connection {connection.name!r}: the password holds a line break or a character that a header cannot carry",
            "Copy it again into the connection, without spaces or quotes.",
        )
    return {header: secret}


def host_of(connection: Connection, address: WebAddress) -> tuple[str, int]:
    """Return host and port of a connection, by default the usual port of the address. Raises ConfigError."""
    host = (connection.host or "").rpartition("://")[2]
    if not host:
        raise ConfigError(f"connection {connection.name!r} has no host", "Add the host of `url`: the login goes to it only.")
    try:
        name, port = parse_host(f"[{host}]" if ":" in host and not host.startswith("[") and host.count(":") > 1 else host)
    except ValueError as error:
        raise ConfigError(f"connection {connection.name!r}: {error}", "Correct its host.") from None
    usual = 443 if address.scheme == "https" else 80
    return name, connection.port or port or usual
