"""Guesses as the text of a supplier file, each key with its evidence as a comment.

Never leaves anything out of the text that was guessed, and never writes a value that TOML would read as another one.
"""

import json
import textwrap
from collections.abc import Sequence

from transforms.guess import Guess, Value

_WIDTH = 120
_MARKS = {"sure": "", "likely": "", "unsure": "UNSURE: ", "decide": "DECIDE: "}
_TABLES = ("feed.source", "feed.format", "feed.columns", "feed.wide", "feed.words")


def as_toml(guesses: Sequence[Guess], *, file: str) -> str:
    """Return the supplier file, ending with a line end. `file` is the name of the file that was looked at."""
    code = next((guess.value for guess in guesses if guess.key == "supplier.code"), "supplier")
    open_keys = sum(guess.confidence in {"unsure", "decide"} for guess in guesses)
    lines = _comment(
        f"Guessed from {file}. {open_keys} keys are marked DECIDE (no file can tell) or UNSURE: go through them. Save this as "
        f"config/suppliers/{code}.toml, then run `stockfeed feeds check` and `stockfeed feeds try {code}.stock --file …`."
    )
    lines += _table("[supplier]", "supplier", guesses)
    lines += _table("[[feed]]", "feed", guesses)
    for table in _TABLES:
        lines += _table(f"[{table}]", table, guesses)
    return "\n".join(lines) + "\n"


def _table(title: str, table: str, guesses: Sequence[Guess]) -> list[str]:
    words = [line for guess in guesses if guess.key == table for line in _words(guess)]
    inside = [guess for guess in guesses if guess.key.rpartition(".")[0] == table and guess.key not in _TABLES]
    lines = [line for guess in inside for line in _line(guess)] + words
    return ["", title, *lines] if lines else []


def _line(guess: Guess) -> list[str]:
    """Return the line of one key with its comment behind it, or above it when both together are too long."""
    told = _MARKS[guess.confidence] + guess.evidence
    name = guess.key.rpartition(".")[2]
    if guess.value is None:
        return [*_comment(told), f"# {name} = …"]
    text = f"{name} = {_value(guess.value, name)}"
    behind = f"{text}  # {_printable(told)}"
    return [behind] if len(behind) <= _WIDTH else [*_comment(told), text]


def _words(guess: Guess) -> list[str]:
    assert isinstance(guess.value, dict)
    told = _MARKS[guess.confidence] + guess.evidence
    return [*_comment(told), *(f"{_text(word)} = {_value(meaning)}" for word, meaning in guess.value.items())]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(_printable(text), _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _printable(text: str) -> str:
    """Return `text` without what a TOML comment must not hold."""
    return "".join(c if c.isprintable() else " " for c in text)


def _value(value: Value, name: str = "") -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_text(one) for one in value)}]"
    if isinstance(value, dict):
        if name == "columns":  # location → column name: any text may be a key
            return f"{{ {', '.join(f'{_text(key)} = {_value(one)}' for key, one in value.items())} }}"
        parts = (f"{key} = {f'[{_value(one)}]' if key == 'formats' else _value(one)}" for key, one in value.items())
        return f"{{ {', '.join(parts)} }}"
    return _text(value or "")


def _text(text: str) -> str:
    """Return a TOML basic string. JSON's escapes are TOML's; what nobody can see, or a terminal obeys, is escaped as well."""
    whole = text.encode("utf-8", "replace").decode("utf-8")  # TOML holds no lone surrogates
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(whole, ensure_ascii=False))
