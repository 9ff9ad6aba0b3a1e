"""A session on an IMAP mailbox through imap-tools: searching in windows, headers in batches, mails in pieces.

Never fetches without PEEK, never logs a command, and never deletes a mail.
"""

import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import TYPE_CHECKING, Any

from connectors.oauth import Login, access_token
from connectors.tls import client_context, failed_handshake, refused_certificate
from schemas.connections import Connection
from schemas.errors import ConfigError, CredentialsError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value

if TYPE_CHECKING:
    from imap_tools.mailbox import BaseMailBox

WINDOW = 50_000  # UIDs asked for in one search: the answer stays far below the longest line that is read
BATCH = 100  # mails whose headers come in one answer
PIECE = 1 << 20  # bytes of a mail in one answer
_PORT = 993
_SHORTEST_SEARCH = 5  # characters; fewer would find half the mailbox
_HEADERS = "FROM SUBJECT MESSAGE-ID AUTHENTICATION-RESULTS"
_NUMBER = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)")
_DATE = re.compile(rb'INTERNALDATE "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Heading:
    """What is known of a mail before it is downloaded. `received_at` is when our own server took it (UTC)."""

    uid: int
    size: int
    received_at: datetime
    headers: Message


def sasl_xoauth2(user: str, token: str) -> bytes:
    """Return the first answer of SASL XOAUTH2, before base64."""
    return f"user={user}\x01auth=Bearer {token}\x01\x01".encode()


class Mailbox:
    """One folder of a mailbox, open for reading or for marking."""

    def __init__(self, box: "BaseMailBox", place: str, folder: str, *, is_writable: bool = False) -> None:
        self._box, self.place, self._folder = box, place, folder
        status, _ = box.client.select(self._quoted(folder), readonly=not is_writable)
        if status != "OK":
            raise ConfigError(f"{place}: there is no folder {folder!r}", f"Correct `folder`; the mailbox has: {self._folders()}.")
        self.uid_validity, self.uid_next = self._status()

    def search(self, after: int, since: date | None, senders: Sequence[str], subject: str | None) -> Iterator[int]:
        """Yield the UIDs above `after`, rising: from one of the senders, arrived since a day, with words in the subject."""
        asked = [*_any_of(senders)]
        asked += ["SINCE", f"{since.day}-{_MONTHS[since.month - 1]}-{since.year}"] if since else []
        asked += ["SUBJECT", _quoted_text(subject)] if subject and subject.isascii() else []
        for first in range(after + 1, self.uid_next, WINDOW):
            last = min(first + WINDOW - 1, self.uid_next - 1)
            answer = self._ask("search", None, "UID", f"{first}:{last}", *asked)
            numbers = sorted({int(n) for line in answer if isinstance(line, bytes) for n in line.split()})
            yield from (n for n in numbers if first <= n <= last)

    def headings(self, uids: Sequence[int]) -> Iterator[Heading]:
        """Yield what is known of each mail, rising; one that has vanished meanwhile is left out."""
        for start in range(0, len(uids), BATCH):
            few = ",".join(map(str, uids[start : start + BATCH]))
            answer = self._ask("fetch", few, f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER.FIELDS ({_HEADERS})])")
            yield from sorted(_read_headings(answer), key=lambda one: one.uid)

    def piece_reader(self, heading: Heading) -> Callable[[int], bytes]:
        """Return the function that gives the next bytes of a mail, b"" at its end; nothing is marked as seen.

        The end is where the server has no more, not where it said: some (Exchange) tell sizes that are only about right.
        """
        position = 0

        def read(_wanted: int) -> bytes:
            nonlocal position
            answer = self._ask("fetch", str(heading.uid), f"(UID BODY.PEEK[]<{position}.{PIECE}>)")
            piece = b"".join(item[1] for item in answer if isinstance(item, tuple))
            position += len(piece)
            return piece

        return read

    def find(self, message_id: str) -> int | None:
        """Return the UID of a mail with this Message-ID (as `message_id_of` gives it), None if there is none.

        The server looks for a part of it, and in plain characters only: what it finds is compared here.
        """
        plain = max(re.findall(r"[!-~]+", message_id), key=len, default="")
        if len(plain) < _SHORTEST_SEARCH:
            return None
        answer = self._ask("search", None, "HEADER", "MESSAGE-ID", _quoted_text(plain))
        found = [int(n) for line in answer if isinstance(line, bytes) for n in line.split()]
        return next((one.uid for one in self.headings(found) if message_id_of(one.headers) == message_id), None)

    def mark_seen(self, uid: int) -> None:
        """Mark one mail as seen; safe to repeat."""
        self._ask("store", str(uid), "+FLAGS.SILENT", r"(\Seen)")

    def move(self, uid: int, folder: str) -> None:
        """Move one mail to another folder, which is made if it is absent; no other mail is touched.

        A server that can neither move nor remove a single mail (RFC 6851, RFC 4315) keeps it, marked as deleted. Raises
        PermanentError when the server refuses.
        """
        with translated(self.place):
            client = self._box.client
            known = _capabilities(client)
            if not self._box.folder.exists(folder):
                client.create(self._quoted(folder))
            if "MOVE" in known or not self._is_deleted(uid):
                status, _ = client.uid("MOVE" if "MOVE" in known else "COPY", str(uid), self._quoted(folder))
                if status != "OK":
                    raise PermanentError(
                        f"{self.place}: the mail cannot be moved to {folder!r}", "Correct `move_to`, or make that folder by hand."
                    )
        if "MOVE" not in known:
            self._ask("store", str(uid), "+FLAGS.SILENT", r"(\Seen \Deleted)")
            if "UIDPLUS" in known:
                self._ask("expunge", str(uid))

    def _is_deleted(self, uid: int) -> bool:
        """Return whether a mail is marked as deleted: it was copied before, then."""
        answer = self._ask("fetch", str(uid), "(UID FLAGS)")
        return any(b"\\deleted" in (one[0] if isinstance(one, tuple) else one).lower() for one in answer)

    def _status(self) -> tuple[int, int]:
        """Return UIDVALIDITY and UIDNEXT, both of the moment in which the folder was opened: that is what searches see."""
        found = [(self._box.client.response(name)[1] or [None])[0] for name in ("UIDVALIDITY", "UIDNEXT")]
        first, following = (one if isinstance(one, bytes) and one.isdigit() else None for one in found)
        if first is None:
            raise PermanentError(f"{self.place}: the server tells no UIDVALIDITY", "This server cannot be used.")
        if following is None:
            answer = self._ask("search", None, "UID", "1:*")  # RFC 3501 §6.3.1: a server may leave UIDNEXT out
            following = str(max((int(n) for line in answer for n in line.split()), default=0) + 1).encode()
        return int(first), int(following)

    def _ask(self, command: str, *arguments: Any) -> list[Any]:
        with translated(self.place):
            status, answer = self._box.client.uid(command, *arguments)
        if status != "OK":
            raise TransientError(
                f"{self.place}: the server refused {command.upper()}", "It is tried again; see its log if it stays so."
            )
        return [one for one in answer if one is not None]

    def _folders(self) -> str:
        with suppress(Exception):
            return ", ".join(sorted(one.name for one in self._box.folder.list())[:20])
        return "(the server does not list them)"

    @staticmethod
    def _quoted(folder: str) -> str:
        from imap_tools.imap_utf7 import utf7_encode

        return '"' + utf7_encode(folder).decode("ascii").replace("\\", "\\\\").replace('"', '\\"') + '"'


