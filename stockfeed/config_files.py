"""All configuration files of one folder, typed: suppliers, feeds by full code ("acme.stock"), channels.

A mistake in any file raises one error that lists them all; only the scheduler asks to go on with the files that are right,
so that one supplier's mistake stops no other supplier (I10).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from schemas.channel_config import Channel
from schemas.errors import ConfigError
from schemas.feed_config import Feed, Supplier
from stockfeed.config_document import Document
from stockfeed.config_mistakes import ConfigMistakesError, suggestion
from stockfeed.config_rules import check_channel, check_codes_are_distinct, check_sources_exist, check_supplier

Thing = TypeVar("Thing")

#: Keys of a feed that do not change what its bytes mean: the same delivery is not read again when they change.
NOT_READING = frozenset({
    "source", "schedule", "quantities", "order_lag", "sales_lag", "stale_after", "stale_policy", "missing_after",
    "frozen_after", "repeats", "trust_first", "while_held", "trust", "buffer", "priority", "owner", "tags", "guard",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Everything configured: `suppliers` and `channels` by code, `feeds` by full code ("acme.stock").

    `broken_suppliers` and `broken_channels` are the errors of files left out, by file stem, where that was asked for.
    """

    suppliers: Mapping[str, Supplier]
    feeds: Mapping[str, Feed]
    channels: Mapping[str, Channel]
    broken_suppliers: Mapping[str, ConfigMistakesError] = field(default_factory=dict)
    broken_channels: Mapping[str, ConfigMistakesError] = field(default_factory=dict)

    def feed(self, code: str) -> Feed:
        """Return the feed with this full code. Raises ConfigError: its file's mistakes, or the nearest known code."""
        if code not in self.feeds and (error := self.broken_suppliers.get(code.split(".", 1)[0])):
            raise error
        return _find(self.feeds, code, "feed")

    def supplier_of(self, feed_code: str) -> Supplier:
        """Return the supplier of the feed with this full code. Raises ConfigError when there is no such feed."""
        self.feed(feed_code)
        return self.suppliers[feed_code.split(".", 1)[0]]

    def channel(self, code: str) -> Channel:
        """Return the channel with this code. Raises ConfigError: its file's mistakes, or the nearest known code."""
        if code not in self.channels and (error := self.broken_channels.get(code)):
            raise error
        return _find(self.channels, code, "channel")

    def select(self, patterns: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the full codes that match any pattern ("acme.stock", "acme", "acme.*"), all without patterns.

        Raises ConfigError for a pattern that matches no feed.
        """
        return _select(self.feeds, patterns, "feed")

    def select_channels(self, patterns: Iterable[str] = ()) -> tuple[str, ...]:
        """Return the channel codes that match any pattern, all without patterns. Raises ConfigError like `select`."""
        return _select(self.channels, patterns, "channel")

    def connections(self) -> Mapping[str, tuple[str, ...]]:
        """Return the name of each connection in use, with the feeds and channels that use it."""
        users: dict[str, tuple[str, ...]] = {}
        named = {code: feed.source.connection for code, feed in self.feeds.items()}
        for code, connection in (named | {c.code: c.connection for c in self.channels.values()}).items():
            if connection:
                users[connection] = (*users.get(connection, ()), code)
        return users


def read_config(folder: Path, *, isolate: bool = False) -> Config:
    """Return the configuration in `folder`/suppliers and `folder`/channels; names that begin with _ are left out.

    Raises ConfigMistakesError with every mistake of every file, ConfigError when there is no such folder. With `isolate`
    a file with mistakes is left out instead, and asking for one of its feeds or channels raises its mistakes.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no configuration folder {folder}", "Run `stockfeed init`, or give another one with --config.")
    suppliers, channels = _documents(folder / "suppliers"), _documents(folder / "channels")
    supplier_files = [check_supplier(document) for document in suppliers]
    channel_files = [check_channel(document) for document in channels]
    check_codes_are_distinct(suppliers, ("supplier", "code"))
    check_codes_are_distinct(channels, ("channel", "code"))
    written = {code for document in suppliers for code in _feed_codes(document)}
    if not (isolate and any(document.mistakes for document in suppliers)):  # a feed may be in a file left out
        for document in channels:
            check_sources_exist(document, written)
    if not isolate:
        _raise_mistakes([*suppliers, *channels])
    loaded = _without_mistakes(suppliers, supplier_files)
    return Config(
        suppliers={file.supplier.code: file.supplier for file in loaded},
        feeds={f"{file.supplier.code}.{feed.code}": feed for file in loaded for feed in file.feed},
        channels={file.channel.code: file.channel for file in _without_mistakes(channels, channel_files)},
        broken_suppliers=_broken(suppliers),
        broken_channels=_broken(channels),
    )


def _without_mistakes(documents: Iterable[Document], files: Iterable[Thing | None]) -> list[Thing]:
    return [file for document, file in zip(documents, files, strict=True) if file is not None and not document.mistakes]


def _broken(documents: Iterable[Document]) -> dict[str, ConfigMistakesError]:
    return {document.path.stem: ConfigMistakesError(document.mistakes) for document in documents if document.mistakes}


def read_feed(folder: Path, code: str) -> Feed:
    """Return one feed by its full code, reading only its supplier's file: another supplier's mistake does not matter.

    Raises ConfigMistakesError with every mistake of that file, ConfigError when the feed or file does not exist.
    """
    supplier = code.split(".", 1)[0]
    known = {path.stem: path for path in _files(folder / "suppliers")}
    if supplier not in known:
        written = [c for path in known.values() for c in _feed_codes(Document(path, str(path)))]
        raise _unknown("feed", code, written)
    document = Document(known[supplier], _shown(known[supplier]))
    file = check_supplier(document)
    _raise_mistakes([document])
    assert file is not None
    return _find({f"{supplier}.{feed.code}": feed for feed in file.feed}, code, "feed")


def feed_config_version(feed: Feed) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of the feed's keys that decide what its bytes mean.

    Order, comments and spelling of the file do not matter; a changed schedule, guard or trust gives the same version. Keys
    at their default are left out, so that a new key of a later release does not make old deliveries look different.
    """
    meaning = feed.model_dump(mode="json", exclude=set(NOT_READING), exclude_defaults=True)
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.toml") if not path.name.startswith(("_", ".")))


def _documents(folder: Path) -> list[Document]:
    return [Document(path, _shown(path)) for path in _files(folder)]


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _feed_codes(document: Document) -> list[str]:
    supplier = document.value("supplier", "code")
    return [f"{supplier}.{table['code']}" for _, table in document.tables("feed") if isinstance(table.get("code"), str)]


def _raise_mistakes(documents: Iterable[Document]) -> None:
    mistakes = [mistake for document in documents for mistake in document.mistakes]
    if mistakes:
        raise ConfigMistakesError(mistakes)


def _find(things: Mapping[str, Thing], code: str, noun: str) -> Thing:
    if code not in things:
        raise _unknown(noun, code, things)
    return things[code]


def _unknown(noun: str, code: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(f"there is no {noun} {code!r}", _capital(suggestion(code, known)) or f"No {noun} is configured yet.")


def _select(codes: Iterable[str], patterns: Iterable[str], noun: str) -> tuple[str, ...]:
    known, wanted = list(codes), list(patterns)
    if not wanted:
        return tuple(known)
    chosen: set[str] = set()
    for pattern in wanted:
        found = [code for code in known if fnmatchcase(code, pattern) or code.startswith(f"{pattern}.")]
        if not found:
            raise _unknown(noun, pattern, {*known, *(code.split(".")[0] for code in known)})
        chosen.update(found)
    return tuple(code for code in known if code in chosen)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
