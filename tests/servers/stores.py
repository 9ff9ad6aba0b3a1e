"""The three fake object stores, each behind TLS with a connection that may use it, and a test's way to fetch from it."""

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from connectors.registry import load_source
from schemas.connections import Connection, Secret
from schemas.transfer import Seen
from tests.servers import azure_container, google_bucket, object_server, web_server
from tests.servers.bucket_folder import BucketFolder
from tests.servers.certificates import Authority, server_context
from tests.servers.feeds import CANARY, Clock, feed, fetch

KINDS = {"s3": object_server.Bucket, "gs": google_bucket.GoogleBucket, "az": azure_container.AzureContainer}


@dataclass
class FakeStore:
    """`root`: its content; `bucket`: how it answers; `connection`: who asks."""

    scheme: str
    root: Path
    spool: Path
    bucket: BucketFolder
    server: web_server.WebServer
    connection: Connection | None
    clock: Clock = field(default_factory=Clock)

    def load(self, **options):
        of = feed({"type": "object_store", "store": self.scheme, "path": "nordwind", **options})
        return load_source(of, self.connection, now=self.clock, sleep=self.clock.sleep), of

    def fetch(self, seen: Seen | None = None, **options):
        return fetch(*self.load(**options), self.spool, seen)

    def names(self) -> list[str]:
        return sorted(p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file())


def running(scheme: str, tmp_path: Path, stack: ExitStack) -> FakeStore:
    """Return a running store; at the end of the stack it fails the test if it was asked what it does not know."""
    root, authority = tmp_path / "outside", Authority(tmp_path)
    root.mkdir(exist_ok=True)
    bucket = KINDS[scheme](root)
    server = stack.enter_context(web_server.running(bucket.answer(), server_context(authority.issue("127.0.0.1"))))
    stack.callback(_nothing_unknown, bucket)
    login = server.connection(authority)
    return FakeStore(scheme, root, tmp_path / "spool", bucket, server, with_key(scheme, login, server.url("/token")))


def with_key(scheme: str, login: Connection, token_uri: str) -> Connection:
    """Return the connection with what its store wants beside login and password."""
    if scheme == "s3" and login.extra:
        return replace(login, extra={**login.extra, "region": object_server.REGION})
    if scheme != "gs" or not login.extra:
        return login
    key_id = login.password.reveal() if login.password else CANARY
    text = google_bucket.key_file(token_uri, f"{login.login}@nordwind.example", key_id)
    return replace(login, extra={**login.extra, "keyfile_json": Secret(text)})


def _nothing_unknown(bucket: BucketFolder) -> None:
    assert bucket.unknown == []
