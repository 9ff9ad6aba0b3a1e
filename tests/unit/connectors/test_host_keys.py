"""Pinned SSH host keys."""

import base64
import hashlib

import pytest
from paramiko import ECDSAKey
from paramiko.hostkeys import HostKeys

from connectors.host_keys import HostKey, check_host_key, host_label, read_pins
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError


def made_key(kind: str = "ssh-ed25519", seed: str = "one") -> HostKey:
    name = kind.encode()
    content = hashlib.sha256(seed.encode()).digest()
    return HostKey(kind, b"".join(len(part).to_bytes(4, "big") + part for part in (name, content)))


ONE, TWO, RSA = made_key(), made_key(seed="two"), made_key("ssh-rsa")


def server(port: int | None = None, **extra) -> Connection:
    return Connection("acme", "sftp", host="sftp.example.com", port=port, extra=extra)


@pytest.mark.parametrize(
    "written",
    [
        ONE.line,
        ONE.line + " comment by somebody",
        ONE.line.split()[1],
        f"sftp.example.com {ONE.line}",
        f"SFTP.example.com,192.0.2.1 {ONE.line}",
        f"# a comment\n\n{ONE.line}\n",
        Secret(ONE.line),
        [ONE.line],
    ],
)
def test_a_pinned_key_is_accepted_in_every_usual_form(written):
    check_host_key(ONE, server(host_key=written))
    check_host_key(ONE, server(known_hosts=written))


def test_several_keys_may_be_pinned_so_that_a_key_can_be_changed_without_a_gap():
    for written in (f"{ONE.line}\n{TWO.line}\n{RSA.line}", f"{ONE.line}\\n{TWO.line}\\n{RSA.line}", [ONE.line, TWO.line, RSA.line]):
        assert read_pins(server(host_key=written)).accepted == (ONE, TWO, RSA)
        check_host_key(TWO, server(host_key=written))


def test_a_changed_key_is_refused_with_both_fingerprints_and_the_remedy():
    with pytest.raises(CredentialsError) as caught:
        check_host_key(TWO, server(host_key=ONE.line))
    assert ONE.fingerprint in caught.value.message
    assert TWO.fingerprint in caught.value.message
    assert "'acme'" in caught.value.hint
    assert "supplier" in caught.value.hint


def test_without_a_pin_nothing_is_accepted_and_the_presented_key_is_named():
    with pytest.raises(CredentialsError, match="no host key is pinned") as caught:
        check_host_key(ONE, server())
    assert ONE.fingerprint in caught.value.message


def test_a_server_beside_port_22_is_listed_with_its_port():
    assert host_label(server(2222)) == "[sftp.example.com]:2222"
    check_host_key(ONE, server(2222, known_hosts=f"[sftp.example.com]:2222 {ONE.line}"))
    with pytest.raises(CredentialsError):
        check_host_key(ONE, server(2222, known_hosts=f"sftp.example.com {ONE.line}"))
    with pytest.raises(CredentialsError):
        check_host_key(ONE, server(22, known_hosts=f"[sftp.example.com]:2222 {ONE.line}"))


def test_the_key_of_another_host_does_not_count():
    with pytest.raises(CredentialsError, match="no host key is pinned"):
        check_host_key(ONE, server(known_hosts=f"other.example.com {ONE.line}"))


def test_hashed_host_names_are_understood():
    hashed = HostKeys.hash_host("sftp.example.com")
    check_host_key(ONE, server(known_hosts=f"{hashed} {ONE.line}"))
    with pytest.raises(CredentialsError):
        check_host_key(ONE, server(known_hosts=f"{HostKeys.hash_host('other')} {ONE.line}"))
    with pytest.raises(CredentialsError):
        check_host_key(ONE, server(known_hosts=f"|1|damaged {ONE.line}"))


def test_a_revoked_key_is_refused_even_when_it_is_also_pinned():
    with pytest.raises(CredentialsError, match="revoked"):
        check_host_key(ONE, server(known_hosts=f"@revoked * {ONE.line}", host_key=ONE.line))


@pytest.mark.parametrize(
    "written", ["SHA256:abcdef", "AAAA", "ssh-ed25519", "ssh-ed25519 not/base64!", "@cert-authority * " + ONE.line]
)
def test_a_pin_that_is_no_key_is_a_mistake_that_is_named(written):
    with pytest.raises(ConfigError, match="acme"):
        read_pins(server(host_key=written))


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints():
    key = ECDSAKey.generate()
    assert HostKey(key.get_name(), key.asbytes()).fingerprint == key.fingerprint
    assert base64.b64decode(HostKey(key.get_name(), key.asbytes()).line.split()[1]) == key.asbytes()
