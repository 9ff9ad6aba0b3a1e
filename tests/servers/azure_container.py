"""A folder served as one container, as Microsoft's reference of the Blob service REST API says; each signature is checked.

List Blobs, Get Blob Properties, Get Blob with x-ms-range, Copy Blob (at once or pending), Delete Blob, Put Blob; Shared Key and
service SAS of a container. Requests and parameters that no client of ours sends are refused and noted.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.servers.bucket_folder import BucketFolder, asked_range, content, md5
from tests.servers.feeds import CANARY
from tests.servers.web_server import Request, reply

CONTAINER, ACCOUNT = "nordwind", "acme"
KEY = CANARY  # as base64 it is read without its hyphens
_SAS = ("sp", "st", "se", "sr", "spr", "sv", "sig", "sip")
_LIST = {"restype", "comp", "prefix", "delimiter", "marker", "maxresults", "include"}
_SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since"),
    *("if-match", "if-none-match", "if-unmodified-since", "range"),
)
_PERMISSION = {"list": "l", "get": "r", "properties": "r", "delete": "d", "copy": "w", "put": "w"}


@dataclass
class AzureContainer(BucketFolder):
    """The container. `without_md5`: blobs that were sent in blocks; `pending`: how often a copy is looked at before it is done."""

    open_to_all: bool = False
    without_md5: set[str] = field(default_factory=set)
    pending: int = 0
    _copying: dict[str, tuple[str, int]] = field(default_factory=dict)  # target: its source, and looks that are left

    def served(self, request: Request) -> Iterator[bytes]:
        parts = urlsplit(request.target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        route = _route(request, {name: value for name, value in query.items() if name not in _SAS})
        if route is None or "x-ms-version" not in request.headers:
            self.unknown.append(f"{request.method} {request.target}")
            return iter([error(400, "InvalidQueryParameterValue", request)])
        self.asked.append(route)
        container, _, name = unquote(parts.path).lstrip("/").partition("/")
        if (problem := self._refusal(route, request, query)) is not None:
            return iter([error(*problem, request)])
        if container != CONTAINER:
            return iter([error(404, "ContainerNotFound", request)])
        return iter([self._listed(query)]) if route == "list" else self._of_a_blob(route, self.path(name), request)

    def _of_a_blob(self, route: str, path: Path, request: Request) -> Iterator[bytes]:
        if route not in {"copy", "put"} and (path.is_symlink() or not path.is_file()):
            return iter([error(404, "BlobNotFound", request)])
        return self._get(path, request) if route == "get" else iter([getattr(self, f"_{route}")(path, request)])

    def _refusal(self, route: str, request: Request, query: dict[str, str]) -> tuple[int, str] | None:
        given = request.headers.get("authorization", "")
        if "sig" in query:
            right = sas_is_right(query) and _PERMISSION[route] in query["sp"]
            return (
                None if right else (403, "AuthenticationFailed" if not sas_is_right(query) else "AuthorizationPermissionMismatch")
            )
        if not given:
            right = self.open_to_all and route in {"list", "get", "properties"}
            return None if right else (401, "NoAuthenticationInformation")
        right = hmac.compare_digest(given, f"SharedKey {ACCOUNT}:{_signature(_string_to_sign(request, query))}")
        return None if right else (403, "AuthenticationFailed")

    def _listed(self, query: dict[str, str]) -> bytes:
        after, most = unquote(query.get("marker", "")), int(query.get("maxresults", "5000"))
        entries, more = self.listing(query.get("prefix", ""), query.get("delimiter", ""), after, most)
        blobs = [_prefix(name) if is_prefix else self._entry(name) for name, is_prefix in entries]
        marker = f"<NextMarker>{quote(entries[-1][0])}</NextMarker>" if more else "<NextMarker />"
        told = f'<EnumerationResults ServiceEndpoint="https://127.0.0.1/" ContainerName="{CONTAINER}">'
        body = f'<?xml version="1.0" encoding="utf-8"?>{told}<Blobs>{"".join(blobs)}</Blobs>{marker}</EnumerationResults>'
        return reply(200, body.encode(), Content_Type="application/xml", x_ms_version="2025-01-05")

    def _entry(self, name: str) -> str:
        told = self._told(self.path(name))
        names = ("Last-Modified", "Content-Length", "Content-Type", "Content-MD5")
        fields = "".join(f"<{n}>{told[n]}</{n}>" if n in told else f"<{n} />" for n in names)
        fields += f"<Creation-Time>{told['x-ms-creation-time']}</Creation-Time><Etag>{told['ETag'][1:-1]}</Etag>"
        fields += "<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><LeaseStatus>unlocked</LeaseStatus>"
        return f"<Blob>{_name(name)}<Properties>{fields}</Properties><Metadata /><OrMetadata /></Blob>"

    def _properties(self, path: Path, _request: Request) -> bytes:
        told, name = self._told(path), path.relative_to(self.root).as_posix()
        if name in self._copying:
            source, left = self._copying[name]
            if left == 0:
                path.write_bytes(self.path(source).read_bytes() if self.path(source).is_file() else b"")
            told |= {
                "x-ms-copy-status": "success" if left <= 0 else "pending",
                "x-ms-copy-id": "1",
                "x-ms-copy-source": "https://s",
            }
            self._copying[name] = (source, left - 1)
        length = told.pop("Content-Length")
        return reply(200, content_length=length, **told)

    def _get(self, path: Path, request: Request) -> Iterator[bytes]:
        told, size = self._told(path), path.stat().st_size
        del told["Content-Length"]
        if request.headers.get("if-match") not in (None, told["ETag"]):
            return iter([error(412, "ConditionNotMet", request)])
        first, last = asked_range(request.headers["x-ms-range"], size)
        if first >= size:
            return iter([error(416, "InvalidRange", request)])
        told |= {"content_length": str(last + 1 - first), "Content-Range": f"bytes {first}-{last}/{size}"}
        if "Content-MD5" in told:
            told["x-ms-blob-content-md5"] = told.pop("Content-MD5")  # Content-MD5 would be that of the range
        return self.cut(reply(206, **told), content(path, first, last))

    def _delete(self, path: Path, _request: Request) -> bytes:
        path.unlink()
        return reply(202, x_ms_delete_type_permanent="true")

    def _copy(self, path: Path, request: Request) -> bytes:
        source = urlsplit(request.headers["x-ms-copy-source"])
        query = dict(parse_qsl(source.query))
        if "authorization" not in request.headers and not ("sig" in query and sas_is_right(query)):
            return error(401, "CannotVerifyCopySource", request)
        container, _, name = unquote(source.path).lstrip("/").partition("/")
        if source.netloc != request.headers["host"] or container != CONTAINER or not self.path(name).is_file():
            return error(404, "CannotVerifyCopySource", request)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if self.pending else self.path(name).read_bytes())
        if self.pending:
            self._copying[path.relative_to(self.root).as_posix()] = (name, self.pending)
        told = {"x-ms-copy-id": "1", "x-ms-copy-status": "pending" if self.pending else "success"}
        return reply(202, **told, ETag=self._told(path)["ETag"])

    def _put(self, path: Path, request: Request) -> bytes:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(request.body)
        told = self._told(path)
        return reply(201, **{name: told[name] for name in ("ETag", "Last-Modified", "Content-MD5")})

    def _told(self, path: Path) -> dict[str, str]:
        name, at = path.relative_to(self.root).as_posix(), path.stat().st_mtime
        told = {
            "Last-Modified": formatdate(at, usegmt=True),
            "x-ms-creation-time": formatdate(at, usegmt=True),
            "ETag": f'"0x{self.version(path):X}"',  # of the version, not of the content
            "Content-Length": str(path.stat().st_size),
            "Content-Type": "text/csv",
            "Content-MD5": b64encode(md5(path)).decode(),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-version": "2025-01-05",
        }
        return {name: value for name, value in told.items() if name != "Content-MD5"} if name in self.without_md5 else told

    @staticmethod
    def busy(status: int, **fields: str) -> bytes:
        return error(status, "ServerBusy", None, **fields)


def error(status: int, code: str, request: Request | None, **fields: str) -> bytes:
    at = datetime.now(UTC).isoformat()
    message = f"{code}.\nRequestId:c0ffee\nTime:{at}"
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
    empty = request is not None and request.method == "HEAD"
    fields = {"x_ms_error_code": code, "Content_Type": "application/xml", **fields}
    return reply(status, b"" if empty else body, **fields)


def sas_is_right(query: dict[str, str]) -> bool:
    """Return whether a service SAS of the container is signed by the account (version 2020-12-06 and later) and not over."""
    begins = [query["sp"], query.get("st", ""), query["se"], f"/blob/{ACCOUNT}/{CONTAINER}"]
    behind = ["", query.get("sip", ""), query.get("spr", ""), query["sv"], query["sr"], "", "", "", "", "", "", ""]
    over = datetime.fromisoformat(query["se"]) <= datetime.now(UTC)
    return query["sr"] == "c" and not over and hmac.compare_digest(query["sig"], _signature("\n".join([*begins, *behind])))


def _route(request: Request, query: dict[str, str]) -> str | None:
    """Return the operation that is asked for, None for one that is not known."""
    if query.get("comp") == "list":
        right = request.method == "GET" and query.get("restype") == "container" and not query.keys() - _LIST
        return "list" if right else None
    in_container = urlsplit(request.target).path.strip("/").count("/") == 0
    if query or in_container:
        return None
    if request.method == "PUT":
        return "copy" if "x-ms-copy-source" in request.headers else "put"
    if request.method == "GET":
        return "get" if "x-ms-range" in request.headers else None
    return {"HEAD": "properties", "DELETE": "delete"}.get(request.method)


def _string_to_sign(request: Request, query: dict[str, str]) -> str:
    """Return what "Authorize with Shared Key" says is signed (2015-02-21 and later: a length of 0 is left out)."""
    told = {name: value for name, value in request.headers.items() if (name, value) != ("content-length", "0")}
    marked = sorted((name, value) for name, value in request.headers.items() if name.startswith("x-ms-"))
    resource = f"/{ACCOUNT}{urlsplit(request.target).path}"
    return "\n".join(
        [
            request.method,
            *(told.get(name, "") for name in _SIGNED),
            *(f"{name}:{value}" for name, value in marked),
            resource,
            *(f"{name.lower()}:{value}" for name, value in sorted(query.items())),
        ]
    )


def _signature(text: str) -> str:
    return b64encode(hmac.new(b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


def _prefix(name: str) -> str:
    return f"<BlobPrefix>{_name(name)}</BlobPrefix>"


def _name(name: str) -> str:
    """Return the element; a name that XML cannot hold is encoded, and says so (version 2021-02-12 and later)."""
    if re.search("[\x00-\x08\x0b-\x1f\ufffe\uffff]", name):
        return f'<Name Encoded="true">{quote(name)}</Name>'
    return f"<Name>{escape(name)}</Name>"
