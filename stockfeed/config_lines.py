"""Where each key of a TOML document stands: `tomllib` reads values but forgets their lines.

Never judges a document: it is only asked about text that `tomllib` has already read without an error.
"""

import re
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]

_SPACE = re.compile(r"[ \t]*")
_FILLER = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")  # between array elements and between statements
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#][^,\]}#\n]*")  # number, boolean, date: ends at a delimiter
_STRINGS = (  # longest opening first; a multi-line string may end with two more quotes
    re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(["\\btnfr]))')
_SHORT_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def locate(text: str) -> Mapping[KeyPath, int]:
    """Return the 1-based line of each key, table and array element of a valid TOML document, by its path.

    A path is what walking the parsed document takes: ("feed", 0, "columns", "supplier_sku"). An array of tables has the
    line of its first header under ("feed",), and each header's own line under ("feed", 0), ("feed", 1) …
    """
    return _Scanner(text).scan()


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """Return the line of the longest known beginning of `path`: a missing key is reported at its table. 1 without any."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


class _Scanner:
    """One pass over one document; `at` is the position, `table` the path that keys are added to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.table: KeyPath = ()
        self.lines: dict[KeyPath, int] = {}
        self.arrays: dict[KeyPath, int] = {}  # arrays of tables → index of the last element
        self._counted_to = 0
        self._line = 1

    def scan(self) -> dict[KeyPath, int]:
        self._skip(_FILLER)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                self._header()
            else:
                self._pair(self.table)
            self._skip(_FILLER)
        return self.lines

    def _header(self) -> None:
        start, is_array = self.at, self.text.startswith("[[", self.at)
        self.at += 2 if is_array else 1
        *parents, last = self._dotted_key()
        self.at += 2 if is_array else 1
        path: KeyPath = ()
        for part in parents:
            path = self._inside((*path, part), start)
        path = (*path, last)
        if is_array:
            self._note(path, start)
            self.arrays[path] = self.arrays.get(path, -1) + 1
            path = (*path, self.arrays[path])
        self._note(path, start)
        self.table = path

    def _inside(self, path: KeyPath, start: int) -> KeyPath:
        # [feed.columns] below [[feed]] belongs to the last feed
        self._note(path, start)
        return (*path, self.arrays[path]) if path in self.arrays else path

    def _pair(self, table: KeyPath) -> None:
        start, path = self.at, table
        for part in self._dotted_key():
            path = (*path, part)
            self._note(path, start)
        self.at += 1  # =
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening in {'"', "'"}:
            self._string()
        else:
            self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        self._skip(_FILLER)
        while self._before("]"):
            self._note((*path, index), self.at)
            self._value((*path, index))
            self._separator()
            index += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        self._skip(_FILLER)
        while self._before("}"):
            self._pair(path)
            self._separator()
        self.at += 1

    def _separator(self) -> None:
        self._skip(_FILLER)
        if self.text.startswith(",", self.at):
            self.at += 1
            self._skip(_FILLER)

    def _dotted_key(self) -> list[str]:
        parts = [self._simple_key()]
        while self.text.startswith(".", self.at):
            self.at += 1
            parts.append(self._simple_key())
        return parts

    def _simple_key(self) -> str:
        self._skip(_SPACE)
        if self.text[self.at] in "\"'":
            part = self._string()
            part = _unescape(part[1:-1]) if part[0] == '"' else part[1:-1]
        else:
            part = self._skip(_BARE_KEY)
        self._skip(_SPACE)
        return part

    def _string(self) -> str:
        for pattern in _STRINGS:
            if found := pattern.match(self.text, self.at):
                self.at = found.end()
                return found.group()
        raise _not_toml(self.at)

    def _before(self, closing: str) -> bool:
        if self.at >= len(self.text):
            raise _not_toml(self.at)
        return self.text[self.at] != closing

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise _not_toml(self.at)
        self.at = found.end()
        return found.group()

    def _note(self, path: KeyPath, position: int) -> None:
        if path not in self.lines:
            self.lines[path] = self._line_at(position)

    def _line_at(self, position: int) -> int:
        # positions only grow, so each line break is counted once
        self._line += self.text.count("\n", self._counted_to, position)
        self._counted_to = position
        return self._line


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else _SHORT_ESCAPES.get(m[3], m[3]), text)


def _not_toml(position: int) -> ValueError:
    return ValueError(f"not valid TOML at character {position}")