def message_id_of(headers: Message) -> str:
    """Return a mail's Message-ID on one line, at most 300 characters; "" where it has none."""
    return " ".join(str(headers.get("message-id", "")).split())[:300]


def _capabilities(client: Any) -> frozenset[str]:
    """Return what the server can do for who is logged in: often more than it told before."""
    _, answer = client.capability()
    return frozenset(b" ".join(one for one in answer if isinstance(one, bytes)).decode("ascii", "replace").upper().split())


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@contextmanager
def open_mailbox(
    connection: Connection, login: Login, folder: str, *, timeout: float, is_writable: bool = False
) -> Iterator[Mailbox]:
    """Give the folder of a mailbox, logged in over verified TLS.

    Raises CredentialsError, TransientError (unreachable), PermanentError (certificate), ConfigError (no such folder).
    """
    if not connection.host:
        raise CredentialsError(f"connection {connection.name!r} has no host", "Add it: imap://user:password@host.")
    place = f"{connection.host}:{connection.port or _PORT}"
    token = None if login == "password" else access_token(connection, login)
    box = _connected(connection, place, timeout)
    try:
        with translated(place):
            _log_in(box, connection, place, token)
            mailbox = Mailbox(box, place, folder, is_writable=is_writable)
        yield mailbox
    finally:
        with suppress(Exception):
            box.client.logout()
        with suppress(Exception):
            box.client.shutdown()


