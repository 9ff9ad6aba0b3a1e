"""Known secret values, masked in every text that leaves the process: log lines, errors, crash reports.

Never stores a secret anywhere but in memory, and never guesses what might be one.
"""

import base64
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, quote_plus

from schemas.connections import Connection, Secret

MASK = "***"
_SHORTEST = 4  # masking "a" in every word would hide the message, and protects nothing


def redact(text: str, secrets: Iterable[Secret | str]) -> str:
    """Return `text` with each secret, also URL-encoded or in base64, replaced by ***. Shorter than 4 characters is left."""
    forms = {form for secret in secrets for form in _forms(secret.reveal() if isinstance(secret, Secret) else secret)}
    for form in sorted(forms, key=len, reverse=True):  # the longest first: one may contain another
        text = text.replace(form, MASK)
    return text


def _forms(secret: str) -> set[str]:
    if len(secret) < _SHORTEST:
        return set()
    escaped = secret.encode("unicode_escape").decode("ascii")  # as repr and JSON show a key with line breaks
    return {secret, escaped, quote(secret, safe=""), quote(secret), quote_plus(secret), base64.b64encode(secret.encode()).decode()}


def one_line(text: str) -> str:
    """Return `text` with every unprintable character escaped, so that it stays on one line of a log or a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Redactor:
    """The secrets that this process has met; `text` masks them, and an instance is a structlog processor."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def learn(self, *secrets: Secret | str | None) -> None:
        """Mask these from now on."""
        self._secrets.update(s.reveal() if isinstance(s, Secret) else s for s in secrets if s is not None)

    def learn_connection(self, connection: Connection) -> Connection:
        """Mask the connection's password and secret extra fields from now on, and return the connection."""
        self.learn(connection.password, *_secrets_in(connection.extra))
        return connection

    def text(self, text: str) -> str:
        """Return `text` with every known secret masked."""
        return redact(text, self._secrets)

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return a log event with every known secret masked in all its values."""
        for key, value in event.items():
            event[key] = self._masked(value)
        return event

    def _masked(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self._masked(key): self._masked(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._masked(inner) for inner in value]
        if value is None or isinstance(value, (bool, int, float)):
            return value
        return self.text(value if isinstance(value, str) else str(value))


def _secrets_in(value: object) -> Iterable[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _secrets_in(inner)


#: Everything this process has met: the command line, the web and the DAG tasks share it.
KNOWN = Redactor()
