"""FTP servers as a source of files: FTPS explicit or implicit; plain FTP only where a feed says `plain = true`, and marked.

Never switches certificate checks off, never goes where the server points (PASV), never takes a short file for a whole one.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import field_validator, model_validator

from connectors.ftp_folder import FtpFolder, ListingRules
from connectors.ftp_session import Encryption, FtpTimeouts, endpoint, open_ftp
from connectors.pickup import Poll, clear_up, fetch_new, put_answer
from connectors.selection import SelectionOptions, is_wanted, note_unmatched
from connectors.spool import Limits
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.transfer import Fetched, Seen


class FtpOptions(SelectionOptions):
    """`[feed.source] type = "ftp"`."""

    tls: Literal["explicit", "implicit"] = "explicit"  # AUTH TLS on port 21, or TLS from the first byte on port 990
    plain: bool = False  # no encryption at all: login and data can be read and changed on the way
    list_timezone: str | None = None  # of the times in LIST, for servers without MLSD and MDTM
    connect_timeout: Duration = timedelta(seconds=15)
    idle_timeout: Duration = timedelta(seconds=30)
    deadline: Duration = timedelta(minutes=15)  # for one file

    @field_validator("list_timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None and value not in available_timezones():
            msg = f'unknown time zone {value!r}; use an IANA name such as "Europe/London" or "UTC"'
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one_kind_of_encryption(self) -> Self:
        if self.plain and "tls" in self.model_fields_set:
            msg = "plain = true means no encryption and `tls` says which; give one of them"
            raise ValueError(msg)
        return self

    @property
    def encryption(self) -> Encryption:
        """Return how the connection is encrypted."""
        return "none" if self.plain else self.tls

    @property
    def timeouts(self) -> FtpTimeouts:
        """Return the time-outs in seconds."""
        return FtpTimeouts(self.connect_timeout.total_seconds(), self.idle_timeout.total_seconds(), self.deadline.total_seconds())


class FtpSource:
    """Supplier files on an FTP server."""

    def __init__(
        self,
        options: FtpOptions,
        connection: Connection,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options, self._connection, self._sleep, self._now = options, connection, sleep, now

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        """Yield each new complete file, oldest first, downloaded into `spool`; see `protocols.Source`."""
        times = self._options.timeouts
        limits = Limits(idle=times.idle, deadline=times.deadline)
        poll = Poll(self._options, limits, self._now, self._sleep, in_order=feed.mode == "delta")
        findings = (self._plain_finding(),) if self._options.plain else ()
        with self._folder() as folder:
            for fetched in fetch_new(folder, poll, seen, spool):
                yield replace(fetched, findings=(*fetched.findings, *findings))
            seen.waiting.update(folder.left_out)
            note_unmatched(folder.names, self._options, seen)

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Leave, move or delete a committed file; safe to repeat, and new content under the same name stays."""
        if self._options.after == "leave":
            return
        with self._folder() as folder:
            clear_up(folder, self._options, reference)

    def answer(self, name: str, content: bytes) -> bool:
        """Put an acknowledgement into `answers_to`, if there is one; see `protocols.Answering`."""
        if self._options.answers_to is None:
            return False
        with self._folder() as folder:
            return put_answer(folder, self._options, name, content)

    @contextmanager
    def _folder(self) -> Iterator[FtpFolder]:
        options = self._options
        zone = ZoneInfo(options.list_timezone) if options.list_timezone else None
        rules = ListingRules(lambda name: is_wanted(name, options), zone, self._now)
        with open_ftp(self._connection, options.encryption, options.timeouts) as session:
            yield FtpFolder(session, options.path, rules)

    def _plain_finding(self) -> Finding:
        return Finding(
            "PLAIN-TRANSFER",
            "warn",
            f"fetched without encryption from {endpoint(self._connection, 'none')}: anybody on the way can read and change it",
            "Ask the supplier for FTPS or SFTP, then remove `plain = true`.",
        )
