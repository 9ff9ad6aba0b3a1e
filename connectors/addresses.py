"""Which web addresses may be asked: strict reading of URLs, the list of allowed hosts, and the networks never connected to.

Never connects, and looks a name up once only: the caller connects to exactly the addresses that were checked.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import unquote_to_bytes, urljoin

from schemas.errors import PermanentError, TransientError
from schemas.rejections import escape_value

Lookup = Callable[[str, int], Sequence[tuple[Any, ...]]]
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(?::(?P<port>\d{1,5}))?"
    r"(?P<target>[/?][!$-\[\]-~]*)?",
    re.IGNORECASE | re.ASCII,  # without ASCII, other alphabets' digits are digits, and the long s is an s
)
_HOST_AND_PORT = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?)(?::(\d{1,5}))?", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65535

# where clouds tell their machines' secrets, as far as these are not link-local
_METADATA = frozenset(map(ipaddress.ip_address, ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


@dataclass(frozen=True, slots=True)
class WebAddress:
    """One URL: scheme, host (small letters, IPv6 without brackets), port, and path with query as written."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Return "https://host" or "https://host:port": what identifies the server."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Return "host" or "host:port", as the Host header has it (RFC 9110 §7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """Return the URL for messages and logs: without its query, which may hold a signature or token."""
        return escape_value(self.origin + self.target.partition("?")[0])

    @property
    def file_name(self) -> bytes:
        """Return the last part of the path, percent-decoded; b"" where the path ends in a slash."""
        return unquote_to_bytes(self.target.partition("?")[0].rpartition("/")[2])


def parse_address(url: str) -> WebAddress:
    """Return the parts of an absolute http or https URL. Raises ValueError, without the URL, for anything doubtful.

    Refused are logins, fragments, blanks, control characters, backslashes, letters beyond ASCII, and hosts that some
    programs take for a number (2130706433, 0x7f.1, 127.1): different readers of the same text must not differ.
    """
    found = _URL.fullmatch(url)
    if not found:
        msg = "an address is https://host/path, in ASCII, without login, blanks or fragment (#…)"
        raise ValueError(msg)
    scheme = cast("Literal['http', 'https']", found["scheme"].lower())
    target = found["target"] or "/"
    host, port = _host(found["host"]), _port(found["port"], _DEFAULT_PORTS[scheme])
    return WebAddress(scheme, host, port, target if target.startswith("/") else f"/{target}")


def parse_host(text: str) -> tuple[str, int | None]:
    """Return host and port of "host" or "host:port" (port None if absent). Raises ValueError."""
    found = _HOST_AND_PORT.fullmatch(text)
    if not found:
        msg = 'a host is written as "files.example.com" or "files.example.com:8443"'
        raise ValueError(msg)
    return _host(found[1]), _port(found[2], None)


def follow(address: WebAddress, location: str) -> WebAddress:
    """Return where a redirect of `address` leads (RFC 9110 §10.2.2). Raises PermanentError for what is no web address."""
    try:
        return parse_address(urljoin(address.origin + address.target, location.partition("#")[0]))
    except ValueError:
        raise PermanentError(
            f"{address.shown} redirects to something that is not a plain web address",
            "Ask the supplier for the file's own address.",
        ) from None


_OWN_INSIDE = "Only public servers are asked; `private_host = true` allows the source's own host to be inside your networks."
_OTHER_INSIDE = "Only the source's own host may be inside your networks: let its address name this server, if it is the right one."


@dataclass(frozen=True, slots=True)
class AllowList:
    """Which servers may be asked: the feed's own, and others by name. `private` lets the own one be inside our networks."""

    own: tuple[str, int]
    others: tuple[tuple[str, int | None], ...] = ()
    private: bool = False

    def admits(self, address: WebAddress) -> bool:
        """Return whether the server is on the list; an entry without a port means the usual port of the scheme."""
        usual = _DEFAULT_PORTS[address.scheme]
        listed = {(host, port or usual) for host, port in self.others} | {self.own}
        return (address.host, address.port) in listed

    def resolve(self, address: WebAddress, lookup: Lookup = socket.getaddrinfo) -> list[str]:
        """Return the server's IP addresses, each of them allowed.

        Raises PermanentError when the server is not on the list, or when one of its addresses is in a network of ours, on
        this machine, or reserved; TransientError when the name is not known.
        """
        if not self.admits(address):
            raise PermanentError(
                f"{address.origin} is not an allowed host of this source",
                "Add it to `hosts` if the supplier confirms that the file is there. Nothing was sent to it.",
            )
        is_own = (address.host, address.port) == self.own
        found = _look_up(address, lookup)
        for text in found:
            why = refusal(ipaddress.ip_address(text.partition("%")[0]), private=self.private and is_own)
            if why:
                raise PermanentError(
                    f"{address.origin} is at {text}, {why}: nothing was sent to it", _OWN_INSIDE if is_own else _OTHER_INSIDE
                )
        return found


def refusal(ip: IpAddress, *, private: bool) -> str | None:
    """Return why this address is never connected to, None if it may be. `private` allows this machine and private networks."""
    inner = _embedded(ip)
    if inner is not None:
        return refusal(inner, private=private)
    if ip in _METADATA or ip.is_link_local:
        return "a link-local or metadata address"
    if ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback):
        return "no address of a server"
    if isinstance(ip, ipaddress.IPv6Address) and (ip.teredo or ip in _IPV4_COMPATIBLE) and not ip.is_loopback:
        return "a tunnel address"
    if ip.is_global or private:
        return None
    return "this machine" if ip.is_loopback else "a private network"


def _embedded(ip: IpAddress) -> ipaddress.IPv4Address | None:
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if any(ip in network for network in _NAT64):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def _look_up(address: WebAddress, lookup: Lookup) -> list[str]:
    try:
        answers = lookup(address.host, address.port)
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise TransientError(f"{address.origin}: the host name is not known ({reason})", "Check the host in `url`.") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _host(text: str) -> str:
    host = text.lower()
    if host.startswith("["):
        return str(ipaddress.IPv6Address(host[1:-1]))  # its ValueError names only the address
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        return str(ipaddress.IPv4Address(host))
    if ".." in host:
        msg = "a host name has no empty parts"
        raise ValueError(msg)
    return host


def _port(text: str | None, default: Any) -> Any:
    if text is None:
        return default
    port = int(text)
    if not 0 < port <= _HIGHEST_PORT:
        msg = f"a port is from 1 to {_HIGHEST_PORT}"
        raise ValueError(msg)
    return port
