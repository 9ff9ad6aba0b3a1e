"""Attachments of a mailbox as a source: from listed senders that our own mail server vouches for, each mail read once.

Never marks or moves a mail before our commit, never trusts a display name, and never uses an attachment's name as a path.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.imap_session import Heading, Mailbox, message_id_of, open_mailbox
from connectors.mail_links import fetch_links
from connectors.mail_parts import decoded, printable
from connectors.mail_reading import Attachment, ReadMail, read_mail
from connectors.mail_sender import senders_of, spoofed
from connectors.oauth import Login
from connectors.spool import Limits, spool_stream
from schemas.connections import Connection
from schemas.durations import Duration
from schemas.errors import DeliveryError
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.transfer import Fetched, Seen

_FILES = ("csv", "tsv", "txt", "xls", "xlsx", "xlsm", "xlsb", "ods", "zip", "gz", "bz2", "xz", "zst", "xml", "json", "edi", "x12")
_DAY = timedelta(days=1)
_PATIENCE = timedelta(days=3)  # with a link whose server cannot answer: a weekend, and the mails behind it wait no longer
_MOST_TOLD = 20  # mails of one poll that were left, with why
_LOOKED_AT = 100  # mails whose headers are fetched together


class ImapOptions(BaseModel):
    """`[feed.source] type = "imap"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    login: Login = "password"
    folder: str = Field("INBOX", min_length=1)
    senders: tuple[str, ...] = Field(min_length=1)  # exact addresses; letter case does not count
    subject: str | None = None  # shell-style pattern; letter case does not count
    pattern: tuple[str, ...] = tuple(f"*.{ending}" for ending in _FILES)  # names of attachments; letter case does not count
    authserv_id: str | None = None  # how our own mail server signs its Authentication-Results ("microsoft365" there)
    require_authentication: bool = True  # False: anybody who writes a listed address as sender is believed
    links: tuple[str, ...] = ()  # hosts whose https links in the text of a mail are fetched like attachments
    links_private: bool = False  # these hosts may be this machine or inside our networks
    since: Duration = timedelta(days=14)  # how far back the first search goes
    after: Literal["leave", "seen", "move"] = "leave"
    move_to: str | None = None  # a folder of the mailbox
    max_mails: int = Field(100, ge=1)  # downloaded in one poll
    max_size: int = Field(50 << 20, ge=1)  # bytes of one mail
    timeout: Duration = timedelta(seconds=30)  # for each answer
    deadline: Duration = timedelta(minutes=15)  # for one mail

    @field_validator("senders")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for sender in value:
            if sender.count("@") != 1 or not sender.isascii() or not sender.isprintable() or " " in sender:
                msg = f'{sender!r} is no address: write it whole, such as "stock@acme.example"'
                raise ValueError(msg)
        return tuple(sender.lower() for sender in value)

    @field_validator("pattern", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if self.require_authentication and not self.authserv_id:
            msg = (
                "`authserv_id` is needed: the name at the beginning of the Authentication-Results that your own mail server writes "
                '(Gmail: "mx.google.com", Microsoft 365: "microsoft365"); or write require_authentication = false'
            )
            raise ValueError(msg)
        if (self.after == "move") != bool(self.move_to):
            msg = 'after = "move" and `move_to` go together'
            raise ValueError(msg)
        if self.move_to and self.move_to == self.folder:
            msg = "`move_to` is the folder itself; name another folder"
            raise ValueError(msg)
        return self

    @property
    def fingerprint(self) -> str:
        """Return what names this way of choosing mails: with another one, the mails looked at before are looked at again."""
        chosen = (self.folder, self.senders, self.subject, self.pattern, self.links)
        return hashlib.sha256(repr(chosen).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Mail:
    """One mail as it is delivered: what names it for ever, the reference for later, when it came, what was found about it."""

    key: str
    reference: Mapping[str, str]
    received_at: datetime
    findings: tuple[Finding, ...]


class ImapSource:
    """Attachments of the mails in one folder of a mailbox."""

    def __init__(
        self,
        options: ImapOptions,
        connection: Connection,
        *,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._options, self._connection, self._sleep, self._now = options, connection, sleep, now

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        """Yield each new attachment, in the order in which the mails arrived; see `protocols.Source`.

        What was looked at is remembered by UID, for as long as the folder's UIDVALIDITY stays; what was delivered is known by
        Message-ID, place in the mail and content, whatever the server does to its numbers.
        """
        options = self._options
        seen.waiting.clear()
        with open_mailbox(self._connection, options.login, options.folder, timeout=options.timeout.total_seconds()) as box:
            mark = f"{options.folder}#{options.fingerprint}"
            reached = _reached(seen, mark, box.uid_validity)
            since = None if reached else (self._now() - options.since - _DAY).date()  # the server counts days of its own zone
            downloaded = 0
            for heading in self._headings(box, reached, since):
                if self._is_wanted(heading, seen):
                    if downloaded == options.max_mails:
                        seen.waiting["more mails"] = f"the limit of {options.max_mails} in one poll (max_mails) is reached"
                        return
                    downloaded += 1
                    yield from self._deliver(box, heading, feed, seen, spool)
                seen.listing[mark] = (heading.uid, str(box.uid_validity), "")
            if since and not downloaded and not seen.waiting:
                seen.waiting[options.folder] = self._nothing_since(since)
            seen.listing[mark] = (box.uid_next - 1, str(box.uid_validity), "")

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Leave the mail, mark it as seen or move it; safe to repeat. A mail that is gone, or is another one, is left alone."""
        options = self._options
        if options.after == "leave" or "uid" not in reference:
            return
        folder, timeout = reference["folder"], options.timeout.total_seconds()
        with open_mailbox(self._connection, options.login, folder, timeout=timeout, is_writable=True) as box:
            uid = _find(box, reference)
            if uid is None:
                return
            if options.after == "move" and options.move_to:
                box.move(uid, options.move_to)
            else:
                box.mark_seen(uid)

    def _headings(self, box: Mailbox, reached: int, since: date | None) -> Iterator[Heading]:
        """Yield the mails that the server finds, a batch at a time, so that a large mailbox costs what is new in it."""
        subject = _plain_words(self._options.subject)
        batch: list[int] = []
        for uid in box.search(reached, since, self._options.senders, subject):
            batch.append(uid)
            if len(batch) == _LOOKED_AT:
                yield from box.headings(batch)
                batch = []
        yield from box.headings(batch)

    def _nothing_since(self, since: date) -> str:
        subject = f" with a subject such as {self._options.subject!r}" if self._options.subject else ""
        keys = "`senders` or `subject`" if subject else "`senders`"
        return f"no mail since {since} is from {' or '.join(self._options.senders)}{subject}: correct {keys} if there should be"

    def _is_wanted(self, heading: Heading, seen: Seen) -> bool:
        subject = decoded(" ".join(str(heading.headers.get("subject", "")).split()))
        wanted = self._options.subject
        if wanted and not fnmatchcase(subject.lower(), wanted.lower()):
            return False
        found = senders_of(heading.headers)
        if found and set(found) <= set(self._options.senders):
            return True
        written = printable(" ".join(str(value) for value in heading.headers.get_all("from", [])))
        if len(seen.waiting) < _MOST_TOLD:
            seen.waiting[f"mail {heading.uid}"] = f"From is {written!r}: that address is not in `senders`, whatever name it shows"
        return False

    def _deliver(self, box: Mailbox, heading: Heading, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="mail-", dir=spool))
        try:
            read = self._read(box, heading, folder)
            key = _key(heading, folder / "mail")
            reference = {"folder": self._options.folder, "uid": str(heading.uid), "uid_validity": str(box.uid_validity), "key": key}
            mail = _Mail(key, reference, heading.received_at, self._findings(heading, read))
            found = list(self._arrivals(mail, read, feed, folder))
            if not found and len(seen.waiting) < _MOST_TOLD:
                seen.waiting[f"mail {heading.uid}"] = "no attachment whose name matches `pattern`"
            new = [one for one in found if one.identity not in seen.identities]
            # acknowledged with its last attachment: until then the others are not recorded
            for number, one in enumerate(new, 1):
                yield replace(one, path=one.path.rename(spool / one.path.name), reference=reference if number == len(new) else {})
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _read(self, box: Mailbox, heading: Heading, folder: Path) -> ReadMail:
        if heading.size > self._options.max_size:
            return self._too_large(heading, folder)
        limits = Limits(self._options.max_size, self._options.timeout.total_seconds(), self._options.deadline.total_seconds())
        label = f"{box.place}: mail {heading.uid}"
        try:
            spooled = spool_stream(box.piece_reader(heading), folder, label, limits=limits)
        except DeliveryError:  # larger than the server said
            return self._too_large(heading, folder)
        spooled.path.rename(folder / "mail")
        return read_mail(folder)

    def _too_large(self, heading: Heading, folder: Path) -> ReadMail:
        """Return a mail that is told about and not downloaded: its headers stand for it in the archive."""
        (folder / "mail").write_bytes(heading.headers.as_bytes())
        words = f"the mail has more than {self._options.max_size} bytes (max_size)"
        return ReadMail(findings=(Finding("MAIL-LIMIT", "reject", words, "Raise `max_size` if the mail is right."),))

    def _findings(self, heading: Heading, read: ReadMail) -> tuple[Finding, ...]:
        options, senders = self._options, senders_of(heading.headers)
        if not options.require_authentication or options.authserv_id is None:
            words = f"nobody vouches for the sender {', '.join(senders)}: require_authentication is false"
            remedy = "Set `authserv_id` to the name of your own mail server, and remove require_authentication = false."
            return (*read.findings, Finding("MAIL-UNCHECKED", "warn", words, remedy))
        finding = spoofed(heading.headers, senders, options.authserv_id)
        return (*read.findings, *((finding,) if finding else ()))

    def _arrivals(self, mail: _Mail, read: ReadMail, feed: Feed, folder: Path) -> Iterator[Fetched]:
        """Yield what the mail delivers: its attachments, or the mail itself when it has to be rejected as a whole."""
        if any(finding.severity == "reject" for finding in read.findings):
            yield _arrival(mail, folder / "mail", "mail", "mail.eml", mail.findings)
            return
        wanted = [one for one in read.attachments if _matches(one.name, self._options.pattern)]
        several = _several(wanted, feed)
        for one in wanted:
            findings = (*mail.findings, *one.findings, *several)
            yield _arrival(mail, one.path, one.place, one.name, findings)
        if self._options.links and not any(finding.severity == "hold" for finding in mail.findings):
            yield from self._linked(mail, read, feed, folder)

    def _linked(self, mail: _Mail, read: ReadMail, feed: Feed, folder: Path) -> Iterator[Fetched]:
        options = self._options
        chosen = (options.links, options.pattern, options.max_size, options.links_private)
        last_try = self._now() - mail.received_at > _PATIENCE
        for number, found in enumerate(fetch_links(read.text, chosen, feed, folder, last_try=last_try), 1):
            yield _arrival(mail, found.path, f"link {number}", found.name, (*mail.findings, *found.findings))


def _reached(seen: Seen, mark: str, uid_validity: int) -> int:
    """Return the last UID that was looked at, 0 when the folder's numbers were given anew or other mails are wanted."""
    uid, validity, _ = seen.listing.get(mark, (0, "", ""))
    for other in [name for name in seen.listing if name != mark]:
        del seen.listing[other]
    return uid if validity == str(uid_validity) else 0


def _plain_words(pattern: str | None) -> str | None:
    """Return the longest piece of a pattern without special characters: what the server can search for."""
    if pattern is None:
        return None
    pieces = pattern.replace("?", "*").replace("[", "*[").split("*")
    plain = [piece for piece in pieces if "[" not in piece and "]" not in piece]
    return max(plain, key=len, default="").strip() or None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _key(heading: Heading, mail: Path) -> str:
    """Return what names a mail for ever: its Message-ID, or where it has none the hash of all its bytes."""
    return message_id_of(heading.headers) or f"sha256:{hashlib.sha256(mail.read_bytes()).hexdigest()}"


def _find(box: Mailbox, reference: Mapping[str, str]) -> int | None:
    """Return the mail's present UID. The stored one counts only as long as it is the same mail."""
    key, uid = reference["key"], int(reference["uid"])
    if reference["uid_validity"] == str(box.uid_validity):
        found = next(box.headings([uid]), None)
        is_same = found is not None and (key.startswith("sha256:") or message_id_of(found.headers) == key)
        return uid if is_same else None
    return None if key.startswith("sha256:") else box.find(key)


def _several(wanted: Sequence[Attachment], feed: Feed) -> tuple[Finding, ...]:
    if len(wanted) < 2 or feed.mode != "snapshot" or feed.scope != "feed":  # noqa: PLR2004 - more than one
        return ()
    names = ", ".join(repr(one.name) for one in wanted)
    words = f"the mail has {len(wanted)} attachments that match: {names[:200]}; each counts as the whole stock, the last one stays"
    return (Finding("MAIL-SEVERAL", "warn", words, "Narrow `pattern` to the one that is meant, or make a feed for each."),)


def _arrival(mail: _Mail, path: Path, place: str, name: str, findings: tuple[Finding, ...]) -> Fetched:
    """Return one arrival, still in the mail's own folder: what is not handed on is gone with it."""
    with path.open("rb") as file:
        spooled = spool_stream(file.read, path.parent, name)
    identity = f"{mail.key}|{place}|{spooled.sha256}"
    return Fetched(spooled.path, spooled.sha256, spooled.size, name, identity, mail.received_at, {}, findings)
