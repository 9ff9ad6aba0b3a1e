"""The Authorization header of OAuth 1.0a (RFC 5849) with HMAC-SHA256, as Magento asks integrations for.

Signs a GET only: no body takes part. Never puts a secret into the header; the signature alone proves it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

from connectors.addresses import WebAddress
from schemas.connections import Secret


@dataclass(frozen=True, slots=True)
class OauthKeys:
    """The four credentials of an integration. The two that have no Secret around them are sent as they are."""

    consumer_key: str
    consumer_secret: Secret
    token: Secret
    token_secret: Secret


def oauth_header(keys: OauthKeys, address: WebAddress, nonce: str, timestamp: int) -> str:
    """Return the header's value for a GET of `address`; `timestamp` in seconds since 1970, `nonce` never used before with it."""
    fields = {
        "oauth_consumer_key": keys.consumer_key,
        "oauth_nonce": nonce,
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(timestamp),
        "oauth_token": keys.token.reveal(),
        "oauth_version": "1.0",
    }
    path, _, query = address.target.partition("?")
    signed = _base_string(f"{address.origin}{path}", [*parse_qsl(query, keep_blank_values=True), *fields.items()])
    secret = f"{_escaped(keys.consumer_secret.reveal())}&{_escaped(keys.token_secret.reveal())}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    fields["oauth_signature"] = base64.b64encode(digest).decode("ascii")
    return "OAuth " + ", ".join(f'{name}="{_escaped(value)}"' for name, value in sorted(fields.items()))


def _base_string(url: str, parameters: list[tuple[str, str]]) -> str:
    """Return what is signed (RFC 5849 §3.4.1): method, address, and all parameters escaped, then sorted."""
    pairs = sorted((_escaped(name), _escaped(value)) for name, value in parameters)
    normal = "&".join(f"{name}={value}" for name, value in pairs)
    return f"GET&{_escaped(url)}&{_escaped(normal)}"


def _escaped(text: str) -> str:
    return quote(text, safe="-._~")
