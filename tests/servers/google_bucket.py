"""A folder served as one bucket, as Google's reference of the Cloud Storage JSON API v1 says, with the server of its tokens.

Objects: list, get, get with alt=media and Range, rewrite (in one or more calls), delete, insert with uploadType=multipart.
Tokens: the grant of RFC 7523, whose signature is checked. Parameters that no client of ours sends are refused and noted.
"""

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from time import time
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tests.servers.bucket_folder import BucketFolder, asked_range, content, md5
from tests.servers.feeds import CANARY
from tests.servers.web_server import Request, reply

BUCKET, EMAIL, TOKEN = "nordwind", "acme@nordwind.example", f"ya29.{CANARY}"
_OBJECT = r"/storage/v1/b/(?P<bucket>[^/]+)/o/(?P<name>[^/]+)"
_ROUTES = {
    "token": ("POST", r"/token"),
    "list": ("GET", r"/storage/v1/b/(?P<bucket>[^/]+)/o"),
    "get": ("GET", _OBJECT),
    "media": ("GET", rf"/download{_OBJECT}"),
    "rewrite": ("POST", rf"{_OBJECT}/rewriteTo/b/(?P<to_bucket>[^/]+)/o/(?P<to_name>[^/]+)"),
    "delete": ("DELETE", _OBJECT),
    "insert": ("POST", r"/upload/storage/v1/b/(?P<bucket>[^/]+)/o"),
}
_PARAMETERS = {
    "list": {"prefix", "delimiter", "maxResults", "pageToken"},
    "media": {"alt"},
    "rewrite": {"rewriteToken"},
    "insert": {"uploadType"},
}
_NEEDS = {"get": "get", "media": "get", "list": "list", "delete": "delete", "insert": "create", "rewrite": "create"}


