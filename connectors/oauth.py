"""Access tokens for Microsoft 365 and Google, from the secrets of a connection, through the vendors' own libraries.

Never stores a token, never opens a browser, and never puts a secret or a token into a message.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from connectors.http import retry_after_seconds
from connectors.tls import certificate_not_accepted, why_untrusted
from schemas.connections import Connection, Secret
from schemas.errors import CredentialsError, PermanentError, TransientError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from requests import Response, Session

Login = Literal["password", "microsoft_app", "microsoft_user", "google_user", "google_service_account"]
MICROSOFT_APP_SCOPE = "https://outlook.office365.com/.default"
MICROSOFT_USER_SCOPE = "https://outlook.office.com/IMAP.AccessAsUser.All"
GOOGLE_MAIL_SCOPE = "https://mail.google.com/"
_MICROSOFT = "https://login.microsoftonline.com"
_GOOGLE_TOKENS = "https://oauth2.googleapis.com/token"
_TIMEOUT = 20.0  # seconds, for each answer
_TOO_MANY, _SERVER_ERROR = 429, 500
_LIBRARIES = ("msal", "google.auth", "google.oauth2", "urllib3", "gspread")


def access_token(connection: Connection, login: Login) -> str:
    """Return a fresh access token for a mailbox.

    Raises CredentialsError (wrong secret, expired or revoked consent), TransientError (token endpoint not reachable),
    PermanentError (its certificate is not accepted, or it answers with something else).
    """
    with quiet(), http_session(connection) as session:
        if login.startswith("microsoft"):
            return _microsoft(connection, session, is_app=login == "microsoft_app")
        return _google(connection, session, login)


@contextmanager
def http_session(connection: Connection) -> "Iterator[Session]":
    """Give a session for token endpoints: certificates are verified (by the connection's `ca_file`, if any), every wait ends.

    An answer that is none (slow down, a fault, a web page) raises our own error before a library sees it.
    """
    from requests import Session
    from requests.adapters import HTTPAdapter
    from requests.exceptions import SSLError

    class Adapter(HTTPAdapter):
        def send(self, *arguments: Any, **named: Any) -> Any:
            if named.get("timeout") is None:
                named["timeout"] = _TIMEOUT
            try:
                answer = super().send(*arguments, **named)
            except SSLError as error:
                if untrusted := why_untrusted(error):
                    where = f"connection {connection.name!r}: the token endpoint"
                    raise certificate_not_accepted(where, untrusted) from None
                raise
            _check_answer(answer, connection)
            return answer

    with Session() as session:
        session.trust_env = False
        session.mount("https://", Adapter())
        session.mount("http://", Adapter())
        ca_file = connection.extra.get("ca_file")
        if ca_file:
            session.verify = str(ca_file)
        yield session


def _check_answer(answer: "Response", connection: Connection) -> None:
    status, where = answer.status_code, f"connection {connection.name!r}: the token endpoint"
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        wait = retry_after_seconds(answer.headers.get("retry-after"), datetime.now(UTC))
        raise TransientError(f"{where} cannot answer now (HTTP {status})", "It is tried again.", retry_after=wait)
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        words = f"{where} answers with something else than a token, such as a web page (HTTP {status})"
        raise PermanentError(words, "Is a proxy between us and the vendor? Check the address of the endpoint.")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' own log lines back: some show whole requests at DEBUG."""
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)


def _microsoft(connection: Connection, session: "Session", *, is_app: bool) -> str:
    import msal
    from requests.exceptions import RequestException

    authority = text_of(connection, "authority") or f"{_MICROSOFT}/{needed(connection, 'tenant')}"
    client_id, secret = needed(connection, "client_id"), text_of(connection, "client_secret")
    common = {"authority": authority, "http_client": session, "instance_discovery": False}
    try:
        if is_app:
            app = msal.ConfidentialClientApplication(client_id, client_credential=needed(connection, "client_secret"), **common)
            answer = app.acquire_token_for_client([MICROSOFT_APP_SCOPE])
        else:
            kind = msal.ConfidentialClientApplication if secret else msal.PublicClientApplication
            app = kind(client_id, **common, **({"client_credential": secret} if secret else {}))
            answer = app.acquire_token_by_refresh_token(needed(connection, "refresh_token"), [MICROSOFT_USER_SCOPE])
    except RequestException as error:
        raise _unreachable(connection, "Microsoft's token endpoint", error) from None
    except ValueError as error:  # the answer about the authority is none, or the tenant does not exist
        raise CredentialsError(
            f"connection {connection.name!r}: the tenant or authority is not accepted", "Check `tenant`.", type(error).__name__
        ) from None
    token = answer.get("access_token")
    if isinstance(token, str):
        return token
    raise _refused(connection, "Microsoft", str(answer.get("error", "")), answer.get("suberror"))


