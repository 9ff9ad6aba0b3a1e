"""Passwords and keys of every type, on both backends, against our own server."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from connectors.legacy_sftp import import_pysftp
from connectors.registry import load_source
from connectors.sftp import load_private_key, open_sftp
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError
from stockfeed.demo.sftp_server import Login, SftpServer
from tests.servers.feeds import CANARY, Clock, connection, feed, fetch, put

PASSPHRASE = "canary-passphrase-91"
FORMATS = serialization.PrivateFormat
KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def text_of(key, form=FORMATS.OpenSSH, passphrase: str = "") -> str:
    cipher = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, cipher).decode()


def read(text: str, **extra):
    return load_private_key(Connection("acme", extra={"private_key": Secret(text), **extra}))


@pytest.fixture(scope="module")
def keys():
    return {kind: make() for kind, make in KEYS.items()}


@pytest.fixture
def server(tmp_path, keys):
    (tmp_path / "out").mkdir()
    put(tmp_path / "out", "stock.csv")
    allowed = [read(text_of(key)) for key in keys.values()]
    with SftpServer(tmp_path / "out", Login("acme", CANARY, allowed)) as running:
        yield running


def fetch_once(server, tmp_path, conn, backend="paramiko"):
    of = feed({"type": "sftp", "path": "/", "settle": "0s", "backend": backend})
    clock = Clock()
    return fetch(load_source(of, conn, now=clock, sleep=clock.sleep), of, tmp_path / "spool")


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_a_key_of_each_type_logs_in(server, tmp_path, keys, kind, passphrase):
    extra = {"host_key": server.host_key, "private_key": Secret(text_of(keys[kind], passphrase=passphrase))}
    conn = connection(server, password=None, extra={**extra, "passphrase": Secret(passphrase or "not needed")})
    assert len(fetch_once(server, tmp_path, conn)) == 1


def test_a_key_file_logs_in(server, tmp_path, keys):
    (tmp_path / "id").write_text(text_of(keys["ed25519"]))
    conn = connection(server, password=None, extra={"host_key": server.host_key, "key_file": str(tmp_path / "id")})
    assert len(fetch_once(server, tmp_path, conn)) == 1


def test_a_refused_key_falls_back_to_the_password(server, tmp_path):
    strange = Secret(text_of(ed25519.Ed25519PrivateKey.generate()))
    conn = connection(server, extra={"host_key": server.host_key, "private_key": strange})
    assert len(fetch_once(server, tmp_path, conn)) == 1


def test_a_refused_key_alone_is_a_refused_login(server, tmp_path):
    strange = Secret(text_of(ed25519.Ed25519PrivateKey.generate()))
    conn = connection(server, password=None, extra={"host_key": server.host_key, "private_key": strange})
    with pytest.raises(CredentialsError, match="refused the login 'acme'"):
        fetch_once(server, tmp_path, conn)


def test_a_server_that_takes_keys_only_says_so_to_a_password(tmp_path, keys):
    keys_only = Login("acme", None, [read(text_of(keys["rsa"]))])
    with (
        SftpServer(tmp_path, keys_only) as server,
        pytest.raises(CredentialsError, match="publickey only"),
        open_sftp(connection(server)),
    ):
        pass


@pytest.mark.parametrize("form", [FORMATS.OpenSSH, FORMATS.TraditionalOpenSSL, FORMATS.PKCS8])
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_rsa_keys_are_read_in_every_usual_form(keys, form, passphrase):
    assert read(text_of(keys["rsa"], form, passphrase), passphrase=Secret(passphrase)).get_name() == "ssh-rsa"


def test_a_key_with_its_line_breaks_written_as_two_characters_is_read(keys):
    assert read(text_of(keys["ed25519"]).replace("\n", "\\n")).get_name() == "ssh-ed25519"


@pytest.mark.parametrize("form", [FORMATS.OpenSSH, FORMATS.PKCS8])
def test_an_encrypted_key_without_or_with_a_wrong_passphrase_is_named_and_not_shown(keys, form):
    text = text_of(keys["rsa"], form, PASSPHRASE)
    with pytest.raises(CredentialsError, match="is encrypted"):
        read(text)
    with pytest.raises(CredentialsError, match="cannot be read") as caught:
        read(text, passphrase=Secret("canary-wrong"))
    assert caught.value.__cause__ is None
    assert "canary" not in str(caught.value)


def test_a_key_that_is_cut_off_or_of_an_outdated_type_is_named_and_not_shown(keys):
    half = text_of(keys["rsa"])[:600]
    outdated = text_of(dsa.generate_private_key(1024), FORMATS.PKCS8)
    for text in (half, "no key at all", outdated):
        with pytest.raises(CredentialsError, match="acme") as caught:
            read(text)
        assert text[60:90] not in f"{caught.value}{caught.value.detail}" or text == "no key at all"


def test_an_absent_key_file_is_named(tmp_path):
    with pytest.raises(CredentialsError, match="key_file"):
        load_private_key(Connection("acme", extra={"key_file": str(tmp_path / "absent")}))


def test_pysftp_makes_a_round_trip_with_a_password_and_with_an_rsa_key(server, tmp_path, keys):
    by_password = fetch_once(server, tmp_path, connection(server), "pysftp")
    extra = {"host_key": server.host_key, "private_key": Secret(text_of(keys["rsa"]))}
    by_key = fetch_once(server, tmp_path, connection(server, password=None, extra=extra), "pysftp")
    assert [g.sha256 for g in by_password] == [g.sha256 for g in by_key]
    source = load_source(feed({"type": "sftp", "path": "/", "backend": "pysftp", "after": "delete"}), connection(server))
    source.acknowledge(by_key[0].reference)
    assert list(server.root.iterdir()) == []


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_pysftp_with_another_key_than_rsa_is_a_mistake(server, tmp_path, keys, kind):
    extra = {"host_key": server.host_key, "private_key": Secret(text_of(keys[kind]))}
    with pytest.raises(ConfigError, match="password or an RSA key only"):
        fetch_once(server, tmp_path, connection(server, password=None, extra=extra), "pysftp")


def test_pysftp_never_tries_the_keys_of_this_machine(server, tmp_path):
    with pytest.raises(ConfigError, match="neither a password nor a private key"):
        fetch_once(server, tmp_path, connection(server, password=None), "pysftp")


def test_the_name_that_pysftp_misses_is_supplied_during_its_import_only():
    import paramiko

    assert import_pysftp().__name__ == "pysftp"
    assert not hasattr(paramiko, "DSSKey")
