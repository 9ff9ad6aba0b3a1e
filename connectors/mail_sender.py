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
_QUOTED_AWAY = re.compile(r'[\s;="()]')
_RESULT = re.compile(r"^\s*(?P<method>[a-z0-9-]+)(?:/\d+)?\s*=\s*(?P<result>[a-z]+)", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)(?P<name>(?:header|smtp)\.[a-z]+)\s*=\s*(?P<value>\S+)", re.IGNORECASE)


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
        pieces = _pieces(header)
        named = pieces[0].split()
        first = named[0].lower() if named else ""
        if authserv_id == MICROSOFT_365:
            return _results(pieces) if "=" in pieces[0] else None
        if first == authserv_id.lower():
            return _results(pieces[1:])
    return None


def _pieces(header: str) -> list[str]:
    """Return what stands between the semicolons of a header, without comments; only its name where it is not well-formed.

    Quoted text is what the sender may have chosen (RFC 8601 §2.2: the address of the envelope): no sign in it has a meaning, and
    what follows the closing quote belongs to the same word. Half a header proves nothing: one that is too long counts as malformed.
    """
    pieces, depth, quoted, escaped = [""], 0, False, False
    for one in header[: _LONGEST_RESULT + 1]:
        if escaped:
            pieces[-1] += "?" if quoted else ""
            escaped = False
        elif one == "\\" and (quoted or depth):
            escaped = True
        elif quoted:
            quoted = one != '"'
            pieces[-1] += _QUOTED_AWAY.sub("?", one) if quoted else ""
        elif one in "()":
            depth += 1 if one == "(" else -1
            pieces[-1] += " "
            if depth < 0:
                break
        elif not depth:
            quoted = one == '"'
            pieces = [*pieces, ""] if one == ";" else [*pieces[:-1], pieces[-1] + ("" if quoted else one)]
    well_formed = depth == 0 and not quoted and not escaped and len(header) <= _LONGEST_RESULT
    return pieces if well_formed else [pieces[0].split("=")[0]]


def _results(pieces: Sequence[str]) -> list[_Result]:
    found = []
    for piece in pieces:
        if match := _RESULT.match(piece):
            properties: dict[str, str] = {}
            for said in _PROPERTY.finditer(piece):
                name, value = said["name"].lower(), said["value"].lower()
                properties[name] = value if properties.get(name, value) == value else ""  # told twice: neither counts
            found.append(_Result(match["method"].lower(), match["result"].lower(), properties))
    return found
