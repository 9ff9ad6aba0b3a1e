"""One mail as its attachments and what is odd about it: nested parts, forwarded mails, winmail.dat, names in every encoding.

Never raises for what a mail contains: a mail that cannot be used is a problem, told in one sentence. Never opens a file.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import errors as defects
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import collapse_rfc2231_value
from typing import Literal

MOST_DEPTH = 30  # parts inside parts, forwarded mails counted
MOST_PARTS = 500
LONGEST_HEADER = 65_536  # characters of one header; longer ones are noted
LONGEST_NAME = 200
LONGEST_TEXT = 1 << 20  # characters of bodies that are searched for links
_WITHOUT_BREAKS = {ord(c): None for c in " \t\r\n"}
_DAMAGED = (
    defects.InvalidBase64CharactersDefect,
    defects.InvalidBase64LengthDefect,
    defects.InvalidBase64PaddingDefect,
)
_CUT = (defects.CloseBoundaryNotFoundDefect, defects.StartBoundaryNotFoundDefect)
_TNEF = ("application/ms-tnef", "application/vnd.ms-tnef")
_ENDINGS = {"text/csv": "csv", "application/zip": "zip", "application/json": "json", "text/xml": "xml", "application/xml": "xml"}


@dataclass(frozen=True, slots=True)
class Note:
    """What is odd: `code` as findings have it, how severe, a sentence, and what to do."""

    code: str
    severity: Literal["warn", "hold", "reject"]
    message: str
    remedy: str


@dataclass(slots=True)
class Part:
    """One attachment: its number as a person counts (1, 2, …), its place in the tree, name, content, and notes about it."""

    number: int
    place: str  # "2", "3.1", "3.1.winmail.2"
    name: str
    content: bytes
    notes: list[Note] = field(default_factory=list)


@dataclass(slots=True)
class Mail:
    """A walked mail: its attachments, its text (for links), notes about the whole."""

    parts: list[Part] = field(default_factory=list)
    text: str = ""
    notes: list[Note] = field(default_factory=list)


def walk(raw: bytes, *, expand_tnef: bool = True) -> Mail:
    """Return the attachments of a mail in the order of its parts. One note of severity "reject" means: use none of them."""
    mail = Mail()
    try:
        message = BytesParser(policy=compat32).parsebytes(raw)
        _note_headers(message, mail)
        _walk(message, mail, expand_tnef=expand_tnef)
    except RecursionError:
        _refuse(mail, f"parts nested deeper than {MOST_DEPTH}, too deep to read")
    _note_same_names(mail)
    return mail


def _walk(message: Message, mail: Mail, *, expand_tnef: bool) -> None:
    """Go through the tree without recursion: its depth is the sender's choice."""
    waiting: list[tuple[Message, str, int, bool]] = [(message, "", 1, False)]
    deepest = seen = 0
    found: list[tuple[Message, str, bool]] = []
    while waiting:
        part, place, depth, forwarded = waiting.pop()
        seen += 1
        if any(isinstance(defect, _CUT) for defect in part.defects):
            _note_cut(mail)
        inside = _payload(part)
        if isinstance(inside, list):
            deepest = max(deepest, depth)
            below = forwarded or part.get_content_type() == "message/rfc822"
            children = [(child, f"{place}.{n}".lstrip("."), depth + 1, below) for n, child in enumerate(inside, 1)]
            waiting.extend(reversed(children))
        else:
            found.append((part, place or "1", forwarded))
    if deepest > MOST_DEPTH or seen > MOST_PARTS:
        what = f"parts nested to depth {deepest}" if deepest > MOST_DEPTH else f"{seen} parts"
        _refuse(mail, f"{what}, more than {MOST_DEPTH if deepest > MOST_DEPTH else MOST_PARTS}")
        return
    for part, place, forwarded in found:
        _take(part, place, mail, forwarded=forwarded, expand_tnef=expand_tnef)


def _refuse(mail: Mail, what: str) -> None:
    mail.notes.append(
        Note("MAIL-LIMIT", "reject", f"the mail has {what}", "Ask the supplier to send the file as a plain attachment.")
    )


