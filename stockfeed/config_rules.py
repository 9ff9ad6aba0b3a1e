"""What the typed models cannot see: connectors' and formats' own options, connections, cron, codes, sources, rule ties.

Never stops at a file with other mistakes: works on the tables as written and ignores what has the wrong shape.
"""

import re
from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.channel_config import Channel, ChannelFile, ChannelRule
from schemas.errors import ConfigError
from schemas.feed_config import Feed, SupplierFile
from stockfeed.config_columns import check_columns, check_tolerated
from stockfeed.config_document import Document
from stockfeed.config_lines import KeyPath
from stockfeed.config_mistakes import model_mistakes, suggestion

Model = TypeVar("Model", bound=BaseModel)

_CRON_FIELDS = 5
_BESIDE = 2  # names in the path of a key that stands directly in [[feed]] or [channel]
_NEEDS_LOGIN = 'needs a login; write connection = "name", the name of AIRFLOW_CONN_<NAME>'


def check_supplier(document: Document) -> SupplierFile | None:
    """Return the typed supplier file, None when it has mistakes; every mistake is noted in the document."""
    if not document.readable:
        return None
    typed = _validate(document, SupplierFile, document.data)
    _check_code(document, ("supplier", "code"))
    for index, table in document.tables("feed"):
        _check_source(document, index)
        _check_options(document, ("feed", index, "format"), _format_options_model, _format_kinds(), own={"type"})
        _check_cron(document, ("feed", index, "schedule"), table.get("schedule"))
        _check_expectations(document, index, table)
        check_columns(document, index)
        check_tolerated(document, index, table)
    return typed


def check_channel(document: Document) -> ChannelFile | None:
    """Return the typed channel file, None when it has mistakes; every mistake is noted in the document."""
    if not document.readable:
        return None
    typed = _validate(document, ChannelFile, document.data)
    _check_code(document, ("channel", "code"))
    _check_cron(document, ("channel", "schedule"), document.value("channel", "schedule"))
    _check_channel_kind(document)
    _check_ties(document)
    return typed


def check_codes_are_distinct(documents: Iterable[Document], key: KeyPath) -> None:
    """Note a mistake in each file whose code another file has already taken."""
    taken: dict[str, str] = {}
    for document in documents:
        code = document.value(*key)
        if isinstance(code, str) and taken.setdefault(code, document.file) != document.file:
            document.note(key, f"the code {code!r} is already used by {taken[code]}; give each file its own")


def check_sources_exist(document: Document, feeds: Collection[str]) -> None:
    """Note a mistake for each pattern of channel.sources that matches no feed ("acme.stock", "acme.*", "*")."""
    patterns = document.value("channel", "sources")
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else []):
        if isinstance(pattern, str) and not any(fnmatchcase(code, pattern) for code in feeds):
            hint = suggestion(pattern, feeds) or "there are no feeds"
            document.note(("channel", "sources", index), f"{pattern!r} matches no feed; {hint}")


def _validate(
    document: Document,
    model: type[Model],
    data: Any,
    at: KeyPath = (),
    *,
    also: Iterable[str] = (),
    elsewhere: Callable[[str], str] = lambda _key: "",
) -> Model | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for path, words in model_mistakes(error, model, also=also):
            whole, told = (*at, *path), words
            if words.startswith("unknown key"):
                told = _misplaced(whole) or _of_another_type(words, elsewhere(str(path[0])) if len(path) == 1 else "")
            document.note(whole, told)
        return None


def _of_another_type(words: str, other: str) -> str:
    if not other:
        return words
    return f"{words} ({other})" if "did you mean" in words else f"unknown key; {other}"


def _misplaced(path: KeyPath) -> str:
    # TOML gives every key below [feed.columns] to that table, also one that was meant for the feed
    key, depth = str(path[-1]), sum(isinstance(part, str) for part in path)
    if depth > _BESIDE and path[0] == "feed" and key in Feed.model_fields:
        return f"unknown key here; `{key}` belongs to [[feed]]: move it above the first [feed.…] table"
    if depth > _BESIDE and path[0] == "channel" and key in Channel.model_fields:
        return f"unknown key here; `{key}` belongs to [channel]: move it above the first table below [channel]"
    return ""


def _quietly(model: type[Model], data: Any) -> Model | None:
    # only for checks beyond the typed model, which has reported these mistakes for the whole file
    try:
        return model.model_validate(data)
    except ValidationError:
        return None


def _sentence(error: ConfigError) -> str:
    return f"{error.message.rstrip('.')}; {error.hint[:1].lower()}{error.hint[1:]}".rstrip("; ")


def _check_code(document: Document, key: KeyPath) -> None:
    code = document.value(*key)
    if isinstance(code, str) and code != document.path.stem and re.fullmatch(r"[a-z0-9_]+", code):
        document.note(
            key, f'"{code}" differs from the file\'s name; rename the file to {code}.toml, or write code = "{document.path.stem}"'
        )


