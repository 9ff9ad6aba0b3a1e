"""Google's Sheets and Drive services through gspread: signed in, with back-off, errors sorted by what the caller must do.

Never asks for more than reading, never waits for ever, and never shows a token or a key.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

from connectors.http import retry_after_seconds
from connectors.oauth import google_credentials, http_session, quiet, refresh_google, text_of
from connectors.sheet_cells import Area, Cell
from schemas.connections import Connection
from schemas.errors import ConfigError, CredentialsError, PermanentError, StockfeedError, TransientError

if TYPE_CHECKING:
    import gspread
    from requests import Response, Session

SCOPES = ("https://www.googleapis.com/auth/spreadsheets.readonly", "https://www.googleapis.com/auth/drive.metadata.readonly")
FIRST_WAIT, LONGEST_WAIT = 2.0, 64.0  # seconds between two tries; the quota is filled up every minute
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _PASSING, _SERVER = 401, 403, 404, frozenset({408, 429}), 500
Result = TypeVar("Result")
SheetLogin = Literal["google_service_account", "google_user"]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A worksheet: the spreadsheet's title, its own title and number, how many rows and columns it has."""

    spreadsheet: str
    title: str
    id: int
    rows: int
    columns: int


class SheetSession:
    """Reading spreadsheets, each request tried again a few times when the service says "later"."""

    def __init__(self, client: "gspread.Client", who: str, tries: int, sleep: Callable[[float], object]) -> None:
        self._client, self._who, self._tries, self._sleep = client, who, tries, sleep

    def modified_at(self, key: str) -> datetime:
        """Return when a spreadsheet was last modified (UTC)."""
        found = self._ask(lambda: self._client.http_client.get_file_drive_metadata(key))
        try:
            return datetime.fromisoformat(found["modifiedTime"]).astimezone(UTC)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise PermanentError(
                "Google Drive tells no modified time of the spreadsheet", "Is `key` that of a spreadsheet?"
            ) from None

    def worksheet(self, key: str, title: str | None) -> Sheet:
        """Return a worksheet by its title, the first without one. Raises ConfigError with the titles there are."""
        found = self._ask(lambda: self._client.http_client.fetch_sheet_metadata(key))
        try:
            return _worksheet(found, title)
        except (KeyError, TypeError, AttributeError):
            raise PermanentError(
                "Google Sheets answers what cannot be understood", "It is not what its documentation says; see its status page."
            ) from None

    def values(self, key: str, title: str, area: Area) -> tuple[list[list[Cell]], list[list[Cell]]]:
        """Return the cells of an area as the sheet shows them, and as they are stored; dates are as shown in both."""
        quoted = "'" + title.replace("'", "''") + f"'!{area.name}"
        shown = self._values(key, quoted, "FORMATTED_VALUE")
        return shown, self._values(key, quoted, "UNFORMATTED_VALUE")

    def _values(self, key: str, cells: str, render: str) -> list[list[Cell]]:
        params = {"valueRenderOption": render, "dateTimeRenderOption": "FORMATTED_STRING", "majorDimension": "ROWS"}
        found = self._ask(lambda: self._client.http_client.values_get(key, cells, params=params))
        if not isinstance(found, dict) or "range" not in found:
            raise PermanentError(
                "Google Sheets answers what cannot be understood", "It is not what its documentation says; see its status page."
            )
        values: list[list[Cell]] = found.get("values", [])
        return values

    def _ask(self, ask: Callable[[], Result]) -> Result:
        wait = FIRST_WAIT
        for left in reversed(range(self._tries)):
            try:
                return self._asked(ask)
            except TransientError as error:
                if not left:
                    raise
                self._sleep(min(error.retry_after or wait, LONGEST_WAIT))
                wait *= 2
        raise AssertionError

    def _asked(self, ask: Callable[[], Result]) -> Result:
        from google.auth.exceptions import GoogleAuthError, TransportError
        from requests.exceptions import JSONDecodeError, RequestException

        try:
            return ask()
        except _Refused as error:
            raise _sorted(error.response, self._who) from None
        except (JSONDecodeError, json.JSONDecodeError):
            words = "Google answers with a web page instead of data"
            raise PermanentError(words, "Is a proxy between us and Google? Try the address by hand.") from None
        except GoogleAuthError as error:
            if isinstance(error, TransportError) or error.retryable:
                raise TransientError(f"Google cannot be reached ({type(error).__name__})", "It is tried again.") from None
            words = f"Google does not take the token any more ({type(error).__name__})"
            raise CredentialsError(words, f"Give consent again, or renew the key of {self._who}.") from None
        except RequestException as error:
            raise TransientError(f"Google cannot be reached ({type(error).__name__})", "It is tried again.") from None


