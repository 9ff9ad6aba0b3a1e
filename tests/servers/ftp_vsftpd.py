"""A real vsftpd on a free loopback port with its own configuration: TLS demanded, session reuse demanded, LIST only (no MLSD)."""

import os
import pwd
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from schemas.connections import Connection, Secret
from tests.servers.certificates import Authority
from tests.servers.feeds import CANARY

VSFTPD = Path("/usr/sbin/vsftpd")


def missing() -> str | None:
    """Why vsftpd cannot be used here, None if it can."""
    if not VSFTPD.exists():
        return "vsftpd not installed"
    if os.geteuid() != 0:
        return "vsftpd can only be started by root"
    return None


@dataclass
class Vsftpd:
    port: int
    outside: Path  # what the login sees as /out
    ca_file: Path

    def connection(self, **changes) -> Connection:
        fields = {"login": "ftp", "password": Secret(CANARY), "extra": {"ca_file": str(self.ca_file)}} | changes
        return Connection("acme_ftp", "ftp", **{"host": "127.0.0.1", "port": self.port} | fields)


@contextmanager
def running(*, implicit: bool = False, tls: bool = True, **changes: str) -> Iterator[Vsftpd]:
    """Give a server; `changes` are lines of vsftpd.conf that differ."""
    # not under pytest's folder: the server runs as another user, who must be able to enter it
    with tempfile.TemporaryDirectory(prefix="stockfeed-ftp-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        outside = home / "root" / "out"
        outside.mkdir(parents=True)
        outside.chmod(0o777)
        authority = Authority(home)
        authority.issue("127.0.0.1", "::1", "localhost")
        (home / "passwords").write_text(f"{CANARY}\n")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = _settings(home, port, implicit=implicit, tls=tls) | changes
        (home / "vsftpd.conf").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        with (home / "log").open("wb") as log:
            server = subprocess.Popen([str(VSFTPD), str(home / "vsftpd.conf")], stdout=log, stderr=log)
            try:
                _wait_until_it_answers(server, port, home / "log")
                yield Vsftpd(port, outside, authority.ca_file)
            finally:
                server.terminate()
                server.wait()


def _settings(home: Path, port: int, *, implicit: bool, tls: bool) -> dict[str, str]:
    (home / "empty").mkdir()
    (home / "empty").chmod(0o755)
    user = next(name for name in ("ftp", "nobody") if _exists(name))
    yes = dict.fromkeys(
        ("listen", "anonymous_enable", "secure_email_list_enable", "write_enable", "anon_upload_enable", "anon_mkdir_write_enable",
         "anon_other_write_enable", "pasv_enable"), "YES",
    )  # fmt: skip
    plain = yes | {
        "background": "NO",
        "listen_address": "127.0.0.1",
        "listen_port": str(port),
        "ftp_username": user,
        "nopriv_user": user,
        "secure_chroot_dir": str(home / "empty"),
        "anon_root": str(home / "root"),
        "anon_umask": "022",
        "email_password_file": str(home / "passwords"),
        "seccomp_sandbox": "NO",
        "ssl_enable": "NO",
    }
    if not tls:
        return plain
    demanded = dict.fromkeys(("ssl_enable", "allow_anon_ssl", "force_anon_logins_ssl", "force_anon_data_ssl"), "YES")
    demanded |= {"require_ssl_reuse": "YES", "strict_ssl_read_eof": "YES"}
    return (
        plain
        | demanded
        | {
            "implicit_ssl": "YES" if implicit else "NO",
            "rsa_cert_file": str(home / "server.pem"),
            "rsa_private_key_file": str(home / "server.pem"),
            "ssl_ciphers": "HIGH",
        }
    )


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _wait_until_it_answers(server: subprocess.Popen, port: int, log: Path) -> None:
    while server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            try:
                server.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
    raise RuntimeError(f"vsftpd ended: {log.read_text()}")
