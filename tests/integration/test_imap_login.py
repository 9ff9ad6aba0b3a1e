"""Logging in to a mailbox by password and by token: the vendors' published examples, a real server, one clear outcome per fault."""

import base64
import json
import logging
import socket
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from connectors.imap_session import open_mailbox, sasl_xoauth2
from connectors.oauth import access_token
from connectors.registry import load_source
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from tests.servers import dovecot, tokens
from tests.servers.feeds import CANARY, Clock, feed, fetch

TOKEN_LOGINS = ("microsoft_app", "microsoft_user", "google_user", "google_service_account")
needs_dovecot = pytest.mark.skipif(dovecot.missing() is not None, reason=str(dovecot.missing()))


@pytest.mark.needs_shared
def test_the_published_examples_of_xoauth2_give_the_same_bytes(shared):
    vectors = json.loads((shared / "contracts/mail/examples/xoauth2-vectors.json").read_text())["vectors"]
    assert len(vectors) == 2
    for one in vectors:
        assert base64.b64encode(sasl_xoauth2(one["user"], one["token"])).decode() == one["initial_response_base64"]


@pytest.fixture(scope="module")
def both_servers(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        endpoint = stack.enter_context(tokens.running(tmp_path))
        url = f"http://127.0.0.1:{endpoint.plain_port}/tokeninfo?access_token="
        mailbox = stack.enter_context(dovecot.running(tokeninfo_url=url))
        both = tmp_path / "both.pem"
        both.write_bytes(endpoint.ca_file.read_bytes() + mailbox.ca_file.read_bytes())
        endpoint.ca_file = both
        mailbox.deliver(dovecot.mail({"stock.csv": b"SKU,Qty\nA,1\n"}))
        yield endpoint, mailbox, tokens.service_key(endpoint)


@pytest.fixture
def servers(both_servers):
    endpoint = both_servers[0]
    endpoint.refusal, endpoint.lifetime = None, 3600
    endpoint.asked.clear()
    return both_servers


def fetched(servers, tmp_path, login, **extra):
    endpoint, mailbox, key = servers
    if login == "google_service_account":
        extra["keyfile"] = extra.get("keyfile") or Secret(key)
    of = feed({"type": "imap", "senders": ["stock@acme.example"], "authserv_id": dovecot.AUTHSERV_ID, "login": login})
    return fetch(load_source(of, endpoint.connection(mailbox.port, **extra), now=Clock()), of, tmp_path / "spool")


@needs_dovecot
@pytest.mark.parametrize("login", TOKEN_LOGINS)
def test_a_token_opens_the_mailbox_and_is_shown_nowhere(servers, tmp_path, login, caplog):
    with caplog.at_level(logging.DEBUG):
        [got] = fetched(servers, tmp_path, login)
    assert got.name == "stock.csv"
    [form] = servers[0].asked
    granted = {"microsoft_app": "client_credentials", "google_service_account": tokens.ASSERTION}.get(login, "refresh_token")
    assert form["grant_type"] == granted
    if login == "microsoft_app":
        assert form["scope"] == "https://outlook.office365.com/.default"
    if login == "microsoft_user":
        assert "https://outlook.office.com/IMAP.AccessAsUser.All" in form["scope"].split()
    if login == "google_service_account":
        claims = form["assertion"].split(".")[1]
        told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        assert (told["sub"], told["scope"]) == ("acme", "https://mail.google.com/")
    assert CANARY not in caplog.text


@needs_dovecot
@pytest.mark.parametrize("login", TOKEN_LOGINS)
@pytest.mark.parametrize(
    ("refusal", "words"),
    [("invalid_grant", "expired or was revoked"), ("invalid_client", "wrong or has expired"), ("unauthorized_client", "may not")],
)
def test_a_refused_token_is_one_clear_outcome(servers, tmp_path, login, caplog, refusal, words):  # noqa: PLR0917 - fixtures
    servers[0].refusal = refusal
    with caplog.at_level(logging.DEBUG), pytest.raises(CredentialsError, match=words) as caught:
        fetched(servers, tmp_path, login)
    assert "acme_mail" in caught.value.message
    assert CANARY not in caplog.text + str(caught.value) + repr(caught.value) + caught.value.hint + str(caught.value.detail)


@needs_dovecot
@pytest.mark.parametrize("login", ["microsoft_app", "microsoft_user", "google_user"])
def test_a_wrong_client_secret_is_told_and_not_shown(servers, tmp_path, login):
    with pytest.raises(CredentialsError, match="client id or its secret is wrong") as caught:
        fetched(servers, tmp_path, login, client_secret=Secret("wrong-secret-value"))
    assert "wrong-secret-value" not in f"{caught.value} {caught.value.hint} {caught.value.detail}"


@needs_dovecot
def test_an_expired_token_is_refused_by_the_mailbox_as_a_login(servers, tmp_path):
    servers[0].lifetime = -1
    with pytest.raises(CredentialsError, match="refused the login 'acme'") as caught:
        fetched(servers, tmp_path, "microsoft_app")
    assert "token" in caught.value.hint


@needs_dovecot
@pytest.mark.parametrize("login", TOKEN_LOGINS)
def test_a_token_endpoint_that_does_not_answer_is_worth_another_try(servers, tmp_path, login):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dead = f"https://127.0.0.1:{port}"
    key = json.loads(servers[2]) | {"token_uri": f"{dead}/token"}
    extra = {"authority": f"{dead}/contoso", "token_uri": f"{dead}/token", "keyfile": Secret(json.dumps(key))}
    with pytest.raises(TransientError, match="does not answer"):
        fetched(servers, tmp_path, login, **extra)


@pytest.mark.parametrize("login", TOKEN_LOGINS)
@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((429, {"error": "temporarily_unavailable"}), TransientError, "cannot answer now"),
        ((429, {}), TransientError, "cannot answer now"),
        ((503, "<html>"), TransientError, "cannot answer now"),
        ((200, "<html>log in</html>"), PermanentError, "a web page"),
        ((403, []), PermanentError, "a web page"),
        ((200, {}), CredentialsError, "gave no token"),
        ((200, {"access_token": 5}), CredentialsError, "gave no token"),
    ],
)
def test_each_fault_of_a_token_endpoint_has_one_outcome(tmp_path, login, answer, error, words):
    with tokens.running(tmp_path) as endpoint:
        endpoint.answer = lambda _form: answer
        with pytest.raises(error, match=words):
            access_token(endpoint.connection(1, keyfile=Secret(tokens.service_key(endpoint))), login)