def _worksheet(found: Any, title: str | None) -> Sheet:
    properties = [one["properties"] for one in found.get("sheets", []) if one["properties"].get("sheetType", "GRID") == "GRID"]
    chosen = next((one for one in properties if title is None or one["title"] == title), None)
    if chosen is None:
        titles = ", ".join(repr(one["title"]) for one in properties)
        raise ConfigError(f"the spreadsheet has no worksheet {title!r}", f"Correct `worksheet`; it has: {titles}.")
    grid = chosen["gridProperties"]
    return Sheet(found["properties"]["title"], chosen["title"], chosen["sheetId"], grid["rowCount"], grid["columnCount"])


class _Refused(Exception):  # noqa: N818 - an answer that is none, on its way to the place that sorts it
    def __init__(self, response: "Response") -> None:
        super().__init__(response.status_code)
        self.response = response


def _sorted(response: "Response", who: str) -> StockfeedError:
    """Return the error that a refusal means for the caller."""
    status, error = response.status_code, _error_of(response)
    details = [one for one in error.get("errors", []) if isinstance(one, dict)]
    if status in _PASSING or status >= _SERVER or (status == _FORBIDDEN and any(d.get("domain") == "usageLimits" for d in details)):
        wait = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC))
        return TransientError(f"Google cannot answer now (HTTP {status})", "It is tried again; see the quotas.", retry_after=wait)
    is_disabled = any(d.get("reason") == "accessNotConfigured" for d in details) or "SERVICE_DISABLED" in str(
        error.get("details", "")
    )
    if status == _FORBIDDEN and is_disabled:
        return CredentialsError("the Sheets or Drive API is not enabled", "Enable both in the Google Cloud project.")
    known: dict[int, tuple[type[StockfeedError], str, str]] = {
        _UNAUTHORIZED: (CredentialsError, f"Google refused the token (HTTP {status})", f"Check {who}."),
        _FORBIDDEN: (CredentialsError, "the spreadsheet is not shared with us", f"Share it, for reading, with {who}."),
        _NOT_FOUND: (
            ConfigError,
            "there is no such spreadsheet, or it is not shared with us",
            f"Check `key`; share it with {who}.",
        ),
    }
    usual = (PermanentError, f"Google refused the request (HTTP {status})", "Check `key`, `worksheet` and `range`.")
    kind, words, remedy = known.get(status, usual)
    return kind(words, remedy)


def _error_of(response: "Response") -> dict[str, Any]:
    try:
        found = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def open_sheets(
    connection: Connection, login: SheetLogin, timeout: float, tries: int, sleep: Callable[[float], object]
) -> Iterator[SheetSession]:
    """Give a session signed in as the connection says. Raises CredentialsError (refused, expired, revoked), TransientError."""
    with quiet(), http_session(connection) as session:
        credentials = google_credentials(connection, SCOPES, is_user=login == "google_user")
        refresh_google(credentials, connection, session)
        import gspread
        from google.auth.transport.requests import AuthorizedSession, Request

        who = getattr(credentials, "service_account_email", None) or f"the user of connection {connection.name!r}"
        with AuthorizedSession(credentials, auth_request=Request(session)) as signed:  # type: ignore[no-untyped-call]
            signed.trust_env = False
            signed.verify = session.verify
            _lead_elsewhere(signed, text_of(connection, "endpoint"))
            from gspread.http_client import HTTPClient

            class Client(HTTPClient):  # type: ignore[misc]
                """Leaves refusals to us: the library's own error cannot be made of every answer."""

                def request(self, method: str, endpoint: str, **named: Any) -> Any:
                    answer = self.session.request(method=method, url=endpoint, timeout=self.timeout, **named)
                    if not answer.ok:
                        raise _Refused(answer)
                    return answer

            client = gspread.Client(auth=credentials, session=signed, http_client=Client)
            client.set_timeout(timeout)
            yield SheetSession(client, who, tries, sleep)


def _lead_elsewhere(session: "Session", endpoint: str | None) -> None:
    """Send the requests to another https server than Google's own (a private endpoint of Google's), if one is named."""
    if endpoint is None:
        return
    from requests.adapters import HTTPAdapter

    there = urlsplit(endpoint)
    if there.scheme != "https":
        raise ConfigError(
            "`endpoint` of the connection is not an https address", 'Write for example "https://sheets.internal.example".'
        )

    class Elsewhere(HTTPAdapter):
        def send(self, request: Any, **named: Any) -> Any:  # type: ignore[override]
            written = urlsplit(request.url)
            request.url = urlunsplit((there.scheme, there.netloc, written.path, written.query, ""))
            return super().send(request, **named)

    session.mount("https://", Elsewhere())