def _note_cut(mail: Mail) -> None:
    if not any(note.code == "MAIL-CUT" for note in mail.notes):
        words = "the mail ends before its last part is closed: an attachment may be cut short"
        mail.notes.append(Note("MAIL-CUT", "hold", words, "Ask the supplier to send it again, or release it if it is whole."))


def _note_headers(message: Message, mail: Mail) -> None:
    for name, value in message.raw_items():
        if len(str(value)) > LONGEST_HEADER:
            words = f"the header {printable(name)} is {len(str(value))} characters long"
            mail.notes.append(Note("MAIL-HEADER", "warn", words, "It is not read further; tell the supplier."))


def _take(part: Message, place: str, mail: Mail, *, forwarded: bool, expand_tnef: bool) -> None:
    content, damaged = _content(part)
    written = _written_name(part)
    kind = part.get_content_type()
    if kind in _TNEF or written.lower() == "winmail.dat":
        if expand_tnef:
            _take_tnef(content, place, mail)
            return
    elif not _is_attachment(part, written):
        if len(mail.text) < LONGEST_TEXT:
            mail.text += _text(part, content)[: LONGEST_TEXT - len(mail.text)] + "\n"
        return
    taken = _add(mail, place, written or f"part-{place}.{_ENDINGS.get(kind, 'bin')}", content)
    label = f"attachment {taken.number}"
    if damaged:
        words = f"{label}: its base64 encoding is damaged, bytes may be missing"
        taken.notes.append(Note("MAIL-DAMAGED", "hold", words, "Ask the supplier to send it again, or release it if it is whole."))
    if forwarded:
        words = f"{label} lies inside a forwarded mail (message/rfc822)"
        taken.notes.append(
            Note("MAIL-FORWARDED", "warn", words, "Whoever forwarded it may have changed it; let the supplier send it.")
        )
    charset = _strange_charset(part)
    if charset:
        words = f"{label}: its charset {printable(charset)} is not known; the feed's own encoding is used"
        taken.notes.append(Note("MAIL-CHARSET", "warn", words, "Check the texts; declare format.encoding."))


def _add(mail: Mail, place: str, written: str, content: bytes) -> Part:
    name = safe_name(written)
    taken = Part(len(mail.parts) + 1, place, name, content)
    if name != written:
        words = f"attachment {taken.number}: the name {printable(written)} holds a path or unusual characters; {name!r} is used"
        taken.notes.append(Note("MAIL-NAME", "warn", words, "Nothing is written under that name; ask the supplier to rename it."))
    if not content:
        words = f"attachment {taken.number}: 0 bytes"
        taken.notes.append(Note("FILE-EMPTY", "reject", words, "Ask the supplier to send the file again."))
    mail.parts.append(taken)
    return taken


def _take_tnef(content: bytes, place: str, mail: Mail) -> None:
    """Take the files inside a winmail.dat apart; what cannot be read is told, and nothing of it is used."""
    import logging

    from tnefparse import TNEF

    logging.getLogger("tnef-decode").setLevel(logging.CRITICAL)
    try:
        files = [(_tnef_name(one), bytes(one.data or b"")) for one in TNEF(content, do_checksum=False).attachments]
    except Exception as error:  # noqa: BLE001 - the library raises whatever broken bytes make it raise
        words = f"winmail.dat (part {place}) cannot be read ({type(error).__name__})"
        remedy = "Ask the supplier to send plain attachments: Outlook's rich text format off."
        mail.notes.append(Note("MAIL-TNEF", "warn", words, remedy))
        return
    for number, (name, data) in enumerate(files, 1):
        taken = _add(mail, f"{place}.winmail.{number}", name or f"part-{place}.{number}.bin", data)
        words = f"attachment {taken.number} lies inside a winmail.dat"
        taken.notes.append(Note("MAIL-TNEF", "warn", words, "Ask the supplier to turn Outlook's rich text format off."))


def _tnef_name(one: object) -> str:
    name = getattr(one, "long_filename", None)
    name = name() if callable(name) else name
    found = name or getattr(one, "name", "") or ""
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _is_attachment(part: Message, name: str) -> bool:
    if name or part.get_content_disposition() == "attachment":
        return True
    return part.get_content_maintype() not in {"text", "multipart", "message"} or part.get_content_type() == "text/csv"


