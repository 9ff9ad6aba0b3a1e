"""The header Content-Digest (RFC 9530): what the sender says the SHA-256 of the body is."""

import base64
import binascii
import re

_SHA256 = re.compile(r"(?:^|[,\s])sha-256=:([A-Za-z0-9+/=]+):")
_BYTES = 32


def expected_sha256(header: str | None) -> str | None:
    """Return the SHA-256 in hexadecimal, None where the sender tells none that can be read."""
    found = _SHA256.search(header or "")
    if found is None:
        return None
    try:
        digest = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return None
    return digest.hex() if len(digest) == _BYTES else None