def _connected(connection: Connection, place: str, timeout: float) -> "BaseMailBox":
    from imap_tools import MailBox

    context = client_context(connection)
    with translated(place):
        return MailBox(connection.host or "", connection.port or _PORT, timeout=timeout, ssl_context=context)


def _log_in(box: "BaseMailBox", connection: Connection, place: str, token: str | None) -> None:
    user = connection.login or ""
    try:
        if token is not None:
            answers = [sasl_xoauth2(user, token)]
            # a server that refuses first sends a challenge about it, which has to be answered with an empty line
            status, _ = box.client.authenticate("XOAUTH2", lambda _challenge: answers.pop() if answers else b"")
        elif connection.password is None:
            raise CredentialsError(f"connection {connection.name!r} has no password", "Add it, or set `login` of the source.")
        else:
            secret = connection.password.reveal()
            if "AUTH=PLAIN" in box.client.capabilities:  # takes every character of a password, as LOGIN does not
                status, _ = box.client.authenticate("PLAIN", lambda _challenge: f"\0{user}\0{secret}".encode())
            else:
                status, _ = box.client.login(user, secret)
    except UnicodeEncodeError:  # carries the password
        raise CredentialsError(
            f"{place} takes plain characters only, and user or password of connection {connection.name!r} has others",
            "Choose a password of plain letters, digits and signs.",
        ) from None
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        status = "NO"
    if status != "OK":
        what = "token" if token is not None else "password"
        raise CredentialsError(
            f"{place} refused the login {user!r}",
            f"Check user and {what} of connection {connection.name!r}, and that IMAP is allowed for this mailbox.",
        ) from None


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the library's and the network's errors into ours; none of them carries what was sent."""
    try:
        yield
    except StockfeedError:
        raise
    except ssl.SSLError as error:
        raise _without_tls(place, error) from None
    except TimeoutError:
        raise TransientError(f"{place} does not answer in time", "It is tried again.") from None
    except imaplib.IMAP4.readonly:
        raise PermanentError(
            f"{place}: the folder may only be read", 'Ask for the right to mark and move mails, or set after = "leave".'
        ) from None
    except imaplib.IMAP4.abort:
        raise TransientError(
            f"{place} ended the session; what it was sending was cut short", "It is tried again; nothing was recorded."
        ) from None
    except socket.gaierror as error:
        raise TransientError(
            f"{place}: the host name is not known ({error.strerror})", "Check the host of the connection."
        ) from None
    except OSError as error:
        reason = error.strerror or "connection closed"
        raise TransientError(f"{place} cannot be reached ({reason})", "Check host, port and network.") from None
    except imaplib.IMAP4.error as error:
        raise PermanentError(
            f"{place} answers what cannot be understood ({type(error).__name__})", "Is this an IMAP server?"
        ) from None


def _without_tls(place: str, error: ssl.SSLError) -> StockfeedError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return refused_certificate(place, error)
    if isinstance(error, ssl.SSLEOFError):
        return TransientError(f"{place} closed the connection while TLS was agreed", "It is tried again.")
    return failed_handshake(place, error)


def _any_of(senders: Sequence[str]) -> list[str]:
    """Return the criterion "from any of these" in IMAP's prefix form: OR FROM a OR FROM b FROM c."""
    words: list[str] = []
    for number, sender in enumerate(senders):
        words += (["OR"] if number < len(senders) - 1 else []) + ["FROM", _quoted_text(sender)]
    return words


def _quoted_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read_headings(answer: Sequence[Any]) -> Iterator[Heading]:
    for number, item in enumerate(answer):
        if not isinstance(item, tuple):
            continue
        after = answer[number + 1] if number + 1 < len(answer) and isinstance(answer[number + 1], bytes) else b""
        told = item[0] + b" " + after
        uid, size, arrived = _NUMBER.search(told), _SIZE.search(told), _DATE.search(told)
        if uid and size and arrived:
            headers = BytesHeaderParser(policy=compat32).parsebytes(item[1])
            yield Heading(int(uid[1]), int(size[1]), _instant(arrived[1]), headers)


def _instant(text: bytes) -> datetime:
    """Return the UTC time that an INTERNALDATE means (RFC 3501). Raises PermanentError for what is none."""
    try:
        day, month, rest = text.decode("ascii").strip().split("-", 2)
        at = datetime.strptime(f"{int(day):02}-{_MONTHS.index(month) + 1:02}-{rest}", "%d-%m-%Y %H:%M:%S %z")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        told = escape_value(text.decode("latin-1"))
        raise PermanentError(
            f"the mail server tells {told} as the time at which a mail arrived", "Ask whoever runs the mail server."
        ) from error
