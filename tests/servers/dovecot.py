"""A real Dovecot on a free loopback port with a mailbox of its own: TLS only, passwords, and XOAUTH2 asked of a token endpoint."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from schemas.connections import Connection, Secret
from tests.servers.certificates import Authority
from tests.servers.feeds import CANARY, LONG_AGO

DOVECOT = Path("/usr/sbin/dovecot")
AUTHSERV_ID = "mx.buyer.example"
VOUCHED = f"{AUTHSERV_ID}; dmarc=pass header.from=acme.example"


def missing() -> str | None:
    """Why Dovecot cannot be used here, None if it can."""
    if not DOVECOT.exists():
        return "dovecot-imapd not installed"
    if os.geteuid() != 0:
        return "dovecot can only be started by root"
    return None


def mail(
    files: Mapping[str, bytes], *, message_id: str = "<1@acme.example>", sender: str = "Acme <stock@acme.example>", **headers
) -> bytes:
    """A mail as our own server has stamped it; `headers` replace others, None leaves one out."""
    message = EmailMessage()
    fields = {
        "Authentication-Results": VOUCHED,
        "From": sender,
        "To": "feeds@buyer.example",
        "Subject": "Stock",
        "Message-ID": message_id,
    }
    for name, value in (fields | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        if value is not None:
            message[name] = value
    message.set_content("see attachment\n")
    for name, content in files.items():
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


@dataclass
class Dovecot:
    port: int
    home: Path
    ca_file: Path
    count: int = field(default=0)

    def connection(self, **changes) -> Connection:
        fields = {"login": "acme", "password": Secret(CANARY), "extra": {"ca_file": str(self.ca_file)}} | changes
        return Connection("acme_mail", "imap", **{"host": "127.0.0.1", "port": self.port} | fields)

    def deliver(self, raw: bytes, at: float | None = None, folder: str = "") -> Path:
        """Put a mail into the mailbox, byte for byte, as of a moment."""
        self.count += 1
        place = self.home / "Maildir" / folder
        for name in ("new", "cur", "tmp"):
            (place / name).mkdir(parents=True, exist_ok=True)
        instant = LONG_AGO.timestamp() if at is None else at
        path = place / "tmp" / f"{int(instant)}.M{self.count:06}.test"
        path.write_bytes(raw)
        os.utime(path, (instant, instant))
        self._give_away()
        return path.rename(place / "new" / path.name)

    def names(self, folder: str = "") -> list[str]:
        """The file names of a folder's mails: the flags are behind the comma, S is \\Seen."""
        place = self.home / "Maildir" / folder
        return sorted(p.name for sub in ("new", "cur") if (place / sub).is_dir() for p in (place / sub).iterdir())

    def forget_numbers(self) -> None:
        """Lose all UIDs: the next session gets another UIDVALIDITY."""
        for path in (self.home / "Maildir").glob("dovecot*"):
            path.unlink()
        self.count += 1
        (self.home / "Maildir/dovecot-uidlist").write_text(f"3 V{1000 + self.count} N50 G{self.count:032x}\n")
        self._give_away()

    def _give_away(self) -> None:
        user = pwd.getpwnam("nobody")
        for path in [self.home / "Maildir", *(self.home / "Maildir").rglob("*")]:
            if path.stat().st_uid != user.pw_uid:
                os.chown(path, user.pw_uid, user.pw_gid)


@contextmanager
def running(tokeninfo_url: str | None = None) -> Iterator[Dovecot]:
    """Give a server; `tokeninfo_url` is asked about the tokens of XOAUTH2."""
    with tempfile.TemporaryDirectory(prefix="stockfeed-imap-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        authority = Authority(home)
        authority.issue("127.0.0.1", "localhost")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (home / "mail").mkdir()
        (home / "passwd").write_text(f"acme:{{PLAIN}}{CANARY}\n")
        (home / "passwd").chmod(0o644)
        if tokeninfo_url:
            (home / "oauth2.conf").write_text(
                f"tokeninfo_url = {tokeninfo_url}\nusername_attribute = email\nactive_attribute = active\nactive_value = true\n"
            )
            (home / "oauth2.conf").chmod(0o644)
        (home / "dovecot.conf").write_text(_settings(home, port, has_tokens=tokeninfo_url is not None))
        with (home / "out").open("wb") as out:
            process = subprocess.Popen([str(DOVECOT), "-F", "-c", str(home / "dovecot.conf")], stdout=out, stderr=out)
            server = Dovecot(port, home / "mail", authority.ca_file)
            try:
                server.deliver(b"")  # makes the folders
                shutil.rmtree(home / "mail/Maildir/new")
                (home / "mail/Maildir/new").mkdir()
                server._give_away()
                _wait_until_it_answers(process, port, home)
                yield server
            finally:
                process.terminate()
                process.wait(10)


def _settings(home: Path, port: int, *, has_tokens: bool) -> str:
    tokens = f"passdb {{\n driver = oauth2\n mechanisms = xoauth2\n args = {home}/oauth2.conf\n}}\n" if has_tokens else ""
    return f"""
protocols = imap
listen = 127.0.0.1
base_dir = {home}/run
state_dir = {home}/state
instance_name = {home.name}
log_path = {home}/log
ssl = required
ssl_cert = <{home}/server.pem
ssl_key = <{home}/server.pem
ssl_min_protocol = TLSv1.2
auth_mechanisms = plain login{" xoauth2" if has_tokens else ""}
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:{home}/mail/Maildir
mail_max_userip_connections = 100
{tokens}passdb {{
 driver = passwd-file
 mechanisms = plain login
 args = {home}/passwd
}}
userdb {{
 driver = static
 args = uid=nobody gid=nogroup home={home}/mail
}}
service imap-login {{
 chroot =
 inet_listener imap {{
  port = 0
 }}
 inet_listener imaps {{
  port = {port}
  ssl = yes
 }}
}}
namespace inbox {{
 inbox = yes
 separator = /
}}
"""


def _wait_until_it_answers(process: subprocess.Popen, port: int, home: Path) -> None:
    while process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
    log = (home / "log").read_text() if (home / "log").exists() else ""
    raise RuntimeError(f"dovecot ended: {(home / 'out').read_text()} {log}")
