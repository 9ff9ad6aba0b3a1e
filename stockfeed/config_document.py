"""One configuration file as read: its tables, and the mistakes found in it so far, each with its line.

Never decides what is allowed: the typed models and `stockfeed.config_rules` do.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from stockfeed.config_lines import KeyPath, line_of, locate
from stockfeed.config_mistakes import Mistake, shown_key, toml_mistake

_SECRET_KEY = re.compile(
    r"(?:^|_)(?:password|passwd|passphrase|secret|token|credentials|api_?key|access_?key|private_?key)$", re.IGNORECASE
)
_LOGIN_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
_FREE_KEYS = {"words"}  # tables whose keys are the supplier's own words


class Document:
    """A configuration file: `data` are its tables ({} when it cannot be read), `file` its name as shown to people."""

    def __init__(self, path: Path, file: str) -> None:
        self.path = path
        self.file = file
        self.text = ""
        self.data: dict[str, Any] = {}
        self.mistakes: list[Mistake] = []
        self._secret_paths: set[KeyPath] = set()
        self._read()

    def _read(self) -> None:
        try:
            self.text = self.path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
            self.data = tomllib.loads(self.text)
        except OSError as error:
            self.mistakes.append(Mistake(self.file, 1, "", f"cannot be read: {error.strerror}"))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self.mistakes.append(Mistake(self.file, line, "", "not UTF-8 text; save the file as UTF-8"))
        except tomllib.TOMLDecodeError as error:
            self.mistakes.append(toml_mistake(self.file, error, self.text))
        self._refuse_secrets()

    @cached_property
    def lines(self) -> Mapping[KeyPath, int]:
        """Return the line of each key; asked for only when there is a mistake to report."""
        return locate(self.text)

    @property
    def readable(self) -> bool:
        """Return whether there are tables to check."""
        return bool(self.data)

    def note(self, path: KeyPath, message: str) -> None:
        """Record one mistake at a key; a key that holds a secret is reported as that only, so its value is never shown."""
        if not any(path[: len(secret)] == secret for secret in self._secret_paths):
            self.mistakes.append(Mistake(self.file, line_of(self.lines, path), shown_key(path), message))

    def table(self, *path: str | int) -> dict[str, Any]:
        """Return the table at `path`, {} when there is none or something else stands there."""
        found = self.value(*path)
        return found if isinstance(found, dict) else {}

    def value(self, *path: str | int) -> Any:
        """Return the value at `path`, None when there is none."""
        here: Any = self.data
        for part in path:
            if isinstance(here, dict) and isinstance(part, str):
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                return None
        return here

    def tables(self, *path: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield position and table of each element of the array of tables at `path`."""
        found = self.value(*path)
        for index, table in enumerate(found if isinstance(found, list) else []):
            if isinstance(table, dict):
                yield index, table

    def _refuse_secrets(self) -> None:
        name = self.value("channel", "connection") or self.value("feed", 0, "source", "connection") or self.path.stem
        variable = f"AIRFLOW_CONN_{str(name).upper()}"
        for path in list(_secret_paths(self.data)):
            line = line_of(self.lines, path)
            words = f"a secret does not belong in a file; put it into the connection ({variable}) and name that connection here"
            self.mistakes.append(Mistake(self.file, line, shown_key(path), words))
            self._secret_paths.add(path)


def _secret_paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, (str, int)) and not isinstance(inner, bool) and inner != "" and _SECRET_KEY.search(key):
                yield (*path, key)
            elif key not in _FREE_KEYS and not (key == "columns" and path[-1:] == ("wide",)):
                yield from _secret_paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secret_paths(inner, (*path, index))
    elif isinstance(value, str) and _LOGIN_IN_URL.match(value):
        yield path
