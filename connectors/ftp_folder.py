"""One folder of an FTP server as `pickup.Folder`: MLSD and MLST where the server has them, else LIST, SIZE and MDTM.

Never follows what the server calls a link, and never trusts it about names, sizes or the end of a file.
"""

import posixpath
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from connectors.ftp_control import Reply, ftp_errors
from connectors.ftp_listing import Entry, parse_facts, parse_list, parse_mlsd, parse_size, parse_stamp
from connectors.ftp_session import Download, FtpSession
from connectors.selection import raw_name, shown_name
from schemas.errors import ConfigError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value
from schemas.transfer import ListedFile

MOST_ENTRIES = 100_000
MOST_LISTING = 64 * 1024 * 1024  # bytes
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ListingRules:
    """How LIST answers are read: which names matter, the time zone of their times (None: not declared), and the clock."""

    wanted: Callable[[str], bool]
    zone: tzinfo | None
    now: Callable[[], datetime]


class FtpFolder:
    """`pickup.Folder` on a logged-in FTP session.

    `left_out` holds listed names that are not touched, with why; `names` all others of the last listing, wanted or not.
    """

    def __init__(self, session: FtpSession, path: str, rules: ListingRules) -> None:
        self._session, self._control, self._rules = session, session.control, rules
        self.place = f"{session.control.place}/{path.strip('/')}".rstrip("/")
        self.left_out: dict[str, str] = {}
        self.names: list[str] = []
        # RFC 3659 §7.8: a server that lists MLST among its features has both commands
        self._facts = bool({"MLST", "MLSD"} & session.features)
        self._lacks: set[str] = set()  # of SIZE and MDTM, those that the server turned out not to know
        with ftp_errors(self.place):
            self._base = self._enter(path)

    @property
    def grain(self) -> timedelta:
        """Return the step in which times count: a listing without MDTM tells no seconds."""
        return timedelta(minutes=1) if "MDTM" in self._lacks else timedelta(0)

    def list_files(self) -> list[ListedFile]:
        """Return the regular files. Raises PermanentError for a listing of an unknown form."""
        self.left_out.clear()
        self.names.clear()
        with ftp_errors(self.place):
            found = (self._listed(entry) for entry in self._entries() if self._admitted(entry))
            return [file for file in found if file]

    def look(self, name: str) -> ListedFile | None:
        """Return one regular file as it is now, None for anything else."""
        with ftp_errors(self.place):
            entry = self._entry(raw_name(name))
            return self._listed(entry) if entry and entry.kind == "file" else None

    @contextmanager
    def open(self, name: str, size: int, /) -> Iterator[Callable[[int], bytes]]:
        """Give the function to read with. Raises TransientError as soon as more than the listed size arrives."""
        received = 0
        with ftp_errors(self.place):
            opened = self._session.start("RETR", raw_name(name))
        if isinstance(opened, Reply):
            raise self._control.refusal("the file was not given", opened, name)
        download: Download = opened

        def read(most: int) -> bytes:
            nonlocal received
            with ftp_errors(self.place):
                piece = download.read(most)
            received += len(piece)
            if received > size:
                raise TransientError(
                    f"{self.place}/{escape_value(name)} sends more than the {size} bytes listed",
                    "Nothing was recorded and it is fetched again: is it still being written?",
                )
            return piece

        with closing(download):
            yield read

    def make_folder(self, path: str) -> None:
        """Make a folder if it is absent."""
        full = raw_name(path)
        steps = [full[: at or len(full)] for at, sign in enumerate(full + b"/") if sign == ord("/") and at]
        with ftp_errors(self.place):
            if self._is_folder(full):
                return
            for step in steps:
                reply = self._control.command("MKD", step)  # refused for those that are there
            if not self._is_folder(full):
                raise self._control.refusal(f"the folder {escape_value(path)} cannot be made", reply)

    def move(self, name: str, target: str) -> bool:
        """Move a file; False if something has the target's name."""
        with ftp_errors(self.place):
            if self._exists(raw_name(target)):
                return False
            self._done(self._control.command("RNFR", raw_name(name)), "the file cannot be moved", name)
            self._done(self._control.command("RNTO", raw_name(target)), f"the file cannot be moved to {escape_value(target)}", name)
        return True

    def remove(self, name: str) -> None:
        """Delete a file if it is there."""
        with ftp_errors(self.place):
            reply = self._control.command("DELE", raw_name(name))
            if not reply.ok and self._entry(raw_name(name)):
                raise self._control.refusal("the file cannot be deleted", reply, name)

    def put(self, target: str, content: bytes) -> None:
        """Write a file under a passing name, then give it its own."""
        final, passing = raw_name(target), raw_name(target) + b".part"
        with ftp_errors(self.place):
            upload = self._session.start("STOR", passing)
            if isinstance(upload, Reply):
                raise self._control.refusal("an answer cannot be written", upload, target)
            with closing(upload):
                upload.send(content)
            if self._exists(final):
                self._done(self._control.command("DELE", final), "the earlier answer cannot be replaced", target)
            self._done(self._control.command("RNFR", passing), "the answer cannot be given its name", target)
            self._done(self._control.command("RNTO", final), "the answer cannot be given its name", target)

    def _enter(self, path: str) -> bytes:
        reply = self._control.command("CWD", raw_name(path))
        if not reply.ok:
            raise self._not_entered(path, reply)
        base = self._session.command("PWD").lines[0]
        start, end = base.find(b'"'), base.rfind(b'"')
        if end <= start:
            raise self._control.refusal("the server does not tell its current folder", Reply(257, (base,)))
        return base[start + 1 : end].replace(b'""', b'"')  # RFC 959: a quote in a name is doubled

    def _not_entered(self, path: str, reply: Reply) -> StockfeedError:
        if not reply.absent:
            return self._control.refusal("the folder cannot be entered", reply)
        words = self._control.words(reply)
        return ConfigError(f"{self.place}: there is no such folder ({words})", f"Correct `path`. {self._neighbours(path)}".strip())

    def _neighbours(self, path: str) -> str:
        parent = posixpath.dirname(path.rstrip("/")) or ("/" if path.startswith("/") else ".")
        if not self._control.command("CWD", raw_name(parent)).ok:
            return ""
        names = sorted(shown_name(entry.name) for entry in self._entries())
        shown = ", ".join(escape_value(n) for n in names[:_NAMES_SHOWN])
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        where = "The folder of the login" if parent == "." else escape_value(parent)
        return f"{where} holds: {shown or 'nothing'}{more}."

    def _entries(self) -> list[Entry]:
        entries = self._facts_of_all() if self._facts else None
        if entries is None:
            data = self._session.read_all("LIST", MOST_LISTING)
            if isinstance(data, Reply):
                raise self._control.refusal("the folder cannot be listed", data)
            zone = self._rules.zone if "MDTM" in self._lacks else None
            entries = parse_list(data, zone, self._rules.now())
        if len(entries) > MOST_ENTRIES:
            raise PermanentError(f"{self.place} holds more than {MOST_ENTRIES} files", "Ask the supplier to clear it up.")
        return entries

    def _facts_of_all(self) -> list[Entry] | None:
        data = self._session.read_all("MLSD", MOST_LISTING)
        if isinstance(data, bytes):
            return parse_mlsd(data)
        if not data.not_supported:
            raise self._control.refusal("the folder cannot be listed", data)
        self._facts = False
        return None

    def _admitted(self, entry: Entry) -> bool:
        if entry.kind != "file":
            return False
        name = shown_name(entry.name)
        if {10, 13} & set(entry.name):
            self.left_out[escape_value(name)] = "holds a line break, which FTP cannot carry; ask the supplier to rename it"
            return False
        self.names.append(name)
        return self._rules.wanted(name)

    def _entry(self, name: bytes) -> Entry | None:
        """Return what the server says of one path now: by MLST, else by SIZE and MDTM (`_listed` asks for them)."""
        if self._facts:
            reply = self._control.command("MLST", name)
            if reply.ok and len(reply.lines) > 1:
                found = parse_facts(reply.lines[1].removeprefix(b" "))
                return replace(found, name=name) if found else Entry(name, "other")
            if not reply.not_supported:
                self._refuse_unless_absent(reply, name)
                return None
            self._facts = False
        if "SIZE" not in self._lacks:
            size = self._told("SIZE", name)
            if size is not None:
                return Entry(name, "file", parse_size(size))
            if "SIZE" not in self._lacks:
                return None
        return self._in_listing(name)

    def _in_listing(self, name: bytes) -> Entry | None:
        return next((entry for entry in self._entries() if entry.name == name), None)

    def _refuse_unless_absent(self, reply: Reply, name: bytes) -> None:
        if not reply.absent:
            raise self._control.refusal("the server tells nothing of the file", reply, shown_name(name))

    def _told(self, verb: str, name: bytes) -> bytes | None:
        """Return what SIZE or MDTM says, None when there is no such file or the command is not known (then in `_lacks`)."""
        if verb in self._lacks:
            return None
        reply = self._control.command(verb, name)
        if reply.ok:
            return reply.lines[0].strip()
        if reply.not_supported:
            self._lacks.add(verb)
            return None
        self._refuse_unless_absent(reply, name)
        return None

    def _listed(self, entry: Entry) -> ListedFile | None:
        """Return the file with size and time complete, None when it vanished or its time is told in days only."""
        name = shown_name(entry.name)
        size, modified = entry.size, entry.modified_at
        if size is None:
            size = self._size_of(entry.name)
        if modified is None:
            stamp = self._told("MDTM", entry.name)
            modified = parse_stamp(stamp) if stamp is not None else self._time_in_listing(entry.name)
        if modified is None:
            self.left_out.setdefault(
                escape_value(name),
                "the server does not tell the time of its last change: it is gone, or old enough to be listed by its day only",
            )
            return None
        return ListedFile(name, size, modified)

    def _size_of(self, name: bytes) -> int:
        told = self._told("SIZE", name)
        if told is None:
            raise PermanentError(
                f"{self.place}: the server does not tell the size of {escape_value(shown_name(name))}",
                "Such a server cannot be used: a file that is cut short would go unseen.",
            )
        return parse_size(told)

    def _time_in_listing(self, name: bytes) -> datetime | None:
        if "MDTM" not in self._lacks:
            return None  # the server knows MDTM, but no such file
        if self._rules.zone is None:
            raise ConfigError(
                f"{self.place}: the server tells the time of files only in its listing (it knows neither MLSD nor MDTM)",
                'Write list_timezone = "…" (the zone of the server\'s clock, such as "Europe/Berlin") for this source.',
            )
        found = self._in_listing(name)
        return found.modified_at if found else None

    def _exists(self, path: bytes) -> bool:
        if self._facts:
            return self._entry(path) is not None
        if self._told("SIZE", path) is not None:
            return True
        # SIZE refuses folders too, and some servers what they do not want to show: only the listing is certain
        folder, _, name = path.rpartition(b"/")
        folder = folder or (b"/" if path.startswith(b"/") else b".")
        self._done(self._control.command("CWD", folder), "the folder cannot be entered", shown_name(folder))
        found = self._in_listing(name)
        self._done(self._control.command("CWD", self._base), "the folder cannot be entered", shown_name(self._base))
        return found is not None

    def _is_folder(self, path: bytes) -> bool:
        if not self._control.command("CWD", path).ok:
            return False
        self._done(self._control.command("CWD", self._base), "the folder cannot be entered", shown_name(self._base))
        return True

    def _done(self, reply: Reply, what: str, name: str) -> None:
        if not reply.ok:
            raise self._control.refusal(what, reply, name)
