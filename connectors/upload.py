"""A source that files are pushed to: by a supplier over HTTP with a token, or by a person with `deliveries add`.

Never fetches anything, and never sees a token: the file holds the tokens' hashes.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.connections import Connection
from schemas.feed_config import Feed
from schemas.transfer import Fetched, Seen

PREFIX = "sfu_"  # of every token, so that one is recognised wherever it turns up
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class UploadOptions(BaseModel):
    """`[feed.source] type = "upload"`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    tokens: tuple[str, ...] = ()  # "sha256:…" of each token that may push over HTTP; none: only `deliveries add`
    pattern: tuple[str, ...] = ("*",)  # names of files; letter case does not count
    max_size: int = Field(1 << 30, ge=1)  # bytes of one file

    @field_validator("tokens")
    @classmethod
    def _hashes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_HASH.fullmatch(one) for one in value):
            msg = 'a token is written as its hash, "sha256:" and 64 digits: `stockfeed feeds token` makes both'
            raise ValueError(msg)
        return value

    @field_validator("pattern", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class UploadSource:
    """Where nothing is fetched: what was pushed is in the ledger already."""

    def __init__(
        self,
        options: UploadOptions,
        connection: Connection | None = None,  # noqa: ARG002 - as every source is made
        **_clock: object,
    ) -> None:
        self._options = options

    def fetch(self, feed: Feed, seen: Seen, spool: Path) -> Iterator[Fetched]:  # noqa: ARG002 - the protocol's signature
        """Yield nothing: files come when they are pushed."""
        seen.waiting.clear()
        return iter(())

    def acknowledge(self, reference: Mapping[str, str]) -> None:
        """Do nothing: whoever pushed has the answer already."""


def new_token() -> str:
    """Return a new token: the prefix and 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Return what a feed's file holds of a token. Without salt: nobody guesses 256 random bits."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def is_allowed(token: str, hashes: Sequence[str]) -> bool:
    """Return whether one of the hashes is the token's, in the same time whichever it is and whether or not one is."""
    given = token_hash(token)
    found = [hmac.compare_digest(given, one) for one in (*hashes, "sha256:" + "0" * 64)]
    return any(found)
