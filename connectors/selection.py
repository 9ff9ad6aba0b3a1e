"""Which files of a folder to take: matching, what is new, and when a file has stopped growing. Shared by folder and sftp.

Never opens a file or a connection: listings, the clock and sleep are handed in.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.durations import Duration, format_duration
from schemas.rejections import escape_value
from schemas.transfer import ListedFile, Seen

LONGEST_PAUSE = timedelta(minutes=2)  # a longer settle time is waited for between polls, not inside one
LONGEST_NAME = 1024  # characters; longer names are a server's mistake or an attack
_MOST_NAMED = 3  # files that show what a pattern should match
_ESCAPED_BYTE = re.compile(r"\\x([0-9a-f]{2})")


class SelectionOptions(BaseModel):
    """Where the files are, which are taken, when they are complete, and what happens to them afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    path: str = Field(min_length=1)  # the folder
    select: Literal["exact", "glob", "newest", "all_new"] = "all_new"
    name: str | None = None  # exact: the file's name
    pattern: str = "*"  # the others: shell-style pattern, letter case counts
    settle: Duration = timedelta(seconds=30)
    done_marker: str | None = None  # "{name}.done" beside each file, or one name such as "READY"; replaces the settle rule
    ignore: tuple[str, ...] = ("*.part", "*.tmp", "*.filepart", "*~", "~*", ".*")  # letter case does not count
    after: Literal["leave", "move", "delete"] = "leave"
    move_to: str | None = None  # a folder, relative to `path` unless absolute
    answers_to: str | None = None  # a folder for EDI acknowledgements, relative to `path` unless absolute
    max_files: int = Field(100, ge=1)  # per poll
    max_size: int = Field(1 << 30, ge=1)  # bytes per file

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if (self.select == "exact") != (self.name is not None):
            msg = 'select = "exact" and `name` go together; the other ways of selecting use `pattern`'
            raise ValueError(msg)
        if self.select == "exact" and "pattern" in self.model_fields_set:
            msg = 'select = "exact" takes `name` and no `pattern`'
            raise ValueError(msg)
        if self.name is not None and (why := unsafe_reason(self.name)):
            msg = f"`name` {why.partition(';')[0]}: it is the name of one file in the folder `path`"
            raise ValueError(msg)
        if (self.after == "move") != bool(self.move_to):
            msg = 'after = "move" and `move_to` go together'
            raise ValueError(msg)
        if self.move_to and posixpath.normpath(posixpath.join(self.path, self.move_to)) == posixpath.normpath(self.path):
            msg = "`move_to` is the folder itself: every moved file would be a new one; name another folder"
            raise ValueError(msg)
        if self.answers_to is not None and posixpath.normpath(posixpath.join(self.path, self.answers_to)) == posixpath.normpath(
            self.path
        ):
            msg = "`answers_to` is the folder that is read: our own answers would be fetched; name another folder"
            raise ValueError(msg)
        if self.done_marker is not None and (not self.done_marker or self.done_marker == "{name}"):
            msg = 'done_marker is a file name such as "READY", or a form such as "{name}.done"'
            raise ValueError(msg)
        return self


def shown_name(raw: bytes) -> str:
    r"""Return a file name as text that a database and a log can hold: bytes that are not UTF-8 become \xhh.

    A backslash itself becomes \x5c, so that `raw_name` can turn every text back into exactly these bytes.
    """
    return raw.replace(b"\\", b"\\x5c").decode("utf-8", "backslashreplace")


def raw_name(shown: str) -> bytes:
    """Return the bytes of a file name that `shown_name` made into text."""
    pieces = _ESCAPED_BYTE.split(shown)
    return b"".join(bytes.fromhex(p) if i % 2 else p.encode() for i, p in enumerate(pieces))


def unsafe_reason(name: str) -> str | None:
    """Return why a listed name is not touched, None for a harmless one. Names never become local paths in any case."""
    if name in {"", ".", ".."}:
        return "is not a file name"
    if "/" in name or "\0" in name or r"\x5c" in name:
        return "holds a path separator or a NUL character; ask the supplier to rename it"
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters; ask the supplier to rename it"
    return None


