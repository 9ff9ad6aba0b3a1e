"""The header Content-Digest (RFC 9530): what the sender says the SHA-256 of the body is."""

import base64
import re

_SHA256 = re.compile(r"(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]+):")
_BYTES = 32


def expected_sha256(header: str | None) -> str | None:
    """Return the SHA-256 in hexadecimal, None where the sender tells none. Raises ValueError for one that cannot be read.

    Digests of other kinds are passed over, as RFC 9530 §2 says.
    """
    if header is None or "sha-256" not in header.lower():
        return None
    found = _SHA256.search(header)
    digest = base64.b64decode(found[1], validate=True) if found else b""  # its binascii.Error is a ValueError
    if len(digest) != _BYTES:
        msg = "no SHA-256 in base64 between colons"
        raise ValueError(msg)
    return digest.hex()
