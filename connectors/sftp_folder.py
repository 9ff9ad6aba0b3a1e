"""One folder of an SFTP server as `pickup.Folder`, and a pipelined download on one thread.

Never follows links, and never trusts the server about names, sizes or the end of a file.
"""

import posixpath
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from paramiko.sftp import CMD_HANDLE, CMD_NAME, CMD_OPENDIR, CMD_READ, CMD_READDIR, CMD_STATUS, SFTPError, int64
from paramiko.sftp_attr import SFTPAttributes

from connectors.selection import raw_name, shown_name
from connectors.sftp import DEFAULT_TIMEOUTS, remote_errors
from schemas.errors import ConfigError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value
from schemas.transfer import ListedFile

if TYPE_CHECKING:
    import paramiko

MOST_ENTRIES = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES_SHOWN = 10


class RemoteFolder:
    """`pickup.Folder` on an open SFTP session."""

    grain = timedelta(0)  # whole seconds, which only a feed without `settle` could notice

    def __init__(self, client: "paramiko.SFTPClient", path: str, server: str, deadline: float = DEFAULT_TIMEOUTS.deadline) -> None:
        self._client, self._path, self._server, self._deadline = client, path, server, deadline
        self.place = f"{server}/{path.strip('/')}".rstrip("/")

    def list_files(self) -> list[ListedFile]:
        """Return the regular files. Raises ConfigError, with what is there instead, when the folder cannot be listed."""
        with self._ended_in_time(), remote_errors(self.place):
            entries = self._entries(self._path.encode())
        found = (_listed(shown_name(name), attributes) for name, attributes in entries)
        return [f for f in found if f]

    def look(self, name: str) -> ListedFile | None:
        """Return one regular file as it is now, None for anything else."""
        with remote_errors(self.place):
            attributes = self._status(self._full(name))
        return _listed(name, attributes) if attributes else None

    @contextmanager
    def open(self, name: str, size: int, /) -> Iterator[Callable[[int], bytes]]:
        """Give the function to read with; up to 256 requests are under way at a time."""
        with self._ended_in_time(), self._opened(name, size) as read:
            yield read

    @contextmanager
    def _opened(self, name: str, size: int) -> Iterator[Callable[[int], bytes]]:
        with remote_errors(self.place):
            file = self._client.open(self._full(name), "rb")
        download = PipelinedDownload(self._client, file.handle, size)

        def read(_most: int) -> bytes:
            with remote_errors(self.place):
                return download.read()

        try:
            yield read
        finally:
            if download.finished:
                with remote_errors(self.place):
                    file.close()
            else:  # a polite close would wait for the answers still under way, perhaps of a server that has gone silent
                self._client.sock.get_transport().close()

    def make_folder(self, path: str) -> None:
        """Make a folder if it is absent."""
        full = self._full(path)
        steps = [full[: at or len(full)] for at, sign in enumerate(full + b"/") if sign == ord("/") and at]
        with remote_errors(self.place):
            if self._status(full) is None:
                for step in (s for s in steps if self._status(s) is None):
                    self._client.mkdir(step)

    def move(self, name: str, target: str) -> bool:
        """Move a file; False if something has the target's name."""
        destination = self._full(target)
        with remote_errors(self.place):
            if self._status(destination):
                return False
            self._client.rename(self._full(name), destination)
        return True

    def remove(self, name: str) -> None:
        """Delete a file if it is there."""
        full = self._full(name)
        with remote_errors(self.place):
            if self._status(full):
                self._client.remove(full)

    def put(self, target: str, content: bytes) -> None:
        """Write a file under a passing name, compare its size, then give it its own name."""
        final = self._full(target)
        with self._ended_in_time(), remote_errors(self.place):
            with self._client.open(final + b".part", "wb") as file:
                file.write(content)
            written = self._status(final + b".part")
            if written is None or written.st_size != len(content):
                raise TransientError(f"{self.place}: {target} was not written whole", "It is tried again.")
            if self._status(final):
                self._client.remove(final)  # not every server renames over a file
            self._client.rename(final + b".part", final)

    @contextmanager
    def _ended_in_time(self) -> Iterator[None]:
        # paramiko waits for whole packets, and a server that sends a byte at a time keeps each single wait short
        over, transport = threading.Event(), self._client.sock.get_transport()

        def end() -> None:
            over.set()
            transport.close()

        timer = threading.Timer(self._deadline, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except StockfeedError as error:
            if not over.is_set():
                raise
            raise TransientError(
                f"{self.place}: took longer than {self._deadline:g} s",
                "It is tried again; if it stays slow, ask the supplier or raise `deadline` for this source.",
            ) from error
        finally:
            timer.cancel()

    def _full(self, name: str) -> bytes:
        return posixpath.join(self._path.encode(), raw_name(name))

    def _status(self, path: bytes) -> SFTPAttributes | None:
        try:
            return self._client.lstat(path)
        except FileNotFoundError:
            return None

    def _entries(self, path: bytes) -> list[tuple[bytes, SFTPAttributes]]:
        # paramiko's listdir fails as a whole when one name is not UTF-8; here names stay bytes
        try:
            kind, message = self._request(CMD_OPENDIR, path)
        except OSError as error:
            raise self._not_listed(error) from error
        if kind != CMD_HANDLE:
            msg = "expected a handle"
            raise SFTPError(msg)
        handle = message.get_binary()
        entries: list[tuple[bytes, SFTPAttributes]] = []
        while page := self._page(handle):
            entries += page
            if len(entries) > MOST_ENTRIES:
                raise PermanentError(f"{self.place} holds more than {MOST_ENTRIES} files", "Ask the supplier to clear it up.")
        return entries

    def _page(self, handle: bytes) -> list[tuple[bytes, SFTPAttributes]]:
        try:
            kind, message = self._request(CMD_READDIR, handle)
        except EOFError:
            return []
        if kind != CMD_NAME:
            msg = "expected names"
            raise SFTPError(msg)
        page = []
        for _ in range(min(message.get_int(), MOST_ENTRIES)):
            name, _long_name = message.get_binary(), message.get_binary()
            page.append((name, _read_attributes(message)))
        return page

    def _request(self, kind: int, argument: bytes) -> Any:
        wire: Any = self._client
        return wire._request(kind, argument)  # noqa: SLF001 - paramiko has no public call that keeps names as bytes

    def _not_listed(self, error: OSError) -> Exception:
        status = None if isinstance(error, PermissionError) else self._status(self._path.encode())
        if isinstance(error, PermissionError):
            what, remedy = "permission denied", "Ask the supplier to give this login access, or correct `path`."
        elif isinstance(error, FileNotFoundError) and status is None:
            what, remedy = "there is no such folder", "Correct `path`."
        elif status and stat.S_ISREG(status.st_mode or 0):
            what, remedy = "this is a file, not a folder", 'Put the folder into `path`, with select = "exact" and `name`.'
        else:
            return error
        return ConfigError(f"{self.place}: {what}", f"{remedy} {self._neighbours()}".strip())

    def _neighbours(self) -> str:
        parent = posixpath.dirname(self._path.rstrip("/")) or ("/" if self._path.startswith("/") else ".")
        try:
            names = sorted(n for n in self._client.listdir(parent))
        except (OSError, UnicodeDecodeError):
            return ""
        shown = ", ".join(escape_value(n) for n in names[:_NAMES_SHOWN])
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        where = "The folder of the login" if parent == "." else escape_value(parent)
        return f"{where} holds: {shown or 'nothing'}{more}."


class PipelinedDownload:
    """One file read in order with many requests under way.

    paramiko's own prefetch keeps nearly the whole file in memory when a server answers with less than it was asked for
    (18 of 20 MB seen). Here the window is fixed and the missing part of a short answer is asked for again. As fast as
    the default prefetch: 64 MB from OpenSSH on one machine 0.3 s both; 32 MB over a line of 20 ms 0.4 s both, 22 s with
    one request at a time.
    """

    WINDOW = 256  # requests under way, 8 MiB: enough for 80 MB/s over a line of 100 ms
    PIECE = 32768  # bytes; what every server accepts

    def __init__(self, client: "paramiko.SFTPClient", handle: object, size: int) -> None:
        self._client, self._handle, self._size = client, handle, size
        self._asked = 0
        self._under_way: deque[tuple[int, int, int]] = deque()  # request number, offset, length
        self._answers: dict[int, bytes | OSError | EOFError] = {}
        self.finished = False

    def read(self) -> bytes:
        """Return the next bytes, b"" at the end of the file or where the server says it ends."""
        while len(self._under_way) < self.WINDOW and self._asked < self._size:
            length = min(self.PIECE, self._size - self._asked)
            self._under_way.append(self._ask(self._asked, length))
            self._asked += length
        if not self._under_way:
            self.finished = True
            return b""
        return self._next()

    def _next(self) -> bytes:
        wire: Any = self._client
        number, offset, length = self._under_way.popleft()
        while number not in self._answers:
            wire._read_response()  # noqa: SLF001 - reads one answer and hands it to _async_response below
        answer = self._answers.pop(number)
        if isinstance(answer, EOFError) or answer == b"":
            self.finished = True
            return b""
        if isinstance(answer, OSError):
            raise answer
        if len(answer) > length:
            msg = "more bytes than asked for"
            raise SFTPError(msg)
        if len(answer) < length:
            self._under_way.appendleft(self._ask(offset + len(answer), length - len(answer)))
        return answer

    def _ask(self, offset: int, length: int) -> tuple[int, int, int]:
        wire: Any = self._client
        request = wire._async_request  # noqa: SLF001 - the public prefetch starts a thread, see the class
        return request(self, CMD_READ, self._handle, int64(offset), length), offset, length

    def _async_response(self, kind: int, message: Any, number: int) -> None:
        # called by paramiko's _read_response for each answer to a request that names this object
        wire: Any = self._client
        try:
            if kind == CMD_STATUS:
                wire._convert_status(message)  # noqa: SLF001 - raises what the status means
            self._answers[number] = message.get_binary()
        except (OSError, EOFError) as error:
            self._answers[number] = error


def _read_attributes(message: Any) -> SFTPAttributes:
    attributes: Any = SFTPAttributes
    found: SFTPAttributes = attributes._from_msg(message)  # noqa: SLF001 - as paramiko's own listing does
    return found


def _listed(name: str, attributes: SFTPAttributes) -> ListedFile | None:
    if attributes.st_mode is not None and not stat.S_ISREG(attributes.st_mode):
        return None
    if attributes.st_size is None or attributes.st_mtime is None:
        raise PermanentError(
            f"the server tells no size or time of {escape_value(name)}", "Such a server cannot be used: changes would go unseen."
        )
    return ListedFile(name, attributes.st_size, _EPOCH + timedelta(seconds=attributes.st_mtime))