def _check_source(document: Document, index: int) -> None:
    path: KeyPath = ("feed", index, "source")
    model = _check_options(document, path, _source_options_model, _source_kinds(), own={"type", "connection"})
    source = document.table(*path)
    if model is not None and _source_needs_connection(source["type"]) and not source.get("connection"):
        document.note(path, f'`connection` is missing: type = "{source["type"]}" {_NEEDS_LOGIN}')


def _check_options(
    document: Document, path: KeyPath, find_model: Callable[[str], type[BaseModel]], kinds: Iterable[str], *, own: set[str]
) -> type[BaseModel] | None:
    table = document.table(*path)
    kind = table.get("type")
    if not isinstance(kind, str):
        return None  # the typed model has said so
    try:
        model = find_model(kind)
    except ConfigError as error:
        document.note((*path, "type"), _sentence(error))
        return None

    def elsewhere(key: str) -> str:
        others = [other for other in kinds if key in find_model(other).model_fields]
        return f"it is a key of {', '.join(others)}, not of {kind}" if others else ""

    options = {key: value for key, value in table.items() if key not in own}
    _validate(document, model, options, at=path, also=own, elsewhere=elsewhere)
    return model


def _check_channel_kind(document: Document) -> None:
    from connectors.registry import CHANNELS, channel_options_model

    table = document.table("channel")
    kind = table.get("kind")
    if not isinstance(kind, str):
        return
    try:
        model = channel_options_model(kind)
    except ConfigError as error:
        document.note(("channel", "kind"), _sentence(error))
        return
    own = {field.alias or name for name, field in Channel.model_fields.items()}
    _validate(document, model, {k: v for k, v in table.items() if k not in own}, at=("channel",), also=own)
    if CHANNELS[kind].needs_connection and not table.get("connection"):
        document.note(("channel",), f'`connection` is missing: kind = "{kind}" {_NEEDS_LOGIN}')


def _check_cron(document: Document, path: KeyPath, schedule: object) -> None:
    if not isinstance(schedule, str):
        return
    from croniter import croniter

    if not croniter.is_valid(schedule) or (not schedule.startswith("@") and len(schedule.split()) != _CRON_FIELDS):
        document.note(
            path, f'{schedule!r} is no cron line; write five fields such as "*/30 * * * *" (minute hour day month weekday)'
        )


def _check_expectations(document: Document, index: int, table: dict[str, Any]) -> None:
    feed = _quietly(Feed, table) if table.get("expect") else None
    if feed is None:
        return
    from transforms.expectations import validate_expectations

    for number, expectation in enumerate(feed.expect):
        try:
            validate_expectations(feed.model_copy(update={"expect": (expectation,)}))
        except ConfigError as error:
            told = error.message.removeprefix(f"feed {feed.code}: ").replace("[[feed.expect]] 1: ", "")
            document.note(("feed", index, "expect", number), told)


def _check_ties(document: Document) -> None:
    rules = [(index, _quietly(ChannelRule, table)) for index, table in document.tables("channel", "rule")]
    for (first, one), (second, other) in combinations(rules, 2):
        if one is None or other is None:
            continue  # the typed model has said what is wrong with it
        if _matches(one) == _matches(other) and _overlap(one, other):
            line = document.lines.get(("channel", "rule", first), 1)
            document.note(
                ("channel", "rule", second),
                f"matches the same SKUs on the same days as the rule in line {line}, so neither wins; "
                "make one more specific, or give them dates that do not overlap",
            )


def _matches(rule: ChannelRule) -> tuple[object, ...]:
    # dated rules are more specific than undated ones, so they never tie with them
    return rule.sku, rule.supplier, rule.brand, rule.tag, rule.starts_on is None and rule.ends_on is None


def _overlap(one: ChannelRule, other: ChannelRule) -> bool:
    one_ends_first = one.ends_on is not None and other.starts_on is not None and one.ends_on < other.starts_on
    other_ends_first = other.ends_on is not None and one.starts_on is not None and other.ends_on < one.starts_on
    return not one_ends_first and not other_ends_first


def _source_options_model(kind: str) -> type[BaseModel]:
    from connectors.registry import source_options_model

    return source_options_model(kind)


def _source_kinds() -> Iterable[str]:
    from connectors.registry import SOURCES

    return sorted(SOURCES)


def _source_needs_connection(kind: str) -> bool:
    from connectors.registry import SOURCES

    return SOURCES[kind].needs_connection


def _format_options_model(kind: str) -> type[BaseModel]:
    from transforms.formats.registry import options_model

    return options_model(kind)


def _format_kinds() -> Iterable[str]:
    from transforms.formats.registry import names

    return names()
