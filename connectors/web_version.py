"""Which version of a web file is new: identities from ETag, Last-Modified and the content's hash, and conditions to ask with.

Never takes a version for known whose delivery is not recorded: a fetch that failed later is done again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from schemas.transfer import Seen

_LONGEST_TAG = 200  # characters of an ETag that an identity holds as they are
_AGAIN = "|again "


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of one version: the file's name, ETag as written, Last-Modified in UTC, SHA-256 once it is received."""

    name: str
    tag: str | None
    modified_at: datetime | None
    sha256: str | None = None

    @property
    def identity(self) -> str | None:
        """Return what names this content for ever; None where that takes the content's hash and it is not there yet.

        An ETag names a version by itself (RFC 9110 §8.8.3). Last-Modified counts in seconds, so the hash goes with it.
        """
        parts = [self.name]
        if self.tag:
            parts.append(f"etag {self.tag if len(self.tag) <= _LONGEST_TAG else hashlib.sha256(self.tag.encode()).hexdigest()}")
        if self.modified_at:
            parts.append(f"modified {self.modified_at.isoformat()}")
        if not self.tag:
            if self.sha256 is None:
                return None
            parts.append(f"sha256 {self.sha256}")
        return "|".join(parts)

    @property
    def condition(self) -> dict[str, str]:
        """Return the request headers that ask for another version than this one (RFC 9110 §13.1)."""
        headers = {"If-None-Match": self.tag} if self.tag else {}
        if self.modified_at:
            headers["If-Modified-Since"] = format_datetime(self.modified_at, usegmt=True)
        return headers


def version_of(name: str, headers: Mapping[str, str]) -> Version:
    """Return the version that an answer's headers (names in small letters) describe."""
    moment: datetime | None
    try:
        moment = parsedate_to_datetime(headers.get("last-modified", ""))
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None  # RFC 9110 §5.6.7: a date in another form is as good as none, and so is one before the year 1 or after 9999
    return Version(name, headers.get("etag", "").strip() or None, moment)


def last_version(seen: Seen, key: str) -> Version | None:
    """Return the version that was fetched last from the address `key`, None when its delivery is not recorded."""
    entry = seen.listing.get(key)
    if entry is None or entry[2] not in seen.identities:
        return None
    noted = json.loads(entry[1])
    modified = datetime.fromisoformat(noted["modified_at"]) if noted["modified_at"] else None
    return Version(noted["name"], noted["tag"], modified, noted["sha256"])


def is_new(version: Version, seen: Seen, key: str) -> bool:
    """Return whether a version is to be delivered; True also when only the content's hash can tell and is not there yet.

    A known version that comes back after another one is new where it has no time of its own: only what was sent last is
    then known to be in use. With a Last-Modified it is merely old. The version fetched last, sent again in spite of our
    condition, is compared by its content: some servers leave the ETag as it was when the file changes.
    """
    if version.identity is None or version.identity not in seen.identities:
        return True
    last = last_version(seen, key)
    if last is None:
        return False
    if last.identity != version.identity:
        return version.modified_at is None
    return version.sha256 != last.sha256


def note(version: Version, seen: Seen, key: str, *, size: int, at: datetime) -> str:
    """Return the identity of a version that is delivered now, after noting it in `seen.listing` for the next request."""
    identity = version.identity or ""
    if identity in seen.identities:  # it came back, and its old name is taken
        identity += _AGAIN + at.astimezone(UTC).isoformat()
    modified = version.modified_at.isoformat() if version.modified_at else ""
    noted = {"name": version.name, "tag": version.tag, "modified_at": modified, "sha256": version.sha256}
    seen.listing.clear()
    seen.listing[key] = (size, json.dumps(noted), identity)
    return identity
