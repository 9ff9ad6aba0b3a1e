"""Files that a mail's text links to: https only, from listed hosts only, with the same care as a web address of a feed.

Never follows a link to another host, and never sends a login.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from connectors.addresses import parse_address
from connectors.mail_parts import links
from connectors.web_file import WebFileOptions, WebFileSource
from schemas.errors import ConfigError, PermanentError, TransientError
from schemas.feed_config import Feed
from schemas.findings import Finding
from schemas.transfer import Seen

MOST_LINKS = 20
_IN_WORDS_OF_A_MAIL = (  # a link has no keys of its own: what a remedy for a web address names is replaced
    ("`private_host = true` allows the source's own host", "`links_private = true` allows the hosts in `links`"),
    ("; for a private authority set the connection's `ca_file`", ""),
    ("; or write allow_unknown_length = true, and every delivery is marked", ""),
    ("Add it to `hosts` if the supplier confirms that the file is there", "Ask the supplier for a link to the file itself"),
)


@dataclass(frozen=True, slots=True)
class Linked:
    """A fetched file of a link, or the reason why there is none as a finding of severity "reject"."""

    path: Path
    name: str
    findings: tuple[Finding, ...]


def fetch_links(
    text: str, chosen: tuple[Sequence[str], Sequence[str], int, bool], feed: Feed, folder: Path, *, last_try: bool = False
) -> Iterator[Linked]:
    """Yield the files that the links in a mail lead to. `chosen`: hosts, patterns of names, most bytes, private hosts allowed.

    Raises TransientError when a server cannot answer now, and the whole mail is tried again; on the `last_try` that is the end
    of the link instead, so that a server that never answers does not hold up the mails behind for ever.
    """
    final = (PermanentError, ConfigError, TransientError) if last_try else (PermanentError, ConfigError)
    hosts, patterns, most, private = chosen
    wanted = [url for url in links(text) if _is_wanted(url, hosts, patterns)]
    for number, url in enumerate(wanted[:MOST_LINKS], 1):
        options = WebFileOptions(url=url, max_size=most, private_host=private)
        name = parse_address(url).file_name.decode("utf-8", "replace") or f"link-{number}"
        try:
            for fetched in WebFileSource(options).fetch(feed, Seen(), folder):
                yield Linked(fetched.path, fetched.name, fetched.findings)
        except final as error:
            path = folder / f"link-{number}"
            path.write_text(url, encoding="utf-8")
            yield Linked(path, name, (Finding("MAIL-LINK", "reject", error.message, _remedy(error.hint)),))


def _remedy(hint: str) -> str:
    for of_web_file, ours in _IN_WORDS_OF_A_MAIL:
        hint = hint.replace(of_web_file, ours)
    return hint or "Ask the supplier."


def _is_wanted(url: str, hosts: Sequence[str], patterns: Sequence[str]) -> bool:
    try:
        address = parse_address(url)
    except (ValueError, PermanentError):
        return False
    name = address.file_name.decode("utf-8", "replace").lower()
    listed = {host.lower() for host in hosts}
    place = {address.host, f"{address.host}:{address.port}"}
    return address.scheme == "https" and bool(place & listed) and any(fnmatchcase(name, p.lower()) for p in patterns)
