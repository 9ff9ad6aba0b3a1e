"""The members of an archive judged by their names and kinds, and the one that holds the table.

Never makes a path of a member's name, and never chooses between two that could both be meant.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from schemas.errors import DeliveryError
from schemas.rejections import escape_value
from transforms.formats.limits import Limits, exceeded

_SHOWN = 5
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)  # device names of Windows
_DRIVE = re.compile(r"[A-Za-z]:")
_LEFT_BY_MACOS = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$)")


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of an archive. `kind` is "" for a regular file or directory, else what it is instead; `number` its position."""

    name: str
    number: int
    is_directory: bool = False
    kind: str = ""

    @property
    def place(self) -> str:
        """Return how messages name the member."""
        return f"member {escape_value(self.name)}"


def broken(message: str, detail: str = "") -> DeliveryError:
    """Return the error for an archive that is damaged or made to be dangerous."""
    return DeliveryError(
        message, "Make the archive again with the usual program, and send it whole.", detail, code="FILE-UNREADABLE"
    )


def check_count(count: int, limits: Limits) -> None:
    """Raise DeliveryError FILE-LIMIT when an archive has too many members."""
    if count > limits.archive_members:
        raise exceeded(f"archive: {count} members", limits.archive_members, "archive_members")


def check_members(members: Sequence[Member], limits: Limits) -> None:
    """Raise DeliveryError when a member leads elsewhere, is no file, occurs twice, or has a name that systems disagree on."""
    for member in members:
        if _leads_out(member.name):
            raise broken(f"{member.place}: the name leads out of the archive")
        if member.kind:
            raise broken(f"{member.place}: {member.kind}")
    doubled = [name for name, count in Counter(m.name for m in members).items() if count > 1]
    if doubled:
        raise broken(f"member {escape_value(doubled[0])} twice: readers would disagree on the content")
    odd = [(m.name, why) for m in members if (why := _oddity(m, limits))]
    forms = Counter(_form(m.name) for m in members)
    odd += [(m.name, "another member has this name in other letters") for m in members if forms[_form(m.name)] > 1]
    if odd:
        shown = ", ".join(f'"{escape_value(name)}" ({why})' for name, why in odd[:_SHOWN])
        raise broken(f"member names: {len(odd)} of {len(members)} are not safe on every system: {shown}")


def choose_member(members: Sequence[Member], patterns: Sequence[str]) -> Member:
    """Return the only file that a pattern matches, or without patterns the only file. Raises DeliveryError otherwise."""
    files = [m for m in members if not m.is_directory and not _LEFT_BY_MACOS.search(m.name)]
    found = [m for m in files if not patterns or any(_matches(m.name, p) for p in patterns)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f'"{escape_value(m.name)}"' for m in (found or files)[:_SHOWN]) or "no file"
    wanted = f" for {', '.join(patterns)}" if patterns else ""
    count = {0: "no", 2: "two"}.get(len(found), str(len(found)))
    raise DeliveryError(
        f"{count} candidate members{wanted}; the archive holds {listed}{' …' if len(found or files) > _SHOWN else ''}",
        'Declare format.member, for example member = "stock_*.csv", or send one file in the archive.',
        code="FILE-UNREADABLE",
    )


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name if "/" in pattern else name.rpartition("/")[2], pattern)


def _leads_out(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return not parts[0] or ".." in parts or _DRIVE.match(name) is not None


def _form(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _oddity(member: Member, limits: Limits) -> str:
    name = member.name
    size = len(name.encode("utf-8", "surrogateescape"))
    if size > limits.name_bytes:
        return f"{size} bytes; the limit is {limits.name_bytes} (name_bytes)"
    if not name.isprintable():
        return "control or invisible characters"
    parts = name.removesuffix("/").split("/")
    if any(part != part.strip() or part.endswith(".") or not part for part in parts):
        return "begins or ends with a blank, or ends with a dot"
    return "reserved" if any(_RESERVED.fullmatch(part) for part in parts) else ""