@needs_dovecot
@pytest.mark.parametrize(
    ("login", "missing"),
    [
        ("microsoft_app", "client_secret"),
        ("microsoft_user", "refresh_token"),
        ("google_user", "client_id"),
        ("google_service_account", "keyfile"),
    ],
)
def test_a_missing_field_of_the_connection_is_named(servers, tmp_path, login, missing):
    endpoint, mailbox, _ = servers
    of = feed({"type": "imap", "senders": ["stock@acme.example"], "authserv_id": "x", "login": login})
    connection = endpoint.connection(mailbox.port)
    extra = {name: value for name, value in connection.extra.items() if name != missing}
    with pytest.raises(CredentialsError, match=f"no `{missing}`"):
        fetch(load_source(of, replace(connection, extra=extra)), of, tmp_path / "spool")


@needs_dovecot
def test_a_key_file_that_is_none_is_told(servers, tmp_path):
    for content in ("no json", "{}", "[]"):
        with pytest.raises(CredentialsError, match="keyfile"):
            fetched(servers, tmp_path, "google_service_account", keyfile=Secret(content))


@needs_dovecot
def test_a_folder_that_is_not_there_is_a_mistake_of_the_file_with_the_folders_that_are():
    with dovecot.running() as server:
        of = feed({"type": "imap", "senders": ["a@b.example"], "authserv_id": "x", "folder": "Nowhere"})
        with pytest.raises(ConfigError, match="no folder 'Nowhere'") as caught:
            fetch(load_source(of, server.connection()), of, server.home / "spool")
        assert "INBOX" in caught.value.hint


@pytest.mark.parametrize("login", TOKEN_LOGINS)
def test_a_token_endpoint_whose_certificate_nobody_vouches_for_is_told_as_that(tmp_path, login):
    with tokens.running(tmp_path) as endpoint:
        connection = endpoint.connection(ca_file=None, keyfile=Secret(tokens.service_key(endpoint)))
        with pytest.raises(PermanentError, match="the token endpoint: the certificate is not accepted") as caught:
            access_token(connection, login)
        assert "ca_file" in caught.value.hint
        assert endpoint.asked == []


@needs_dovecot
def test_a_certificate_of_an_unknown_authority_is_refused(tmp_path):
    with dovecot.running() as server:
        of = feed({"type": "imap", "senders": ["a@b.example"], "authserv_id": "x"})
        with pytest.raises(PermanentError, match="certificate is not accepted"):
            fetch(load_source(of, server.connection(extra={})), of, tmp_path)


def test_a_server_that_closes_while_tls_is_agreed_is_worth_another_try(tmp_path):
    def close_after_its_hello(listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peer.recv(4_096)
            peer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=close_after_its_hello, args=(listener,), daemon=True).start()
        of = feed({"type": "imap", "senders": ["a@b.example"], "authserv_id": "x"})
        reached = Connection("m", "imap", host="127.0.0.1", port=listener.getsockname()[1], login="u", password=Secret(CANARY))
        with pytest.raises(TransientError, match="TLS was agreed"):
            fetch(load_source(of, reached), of, tmp_path)
        listener.shutdown(socket.SHUT_RDWR)


@needs_dovecot
def test_a_password_that_an_old_server_cannot_take_is_told_and_not_shown(tmp_path, monkeypatch):
    from connectors import imap_session

    connected = imap_session._connected

    def old(*arguments):
        box = connected(*arguments)
        box.client.capabilities = ("IMAP4REV1",)
        return box

    monkeypatch.setattr(imap_session, "_connected", old)
    with dovecot.running() as server:
        of = feed({"type": "imap", "senders": ["a@b.example"], "authserv_id": "x"})
        with pytest.raises(CredentialsError, match="plain characters only") as caught:
            fetch(load_source(of, server.connection(password=Secret(f"{CANARY}-größe"))), of, tmp_path)
    assert CANARY not in f"{caught.value} {caught.value.hint} {caught.value.detail}"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("host", "error", "words"),
    [
        ("", CredentialsError, "has no host"),
        ("imap.nowhere.invalid", TransientError, "nowhere.invalid:993: the host name is not known"),
    ],
)
def test_a_host_that_is_none_is_told_in_words(host, error, words):
    connection = Connection("box", "imap", host=host, login="user", password=Secret("canary"), extra={})
    with pytest.raises(error, match=words), open_mailbox(connection, "password", "INBOX", timeout=5):
        pass