def _content(part: Message) -> tuple[bytes, bool]:
    """Return the bytes of a part, and whether its encoding is damaged."""
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError, TypeError):
        content = None
    if not isinstance(content, bytes):
        written = _payload(part)
        content = written.encode("utf-8", "surrogateescape") if isinstance(written, str) else b""
    damaged = any(isinstance(defect, _DAMAGED) for defect in part.defects)
    encoding = str(part.get("content-transfer-encoding", "")).strip().lower()
    return content, damaged or (encoding == "base64" and not _is_base64(part, content))


def _payload(part: Message) -> list[Message] | str | None:
    """Return what a part holds as the parser left it: the library's own way decodes, by a charset that may be damaged."""
    found: list[Message] | str | None = part._payload  # type: ignore[attr-defined]  # noqa: SLF001
    return found


def _is_base64(part: Message, content: bytes) -> bool:
    """Whether the written text decodes to exactly `content`: some damage leaves no trace in the library's list."""
    written = _payload(part)
    if not isinstance(written, str):
        return True
    try:
        return base64.b64decode(written.translate(_WITHOUT_BREAKS), validate=True) == content
    except (binascii.Error, ValueError):
        return False


def _text(part: Message, content: bytes) -> str:
    try:
        return content.decode(part.get_content_charset() or "utf-8", "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _strange_charset(part: Message) -> str | None:
    try:
        charset = part.get_content_charset()
    except (ValueError, LookupError, TypeError):
        return "(unreadable)"
    if charset is None:
        return None
    try:
        codecs.lookup(charset)
    except (LookupError, ValueError):
        return charset
    return None


def _written_name(part: Message) -> str:
    """Return the name as the sender wrote it: RFC 2231 pieces joined, RFC 2047 words decoded; "" where there is none."""
    try:
        found = part.get_param("filename", None, "content-disposition") or part.get_param("name", None, "content-type")
        name = collapse_rfc2231_value(found).strip() if found else ""
    except (ValueError, LookupError, TypeError, AttributeError):
        return "unreadable-name"
    return decoded(name) if "=?" in name else name


def decoded(text: str) -> str:
    """Return a header's text with its RFC 2047 words decoded; a word that cannot be decoded stays readable."""
    try:
        pieces = decode_header(text)
    except (HeaderParseError, ValueError, binascii.Error):
        return text
    return "".join(_piece(piece, charset) for piece, charset in pieces)


def _piece(piece: str | bytes, charset: str | None) -> str:
    if isinstance(piece, str):
        return piece
    try:
        return piece.decode(charset or "latin-1", "replace")
    except (LookupError, ValueError):
        return piece.decode("latin-1")


def safe_name(written: str) -> str:
    """Return the last piece of a name, of printable characters only: for people and patterns, never a path."""
    last = re.split(r"[/\\]", written)[-1]
    shown = "".join(c for c in last if c.isprintable()).strip()[:LONGEST_NAME]
    return shown if shown.strip(".") else "attachment"


def printable(text: str) -> str:
    """Return `text` with unprintable characters escaped, at most 80 characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[:80])


def _note_same_names(mail: Mail) -> None:
    """Two files of one name and different content: which of them is meant, only a person can say."""
    for name in dict.fromkeys(part.name.lower() for part in mail.parts):
        same = [part for part in mail.parts if part.name.lower() == name]
        if len({part.content for part in same}) > 1:
            numbers = ",".join(str(part.number) for part in same)
            words = f"attachments {numbers} have one name ({same[0].name!r}) and different content"
            for part in same:
                part.notes.append(
                    Note("MAIL-SAME-NAME", "hold", words, "Ask the supplier which one is right, then release that one.")
                )


def links(text: str) -> Iterator[str]:
    """Yield the https addresses in a text, each once, in order."""
    yield from dict.fromkeys(found.rstrip(".,;:!?)") for found in re.findall(r"https?://[^\s<>\"'\]]{1,2000}", text))
