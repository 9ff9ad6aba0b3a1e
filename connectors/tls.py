"""TLS as every door uses it: at least version 1.2, certificate and host name verified, errors that name the remedy.

Never switches verification off: there is no option for it. A private certificate authority is named in the connection.
"""

import re
import ssl
from pathlib import Path

from schemas.connections import Connection
from schemas.errors import CredentialsError, PermanentError

_UNTRUSTED = re.compile(r"certificate verify failed: ([^(\[\]]+)")  # OpenSSL's words, whatever class carries them


def client_context(connection: Connection | None) -> ssl.SSLContext:
    """Return a context that accepts certificates of the machine's authorities, or only those of the extra `ca_file`.

    `ca_file` is the path of a PEM file. Raises CredentialsError when it cannot be read or holds no certificate.
    """
    named = (connection.extra.get("ca_file") if connection else None) or None
    path = Path(str(named)).expanduser() if named else None
    try:
        context = ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise CredentialsError(
            f"connection {connection.name if connection else ''!r}: the file named by `ca_file` cannot be used",
            "Check its path and permissions; it holds certificates in PEM form.",
            type(error).__name__,
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def refused_certificate(place: str, error: ssl.SSLCertVerificationError) -> PermanentError:
    """Return the error for a certificate that was not accepted, with what is wrong with it; nothing secret was sent."""
    return certificate_not_accepted(place, error.verify_message)


def why_untrusted(error: Exception) -> str | None:
    """Return what a client library's error says is wrong with a certificate, None when it is about something else."""
    found = _UNTRUSTED.search(str(error))
    return found[1] if found else None


def certificate_not_accepted(place: str, why: str) -> PermanentError:
    """Return the same error from a client library that has kept nothing but the words."""
    return PermanentError(
        f"{place}: the certificate is not accepted ({why.strip().rstrip('.')})",
        "Write the host as the certificate names it; for a private authority set the connection's `ca_file`. Nothing was sent.",
    )


def failed_handshake(place: str, error: ssl.SSLError) -> PermanentError:
    """Return the error for a server with which no TLS of version 1.2 or later could be agreed."""
    return PermanentError(
        f"{place}: TLS could not be agreed ({(error.reason or 'no common version').replace('_', ' ').lower()})",
        "Ask the supplier for TLS 1.2 or later, and check that port and kind of encryption fit each other.",
    )
