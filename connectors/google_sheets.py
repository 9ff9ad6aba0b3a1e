"""One worksheet of a Google spreadsheet as a source: read whole and unchanged, as CSV, with its modified time.

Never writes to a spreadsheet, never guesses what a number was, and never takes a sheet that was edited while it was read.
"""

import csv
import hashlib
import io
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from connectors.mail_parts import safe_name
from connectors.sheet_cells import Area, Cell, area_of, cell_texts, grouped_by_points, too_long
from connectors.sheet_session import SheetSession, open_sheets
from connectors.spool import Limits, Spooled, spool_stream
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.errors import TransientError
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.transfer import Fetched, Seen

ROWS = 10_000  # in one answer
MOST_TOLD = 5


class GoogleSheetsOptions(BaseModel):
    """`[feed.source] type = "google_sheets"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    key: str  # of the spreadsheet: the part of its address between /d/ and /edit
    worksheet: str | None = None  # its title; by default the first
    range: str | None = None  # for example "A3:F" or "B2:F500"; by default everything
    login: Literal["google_service_account", "google_user"] = "google_service_account"
    max_size: int = Field(1 << 30, ge=1)  # bytes, as CSV
    tries: int = Field(4, ge=1, le=10)  # of each request that meets a quota or a fault of the server
    timeout: Duration = timedelta(seconds=60)  # for each answer
    deadline: Duration = timedelta(minutes=15)  # for everything

    @field_validator("key")
    @classmethod
    def _is_a_key(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]{5,200}", value):
            msg = f"{value!r} is no key: write the part of the spreadsheet's address between /d/ and /edit"
            raise ValueError(msg)
        return value

    @field_validator("range")
    @classmethod
    def _is_a_range(cls, value: str | None) -> str | None:
        if value is not None:
            area_of(value, 1, 1)
        return value


class GoogleSheetsSource:
    """One worksheet of a spreadsheet."""

    def __init__(
        self,
        options: GoogleSheetsOptions,
        connection: Connection,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options, self._connection, self._sleep, self._now = options, connection, sleep, now
        chosen = repr((options.key, options.worksheet, options.range))
        self._mark = f"{options.key}#{hashlib.sha256(chosen.encode()).hexdigest()[:16]}"

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        """Yield the worksheet if the spreadsheet was modified since it was delivered; see `protocols.Source`.

        Raises CredentialsError (refused, not shared with us), ConfigError (no such spreadsheet or worksheet), TransientError
        (quota, server, edited while it was read).
        """
        seen.waiting.clear()
        options = self._options
        with open_sheets(self._connection, options.login, options.timeout.total_seconds(), options.tries, self._sleep) as sheets:
            modified = sheets.modified_at(options.key)
            if seen.listing.get(self._mark, (0, "", ""))[1] == modified.isoformat():
                return
            fetched = self._read(sheets, modified, spool, _Told(is_grouped=_points_group(feed)))
        if fetched.identity in seen.identities:
            fetched.path.unlink()
        else:
            yield fetched
        seen.listing[self._mark] = (fetched.size, modified.isoformat(), "")

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Do nothing: a spreadsheet is only read."""

    def _read(self, sheets: SheetSession, modified: datetime, spool: Path, told: "_Told") -> Fetched:
        options = self._options
        sheet = sheets.worksheet(options.key, options.worksheet)
        area = area_of(options.range, sheet.rows, sheet.columns)
        spooled = self._spool(sheets, sheet.title, area, spool, told)
        after = sheets.modified_at(options.key)
        if after != modified:
            spooled.path.unlink()
            raise TransientError(
                f"spreadsheet {sheet.spreadsheet!r} was edited while it was read", "It is tried again; nothing was recorded."
            )
        identity = f"{options.key}|{sheet.id}|{options.range or ''}|{modified.isoformat()}|{spooled.sha256}"
        name = safe_name(f"{sheet.spreadsheet} - {sheet.title}.csv")
        return Fetched(spooled.path, spooled.sha256, spooled.size, name, identity, modified, {}, told.findings())

    def _spool(self, sheets: SheetSession, title: str, area: Area, spool: Path, told: "_Told") -> Spooled:
        pieces = self._pieces(sheets, title, area, told)
        limits = Limits(self._options.max_size, float("inf"), self._options.deadline.total_seconds())
        return spool_stream(lambda _size: next(pieces, b""), spool, title, limits=limits)

    def _pieces(self, sheets: SheetSession, title: str, area: Area, told: "_Told") -> Iterator[bytes]:
        """Yield the worksheet as CSV, some rows at a time; every row as wide as the first, blank rows in their place."""
        width, blank = 0, 0
        for piece in area.pieces(ROWS):
            shown, exact = sheets.values(self._options.key, title, piece)
            told.look(exact, piece)
            rows = cell_texts(shown, exact)
            width = width or max((len(row) for row in rows), default=0)
            content, blank = _as_csv(rows, width, blank, of=piece.last_row - piece.first_row + 1)
            if content:
                yield content


def _as_csv(rows: Sequence[Sequence[str]], width: int, blank: int, *, of: int) -> tuple[bytes, int]:
    """Return the rows as CSV, after `blank` rows that are blank; and how many of the piece's `of` rows are blank at its end.

    The service leaves blank cells and rows at the end out: rows are padded, and blank rows count only where others follow.
    """
    if not any(any(row) for row in rows):
        return b"", blank + of
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in [*([] for _ in range(blank)), *rows]:
        writer.writerow([*row, *([""] * (width - len(row)))])
    return text.getvalue().encode(), of - len(rows)


@dataclass(slots=True)
class _Told:
    """The cells to tell of: those that have lost digits, and with `is_grouped` those that the feed's thousands mark changes."""

    is_grouped: bool
    long: list[str] = field(default_factory=list)
    grouped: list[str] = field(default_factory=list)

    def look(self, exact: Sequence[Sequence[Cell]], piece: Area) -> None:
        self.long += too_long(exact, piece)[: MOST_TOLD - len(self.long)]
        if self.is_grouped:
            self.grouped += grouped_by_points(exact, piece)[: MOST_TOLD - len(self.grouped)]

    def findings(self) -> tuple[Finding, ...]:
        found = []
        if self.long:
            words = f"numbers of more than 15 digits in {', '.join(self.long)}: the sheet has lost their last digits"
            remedy = "Format the column as plain text, then enter the numbers again."
            found.append(Finding("SHEET-DIGITS", "warn", words, remedy))
        if self.grouped:
            words = f'numbers with a decimal point in {", ".join(self.grouped)}, which thousands = "." would make another number'
            remedy = 'Numbers of a sheet have a decimal point: write decimal = "." and no `thousands`, then release the delivery.'
            found.append(Finding("SHEET-POINT", "hold", words, remedy))
        return tuple(found)


def _points_group(feed: Feed) -> bool:
    columns = (getattr(feed.columns, name) for name in type(feed.columns).model_fields)
    return "." in {feed.thousands, *(column.thousands for column in columns if column is not None)}
