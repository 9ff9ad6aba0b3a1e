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
        except (KeyError, TypeError, ValueError, AttributeError):
            raise PermanentError(
                "Google Drive tells no modified time of the spreadsheet", "Is `key` that of a spreadsheet?"
            ) from None

    def worksheet(self, key: str, title: str | None) -> Sheet:
        """Return a worksheet by its title, the first without one. Raises ConfigError with the titles there are."""
        found = self._ask(lambda: self._client.http_client.fetch_sheet_metadata(key))
        properties = [one["properties"] for one in found.get("sheets", []) if one["properties"].get("sheetType", "GRID") == "GRID"]
        chosen = next((one for one in properties if title is None or one["title"] == title), None)
        if chosen is None:
            titles = ", ".join(repr(one["title"]) for one in properties)
            raise ConfigError(f"the spreadsheet has no worksheet {title!r}", f"Correct `worksheet`; it has: {titles}.")
        grid = chosen["gridProperties"]
        return Sheet(found["properties"]["title"], chosen["title"], chosen["sheetId"], grid["rowCount"], grid["columnCount"])

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
        from google.auth.exceptions import GoogleAuthError
        from gspread.exceptions import APIError
        from requests.exceptions import JSONDecodeError, RequestException

        try:
            return ask()
        except StockfeedError:
            raise
        except APIError as error:
            raise self._sorted(error.response) from None
        except (JSONDecodeError, json.JSONDecodeError):
            words = "Google answers with a web page instead of data"
            raise PermanentError(words, "Is a proxy between us and Google? Try the address by hand.") from None
        except GoogleAuthError as error:
            words = f"Google does not take the token any more ({type(error).__name__})"
            raise CredentialsError(words, f"Give consent again, or renew the key of {self._who}.") from None
        except RequestException as error:
            raise TransientError(f"Google cannot be reached ({type(error).__name__})", "It is tried again.") from None

    def _sorted(self, response: "Response") -> StockfeedError:
        status, error = response.status_code, _error_of(response)
        reasons = {str(one.get("reason")) for one in error.get("errors", []) if isinstance(one, dict)}
        domains = {str(one.get("domain")) for one in error.get("errors", []) if isinstance(one, dict)}
        if status in _PASSING or status >= _SERVER or (status == _FORBIDDEN and "usageLimits" in domains):
            wait = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC))
            return TransientError(
                f"Google cannot answer now (HTTP {status})", "It is tried again; see the quotas.", retry_after=wait
            )
        if status == _UNAUTHORIZED:
            return CredentialsError(f"Google refused the token (HTTP {status})", f"Check {self._who}.")
        if status == _FORBIDDEN:
            if "accessNotConfigured" in reasons or error.get("status") == "SERVICE_DISABLED":
                return CredentialsError("the Sheets or Drive API is not enabled", "Enable both in the Google Cloud project.")
            return CredentialsError("the spreadsheet is not shared with us", f"Share it, for reading, with {self._who}.")
        if status == _NOT_FOUND:
            return ConfigError(
                "there is no such spreadsheet, or it is not shared with us", f"Check `key`; share it with {self._who}."
            )
        return PermanentError(f"Google refused the request (HTTP {status})", "Check `key`, `worksheet` and `range`.")


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
            client = gspread.Client(auth=credentials, session=signed)
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
