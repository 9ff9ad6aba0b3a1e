"""One conversation with a shop's Admin GraphQL endpoint: token, throttling, top-level errors.

Never interprets inventory, and never repeats a request that changes the shop: `connectors.shopify` decides that.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from connectors.http import JsonClient, NoAnswerError, RefusedError, UnauthorizedError
from connectors.shopify_budget import CostBudget
from connectors.shopify_queries import Operation
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, StockfeedError, TransientError

_CHANNEL_SCOPES = "read_inventory, write_inventory and read_locations"
_RENEW_BEFORE = 300.0  # seconds before expiry; a batch under way must not run out of its token
_SERVER_FAULTS = frozenset({"INTERNAL_SERVER_ERROR", "TIMEOUT", "SERVICE_UNAVAILABLE"})
_LOGIN_HINT = (
    "Put the Admin API access token into the connection's password, "
    'or client id and secret into login and password with extra {"grant": "client_credentials"}.'
)


class TooCostlyError(PermanentError):
    """One query costs more points than the shop ever allows: ask for less at a time."""


@dataclass(slots=True)
class _Token:
    value: Secret
    renew_at: float  # on the injected clock


class ShopTokens:
    """Gives the access token of a connection; fetches and renews it with the client credentials grant if asked to."""

    def __init__(self, connection: Connection, http: JsonClient, clock: Callable[[], float]) -> None:
        if connection.password is None or not connection.password.is_given:
            raise CredentialsError(f"connection {connection.name} has no access token", _LOGIN_HINT)
        grant = connection.extra.get("grant")
        if grant not in {None, "client_credentials"} or (grant and not connection.login):
            raise CredentialsError(f"connection {connection.name} has an unusable grant or no client id", _LOGIN_HINT)
        self._connection, self._secret, self._fetches = connection, connection.password, grant is not None
        self._http, self._clock = http, clock
        self._token: _Token | None = None
        self._lock = threading.Lock()

    def current(self, refused: Secret | None = None) -> Secret | None:
        """Return the token to use; None when `refused` was that token and no other can be had.

        Raises CredentialsError when client id and secret are refused.
        """
        if not self._fetches:
            return self._secret if refused is None else None
        with self._lock:
            token = self._token
            if token is None or token.value is refused or self._clock() >= token.renew_at:
                token = self._token = self._fetch()
            return token.value

    def _fetch(self) -> _Token:
        form: dict[str, Secret | str] = {
            "grant_type": "client_credentials",
            "client_id": self._connection.login or "",
            "client_secret": self._secret,
        }
        try:
            answer = self._http.post_form("/admin/oauth/access_token", form)
        except (UnauthorizedError, RefusedError) as error:
            hint = "Check client id and secret in the connection, and that the app is installed in this shop."
            raise CredentialsError(f"no token for client id and secret: {error.message}", hint, error.detail) from error
        value = answer.get("access_token") if isinstance(answer, dict) else None
        lifetime = answer.get("expires_in") if isinstance(answer, dict) else None
        if not isinstance(value, str) or not value:
            raise PermanentError(f"{self._http.system} answered the token request without a token", "Check the host.")
        seconds = float(lifetime) if isinstance(lifetime, (int, float)) else 0.0
        # A token that lives shorter than the margin is renewed at half its life instead of before every request.
        return _Token(Secret(value), self._clock() + max(seconds - _RENEW_BEFORE, seconds / 2))


class ShopSession:
    """Runs operations of `connectors.shopify_queries` and returns the value of their root field. Thread-safe."""

    def __init__(
        self, http: JsonClient, tokens: ShopTokens, budget: CostBudget, api_version: str, scopes: str = _CHANNEL_SCOPES
    ) -> None:
        self.http, self._scopes = http, scopes
        self._tokens, self._budget = tokens, budget
        self._path = f"/admin/api/{api_version}/graphql.json"

    def run(self, operation: Operation, variables: Mapping[str, Any]) -> Any:
        """Return `data[operation.field]`, waiting where the shop throttles.

        Raises CredentialsError, TransientError (nothing was done), NoAnswerError (not known), TooCostlyError and
        PermanentError with the shop's code and sentence.
        """
        waited = 0.0
        while True:
            self._budget.reserve(operation.name)
            answer = self._post(operation, variables)
            cost = _cost(answer)
            self._budget.learn(operation.name, cost)
            errors = answer.get("errors")
            if not errors:
                return self._value(answer, operation)
            if _code(errors) != "THROTTLED":
                raise self._error(errors, operation)
            waited += self._budget.wait_after_throttling(cost, waited)

    def _post(self, operation: Operation, variables: Mapping[str, Any]) -> dict[str, Any]:
        document = {"query": operation.text, "operationName": operation.name, "variables": variables}
        token = self._tokens.current()
        assert token is not None
        try:
            answer = self._send(document, token)
        except UnauthorizedError:
            renewed = self._tokens.current(refused=token)
            if renewed is None:
                raise
            answer = self._send(document, renewed)
        if not isinstance(answer, dict):
            raise NoAnswerError(f"{self.http.system} answered something else than a GraphQL result", "Try again later.")
        return answer

    def _send(self, document: Mapping[str, Any], token: Secret) -> Any:
        return self.http.post_json(self._path, document, {"X-Shopify-Access-Token": token})

    def _value(self, answer: Mapping[str, Any], operation: Operation) -> Any:
        data = answer.get("data")
        value = data.get(operation.field) if isinstance(data, dict) else None
        if value is None:
            raise NoAnswerError(f"{self.http.system} answered {operation.name} without a result", "Try again later.")
        return value

    def _error(self, errors: object, operation: Operation) -> StockfeedError:
        code, system = _code(errors), self.http.system
        first = errors[0] if isinstance(errors, list) and errors else errors
        text = self.http.clean(first.get("message", "") if isinstance(first, dict) else first)
        if code == "ACCESS_DENIED":
            hint = f"Give the app the scopes {self._scopes}."
            return CredentialsError(f"{system} denies {operation.name}: {text}", hint, code)
        if code == "MAX_COST_EXCEEDED":
            return TooCostlyError(f"{system} finds {operation.name} too costly: {text}", "Lower page and chunk.", code)
        if code in _SERVER_FAULTS:
            kind = NoAnswerError if operation.writes else TransientError
            return kind(f"{system} failed: {text}", "Try again later.", code)
        named = f" ({self.http.clean(code, 60)})" if code else ""
        hint = "Compare api_version with the versions the shop offers; the request breaks its contract."
        return PermanentError(f"{system} refused {operation.name}{named}: {text}", hint, code)


def pages(session: ShopSession, operation: Operation, variables: Mapping[str, Any], first: int) -> list[dict[str, Any]]:
    """Return the nodes of all pages of a connection, `first` at a time. Raises as `page_nodes`."""
    return list(page_nodes(session.run, operation, variables, first))


def page_nodes(
    run: Callable[[Operation, Mapping[str, Any]], Any],
    operation: Operation,
    variables: Mapping[str, Any],
    first: int,
    *,
    shrink: bool = False,
) -> Iterator[dict[str, Any]]:
    """Yield the nodes of all pages of a connection, `first` at a time; with `shrink` fewer where that is too costly.

    Only a page that says so is the last one. Raises PermanentError if paging goes in circles, NoAnswerError for half a page.
    """
    after: str | None = None
    visited: set[str] = set()
    while True:
        try:
            page = run(operation, {**variables, "first": first, "after": after})
        except TooCostlyError:
            if not shrink or first == 1:
                raise
            first //= 2
            continue
        nodes, more, cursor = _page(page, operation)
        yield from nodes
        if not more:
            return
        if cursor in visited:
            raise PermanentError(
                f"the shop repeats a page of {operation.name}: the pages go round in a loop", "Try again; report it to the shop."
            )
        visited.add(cursor)
        after = cursor


def _page(page: object, operation: Operation) -> tuple[list[dict[str, Any]], bool, str]:
    nodes = page.get("nodes") if isinstance(page, dict) else None
    info = page.get("pageInfo") if isinstance(page, dict) else None
    more = info.get("hasNextPage") if isinstance(info, dict) else None
    cursor = info.get("endCursor") if isinstance(info, dict) else None
    whole = isinstance(nodes, list) and all(isinstance(node, dict) for node in nodes) and isinstance(more, bool)
    if not whole or (more and not isinstance(cursor, str)):
        raise NoAnswerError(f"the shop answered {operation.name} without a whole page", "Try again later.")
    return cast("list[dict[str, Any]]", nodes), bool(more), cursor or ""


def shop_address(connection: Connection) -> str:
    """Return the address of the connection's shop, without a path. Raises ConfigError."""
    base_url = connection.extra.get("base_url")
    if isinstance(base_url, str):
        return base_url
    if not connection.host:
        raise ConfigError(f"connection {connection.name} names no shop", 'Set host to "your-shop.myshopify.com".')
    if "/" in connection.host or "." not in connection.host:
        raise ConfigError(f"host of connection {connection.name!r} must be a bare name", 'Write "your-shop.myshopify.com".')
    return f"https://{connection.host}" + (f":{connection.port}" if connection.port else "")


def _cost(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    extensions = answer.get("extensions")
    cost = extensions.get("cost") if isinstance(extensions, dict) else None
    return cost if isinstance(cost, dict) else None


def _code(errors: object) -> str:
    first = errors[0] if isinstance(errors, list) and errors else None
    extensions = first.get("extensions") if isinstance(first, dict) else None
    return str(extensions.get("code") or "") if isinstance(extensions, dict) else ""
