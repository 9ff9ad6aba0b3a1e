"""A folder served as one bucket, as the Amazon S3 API Reference says (API version 2006-03-01): signatures are checked.

ListObjectsV2, HeadBucket, HeadObject, GetObject with Range, PutObject, CopyObject and DeleteObject; path-style addresses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from os import fsdecode
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlsplit
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers.bucket_folder import BucketFolder, asked_range, content, md5
from tests.servers.feeds import CANARY
from tests.servers.web_server import Request, reply

BUCKET, LOGIN, REGION = "nordwind", "acme", "eu-central-1"


@dataclass
class Bucket(BucketFolder):
    """The bucket of one account."""

    def served(self, request: Request) -> Iterator[bytes]:
        if (problem := _unsigned(request)) is not None:
            return iter([_error(403, problem, request)])
        parts = urlsplit(request.target)
        bucket, _, key = unquote_to_bytes(parts.path.lstrip("/")).partition(b"/")
        if bucket != BUCKET.encode():
            return iter([_error(404, "NoSuchBucket", request)])
        path = self.path(key)
        if key and request.method in {"GET", "HEAD"} and path.is_file() and not path.is_symlink():
            return self._content(path, request)
        return iter([self._other(request, parts.query, path if key else None)])

    def _other(self, request: Request, query: str, path: Path | None) -> bytes:
        if path is None:
            return reply(200) if request.method == "HEAD" else self._listing(parse_qs(query, keep_blank_values=True))
        if request.method == "PUT":
            return self._copied(request, path) if "x-amz-copy-source" in request.headers else _stored(request, path)
        if request.method != "DELETE":
            return _error(404, "NoSuchKey", request)
        if path.is_file() and not path.is_symlink():
            path.unlink()
        return reply(204, content_length="")

    def _copied(self, request: Request, path: Path) -> bytes:
        bucket, _, key = unquote_to_bytes(request.headers["x-amz-copy-source"].lstrip("/")).partition(b"/")
        source = self.root / fsdecode(key)
        if bucket != BUCKET.encode() or not source.is_file():
            return _error(404, "NoSuchKey", request)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read_bytes())
        body = f"<CopyObjectResult><ETag>{_tag(path)}</ETag><LastModified>{_time(path)}</LastModified></CopyObjectResult>"
        return reply(200, body.encode(), Content_Type="application/xml")

    def _content(self, path: Path, request: Request) -> Iterator[bytes]:
        size = path.stat().st_size
        fields = {"ETag": _tag(path), "Last_Modified": formatdate(path.stat().st_mtime, usegmt=True), "Accept_Ranges": "bytes"}
        if request.method == "HEAD":
            return iter([reply(200, content_length=str(size), **fields)])
        if "range" not in request.headers:
            return self.cut(reply(200, content_length=str(size), **fields), content(path))
        first, last = asked_range(request.headers["range"], size)
        return self.cut(reply(206, content_length=str(last + 1 - first), **fields), content(path, first, last))

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", [""])[0]
        page, more = self.listing(prefix, delimiter, after, int(query.get("max-keys", ["1000"])[0]))
        lines = [self._entry(entry, is_prefix=is_prefix) for entry, is_prefix in page]
        head = (
            f"<Name>{BUCKET}</Name><Prefix>{quote(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount><EncodingType>url</EncodingType>"
        )
        token = f"<NextContinuationToken>{quote(page[-1][0])}</NextContinuationToken>" if more else ""
        body = f"{head}<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(lines)}"
        space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        return reply(200, f"<ListBucketResult {space}>{body}</ListBucketResult>".encode(), Content_Type="application/xml")

    def _entry(self, key: str, *, is_prefix: bool) -> str:
        if is_prefix:
            return f"<CommonPrefixes><Prefix>{quote(key)}</Prefix></CommonPrefixes>"
        path = self.path(key)
        told = f"<LastModified>{_time(path)}</LastModified><ETag>{escape(_tag(path))}</ETag><Size>{path.stat().st_size}</Size>"
        return f"<Contents><Key>{quote(key)}</Key>{told}<StorageClass>STANDARD</StorageClass></Contents>"

    @staticmethod
    def busy(status: int, **fields: str) -> bytes:
        return _error(status, "SlowDown", None, **fields)


def _stored(request: Request, path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(request.body)
    return reply(200, ETag=_tag(path))


def _tag(path: Path) -> str:
    return f'"{md5(path).hex()}"'


def _time(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _error(status: int, code: str, request: Request | None, **fields: str) -> bytes:
    empty = request is not None and request.method == "HEAD"
    body = b"" if empty else f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return reply(status, body, Content_Type="application/xml", **fields)


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
