"""A token for the credentials of an OAuth2 client (RFC 6749 §4.4), asked for with the same care as a page.

Never looks the server's name up a second time, never follows a redirect, and never puts an answer's text into a message.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from connectors.addresses import WebAddress
from connectors.http import retry_after_seconds
from connectors.tls import client_context
from connectors.web_body import body_reader
from schemas.connections import Connection
from schemas.errors import CredentialsError, PermanentError, TransientError

if TYPE_CHECKING:
    from connectors.web_transport import Patience

_OK, _TOO_MANY, _SERVER_ERROR = 200, 429, 500
_REFUSED = frozenset({400, 401, 403})
_CODES = frozenset({"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
                    "invalid_scope"})  # fmt: skip
_MOST = 1 << 20  # bytes of an answer


def client_token(
    address: WebAddress,
    ips: list[str],
    connection: Connection | None,
    scope: str | None,
    patience: "Patience",
    *,
    now: Callable[[], datetime],
) -> str:
    """Return a token for the connection's login and password, from the server at one of the checked `ips`.

    Raises CredentialsError (no client, refused, no token in the answer), TransientError (429, 5xx, cut short),
    PermanentError (certificate, a web page, another status).
    """
    from connectors.web_transport import ask

    form = _form(connection, scope)
    headers = {
        "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form)),
        "User-Agent": "stockfeed",
    }  # fmt: skip
    with ask(address, ips, headers, patience, client_context(connection), content=form) as answer:
        read = body_reader(answer.pieces, answer.headers.get("content-encoding", ""), address.shown, _MOST)
        body = b"".join(iter(lambda: read(1 << 16), b""))
        status, wait = answer.status, retry_after_seconds(answer.headers.get("retry-after"), now())
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        raise TransientError(f"{address.shown} gives no token now (HTTP {status})", "It is tried again.", retry_after=wait)
    if status not in _REFUSED | {_OK}:
        raise PermanentError(f"{address.shown} gave no token (HTTP {status}); redirects are not followed", "Correct `token_url`.")
    return _token_of(address, status, body)


def _form(connection: Connection | None, scope: str | None) -> bytes:
    if connection is None or connection.password is None or not connection.login:
        raise CredentialsError("token_url needs a connection with a client id and secret", "Write them as login and password.")
    fields = {"grant_type": "client_credentials", "client_id": connection.login, "client_secret": connection.password.reveal()}
    return urlencode(fields | ({"scope": scope} if scope else {})).encode()


def _token_of(address: WebAddress, status: int, body: bytes) -> str:
    if body.lstrip()[:1] == b"<" and status == _OK:
        raise PermanentError(f"{address.shown} answered with a web page instead of a token", "Correct `token_url`.")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        if status == _OK:
            raise TransientError(f"{address.shown}: the answer was cut short or is not JSON", "It is tried again.") from None
        answer = None
    said = answer if isinstance(answer, dict) else {}
    found = said.get("access_token")
    if status == _OK and isinstance(found, str) and found:
        return found
    code = said.get("error")
    shown = f", {code}" if isinstance(code, str) and code in _CODES else ""  # other texts could repeat what was sent
    raise CredentialsError(
        f"{address.shown} gave no access_token (HTTP {status}{shown})", "Check client id, secret and scope with the supplier."
    )
