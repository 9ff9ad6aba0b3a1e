"""What a scheduled task gets back from one verb, and which errors end it at once."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, HeldError, TransientError
from stockfeed import scheduled
from stockfeed.bootstrap import App
from stockfeed.store.engine import make_engine
from stockfeed.store.upgrade import upgrade

FEED = """
[supplier]
code = "acme"
name = "Acme"
[[feed]]
code = "stock"
source = { type = "folder", path = "INBOX", settle = "0s" }
format = { type = "delimited" }
timezone = "UTC"
quantities = "net"
stale_after = "24h"
trust_first = true
columns = { supplier_sku = "SKU", available = "Qty" }
"""


class RefuseError(Exception):
    """The scheduler's "do not try again"."""


class MissingError(Exception):
    """The scheduler's "no such connection"."""


def no_connection(name: str) -> NoReturn:
    raise MissingError(name)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("STOCKFEED_CONFIG", "STOCKFEED_STATE", "STOCKFEED_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "config" / "suppliers").mkdir(parents=True)
    (tmp_path / "config" / "channels").mkdir()
    (tmp_path / ".state").mkdir()
    (tmp_path / "config" / "suppliers" / "acme.toml").write_text(FEED.replace("INBOX", (tmp_path / "inbox").as_posix()))
    engine = make_engine(f"sqlite:///{tmp_path / '.state' / 'stockfeed.sqlite3'}")
    upgrade(engine)
    engine.dispose()
    return tmp_path


def perform(root: Path, verb: str, *arguments: object) -> object:
    return scheduled.perform(verb, *arguments, root=root, connection=no_connection, missing=MissingError, refuse=RefuseError)


def test_a_delivery_goes_through_the_verbs_as_ids_states_and_counts(root: Path) -> None:
    (root / "inbox" / "monday.csv").write_text("SKU,Qty\n001,12\nA-7,lots\n")
    assert perform(root, "collect", "acme.stock") == [1]
    done = perform(root, "ingest", 1)
    assert done == {"delivery": 1, "state": "applied", "read": 2, "accepted": 1, "rejected": 1, "changes": 1}
    assert perform(root, "acknowledge", [1]) == 1
    assert perform(root, "collect", "acme.stock") == []


def test_sweep_alarm_and_retention_return_json(root: Path) -> None:
    for verb in ("sweep", "overdue", "retain"):
        assert json.loads(json.dumps(perform(root, verb))) is not None


def test_every_verb_of_the_dags_is_known() -> None:
    import re

    dags = Path(__file__).parent.parent.parent / "dags"
    called = {verb for path in dags.glob("*.py") for verb in re.findall(r'run_verb\("(\w+)"', path.read_text("utf-8"))}
    assert called == set(scheduled.VERBS)


def raising(error: Exception) -> Callable[[App], NoReturn]:
    def verb(_app: App) -> NoReturn:
        raise error

    return verb


@pytest.mark.parametrize("kind", [ConfigError, CredentialsError, DeliveryError, HeldError])
def test_what_trying_again_cannot_repair_is_refused_with_message_and_remedy(
    root: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    monkeypatch.setattr(scheduled, "VERBS", {"fail": raising(kind("the door is shut", "Open it."))})
    with pytest.raises(RefuseError, match=r"^the door is shut Open it\.$"):
        perform(root, "fail")


def test_what_may_pass_goes_through_for_the_scheduler_to_retry(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduled, "VERBS", {"fail": raising(TransientError("busy", retry_after=90))})
    with pytest.raises(TransientError) as caught:
        perform(root, "fail")
    assert caught.value.retry_after == 90


def test_a_mistake_in_the_configuration_is_refused(root: Path) -> None:
    (root / "config" / "suppliers" / "acme.toml").write_text("[supplier\n")
    with pytest.raises(RefuseError, match="1 mistake"):
        perform(root, "collect", "acme.stock")


def test_a_connection_that_the_scheduler_does_not_have_is_a_credentials_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduled, "VERBS", {"ask": lambda app: app.resolve("acme_sftp")})
    with pytest.raises(RefuseError, match="AIRFLOW_CONN_ACME_SFTP"):
        perform(root, "ask")


def test_the_schedulers_connection_becomes_ours_with_its_secrets_hidden() -> None:
    theirs = SimpleNamespace(
        conn_type="sftp", host="h", login="u", password="p@ss", port=2222, schema=None, extra='{"host_key": "k", "passphrase": "x"}'
    )
    ours = scheduled.from_scheduler("acme", theirs)
    assert (ours.conn_type, ours.host, ours.login, ours.port, ours.extra["host_key"]) == ("sftp", "h", "u", 2222, "k")
    assert ours.password is not None
    assert ours.password.reveal() == "p@ss"
    assert isinstance(ours.extra["passphrase"], Secret)
    assert "p@ss" not in repr(ours)