@dataclass
class GoogleBucket(BucketFolder):
    """The bucket. `may`: the permissions of the account; `touched`: metadata changed then; `composite`: objects without MD5."""

    may: set[str] = field(default_factory=lambda: {"list", "get", "create", "delete"})
    open_to_all: bool = False
    touched: dict[str, datetime] = field(default_factory=dict)
    composite: set[str] = field(default_factory=set)
    rewrites: int = 1  # calls that one copy takes

    def served(self, request: Request) -> Iterator[bytes]:
        parts = urlsplit(request.target)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        for route, (method, pattern) in _ROUTES.items():
            found = re.fullmatch(pattern, parts.path)
            if found and method == request.method and not query.keys() - _PARAMETERS.get(route, set()):
                self.asked.append(route)
                names = {name: unquote(value) for name, value in found.groupdict().items()}
                return iter([_granted(request)]) if route == "token" else self._routed(route, request, names, query)
        self.unknown.append(f"{request.method} {request.target}")
        return iter([error(400, "invalid", "Unknown request.")])

    def _routed(self, route: str, request: Request, names: dict[str, str], query: dict[str, str]) -> Iterator[bytes]:
        if (problem := self._refusal(route, request)) is not None:
            return iter([problem])
        if names["bucket"] != BUCKET:
            return iter([error(404, "notFound", "The specified bucket does not exist.")])
        if route in {"list", "insert"}:
            return iter([self._listed(query) if route == "list" else self._inserted(request)])
        path = self.path(names["name"])
        if path.is_symlink() or not path.is_file():
            return iter([error(404, "notFound", f"No such object: {BUCKET}/{names['name']}")])
        if route == "media":
            return self._media(path, request)
        return iter([getattr(self, f"_{route}")(path, names, query)])

    def all_keys(self) -> list[str]:
        return [key for key in super().all_keys() if not {"\r", "\n"} & set(key)]  # no name of an object has them

    def _refusal(self, route: str, request: Request) -> bytes | None:
        given, needed = request.headers.get("authorization"), f"storage.objects.{_NEEDS[route]}"
        if given is None and self.open_to_all and _NEEDS[route] in {"list", "get"}:
            return None
        if given is None:
            return error(401, "required", f"Anonymous caller does not have {needed} access to the Google Cloud Storage bucket.")
        if given != f"Bearer {TOKEN}":
            return error(401, "authError", "Invalid Credentials")
        if _NEEDS[route] in self.may:
            return None
        return error(403, "forbidden", f"{EMAIL} does not have {needed} access to the Google Cloud Storage object.")

    def _listed(self, query: dict[str, str]) -> bytes:
        after = b64decode(query.get("pageToken", "")).decode()
        most = int(query.get("maxResults", "1000"))
        entries, more = self.listing(query.get("prefix", ""), query.get("delimiter", ""), after, most)
        found = {
            "kind": "storage#objects",
            "nextPageToken": b64encode(entries[-1][0].encode()).decode() if more else None,
            "prefixes": [name for name, is_prefix in entries if is_prefix],
            "items": [self.resource(self.path(name)) for name, is_prefix in entries if not is_prefix],
        }
        return _json({name: value for name, value in found.items() if value})

    def _get(self, path: Path, _names: dict[str, str], _query: dict[str, str]) -> bytes:
        return _json(self.resource(path))

    def _delete(self, path: Path, _names: dict[str, str], _query: dict[str, str]) -> bytes:
        path.unlink()
        return reply(204, content_length="")

    def _rewrite(self, path: Path, names: dict[str, str], query: dict[str, str]) -> bytes:
        done, size = int(query.get("rewriteToken", "0")) + 1, str(path.stat().st_size)
        told = {"kind": "storage#rewriteResponse", "objectSize": size}
        if done < self.rewrites:
            return _json({**told, "totalBytesRewritten": "0", "done": False, "rewriteToken": str(done)})
        target = self.path(names["to_name"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        return _json({**told, "totalBytesRewritten": size, "done": True, "resource": self.resource(target)})

    def _inserted(self, request: Request) -> bytes:
        boundary = b"--" + re.search(r'boundary="?([^";]+)', request.headers["content-type"])[1].encode()
        _, described, sent, _ = request.body.split(boundary)
        path = self.path(json.loads(described.partition(b"\n\n")[2])["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sent.partition(b"\n\n")[2].removesuffix(b"\n"))
        return _json(self.resource(path))

    def _media(self, path: Path, request: Request) -> Iterator[bytes]:
        told, size = self.resource(path), path.stat().st_size
        fields = {"Content_Type": "text/csv", "ETag": told["etag"], "X_Goog_Generation": told["generation"]}
        if "range" not in request.headers:
            return self.cut(reply(200, content_length=str(size), **fields), content(path))
        first, last = asked_range(request.headers["range"], size)
        if first >= size:
            return iter([reply(416, b"The requested range cannot be satisfied.")])
        fields |= {"content_length": str(last + 1 - first), "Content_Range": f"bytes {first}-{last}/{size}"}
        return self.cut(reply(206, **fields), content(path, first, last))

    def resource(self, path: Path) -> dict[str, str]:
        name, generation = path.relative_to(self.root).as_posix(), str(self.version(path))
        created = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        changed = self.touched.get(name, created)
        found = {
            "kind": "storage#object",
            "id": f"{BUCKET}/{name}/{generation}",
            "name": name,
            "bucket": BUCKET,
            "generation": generation,
            "metageneration": "2" if name in self.touched else "1",
            "contentType": "text/csv",
            "storageClass": "STANDARD",
            "size": str(path.stat().st_size),
            "crc32c": b64encode(_crc32c(path)).decode(),
            "etag": b64encode(f"{generation}/{name in self.touched}".encode()).decode(),  # of the generation and its metadata
            "timeCreated": _time(created),
            "updated": _time(changed),
            "timeStorageClassUpdated": _time(created),
        }
        return found if name in self.composite else {**found, "md5Hash": b64encode(md5(path)).decode()}

    @staticmethod
    def busy(status: int, **fields: str) -> bytes:
        reason = "rateLimitExceeded" if status == 429 else "backendError"
        return error(status, reason, "We encountered an internal error. Please try again.", **fields)


def key_file(token_uri: str, email: str = EMAIL, key_id: str = CANARY) -> str:
    """Return the text of the service account's key file."""
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    told = {"private_key_id": key_id, "private_key": _key().private_bytes(*pem).decode(), "client_email": email}
    return json.dumps({"type": "service_account", "project_id": "nordwind", "token_uri": token_uri, **told})


def error(status: int, reason: str, message: str, **fields: str) -> bytes:
    one = {"message": message, "domain": "usageLimits" if status == 429 else "global", "reason": reason}
    if status == 401:
        one |= {"locationType": "header", "location": "Authorization"}
    return _json({"error": {"code": status, "message": message, "errors": [one]}}, status, **fields)


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _granted(request: Request) -> bytes:
    """Return a token for a right assertion, and what Google says to a wrong one."""
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    if form.keys() != {"grant_type", "assertion"} or form["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
        return _json({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400)
    signed, _, signature = form["assertion"].rpartition(".")
    head, claims = (json.loads(_unpadded(part)) for part in signed.split("."))
    try:
        _key().public_key().verify(_unpadded(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        right = (head["alg"], head["kid"], claims["iss"]) == ("RS256", CANARY, EMAIL)
    except InvalidSignature:
        right = False
    right &= claims["aud"].endswith("/token") and claims["iat"] - 60 <= time() < claims["exp"] <= claims["iat"] + 3600
    right &= claims["scope"].startswith("https://www.googleapis.com/auth/devstorage.")
    if not right:
        return _json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
    return _json({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})


def _crc32c(path: Path) -> bytes:
    checksum = google_crc32c.Checksum()
    for piece in content(path):
        checksum.update(piece)
    return checksum.digest()


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def _json(value: object, status: int = 200, **fields: str) -> bytes:
    return reply(status, json.dumps(value).encode(), Content_Type="application/json; charset=UTF-8", **fields)
