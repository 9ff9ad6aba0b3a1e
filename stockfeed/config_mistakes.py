"""Mistakes of configuration files in words: file, line, key, what is wrong, what would be right.

Never stops at the first mistake, and never repeats a value that stands where a secret might.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import ConfigError
from schemas.rejections import escape_value
from stockfeed.config_lines import KeyPath

#: What to write for a required key that is missing.
EXAMPLES: Mapping[str, str] = {
    "code": 'code = "acme"  (small letters, digits and _)',
    "name": 'name = "Acme Ltd"',
    "stale_after": 'stale_after = "24h", how old a number may become before it counts as 0',
    "quantities": 'quantities = "net" (open orders are already taken off, what most suppliers send) or "gross"',
    "timezone": 'timezone = "Europe/London"',
    "source": 'source = { type = "folder", path = "/data/acme" }',
    "format": 'format = { type = "delimited" }',
    "type": 'type = "…"',
    "columns": 'a table [feed.columns] with at least supplier_sku = "…" and on_hand = "…"',
    "supplier_sku": 'supplier_sku = "the header of the SKU column"',
    "supplier": 'a table [supplier] with code = "acme" and name = "Acme Ltd"',
    "feed": "at least one [[feed]]",
    "channel": "a table [channel]",
    "kind": 'kind = "shopify"',
    "locations": 'locations = ["the channel\'s own location id"]',
}
_EXPECTED = {
    "int": "a whole number without quotes",
    "float": "a number without quotes",
    "bool": "true or false without quotes",
    "string": 'text in quotes ("…")',
    "tuple": 'a list (["…", "…"])',
    "dict": "a table",
    "model": "a table",
    "date": "a date such as 2026-12-24",
}
_INNER = frozenset({"expected_columns", "identifier_columns", "decimal_commas", "batch_rows", "block_bytes"})  # the program's own
_MOST_NAMES = 30  # about three lines of a terminal
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake: where it is (`key` is the path of the key, "" for a whole file) and what would be right."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (f"{self.file}:{self.line}", self.key, self.message) if part)


class ConfigMistakesError(ConfigError):
    """All mistakes of all configuration files; the hint has one line for each."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        files = len({m.file for m in self.mistakes})
        counted = f"{_count(len(self.mistakes), 'mistake')} in {_count(files, 'file')}"
        super().__init__(counted, "\n".join(str(m) for m in self.mistakes))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` is most probably meant to be, None when none is near."""
    folded = {name.casefold(): name for name in sorted(set(known))}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "did you mean x?" for the known word nearest to `word`, else the known words, else ""."""
    names = sorted(set(known))
    if near := nearest(word, names):
        return f"did you mean {near}?"
    return f"known: {', '.join(names[:_MOST_NAMES])}{' …' if len(names) > _MOST_NAMES else ''}" if names else ""


def shown_key(path: KeyPath) -> str:
    """Return a key path as people write it: ("feed", 0, "columns", "gtin") → "feed.columns.gtin"."""
    return ".".join(str(part) for part in path if not isinstance(part, int))


def toml_mistake(file: str, error: tomllib.TOMLDecodeError, text: str) -> Mistake:
    """Return the mistake that made `tomllib` give up, with the line it names."""
    words, place = str(error), _PLACE.search(str(error))
    line = int(place[1]) if place else max(1, len(text.rstrip().splitlines()))
    reason = re.sub(r"\s*\(at .*\)$", "", words)
    return Mistake(file, line, "", f"not valid TOML: {escape_value(reason)}; the rest of this file could not be checked")


def model_mistakes(error: ValidationError, model: type[BaseModel], *, also: Iterable[str] = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the path below the validated table and the sentence of each key that `model` refused.

    `also` names keys of that table which another model checks: they are offered in "did you mean".
    """
    grouped: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        if _counts_only_valid_items(detail):
            continue
        grouped.setdefault(_keys_only(model, detail["loc"]), []).append(detail)
    misspelt = {
        (*path[:-1], near)
        for path, details in grouped.items()
        if details[0]["type"] == "extra_forbidden" and (near := nearest(str(path[-1]), known_keys(model, path[:-1])))
    }
    for path, details in grouped.items():
        if details[0]["type"] == "missing" and path in misspelt:
            continue  # it is there, under a misspelt name, and told as that
        beside = tuple(also) if len(path) == 1 else ()
        yield path, ", or ".join(dict.fromkeys(_sentence(model, path, detail, beside) for detail in details))


def known_keys(model: type[BaseModel], path: Sequence[str | int]) -> tuple[str, ...]:
    """Return the keys that people write in the table at `path` below `model`; () where any key may stand."""
    here = _model_at(model, path)
    return () if here is None else tuple(f.alias or name for name, f in here.model_fields.items() if name not in _INNER)


def _counts_only_valid_items(detail: ErrorDetails) -> bool:
    # pydantic calls a list too short when it is long enough but its items have mistakes, which are told themselves
    written = detail["input"]
    return (
        detail["type"] == "too_short" and isinstance(written, list) and len(written) >= detail.get("ctx", {}).get("min_length", 0)
    )


def _keys_only(model: type[BaseModel], location: tuple[str | int, ...]) -> KeyPath:
    # pydantic adds the branch of a union ("int", "function-before[…]") to a location: no key of the file
    kept: KeyPath = ()
    for part in location:
        if isinstance(part, str) and _model_at(model, kept) is None and not _holds_tables(_annotation_at(model, kept)):
            break
        kept = (*kept, part)
    return kept


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    found = _annotation_at(model, path)
    return next((a for a in _alternatives(found) if isinstance(a, type) and issubclass(a, BaseModel)), None)


def _annotation_at(model: type[BaseModel], path: Sequence[str | int]) -> Any:
    here: Any = model
    for part in path:
        here = _inside(here, part)
    return here


def _inside(annotation: Any, part: str | int) -> Any:
    for choice in _alternatives(annotation):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            fields = {f.alias or n: f for n, f in choice.model_fields.items()} | choice.model_fields
            if part in fields:
                return fields[str(part)].annotation
        elif get_origin(choice) in {tuple, list, dict}:
            arguments = [a for a in get_args(choice) if a is not Ellipsis]
            return arguments[-1]
    return None


def _holds_tables(annotation: Any) -> bool:
    return any(get_origin(choice) is dict for choice in _alternatives(annotation))


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in {Union, UnionType}:
        for choice in get_args(annotation):
            yield from _alternatives(choice)
    else:
        yield annotation


def _sentence(model: type[BaseModel], path: KeyPath, detail: ErrorDetails, also: tuple[str, ...]) -> str:
    kind = detail["type"]
    if kind == "missing" and isinstance(path[-1], int):
        return f"value {path[-1] + 1} of this list is missing"
    if kind == "missing":
        example = EXAMPLES.get(str(path[-1]))
        return f"required key is missing; write {example}" if example else "required key is missing"
    if kind == "extra_forbidden":
        hint = suggestion(str(path[-1]), (*known_keys(model, path[:-1]), *also))
        return f"unknown key; {hint}" if hint else "unknown key"
    if kind == "value_error":
        return str(detail.get("ctx", {}).get("error", detail["msg"]))
    return _value_sentence(kind, path, detail)


def _value_sentence(kind: str, path: KeyPath, detail: ErrorDetails) -> str:
    shown = _shown(detail["input"])
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
        if not isinstance(detail["input"], str) and str(detail["input"]) in words:
            return f'{shown} is a number here; write the text "{detail["input"]}"'
        hint = suggestion(str(detail["input"]), words)
        return f"{shown} is not one of {', '.join(words)}" + (f"; {hint}" if hint.startswith("did") else "")
    if kind == "string_pattern_mismatch" and path[-1] in {"code", "connection"}:
        return f"{shown} is no identifier; use small letters, digits and _ only"
    expected = _EXPECTED.get(kind.split("_", maxsplit=1)[0])
    if kind == "tuple_type" and isinstance(detail["input"], dict):
        return f"this table may be there several times: write [[{'.'.join(map(str, path))}]], with two brackets"
    if expected and kind.endswith(("_type", "_parsing", "_from_float")):
        return f"expected {expected}, got {shown}"
    said = detail["msg"][0].lower() + detail["msg"][1:]
    return said if kind.startswith("too_") else f"{said} (got {shown})"


def _shown(value: object) -> str:
    if isinstance(value, (dict, BaseModel)):
        return "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    return escape_value(str(value).lower() if isinstance(value, bool) else repr(value))
