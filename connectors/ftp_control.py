"""The control connection of an FTP session: one command out, one reply in (RFC 959 §4), bounded in size and time.

Never sends a line break or NUL inside a command, and never shows the password, not even when a server repeats it.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from connectors.ftp_listing import ListingError
from connectors.tls import failed_handshake, refused_certificate
from schemas.connections import Secret
from schemas.errors import ConfigError, PermanentError, StockfeedError, TransientError
from schemas.rejections import escape_value

_FIRST_LINE = re.compile(rb"([1-5]\d\d)([ -]).*|([1-5]\d\d)", re.DOTALL)
_LONGEST_LINE = 8192  # bytes
_MOST_LINES = 1000
_SHORTEST_SECRET = 4
_LEAST_REFUSAL, _LEAST_FINAL_REFUSAL = 400, 500
_PRELIMINARY = 200
_ABSENT, _UNKNOWN = frozenset({550, 553}), frozenset({500, 501, 502, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: its three-digit code and its lines without the code of the first and last one."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def ok(self) -> bool:
        """Return whether the command was carried out, or waits for its next step (1xx, 2xx, 3xx)."""
        return self.code < _LEAST_REFUSAL

    @property
    def preliminary(self) -> bool:
        """Return whether another reply follows (1xx)."""
        return self.code < _PRELIMINARY

    @property
    def absent(self) -> bool:
        """Return whether the server says that there is no such file, or none that this login may see."""
        return self.code in _ABSENT

    @property
    def not_supported(self) -> bool:
        """Return whether the server does not know the command."""
        return self.code in _UNKNOWN


class Control:
    """A control connection. Each reply must be complete within `idle` seconds."""

    def __init__(self, sock: socket.socket, place: str, idle: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.sock, self.place, self.idle = sock, place, idle
        self._monotonic = monotonic
        self._received = bytearray()
        self._hidden: tuple[str, ...] = ()

    def hide(self, secret: Secret) -> None:
        """Leave this secret out of every text of the server that is shown from now on."""
        text = secret.reveal()
        self._hidden = (text, text.encode().decode("latin-1")) if len(text) >= _SHORTEST_SECRET else ()

    def close(self) -> None:
        """Close the connection as it is by now, encrypted or not."""
        self.sock.close()

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on encrypted. Raises PermanentError for a wrong certificate, or when bytes were slipped in before."""
        if self._received:
            raise PermanentError(
                f"{self.place} sent more than an answer before TLS", "Somebody may sit in between: ask the supplier."
            )
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=host, suppress_ragged_eofs=False)
        except ssl.SSLCertVerificationError as error:
            raise refused_certificate(self.place, error) from error
        except ssl.SSLEOFError:
            raise
        except ssl.SSLError as error:
            raise failed_handshake(self.place, error) from error

    def command(self, verb: str, argument: bytes = b"") -> Reply:
        """Return the first reply to one command. Raises PermanentError for an argument that FTP cannot carry."""
        self.send(verb, argument)
        return self.read_reply()

    def send(self, verb: str, argument: bytes = b"") -> None:
        """Send one command without waiting for its reply."""
        if {0, 10, 13} & set(argument):
            shown = escape_value(argument.decode("utf-8", "backslashreplace")) if verb != "PASS" else "the password"
            raise PermanentError(f"{self.place}: {shown} holds a line break or NUL, which FTP cannot carry", "Rename the file.")
        self.sock.settimeout(self.idle)
        self.sock.sendall(verb.encode("ascii") + (b" " + argument if argument else b"") + b"\r\n")

    def read_reply(self) -> Reply:
        """Return the next reply. Raises TimeoutError when it is not there in time, PermanentError when it is not FTP."""
        due = self._monotonic() + self.idle
        line = self._line(due)
        found = _FIRST_LINE.fullmatch(line)
        if not found:
            raise self._not_ftp(line)
        code = found[1] or found[3]
        lines = [line[4:]]
        while found[2] == b"-" and not (line.startswith(code + b" ") or line == code):
            line = self._line(due)
            lines.append(line[4:] if line.startswith(code) else line)
            if len(lines) > _MOST_LINES:
                raise self._not_ftp(line)
        return Reply(int(code), tuple(lines))

    def words(self, reply: Reply) -> str:
        """Return a reply as one printable line, e.g. "550 No such file.", secrets left out."""
        text = " ".join(line.decode("latin-1").strip() for line in reply.lines[:3])
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return escape_value(f"{reply.code} {text}".strip())

    def refusal(self, what: str, reply: Reply, name: str = "") -> StockfeedError:
        """Return the error for a refused command: `what` was wanted, of the file `name` if given."""
        place = f"{self.place}/{escape_value(name)}" if name else self.place
        message = f"{place}: {what} ({self.words(reply)})"
        if re.search(rb"permission|denied|not permitted", b" ".join(reply.lines), re.IGNORECASE):
            return ConfigError(message, "Ask the supplier to give this login access, or correct `path`.")
        if reply.code < _LEAST_FINAL_REFUSAL or reply.absent:
            return TransientError(message, "It is tried again; ask the supplier if it happens often.")
        return PermanentError(message, "Ask the supplier; the server does not do what this source needs.")

    def _line(self, due: float) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > _LONGEST_LINE:
                raise self._not_ftp(bytes(self._received))
            left = due - self._monotonic()
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)
            piece = self.sock.recv(4096)
            if not piece:
                msg = "connection closed"
                raise ConnectionError(msg)
            self._received += piece
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line.removesuffix(b"\r")

    def _not_ftp(self, line: bytes) -> PermanentError:
        shown = escape_value(line[:60].decode("latin-1"))
        return PermanentError(f"{self.place} does not speak FTP (it says {shown!r})", "Check host and port of the connection.")


@contextmanager
def ftp_errors(place: str) -> Iterator[None]:
    """Turn what sockets, TLS and the parsers raise into our errors, with `place` named. Wrap remote calls only."""
    try:
        yield
    except TimeoutError as error:
        raise TransientError(f"{place}: no answer in time", "It is tried again; ask the supplier if it happens often.") from error
    except socket.gaierror as error:
        raise TransientError(
            f"{place}: the host name is not known ({error.strerror})", "Check the host of the connection."
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise refused_certificate(place, error) from error
    except ssl.SSLEOFError as error:
        raise TransientError(
            f"{place}: the connection ended without the end mark of TLS, so it may have been cut short",
            "It is tried again; if it happens always, ask the supplier to update the server.",
        ) from error
    except ssl.SSLError as error:
        raise TransientError(f"{place}: TLS failed ({error.reason or error})", "It is tried again; ask the supplier.") from error
    except ListingError as error:
        raise PermanentError(
            f"{place}: {error}", "Ask the supplier to switch MLSD on, or to use the unix style of listings; nothing was guessed."
        ) from error
    except OSError as error:
        reason = error.strerror or str(error) or "connection closed"
        raise TransientError(f"{place}: {reason}", "It is tried again; check host and port of the connection.") from error
