"""One delimited record split into its fields, exactly: the slow, strict path, and the judge of what is well formed.

Never repairs: an unclosed or undoubled quote is reported with its place. A quote inside an unquoted field (3/4" bolt) is text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the fields of a file are separated and quoted; `quote` "" means no quoting."""

    delimiter: str
    quote: str


@dataclass(frozen=True, slots=True)
class Split:
    """A record's fields and the number of lines it took.

    `unclosed`: its last field's quote is not closed. `bare`: a closing quote is followed by text, `bare_line` lines below
    the record's first one.
    """

    fields: tuple[str, ...]
    lines: int
    unclosed: bool = False
    bare: bool = False
    bare_line: int = 0


def without_line_end(line: str) -> str:
    """Return `line` without its one CRLF, LF or CR."""
    return line[:-2] if line.endswith("\r\n") else line[:-1] if line.endswith(("\n", "\r")) else line


def split_record(lines: Sequence[str], dialect: Dialect) -> Split:
    """Return the first record of `lines` (each with its line end), reading as many lines as its quotes demand."""
    text = ""
    split = Split((), 0)
    for count, line in enumerate(lines, 1):
        text += line
        split = _split(without_line_end(text), count, dialect)
        if not split.unclosed:
            return split
    return split


@lru_cache(maxsize=64)
def _quoted(quote: str) -> re.Pattern[str]:
    q = re.escape(quote)
    return re.compile(f"{q}([^{q}]*+(?:{q}{q}[^{q}]*+)*+){q}")


def _split(text: str, lines: int, dialect: Dialect) -> Split:
    delimiter, quote = dialect.delimiter, dialect.quote
    fields: list[str] = []
    at = 0
    while True:
        if quote and text.startswith(quote, at):
            match = _quoted(quote).match(text, at)
            if match is None:
                return Split((*fields, text[at + 1 :]), lines, unclosed=True)
            fields.append(match[1].replace(quote * 2, quote))
            end = match.end()
            if end < len(text) and text[end] != delimiter:
                return Split(tuple(fields), lines, bare=True, bare_line=len(_LINE_END.findall(text, 0, end)))
        else:
            end = text.find(delimiter, at)
            end = len(text) if end < 0 else end
            fields.append(text[at:end])
        if end >= len(text):
            return Split(tuple(fields), lines)
        at = end + 1
