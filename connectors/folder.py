"""A folder of this machine (a mounted share, a drop folder) as a source of files.

Never follows links, never reads devices or pipes, and never reaches outside the folder and its `move_to`.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.pickup import Poll, clear_up, fetch_new, put_answer
from connectors.selection import SelectionOptions, raw_name, shown_name
from connectors.spool import Limits
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.errors import ConfigError, TransientError
from schemas.feed_config import Feed
from schemas.rejections import escape_value
from schemas.transfer import Fetched, ListedFile, Seen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES_SHOWN = 10


class FolderOptions(SelectionOptions):
    """`[feed.source] type = "folder"`."""

    deadline: Duration = timedelta(minutes=15)  # for one file


class FolderSource:
    """Supplier files in a local folder."""

    def __init__(
        self,
        options: FolderOptions,
        _connection: Connection | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options, self._sleep, self._now = options, sleep, now
        self._folder = LocalFolder(Path(options.path).expanduser())

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        """Yield each new complete file, oldest first, copied into `spool`; see `protocols.Source`."""
        limits = Limits(deadline=self._options.deadline.total_seconds())
        poll = Poll(self._options, limits, self._now, self._sleep, in_order=feed.mode == "delta")
        yield from fetch_new(self._folder, poll, seen, spool)

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Leave, move or delete a committed file; safe to repeat, and new content under the same name stays."""
        if self._options.after != "leave":
            clear_up(self._folder, self._options, reference)

    def answer(self, name: str, content: bytes) -> bool:
        """Put an acknowledgement into `answers_to`, if there is one; see `protocols.Answering`."""
        return put_answer(self._folder, self._options, name, content)


class LocalFolder:
    """`pickup.Folder` on a local directory."""

    grain = timedelta(0)  # of the file system: far below a second

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = str(path)

    def list_files(self) -> list[ListedFile]:
        """Return the regular files. Raises ConfigError when the folder is absent or closed to us."""
        with _local_errors(self._path), os.scandir(os.fsencode(self._path)) as entries:
            found = (self.look(shown_name(entry.name)) for entry in entries)
            return [f for f in found if f]

    def look(self, name: str) -> ListedFile | None:
        """Return one regular file as it is now, None for anything else."""
        with _local_errors(self._path):
            try:
                status = os.lstat(self._full(name))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _listed(name, status) if stat.S_ISREG(status.st_mode) else None

    @contextmanager
    def open(self, name: str, _size: int, /) -> Iterator[Callable[[int], bytes]]:
        """Give the function to read with. A name that became a link or a pipe since it was listed is refused."""
        with _local_errors(self._path):
            # O_NONBLOCK: opening a pipe that took the file's place must not wait for a writer
            handle = os.open(self._full(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:

            def read(most: int) -> bytes:
                with _local_errors(self._path):
                    return file.read(most)

            yield read

    def make_folder(self, path: str) -> None:
        """Make a folder if it is absent."""
        with _local_errors(self._path):
            (self._path / path).mkdir(parents=True, exist_ok=True)

    def move(self, name: str, target: str) -> bool:
        """Move a file; False if something has the target's name."""
        destination = self._full(target)
        if os.path.lexists(destination):
            return False
        with _local_errors(self._path):
            os.rename(self._full(name), destination)  # noqa: PTH104 - paths are bytes here, names need not be UTF-8
        return True

    def remove(self, name: str) -> None:
        """Delete a file if it is there."""
        with _local_errors(self._path):
            Path(os.fsdecode(self._full(name))).unlink(missing_ok=True)

    def put(self, target: str, content: bytes) -> None:
        """Write a file durably under a passing name, then give it its own."""
        final = self._full(target)
        with _local_errors(self._path):
            handle = os.open(final + b".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(final + b".part", final)  # noqa: PTH105 - paths are bytes here

    def _full(self, name: str) -> bytes:
        return os.path.join(os.fsencode(self._path), raw_name(name))  # noqa: PTH118 - bytes


def _listed(name: str, status: os.stat_result) -> ListedFile:
    return ListedFile(name, status.st_size, _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000))


@contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        if path.is_dir():
            raise TransientError(f"folder {path}: a file is gone", "The folder is listed again at the next poll.") from error
        if path.is_file():
            raise ConfigError(
                f"folder {path} is a file", 'Write its folder as `path`, with select = "exact" and the file as `name`.'
            ) from error
        raise ConfigError(f"folder {path} does not exist", f"Correct `path` of the source. {_siblings(path)}".strip()) from error
    except PermissionError as error:
        raise ConfigError(
            f"folder {path}: permission denied ({error.strerror})", f"Give this user access to it. {_siblings(path)}".strip()
        ) from error
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise ConfigError(
                f"folder {path}: `move_to` is on another disk, and a file moves in one step within one disk only",
                "Name a folder on the same disk.",
            ) from error
        raise TransientError(f"folder {path}: {error.strerror or error}", "Is the share mounted? It is tried again.") from error


def _siblings(path: Path) -> str:
    parent = path.absolute().parent  # "." would say nothing about where a relative path was looked for
    try:
        names = sorted(p.name for p in parent.iterdir())
    except OSError as error:
        return f"{parent} cannot be listed either: {error.strerror}."
    shown = ", ".join(escape_value(n) for n in names[:_NAMES_SHOWN])
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{parent} holds: {shown or 'nothing'}{more}."
