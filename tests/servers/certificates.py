"""The demo's certificate authority for servers of tests, and a server whose TLS is too old."""

import ssl
from pathlib import Path

from stockfeed.demo.certificates import Authority, server_context

__all__ = ["Authority", "outdated_context", "server_context"]


def outdated_context(pem: Path) -> ssl.SSLContext:
    """Return a server's side that knows TLS 1.1 at most."""
    import warnings

    context = server_context(pem)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context
