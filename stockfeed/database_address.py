"""The database's address: refused where a password might be read as something else, and its password made known for masking.

Never connects, and never puts any part of the address into a message.
"""

from urllib.parse import parse_qsl, unquote, urlsplit

SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgresql+psycopg://", "postgres://")
_ENCODE = "percent-encode special characters of user and password (@ is %40, / is %2F, # is %23, ? is %3F)"


def checked_address(url: str) -> str:
    """Return the address as SQLAlchemy takes it. Raises ValueError, without the address, for one that is doubtful.

    An unencoded @ or / in a password moves the rest of it into the host, the port or the name of the database, and from
    there into error messages: such an address is refused here, before anything is named by it.
    """
    if url.startswith(SQLITE):
        return url
    if not url.startswith(_POSTGRESQL):
        msg = "write sqlite:///path or postgresql://user@host/name"
        raise ValueError(msg)
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        msg = f"host or port is not valid; write postgresql://user:password@host:5432/name and {_ENCODE}"
        raise ValueError(msg) from None
    login, sign, _ = parts.netloc.rpartition("@")
    if "@" in login or "#" in url or "@" in parts.path or (not sign and "@" in parts.query):
        msg = f"user and password cannot be told apart from the rest; {_ENCODE}"
        raise ValueError(msg)
    return url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url


def secrets_of(url: str) -> tuple[str, ...]:
    """Return the passwords in an address that `checked_address` accepts, as written and decoded."""
    if url.startswith(SQLITE):
        return ()
    parts = urlsplit(url)
    written = parts.password or ""
    in_query = [value for name, value in parse_qsl(parts.query) if name in {"password", "sslpassword"}]
    return tuple(dict.fromkeys(text for text in (written, unquote(written), *in_query) if text))