def _google(connection: Connection, session: "Session", login: Login) -> str:
    credentials = google_credentials(connection, [GOOGLE_MAIL_SCOPE], subject=connection.login, is_user=login == "google_user")
    refresh_google(credentials, connection, session)
    token = credentials.token
    if isinstance(token, str):
        return token
    raise _refused(connection, "Google", "", None)


def google_credentials(
    connection: Connection, scopes: Sequence[str], *, is_user: bool, subject: str | None = None
) -> "Credentials":
    """Return Google credentials without a token yet: of a user (refresh token), or of a service account (its key file's JSON).

    `subject`: the user in whose name a service account acts (domain-wide delegation). Raises CredentialsError.
    """
    if is_user:
        from google.oauth2.credentials import Credentials as UserCredentials

        return UserCredentials(  # type: ignore[no-untyped-call]
            None,
            refresh_token=needed(connection, "refresh_token"),
            token_uri=text_of(connection, "token_uri") or _GOOGLE_TOKENS,
            client_id=needed(connection, "client_id"),
            client_secret=needed(connection, "client_secret"),
        )
    from google.oauth2.service_account import Credentials as ServiceCredentials

    info = _key_of(connection)
    try:
        made: Credentials = ServiceCredentials.from_service_account_info(info, scopes=list(scopes), subject=subject or None)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise CredentialsError(
            f"connection {connection.name!r}: `keyfile` is no service account's key",
            "Put the whole JSON key file of the service account into the connection's extra `keyfile`.",
            type(error).__name__,
        ) from None
    return made


def refresh_google(credentials: "Credentials", connection: Connection, session: "Session") -> None:
    """Fetch a token for the credentials. Raises CredentialsError (refused, expired, revoked), TransientError (unreachable)."""
    from google.auth.exceptions import GoogleAuthError, RefreshError
    from google.auth.transport.requests import Request

    try:
        credentials.refresh(Request(session))  # type: ignore[no-untyped-call]
    except RefreshError as error:
        if error.retryable:
            raise _unreachable(connection, "Google's token endpoint", error) from None
        details = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
        raise _refused(connection, "Google", str(details.get("error") or ""), details.get("error_subtype")) from None
    except GoogleAuthError as error:
        raise _unreachable(connection, "Google's token endpoint", error) from None


def _key_of(connection: Connection) -> dict[str, Any]:
    written = needed(connection, "keyfile")
    try:
        found = json.loads(written)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CredentialsError(
            f"connection {connection.name!r}: `keyfile` is not a JSON object", "Put the service account's JSON key there, whole."
        )
    return found


def text_of(connection: Connection, name: str) -> str | None:
    """Return an extra field of the connection as text, secrets revealed; None where it is absent or blank."""
    value = connection.extra.get(name)
    found = value.reveal() if isinstance(value, Secret) else value
    return str(found) if found else None


def needed(connection: Connection, name: str) -> str:
    """Return an extra field of the connection. Raises CredentialsError where it is absent."""
    found = text_of(connection, name)
    if found is None:
        raise CredentialsError(
            f"connection {connection.name!r} has no `{name}`", f"Add the extra field `{name}` to the connection."
        )
    return found


def _unreachable(connection: Connection, what: str, error: Exception) -> TransientError:
    return TransientError(
        f"connection {connection.name!r}: {what} does not answer ({type(error).__name__})", "Check the network; it is tried again."
    )


def _refused(connection: Connection, who: str, code: str, more: object) -> CredentialsError:
    known = {
        "invalid_grant": (
            "the consent has expired or was revoked",
            "Give consent again and put the new refresh token (or key) in.",
        ),
        "invalid_client": ("the client id or its secret is wrong or has expired", "Make a new client secret and put it in."),
        "unauthorized_client": ("the app may not do this", "Let an administrator give it the permission named on the docs page."),
        "invalid_scope": ("the app may not do this", "Let an administrator give it the permission named on the docs page."),
        "interaction_required": ("the sign-in needs a person", "Sign in again and put the new refresh token in."),
    }
    words, remedy = known.get(code, ("the sign-in was refused", "Check every field of the connection."))
    shown = "".join(c for c in f"{code or 'no code'}{f', {more}' if more else ''}" if c.isprintable())[:80]
    return CredentialsError(f"connection {connection.name!r}: {who} gave no token: {words} ({shown})", remedy)
