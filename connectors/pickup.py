"""Taking files out of a folder, wherever it is: select, download whole or not at all, and clear up after our commit.

Never changes the folder while fetching, and never yields a file whose size or time changed during the download.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from connectors.selection import SelectionOptions, identity, marker_of, select_ready, unsafe_reason
from connectors.spool import Limits, Spooled, spool_stream
from schemas.errors import PermanentError, TransientError
from schemas.rejections import escape_value
from schemas.transfer import Fetched, ListedFile, Seen

MOST_COPIES = 1000  # names tried for a file moved to a folder that already has one of its name


class Folder(Protocol):
    """A folder of files. Names are as `selection.shown_name` gives them; `place` names the folder in messages."""

    place: str

    @property
    def grain(self) -> timedelta:
        """Return the step in which its times count, as far as the listings have shown it."""
        ...

    def list_files(self) -> list[ListedFile]:
        """Return the regular files; links and folders are left out."""
        ...

    def look(self, name: str) -> ListedFile | None:
        """Return one regular file as it is now, None if there is none."""
        ...

    def open(self, name: str, size: int, /) -> AbstractContextManager[Callable[[int], bytes]]:
        """Return a context that gives the function to read the next bytes with, b"" at the end."""
        ...

    def make_folder(self, path: str) -> None:
        """Make the folder `path` (relative to this one) if it is absent."""
        ...

    def move(self, name: str, target: str) -> bool:
        """Move a file to `target` (relative to this folder); False, and nothing moved, if something is there already."""
        ...

    def remove(self, name: str) -> None:
        """Delete one file; nothing happens if it is gone."""
        ...

    def put(self, target: str, content: bytes) -> None:
        """Write a file (relative to this folder) under another name, then give it its own, in place of one that has it."""
        ...


@dataclass(frozen=True, slots=True)
class Poll:
    """How one poll is done: options, time-outs of each download, clock and sleep, and whether files keep their order."""

    options: SelectionOptions
    limits: Limits
    now: Callable[[], datetime]
    sleep: Callable[[float], object]
    in_order: bool = False


def fetch_new(folder: Folder, poll: Poll, seen: Seen, spool: Path) -> Iterator[Fetched]:
    """Yield each new complete file, oldest first, downloaded into `spool`.

    Raises TransientError when a file changed while it was read: it is fetched again by a later poll, and so are the
    files after it, so that the order is kept.
    """
    files = select_ready(
        folder.list_files,
        poll.options,
        seen,
        now=poll.now,
        sleep=poll.sleep,
        in_order=poll.in_order,
        grain=lambda: folder.grain,
    )
    for file in files:
        spooled = _download(folder, file, poll, seen, spool)
        yield Fetched(
            path=spooled.path,
            sha256=spooled.sha256,
            size=spooled.size,
            name=file.name,
            identity=identity(file),
            source_time=file.modified_at,
            reference={"name": file.name, "size": str(file.size), "modified_at": file.modified_at.isoformat()},
        )


def clear_up(folder: Folder, options: SelectionOptions, reference: Mapping[str, str]) -> None:
    """Move or delete a committed file, as the options say; safe to repeat.

    A file that is gone needs nothing. A file whose size or time differs from the fetched one is new content and stays.
    """
    if "name" not in reference:  # from the time before the feed had this source
        return
    name = reference["name"]
    if unsafe_reason(name):
        raise PermanentError(f"{folder.place}: {escape_value(name)} is not a file name", "The stored reference is damaged.")
    fetched = ListedFile(name, int(reference["size"]), datetime.fromisoformat(reference["modified_at"]).astimezone(UTC))
    if folder.look(name) != fetched:
        return
    marker = marker_of(name, options)
    beside = folder.look(marker) if marker else None
    # the marker first: a crash in between leaves a file that is known as delivered, never a marker without its file
    if beside:
        _dispose(folder, options, beside)
        if folder.look(name) != fetched:  # replaced meanwhile
            return
    _dispose(folder, options, fetched)


def put_answer(folder: Folder, options: SelectionOptions, name: str, content: bytes) -> bool:
    """Return whether an acknowledgement was put where the feed's answers go; False where it has no such place. Safe to repeat."""
    if options.answers_to is None:
        return False
    folder.make_folder(options.answers_to)
    folder.put(posixpath.join(options.answers_to, name), content)
    return True


def _dispose(folder: Folder, options: SelectionOptions, file: ListedFile) -> None:
    if options.after == "delete":
        folder.remove(file.name)
    elif options.after == "move" and options.move_to:
        _move(folder, file, options.move_to)


def _download(folder: Folder, file: ListedFile, poll: Poll, seen: Seen, spool: Path) -> Spooled:
    label = f"{folder.place}/{escape_value(file.name)}"
    if folder.look(file.name) != file:
        raise _changed(label, file, seen, "changed after it was listed")
    limits = Limits(poll.options.max_size, poll.limits.idle, poll.limits.deadline)
    with ExitStack() as undo:
        with _settling_anew(file, seen), folder.open(file.name, file.size) as read:
            spooled = spool_stream(read, spool, label, limits=limits)
            undo.callback(spooled.path.unlink, missing_ok=True)
        after = folder.look(file.name)
        if spooled.size != file.size or after != file:
            what = "was cut short" if after == file else "is still growing or was replaced"
            raise _changed(label, file, seen, f"{what}: {file.size} bytes listed, {spooled.size} received")
        undo.pop_all()
    return spooled


@contextmanager
def _settling_anew(file: ListedFile, seen: Seen) -> Iterator[None]:
    """Forget when a file was first seen as it is, if its download breaks off: why it did is not known."""
    try:
        yield
    except TransientError:
        seen.listing.pop(file.name, None)
        raise


def _changed(label: str, file: ListedFile, seen: Seen, what: str) -> TransientError:
    seen.listing.pop(file.name, None)  # it has to settle anew
    return TransientError(
        f"{label} {what}",
        "Nothing was recorded and it is fetched again; if it happens often, raise `settle` or agree on a done-marker.",
    )


def _move(folder: Folder, file: ListedFile, to: str) -> None:
    folder.make_folder(to)
    stem, suffix = posixpath.splitext(file.name)
    for copy in range(MOST_COPIES):
        target = posixpath.join(to, f"{stem}.{copy}{suffix}" if copy else file.name)
        if folder.move(file.name, target):
            _put_back_if_newer(folder, file, target)
            return
    raise PermanentError(
        f"{folder.place}: {escape_value(to)} already holds {MOST_COPIES} files named {escape_value(file.name)}",
        "Clear the folder named by `move_to`.",
    )


def _put_back_if_newer(folder: Folder, file: ListedFile, target: str) -> None:
    """Undo the move of a file that was replaced in the last moment. By its size: some servers give moved files a new time."""
    moved = folder.look(target)
    if moved is None or moved.size == file.size or folder.move(target, file.name):
        return
    raise PermanentError(
        f"{folder.place}: {escape_value(file.name)} was replaced while it was moved, and lies as {escape_value(target)} now",
        "Move it back by hand: it is newer than what was fetched.",
    )
