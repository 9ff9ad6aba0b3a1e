"""A real OpenSSH server on a free loopback port with its own configuration, host keys of three types and authorised keys."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = Path("/usr/sbin/sshd")
KEY_TYPES = ("ed25519", "ecdsa", "rsa")


def installed() -> bool:
    return SSHD.exists() and shutil.which("ssh-keygen") is not None


@dataclass
class OpenSsh:
    port: int
    user: str
    home: Path  # holds host_<type>, client_<type> and their .pub

    def host_key(self, kind: str) -> str:
        return " ".join((self.home / f"host_{kind}.pub").read_text().split()[:2])

    def client_key(self, kind: str) -> str:
        return (self.home / f"client_{kind}").read_text()


def make_key(path: Path, kind: str, passphrase: str = "") -> Path:
    bits = ["-b", "2048"] if kind == "rsa" else []
    command = ["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@contextmanager
def running(home: Path) -> Iterator[OpenSsh]:
    for kind in KEY_TYPES:
        make_key(home / f"host_{kind}", kind)
        make_key(home / f"client_{kind}", kind)
    (home / "authorized_keys").write_text("".join((home / f"client_{k}.pub").read_text() for k in KEY_TYPES))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (home / "sshd_config").write_text(_configuration(home, port))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own condition for running as root
    with (home / "log").open("wb") as log:
        server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(home / "sshd_config")], stderr=log)
        try:
            _wait_until_it_answers(server, port, home / "log")
            yield OpenSsh(port, pwd.getpwuid(os.geteuid()).pw_name, home)
        finally:
            server.terminate()
            server.wait()


def _configuration(home: Path, port: int) -> str:
    host_keys = "\n".join(f"HostKey {home}/host_{kind}" for kind in KEY_TYPES)
    return f"""
Port {port}
ListenAddress 127.0.0.1
{host_keys}
AuthorizedKeysFile {home}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


def _wait_until_it_answers(server: subprocess.Popen, port: int, log: Path) -> None:
    while server.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
                probe.recv(4)
                return
        except OSError:
            try:
                server.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
    raise RuntimeError(f"sshd ended: {log.read_text()}")
