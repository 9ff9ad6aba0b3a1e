"""Where things are and how much is allowed, from STOCKFEED_* variables; and the configuration found there.

Never opens a connection, creates a folder or reads a supplier's secret.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from schemas.errors import ConfigError
from schemas.feed_config import Feed
from stockfeed.config_files import Config, feed_config_version, read_config, read_feed
from stockfeed.config_mistakes import ConfigMistakesError, model_mistakes
from stockfeed.database_address import SQLITE, checked_address, secrets_of
from stockfeed.redaction import KNOWN

__all__ = ["Config", "ConfigMistakesError", "Settings", "feed_config_version", "load_config", "load_feed", "load_settings"]

PREFIX = "STOCKFEED_"
_CENTURY = 36_500  # days
_LOOKALIKE = 0.8  # a variable this near to one of ours is a typing mistake, not somebody else's


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class Settings(BaseModel):
    """Everything that differs between one machine and another. All paths are absolute.

    `database_url` may hold a password: it is left out of every representation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    config_dir: Path = Field(alias="config")
    state_dir: Path = Field(alias="state")
    archive_dir: Path = Field(alias="archive")
    spool_dir: Path = Field(alias="spool")
    database_url: str = Field(repr=False)
    log: Literal["text", "json"] = "text"
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = "INFO"
    rejections_kept: int = Field(50_000, ge=1)  # per delivery; the total is always counted
    lease_seconds: int = Field(900, ge=10)  # a run that stops renewing its lease is overtaken after this
    busy_seconds: float = Field(30, ge=0, le=3600)  # how long a second writer waits for SQLite's one write lock
    file_bytes: int = Field(200_000_000, ge=1)  # one delivery
    archive_days: int = Field(90, ge=1, le=_CENTURY)  # archived bytes are kept for replay at least this long
    outbox_days: int = Field(90, ge=1, le=_CENTURY)  # what was sent or replaced longer ago leaves the outbox
    archive_bytes: int = Field(5_000_000_000, ge=1)  # per supplier

    @field_validator("database_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return checked_address(value)


#: The environment variable of each setting.
VARIABLES: Mapping[str, str] = {
    f"{PREFIX}{(field.alias or name).upper()}": field.alias or name for name, field in Settings.model_fields.items()
}
#: Variables with our prefix that other parts read.
_OTHERS = frozenset({"STOCKFEED_SHARED"})


def load_settings(environ: Mapping[str, str] = os.environ, cwd: Path | None = None, config_dir: Path | None = None) -> Settings:
    """Return the settings of this environment; relative paths are relative to `cwd` (default: the working directory).

    `config_dir` (a command-line option) goes before STOCKFEED_CONFIG. A blank variable counts as not set. The database's
    password is masked in every text from now on. Raises ConfigError with every wrong variable, also one that looks like a
    misspelt name of ours.
    """
    here = (cwd or Path.cwd()).absolute()
    given = {field: environ[name] for name, field in VARIABLES.items() if environ.get(name, "").strip()}
    state = here / given.get("state", ".state")
    values: dict[str, Any] = {
        **given,
        "config": here / (config_dir or given.get("config", "config")),
        "state": state,
        "archive": here / given["archive"] if "archive" in given else state / "archive",
        "spool": here / given["spool"] if "spool" in given else state / "spool",
        "database_url": _absolute(given.get("database_url", f"{SQLITE}{state / 'stockfeed.sqlite3'}"), here),
    }
    lines = list(_misspelt(environ))
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        lines += [f"{PREFIX}{str(path[0]).upper()}: {words}" for path, words in model_mistakes(error, Settings)]
    if lines:
        counted = "1 setting is wrong" if len(lines) == 1 else f"{len(lines)} settings are wrong"
        raise ConfigError(counted, "\n".join(lines))
    KNOWN.learn(*secrets_of(settings.database_url))
    return settings


def load_config(settings: Settings, *, isolate: bool = False) -> Config:
    """Return all suppliers, feeds and channels of `settings.config_dir`.

    Raises ConfigMistakesError with every mistake of every file, each with file, line, key and what would be right; with
    `isolate` a file with mistakes only stops its own feeds or channel.
    """
    return read_config(settings.config_dir, isolate=isolate)


def load_feed(settings: Settings, code: str) -> Feed:
    """Return one feed by its full code, reading only its supplier's file. Raises like `load_config`."""
    return read_feed(settings.config_dir, code)


def _absolute(url: str, here: Path) -> str:
    path = url.removeprefix(SQLITE)
    return f"{SQLITE}{here / path}" if url.startswith(SQLITE) and path and not path.startswith((":", "/", "?", "file:")) else url


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    known = sorted(set(VARIABLES) | _OTHERS)
    strange = (name for name in sorted(environ) if name.startswith(PREFIX) and name not in known)
    near = (
        (name, difflib.get_close_matches(name.removeprefix(PREFIX), [k.removeprefix(PREFIX) for k in known], 1, _LOOKALIKE))
        for name in strange
    )
    return [f"{name}: no such setting; did you mean {PREFIX}{match[0]}?" for name, match in near if match]
