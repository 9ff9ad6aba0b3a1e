"""A connection: where an outside system is and how to log in, in Airflow's own grammar.

Secrets are masked in every representation; `reveal()` is the only way to read them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that never shows itself: `str`, `repr` and formatting give asterisks."""

    _value: str

    def reveal(self) -> str:
        """Return the secret itself: call it only where it is handed to the client library."""
        return self._value

    @property
    def is_given(self) -> bool:
        """Return whether there is any text: a variable that is not set leaves none between the marks of an address."""
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> str | tuple[Any, ...]:
        msg = "a Secret cannot be pickled"
        raise TypeError(msg)


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """One named connection. `extra` holds the other fields; values of extra keys that name a secret are Secret."""

    name: str
    conn_type: str = ""
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: Secret | None = None
    schema: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"Connection({self.name!r}, {self.conn_type}://{self.login or ''}@{self.host or ''}{port})"
