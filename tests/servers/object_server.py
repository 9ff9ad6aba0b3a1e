"""A folder served as one bucket, as the Amazon S3 API Reference says (API version 2006-03-01): signatures are checked.

ListObjectsV2, HeadBucket, HeadObject, GetObject with Range, PutObject, CopyObject and DeleteObject; path-style addresses.
"""

import hashlib
from datetime import UTC, datetime
from email.utils import formatdate
from os import fsdecode, fsencode
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers.feeds import CANARY
from tests.servers.web_server import Answer, Line, Request, reply

BUCKET, LOGIN, REGION = "nordwind", "acme", "eu-central-1"


class Bucket:
    """The objects of one folder. `end_at`: answers with content stop after so many bytes; `page`: keys in one listing."""

    def __init__(self, root: Path, page: int = 1000) -> None:
        self._root, self.page, self.end_at = root, page, None
        self.refuses: bytes | None = None  # answers everything so

    def answer(self) -> Answer:
        return self._answer

    def _answer(self, request: Request, line: Line) -> None:
        if self.refuses is not None:
            line.send(self.refuses)
        elif (problem := _unsigned(request)) is not None:
            line.send(_error(403, problem, request))
        else:
            line.send(self._served(request))

    def _served(self, request: Request) -> bytes:
        parts = urlsplit(request.target)
        bucket, _, key = unquote_to_bytes(parts.path.lstrip("/")).partition(b"/")
        if bucket != BUCKET.encode():
            return _error(404, "NoSuchBucket", request)
        if not key:
            return reply(200) if request.method == "HEAD" else self._listing(parse_qs(parts.query, keep_blank_values=True))
        path = self._root / fsdecode(key)
        if request.method == "PUT":
            return self._copied(request, path) if "x-amz-copy-source" in request.headers else _stored(request, path)
        if path.is_symlink() or not path.is_file():
            return reply(204, content_length="") if request.method == "DELETE" else _error(404, "NoSuchKey", request)
        if request.method == "DELETE":
            path.unlink()
            return reply(204, content_length="")
        return self._content(path, request)

    def _copied(self, request: Request, path: Path) -> bytes:
        bucket, _, key = unquote_to_bytes(request.headers["x-amz-copy-source"].lstrip("/")).partition(b"/")
        source = self._root / fsdecode(key)
        if bucket != BUCKET.encode() or not source.is_file():
            return _error(404, "NoSuchKey", request)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        body = f"<CopyObjectResult><ETag>{_tag(path)}</ETag><LastModified>{_time(path)}</LastModified></CopyObjectResult>"
        return reply(200, body.encode(), Content_Type="application/xml")

    def _content(self, path: Path, request: Request) -> bytes:
        content = path.read_bytes()
        fields = {"ETag": _tag(path), "Last_Modified": formatdate(path.stat().st_mtime, usegmt=True), "Accept_Ranges": "bytes"}
        if request.method == "HEAD":
            return reply(200, content_length=str(len(content)), **fields)
        asked = request.headers.get("range")
        if asked is None:
            whole = reply(200, content, **fields)
        else:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            content = content[int(first) : int(last) + 1 if last else None]
            whole = reply(206, content, **fields)
        return whole if self.end_at is None else whole[: len(whole) - len(content) + self.end_at]

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", [""])[0]
        keys = sorted(k for k in self._keys() if k.startswith(prefix))
        entries = list(dict.fromkeys(_rolled_up(key, prefix, delimiter) for key in keys))
        rest = [entry for entry in entries if entry > after]
        page = rest[: min(self.page, int(query.get("max-keys", ["1000"])[0]))]
        more = len(rest) > len(page)
        lines = [self._entry(entry, is_prefix=entry not in keys) for entry in page]
        head = (
            f"<Name>{BUCKET}</Name><Prefix>{quote(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount><EncodingType>url</EncodingType>"
        )
        token = f"<NextContinuationToken>{quote(page[-1])}</NextContinuationToken>" if more else ""
        body = f"{head}<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(lines)}"
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        return reply(200, f"<ListBucketResult {space}>{body}</ListBucketResult>".encode(), Content_Type="application/xml")

    def _keys(self) -> list[str]:
        files = (p for p in self._root.rglob("*") if p.is_file() and not p.is_symlink())
        return [fsencode(p.relative_to(self._root)).decode("utf-8", "replace") for p in files]

    def _entry(self, key: str, *, is_prefix: bool) -> str:
        if is_prefix:
            return f"<CommonPrefixes><Prefix>{quote(key)}</Prefix></CommonPrefixes>"
        path = self._root / key
        told = f"<LastModified>{_time(path)}</LastModified><ETag>{escape(_tag(path))}</ETag><Size>{path.stat().st_size}</Size>"
        return f"<Contents><Key>{quote(key)}</Key>{told}<StorageClass>STANDARD</StorageClass></Contents>"


def _stored(request: Request, path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(request.body)
    return reply(200, ETag=_tag(path))


def _rolled_up(key: str, prefix: str, delimiter: str) -> str:
    below = key[len(prefix) :]
    return prefix + below.partition(delimiter)[0] + delimiter if delimiter and delimiter in below else key


def _tag(path: Path) -> str:
    return f'"{hashlib.md5(path.read_bytes()).hexdigest()}"'


def _time(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _error(status: int, code: str, request: Request) -> bytes:
    body = b"" if request.method == "HEAD" else f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return reply(status, body, Content_Type="application/xml")


def _unsigned(request: Request) -> str | None:
    """Return why a request is refused (AWS Signature Version 4), None for a right one."""
    words = request.headers.get("authorization", "")
    if not words.startswith("AWS4-HMAC-SHA256 "):
        return "AccessDenied"
    fields = dict(part.strip().split("=", 1) for part in words.partition(" ")[2].split(","))
    key, _day, region, *_ = fields["Credential"].split("/")
    if key != LOGIN:
        return "InvalidAccessKeyId"
    signed = {name: request.headers[name] for name in fields["SignedHeaders"].split(";")}
    repeated = AWSRequest(request.method, f"https://{request.headers['host']}{request.target}", headers=signed)
    repeated.context["timestamp"] = request.headers["x-amz-date"]
    repeated.context["payload_signing_enabled"] = False
    auth = S3SigV4Auth(Credentials(LOGIN, CANARY), "s3", region)
    words_to_sign = auth.string_to_sign(repeated, auth.canonical_request(repeated))
    return None if auth.signature(words_to_sign, repeated) == fields["Signature"] else "SignatureDoesNotMatch"