def identity(file: ListedFile) -> str:
    """Return what names this content for ever: "name|size|modification time (UTC, ISO 8601)"."""
    return f"{file.name}|{file.size}|{file.modified_at.astimezone(UTC).isoformat()}"


def marker_of(name: str, options: SelectionOptions) -> str | None:
    """Return the name of the done-marker that belongs to one file, None where there is none or all files share it."""
    form = options.done_marker
    return form.replace("{name}", name) if form and "{name}" in form else None


def is_wanted(name: str, options: SelectionOptions) -> bool:
    """Return whether a listed name matters at all: it matches, or it is a done-marker. For sources that ask file by file."""
    return _matches(name, options) or _is_marker(name, options)


def note_unmatched(listed: Sequence[str], options: SelectionOptions, seen: Seen) -> None:
    """Tell in `seen.waiting` that `pattern` matches none of the listed names, until something has come for the first time.

    Later on, a folder that holds other files only is nothing to tell.
    """
    if seen.identities or options.name is not None:
        return
    others = [name for name in listed if not _is_ignored(name, options)]
    if others and not any(_matches(name, options) for name in others):
        some = ", ".join(escape_value(name) for name in sorted(others)[:_MOST_NAMED])
        seen.waiting[escape_value(options.pattern)] = f"`pattern` matches none of {len(others)} files in the folder, such as {some}"


def choose(listing: Iterable[ListedFile], options: SelectionOptions, seen: Seen) -> list[ListedFile]:
    """Return the new matching files in the order of fetching, oldest first; "newest" gives one file or none.

    Unsafe names and files over `max_size` are left out, with the reason in `seen.waiting`; a file that is listed twice counts once.
    """
    matching = [f for f in dict.fromkeys(listing) if _matches(f.name, options) and _admitted(f, options, seen)]
    ordered = sorted(matching, key=_age)
    if options.select == "newest":
        floor = max((_age(f) for f in _delivered(seen) if _matches(f.name, options)), default=None)
        ordered = [f for f in ordered[-1:] if floor is None or _age(f) > floor]
    return [f for f in ordered if identity(f) not in seen.identities]


def select_ready(
    list_files: Callable[[], Sequence[ListedFile]],
    options: SelectionOptions,
    seen: Seen,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], object],
    in_order: bool = False,
    grain: Callable[[], timedelta] = timedelta,
) -> list[ListedFile]:
    """Return the new files that are complete, at most `max_files`; the others are in `seen.waiting` with the reason.

    A file is complete when two listings at least `settle` apart show the same size and time. The earlier listing comes
    from the last poll (`seen.listing`); if there is none old enough and `settle` is at most two minutes, this call
    waits and lists again. With a done-marker declared, the marker decides instead. `in_order` keeps later files behind
    one that is not complete (deltas must not overtake each other). `grain`, asked after the first listing, is the step in
    which the listed times count: `settle` is never shorter, or new content could come under the time of the old.
    """
    listing = list_files()
    options = options.model_copy(update={"settle": max(options.settle, grain())})
    look = _look(listing, options, seen, now())
    pause = max(look.remaining.values(), default=timedelta(0))
    if pause and options.settle <= LONGEST_PAUSE:
        earliest = now() + pause  # the time slept counts even if the wall clock was set back meanwhile
        sleep(pause.total_seconds())
        look = _look(list_files(), options, seen, max(now(), earliest))
    return _take(look, options, seen, in_order=in_order)


@dataclass(slots=True)
class _Look:
    """What one listing says: the new files, why some are not complete, and how long those still have to settle."""

    files: list[ListedFile]
    reasons: dict[str, str] = field(default_factory=dict)
    remaining: dict[str, timedelta] = field(default_factory=dict)


