"""Channel rows: approval, pause, cursor, lease columns. Never decides: the pipeline does."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from schemas.errors import ConfigError
from schemas.tables import channel


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """The state of one channel as the database has it; `cursor` is the last change id its ATS has seen.

    `late_feeds`: ids of feeds that its ATS counted as stale before a sweep said so.
    """

    code: str
    config_version: str | None
    cursor: int
    approved_at: datetime | None
    paused_at: datetime | None
    reconciled_at: datetime | None
    last_error: str | None
    late_feeds: list[int] | None
    fence: int


_COLUMNS = [channel.c[name] for name in ChannelRow.__slots__]


def unregistered(connection: Connection, codes: Iterable[str]) -> list[str]:
    """Return those of `codes` that have no row."""
    present = set(connection.execute(select(channel.c.code)).scalars())
    return [code for code in codes if code not in present]


def register(connection: Connection, codes: Iterable[str]) -> list[str]:
    """Insert the rows of channels that have none and return their codes; existing rows stay as they are."""
    new = unregistered(connection, codes)
    if new:
        connection.execute(insert(channel), [{"code": code} for code in new])
    return new


def load(connection: Connection, code: str) -> ChannelRow:
    """Return the state of a channel. Raises ConfigError when it was never registered."""
    row = connection.execute(select(*_COLUMNS).where(channel.c.code == code)).one_or_none()
    if row is None:
        raise ConfigError(
            f"channel {code} is not in the database", "Check the name in config/channels, then run the command again."
        )
    return ChannelRow(*row)


def change(connection: Connection, code: str, **values: Any) -> None:
    """Set columns of a channel row."""
    connection.execute(update(channel).where(channel.c.code == code).values(**values))
