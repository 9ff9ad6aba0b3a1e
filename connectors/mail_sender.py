"""Who a mail is from, and whether our own mail server vouches for it (RFC 8601 Authentication-Results).

Never believes a display name, nor a result that another server wrote.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import getaddresses

from schemas.findings import Finding

MICROSOFT_365 = "microsoft365"  # writes its results without naming itself, and renames those that came along
_LONGEST_RESULT = 4096  # characters of one header that are read
_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"^\s*(?P<method>[a-z0-9-]+)(?:/\d+)?\s*=\s*(?P<result>[a-z]+)", re.IGNORECASE)
_PROPERTY = re.compile(r"(?P<name>(?:header|smtp)\.[a-z]+)\s*=\s*\"?(?P<value>[^\s;\"]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Result:
    """One line of the server: dmarc=pass header.from=acme.example."""

    method: str
    result: str
    properties: dict[str, str]


def senders_of(headers: Message) -> tuple[str, ...]:
    """Return the addresses of all From headers in small letters, each once; none where one of them is not an address."""
    written = [str(value) for value in headers.get_all("from", [])]
    if any("\0" in one or "\r" in one.replace("\r\n", "") for one in written):
        return ()
    found = [address.lower() for _, address in getaddresses([" ".join(one.split()) for one in written])]
    return tuple(dict.fromkeys(found)) if all(address.count("@") == 1 for address in found) else ()


def spoofed(headers: Message, senders: Sequence[str], authserv_id: str) -> Finding | None:
    """Return the finding about senders that our server does not vouch for, None where it does.

    Only the topmost Authentication-Results header that carries `authserv_id` counts. It vouches with dmarc=pass for the
    domain of every sender; where it tells nothing of DMARC, with dkim=pass or spf=pass of that same domain.
    """
    shown, domains = ", ".join(senders), {sender.rpartition("@")[2] for sender in senders}
    results = _own_results([str(value) for value in headers.get_all("authentication-results", [])], authserv_id)
    if results is None:
        return _finding(f"the mail has no Authentication-Results of {authserv_id!r}: nobody vouches for its sender {shown}")
    if all(_vouches(results, domain) for domain in domains):
        return None
    said = ", ".join(f"{one.method}={one.result}" for one in results) or "nothing"
    return _finding(f"Authentication-Results of {authserv_id!r} do not vouch for the sender {shown}: {said[:120]}")


def _vouches(results: Sequence[_Result], domain: str) -> bool:
    dmarc = [one for one in results if one.method == "dmarc"]
    if dmarc:
        return all(one.result == "pass" and one.properties.get("header.from", domain) == domain for one in dmarc)
    passed = [one for one in results if one.result == "pass"]
    return any(
        one.properties[name].rpartition("@")[2] == domain
        for one in passed
        for method, name in (("dkim", "header.d"), ("dkim", "header.i"), ("spf", "smtp.mailfrom"))
        if one.method == method and name in one.properties
    )


def _finding(words: str) -> Finding:
    remedy = (
        "Ask the supplier whether the mail is theirs, and to sign with DKIM and DMARC; check `authserv_id`. Then release or reject."
    )
    return Finding("MAIL-SPOOFED", "hold", words, remedy)


def _own_results(headers: Sequence[str], authserv_id: str) -> list[_Result] | None:
    for header in headers:
        pieces = _uncommented(header[:_LONGEST_RESULT]).split(";")
        named = pieces[0].split()
        first = named[0].lower() if named else ""
        if authserv_id == MICROSOFT_365:
            return _results(pieces) if "=" in pieces[0] else None
        if first == authserv_id.lower():
            return _results(pieces[1:])
    return None


def _uncommented(text: str) -> str:
    while (shorter := _COMMENT.sub(" ", text)) != text:
        text = shorter
    return " ".join(text.split())


def _results(pieces: Sequence[str]) -> list[_Result]:
    found = []
    for piece in pieces:
        if match := _RESULT.match(piece):
            properties = {p["name"].lower(): p["value"].lower() for p in _PROPERTY.finditer(piece)}
            found.append(_Result(match["method"].lower(), match["result"].lower(), properties))
    return found
