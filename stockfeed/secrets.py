"""Connections by name, from AIRFLOW_CONN_<NAME> in Airflow's own grammar (URI or JSON).

Never imports Airflow, never stores a connection, and never puts a value into an error message: it may be a secret. The
grammar is that of `airflow.sdk.Connection.from_uri` and `from_json` (Airflow 3.3); a test compares the two.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from schemas.connections import Connection, Secret
from schemas.errors import CredentialsError
from stockfeed.config_mistakes import suggestion
from stockfeed.redaction import KNOWN

Resolver = Callable[[str], Connection]

PREFIX = "AIRFLOW_CONN_"
_EXTRA_KEY = "__extra__"
_JSON_FIELDS = ("conn_type", "description", "host", "login", "password", "port", "schema", "extra")
_NO_HOST = "host or port is not valid; percent-encode special characters of login and password"
_MOST_SCHEMES = 2  # conn-type://protocol://host

_SECRET_WORDS = frozenset({
    "password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "credentials", "authorization", "apikey",
    "secretkey", "privatekey", "accesskey", "keyfile",
})  # fmt: skip
_OPEN_LAST_WORDS = frozenset({"file", "path", "url", "uri", "type", "name", "id", "expires", "ttl"})  # about a secret, not one
_OPEN_KEYS = frozenset({"host", "public", "known", "primary"})  # host_key, public_key …
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

_EXAMPLES: Mapping[str, str] = {
    "sftp": "sftp://user:password@host:22?host_key=ssh-ed25519%20AAAA…",
    "ftp": "ftp://user:password@host:21",
    "google_sheets": "google-cloud-platform://?keyfile=%7B…%7D",
    "imap": "imap://user%40example.com:password@imap.example.com",
    "object_store s3": "aws://key-id:secret@/?region=eu-central-1",
    "object_store gs": "google-cloud-platform://?keyfile_json=%7B…%7D",
    "object_store az": "wasb://account:key@",
    "web_file": "https://user:password@host",
    "magento": "https://:access-token@host",
    "woocommerce": "https://consumer-key:consumer-secret@host",
    "web_api": "https://user:password@host",
    "bigcommerce": "https://:access-token@api.bigcommerce.com",
    "shopify": "shopify://:access-token@shop.myshopify.com",
}


def find_connection(name: str, environ: Mapping[str, str] = os.environ, *, conn_type: str = "sftp") -> Connection:
    """Return the connection that AIRFLOW_CONN_<NAME> describes.

    Raises CredentialsError when the variable is not set (with an example for `conn_type`) or cannot be read.
    """
    variable = PREFIX + name.upper()
    value = environ.get(variable, "").strip()
    if not value:
        example = _EXAMPLES.get(conn_type, f"{conn_type}://user:password@host")
        raise CredentialsError(
            f"connection {name!r} is not set: looked for the variable {variable}",
            f"Set it, for example {variable}='{example}' (percent-encode special characters), or as JSON.",
        )
    if value.startswith("{"):
        return connection_from_json(name, value)
    if "//" not in value:
        raise _unreadable(name, "it is neither a URI nor a JSON object")
    return connection_from_uri(name, value)


def connection_from_uri(name: str, uri: str) -> Connection:
    """Return the connection that a URI in Airflow's grammar describes: conn-type://login:password@host:port/schema?extra.

    Parts are percent-decoded; the query gives the extra fields as texts, or one JSON object under `__extra__`; a second
    scheme belongs to the host ("http://https://api.example"). Raises CredentialsError, without the URI.
    """
    if uri.count("://") > _MOST_SCHEMES:
        raise _unreadable(name, "it has more than two ://")
    try:
        conn_type = urlsplit(uri).scheme
    except ValueError:  # "[" in the host: the standard library takes it for the beginning of an IPv6 address
        raise _unreadable(name, _NO_HOST) from None
    host_has_protocol = uri.count("://") == _MOST_SCHEMES
    rest = uri.replace(f"{conn_type}://", "" if host_has_protocol else "//")
    if host_has_protocol and re.search("[@:]", rest.split("://", 1)[0]):
        raise _unreadable(name, "login and password go after the second ://")
    try:
        parts = urlsplit(rest)
        port = parts.port
    except ValueError:
        raise _unreadable(name, _NO_HOST) from None
    host = _host(parts)
    connection = Connection(
        name=name,
        conn_type=_normal_type(conn_type),
        host=f"{parts.scheme}://{host}" if host and host_has_protocol else host,
        port=port,
        login=unquote(parts.username) if parts.username else parts.username,
        password=None if parts.password is None else Secret(unquote(parts.password)),
        schema=unquote(parts.path[1:]),
        extra=_extra_of_query(name, parts.query),
    )
    return KNOWN.learn_connection(connection)


def connection_from_json(name: str, text: str) -> Connection:
    """Return the connection that a JSON object with conn_type, host, login, password, port, schema, extra describes.

    `extra` is an object, or a text that holds one. Raises CredentialsError naming the field, without its value.
    """
    fields = _json_object(name, text, "it")
    for key in fields.keys() - set(_JSON_FIELDS):
        raise _unreadable(name, f"unknown field {key!r}; {suggestion(key, _JSON_FIELDS)}")
    for key in ("conn_type", "host", "login", "password", "schema"):
        if not isinstance(fields.get(key), str | None):
            raise _unreadable(name, f"the field {key!r} must be a text")
    extra = fields.get("extra") or {}
    if isinstance(extra, str):
        extra = _json_object(name, extra, "its field 'extra'")
    if not isinstance(extra, dict):
        raise _unreadable(name, "the field 'extra' must be an object")
    password = fields.get("password")
    connection = Connection(
        name=name,
        conn_type=_normal_type(fields.get("conn_type") or ""),
        host=fields.get("host"),
        port=_port(name, fields.get("port")),
        login=fields.get("login"),
        password=None if password is None else Secret(password),
        schema=fields.get("schema"),
        extra=_guarded(extra),
    )
    return KNOWN.learn_connection(connection)


def names_a_secret(key: str) -> bool:
    """Return whether a field of this name holds a secret: `private_key` and `clientSecret` do, `host_key` and `key_file` do not."""
    words = [word.lower() for word in _WORD.findall(key)]
    if not words or (len(words) > 1 and words[-1] in _OPEN_LAST_WORDS):
        return False
    if words[-1] in {"key", "keys"}:
        return not _OPEN_KEYS.intersection(words)
    return bool(_SECRET_WORDS.intersection(words))


def _guarded(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: Secret(_text(value)) if value is not None and names_a_secret(key) else _inside(value) for key, value in extra.items()
    }


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return _guarded(value)
    return [_inside(item) for item in value] if isinstance(value, list) else value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _extra_of_query(name: str, query: str) -> dict[str, Any]:
    fields = dict(parse_qsl(query, keep_blank_values=True))
    if not fields.get(_EXTRA_KEY):
        return {} if _EXTRA_KEY in fields else _guarded(fields)
    return _guarded(_json_object(name, fields[_EXTRA_KEY], f"its {_EXTRA_KEY}"))


def _json_object(name: str, text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _unreadable(name, f"{what} is not valid JSON at character {error.pos}") from None
    if not isinstance(found, dict):
        raise _unreadable(name, f"{what} is JSON, but not an object")
    return found


def _host(parts: SplitResult) -> str:
    # urlsplit gives the host in small letters; one with an encoded slash (a socket path) is taken as written
    host = unquote(parts.hostname or "")
    if "/" not in host:
        return host
    return unquote(parts.netloc.rsplit("@", 1)[-1].split(":", 1)[0])


def _port(name: str, value: object) -> int | None:
    if not value:
        return None
    if isinstance(value, int | str):
        try:
            return int(value)
        except ValueError:
            pass
    raise _unreadable(name, "the field 'port' must be a whole number")


def _normal_type(conn_type: str) -> str:
    return "postgres" if conn_type == "postgresql" else conn_type.replace("-", "_")


def _unreadable(name: str, why: str) -> CredentialsError:
    return CredentialsError(
        f"connection {name!r} cannot be read: {why}",
        f"Correct {PREFIX}{name.upper()}: a URI such as sftp://user:password@host:22, percent-encoded, or a JSON object.",
    )