def _look(listing: Sequence[ListedFile], options: SelectionOptions, seen: Seen, at: datetime) -> _Look:
    seen.waiting.clear()
    look = _Look(choose(listing, options, seen))
    _note_absent(listing, options, seen)
    if options.done_marker:
        present = {f.name: f for f in listing}
        for file in look.files:
            reason = _marker_reason(file, options, present)
            if reason:
                look.reasons[file.name] = reason
        return look
    seen.listing = {f.name: _sighting(f, seen, at) for f in look.files}
    for file in look.files:
        left = options.settle - (at - datetime.fromisoformat(seen.listing[file.name][2]))
        if left > timedelta(0):
            look.remaining[file.name] = left
            look.reasons[file.name] = f"may still be growing: not yet unchanged for {format_duration(options.settle)}"
    return look


def _take(look: _Look, options: SelectionOptions, seen: Seen, *, in_order: bool) -> list[ListedFile]:
    ready: list[ListedFile] = []
    behind = ""
    for file in look.files:
        reason = look.reasons.get(file.name) or behind
        if not reason and len(ready) == options.max_files:
            reason = f"left for the next poll: max_files = {options.max_files}"
        if not reason:
            ready.append(file)
            continue
        seen.waiting[escape_value(file.name)] = reason
        if in_order and not behind:
            behind = f"waits behind {escape_value(file.name)}"
    return ready


def _sighting(file: ListedFile, seen: Seen, at: datetime) -> tuple[int, str, str]:
    stamp = file.modified_at.astimezone(UTC).isoformat()
    before = seen.listing.get(file.name)
    if before and (before[0], before[1]) == (file.size, stamp) and datetime.fromisoformat(before[2]) <= at:
        return (before[0], before[1], before[2])
    return file.size, stamp, at.isoformat()


def _marker_reason(file: ListedFile, options: SelectionOptions, present: dict[str, ListedFile]) -> str | None:
    wanted = marker_of(file.name, options) or options.done_marker or ""
    marker = present.get(wanted)
    if marker is None:
        return f"waits for the done-marker {escape_value(wanted)}"
    if marker.modified_at < file.modified_at:  # left over from an earlier delivery
        return f"waits for a new done-marker: {escape_value(wanted)} is older than the file"
    return None


def _note_absent(listing: Sequence[ListedFile], options: SelectionOptions, seen: Seen) -> None:
    if options.name is None:
        note_unmatched([f.name for f in listing], options, seen)
    elif not any(f.name == options.name for f in listing):
        seen.waiting[escape_value(options.name)] = "is not in the folder"


def _matches(name: str, options: SelectionOptions) -> bool:
    if options.name is not None:
        return name == options.name
    return fnmatchcase(name, options.pattern) and not _is_ignored(name, options)


def _is_ignored(name: str, options: SelectionOptions) -> bool:
    return any(fnmatchcase(name.casefold(), p.casefold()) for p in options.ignore) or _is_marker(name, options)


def _is_marker(name: str, options: SelectionOptions) -> bool:
    if options.done_marker is None:
        return False
    before, sign, after = options.done_marker.partition("{name}")
    if not sign:
        return name == options.done_marker
    return len(name) > len(before) + len(after) and name.startswith(before) and name.endswith(after)


def _admitted(file: ListedFile, options: SelectionOptions, seen: Seen) -> bool:
    reason = unsafe_reason(file.name)
    if reason is None and file.size > options.max_size:
        reason = f"has {file.size} bytes, more than max_size = {options.max_size}"
    if reason:
        seen.waiting[escape_value(file.name)] = reason
    return reason is None


def _age(file: ListedFile) -> tuple[datetime, str]:
    return file.modified_at, file.name


def _delivered(seen: Seen) -> list[ListedFile]:
    """Return the files of recorded identities; identities of another kind (a feed that changed its source) are passed over."""
    found = (re.fullmatch(r"(?s)(.+)\|(\d+)\|(\d{4}-\d\d-\d\dT[\d:.]+\+00:00)", i) for i in seen.identities)
    return [ListedFile(m[1], int(m[2]), datetime.fromisoformat(m[3])) for m in found if m]
