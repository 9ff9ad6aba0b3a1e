"""Wrong configuration, logins, host keys, servers that do not answer: one clear line, a remedy, the right exit code, nothing lost.

No traceback, no secret (the `bare_site` fixture watches); every test removes the cause at the end, runs the same command
again, and finds ledger, archive and levels right.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest

from stockfeed.demo.sftp_server import SftpServer
from stockfeed.demo.shop import Shop
from tests.e2e.outcomes import (
    AT,
    SHOWN,
    STOCK,
    closed_port,
    everything_is_right,
    refused,
    shows_its_traceback_with_debug,
    synced,
)
from tests.servers.site import Site

# --- configuration and connections


def test_all_mistakes_of_all_files_are_told_at_once_and_nothing_is_touched(folder_site: Site) -> None:
    suppliers = folder_site.folder / "config" / "suppliers"
    right = (suppliers / "acme.toml").read_text(encoding="utf-8")
    wrong = right.replace('"net"', '"nett"').replace("stale_after", "stale_afer").replace('"UTC"', '"Mars/Olympus"')
    (suppliers / "acme.toml").write_text(wrong, encoding="utf-8")
    (suppliers / "globex.toml").write_text('[supplier]\ncode = "globex"\nname = \n', encoding="utf-8")
    folder_site.add_channel("shop", "shopfy", 'locations = []\nsources = ["acmee.*"]')
    for words in (["sync"], ["publish"], ["inventory", "show"], ["feeds", "check"], ["deliveries", "list"]):
        answer = folder_site.process(*words)
        refused(answer, 3, r"\d+ mistakes in 3 files", r"acme\.toml:\d+: feed\.quantities: .*net")
        remedies = answer.told[1:]
        assert len(remedies) == int(re.findall(r"\d+", answer.told[0])[0]) >= 6
        for mark in ("stale_afer", "Mars/Olympus", "globex.toml:3: not valid TOML", "shopfy", "locations", "acmee"):
            assert [line for line in remedies if mark in line], mark
        assert all(re.match(r"→ \S+\.toml:\d+: ", line) for line in remedies)
    shows_its_traceback_with_debug(folder_site, "sync", code=3)
    (suppliers / "acme.toml").write_text(right, encoding="utf-8")
    (suppliers / "globex.toml").unlink()
    (folder_site.folder / "config" / "channels" / "shop.toml").unlink()
    assert folder_site.rows("deliveries", "list") == []
    synced(folder_site)


def test_wrong_settings_are_told_at_once_without_their_values(folder_site: Site) -> None:
    right = dict(folder_site.environment)
    folder_site.secrets.add("canary-Db_12")
    folder_site.environment |= {
        "STOCKFEED_DATABASE_URL": "mysql://u:canary-Db_12@db/x",
        "STOCKFEED_LOG_LEVEL": "loud",
        "STOCKFEED_BUSY_SECONDS": "soon",
        "STOCKFEED_SPOOOL": "/x",
    }
    refused(folder_site.process("sync"), 3, "4 settings are wrong", "STOCKFEED_BUSY_SECONDS: .*number")
    folder_site.environment = right
    synced(folder_site)


def test_a_missing_connection_is_named_with_an_example(sftp_site: Site) -> None:
    value = sftp_site.environment.pop("AIRFLOW_CONN_ACME")
    message = r"acme\.stock: connection 'acme' is not set: looked for the variable AIRFLOW_CONN_ACME"
    refused(sftp_site.process("sync"), 3, message, "AIRFLOW_CONN_ACME='sftp://user:password@host")
    sftp_site.environment["AIRFLOW_CONN_ACME"] = value
    synced(sftp_site)


def test_a_connection_that_cannot_be_read_is_told_without_its_text(sftp_site: Site) -> None:
    value = sftp_site.environment["AIRFLOW_CONN_ACME"]
    sftp_site.secrets.add("canary-Uri_9")
    for broken in ("sftp://acme:canary-Uri_9@[::1:22", "sftp://acme:canary-Uri_9@host:22x", '{"password": "canary-Uri_9"'):
        sftp_site.environment["AIRFLOW_CONN_ACME"] = broken
        refused(sftp_site.process("sync"), 3, r"acme\.stock: .*connection 'acme'.*", ".")
    shows_its_traceback_with_debug(sftp_site, "sync", code=3)
    sftp_site.environment["AIRFLOW_CONN_ACME"] = value
    synced(sftp_site)


# --- servers


def test_a_wrong_password_is_refused_and_says_whom_to_ask(sftp_site: Site, server: SftpServer) -> None:
    sftp_site.connect_sftp(server, password="canary-Wrong_8")
    message = rf"acme\.stock: sftp://\[127\.0\.0\.1\]:{server.port} refused the login 'acme'.*"
    refused(sftp_site.process("sync"), 3, message, "Check user, password and key of connection 'acme'")
    shows_its_traceback_with_debug(sftp_site, "sync", code=3)
    assert "refused the login" in sftp_site.rows("feeds", "list")[0]["last_error"]
    sftp_site.connect_sftp(server)
    synced(sftp_site)
    assert sftp_site.rows("feeds", "list")[0]["last_error"] is None


def test_an_unknown_host_key_is_refused_with_its_fingerprint(sftp_site: Site, server: SftpServer) -> None:
    sftp_site.connect_sftp(server, host_key=None)
    refused(sftp_site.process("sync"), 3, r"acme\.stock: .*host key.*", "host_key|known_hosts")
    assert server.fingerprint in sftp_site.said[-1]
    sftp_site.connect_sftp(server)
    synced(sftp_site)


def test_a_changed_host_key_is_refused_with_both_fingerprints(sftp_site: Site, server: SftpServer, tmp_path: Path) -> None:
    synced(sftp_site)
    with SftpServer(server.root, server.login, host_key=paramiko.ECDSAKey.generate()) as other:
        sftp_site.connect_sftp(server, port=other.port)  # what the supplier's name leads to now
        refused(sftp_site.process("sync"), 3, r"acme\.stock: .*host key.*", ".")
        assert server.fingerprint in sftp_site.said[-1]
        assert other.fingerprint in sftp_site.said[-1]
    everything_is_right(sftp_site)
    sftp_site.connect_sftp(server)
    sftp_site.deliver(STOCK | {"A": 6}, AT + timedelta(minutes=1), to=server.root)
    assert sftp_site.process("sync").code == 0
    everything_is_right(sftp_site, SHOWN | {"A": "6"}, deliveries=2)


def test_an_unreachable_server_is_a_try_again_and_stops_no_other_supplier(sftp_site: Site, server: SftpServer) -> None:
    sftp_site.connect_sftp(server, port=closed_port())
    refused(sftp_site.process("sync"), 75, r"acme\.stock: sftp://\S+: Connection refused", "tried again; check host and port")
    sftp_site.add_supplier("globex")
    sftp_site.deliver({"G": 1}, AT, to=sftp_site.inbox / "globex")
    answer = sftp_site.process("sync")
    assert answer.code == 75
    assert "globex.stock" in answer.out
    assert [line for line in answer.told if line.startswith("Error: acme.stock: ")]
    sftp_site.connect_sftp(server)
    assert sftp_site.process("sync").code == 0
    everything_is_right(sftp_site, SHOWN | {"G": "1"}, deliveries=2)


def test_a_host_name_that_nobody_knows_is_a_try_again(sftp_site: Site, server: SftpServer) -> None:
    value = sftp_site.environment["AIRFLOW_CONN_ACME"]
    sftp_site.environment["AIRFLOW_CONN_ACME"] = value.replace("@127.0.0.1", "@sftp.supplier.invalid")
    refused(sftp_site.process("sync"), 75, r"acme\.stock: sftp://\S+: the host name is not known.*", "Check the host")
    sftp_site.environment["AIRFLOW_CONN_ACME"] = value
    synced(sftp_site)


def test_a_folder_that_is_not_there_is_named(folder_site: Site) -> None:
    folder_site.inbox.rename(folder_site.folder / "elsewhere")
    refused(folder_site.process("sync"), 3, r"acme\.stock: folder in/acme does not exist", "Correct `path`")
    (folder_site.folder / "elsewhere").rename(folder_site.inbox)
    synced(folder_site)


@pytest.fixture
def selling(folder_site: Site) -> Iterator[tuple[Site, Shop]]:
    """An approved channel to a shop, nothing published yet."""
    with Shop(list(STOCK), token="canary-Shop_77") as shop:
        folder_site.add_shop(shop)
        synced(folder_site)
        folder_site.rows("allocate")
        folder_site.rows("channels", "approve", "shop", "--reason", "a test")
        yield folder_site, shop


def published(site: Site, shop: Shop) -> None:
    answer = site.process("publish")
    assert (answer.code, answer.told) == (0, []), answer
    assert {sku: shop.available(sku) for sku in STOCK} == STOCK
    assert site("db", "check").out == "All rules hold.\n"


def test_a_shop_that_refuses_the_token_is_named_and_nothing_is_lost(selling: tuple[Site, Shop]) -> None:
    site, shop = selling
    site.connect_shop(shop, token="canary-Old_55")
    refused(site.process("publish"), 3, r"shop: Shopify \(127\.0\.0\.1\) refused the login.*", "Check the token")
    shows_its_traceback_with_debug(site, "publish", code=3)
    site.connect_shop(shop)
    published(site, shop)
    site.connect_shop(shop, token="canary-Old_55")
    refused(site.process("reconcile"), 3, r"shop: Shopify \(127\.0\.0\.1\) refused the login.*", "Check the token")


def test_an_unreachable_shop_is_a_try_again_and_nothing_is_lost(selling: tuple[Site, Shop]) -> None:
    site, shop = selling
    site.connect_shop(shop, url=f"http://127.0.0.1:{closed_port()}")
    refused(
        site.process("publish"),
        75,
        r"shop: Shopify \(127\.0\.0\.1\) cannot be reached",
        "Check the host and the network; nothing was sent",
    )
    site.connect_shop(shop)
    published(site, shop)


def test_a_location_the_shop_does_not_have_is_told_with_those_it_has(selling: tuple[Site, Shop]) -> None:
    site, shop = selling
    path = site.folder / "config" / "channels" / "shop.toml"
    right = path.read_text(encoding="utf-8")
    path.write_text(re.sub("Location/[0-9]+", "Location/99", right), encoding="utf-8")
    refused(site.process("publish"), 3, "shop: .*Location/99", "Location/[0-9]+ = ")
    path.write_text(right, encoding="utf-8")
    published(site, shop)


def test_a_sync_that_failed_does_not_say_that_there_is_nothing_new(folder_site: Site) -> None:
    folder_site.inbox.rename(folder_site.folder / "elsewhere")
    assert folder_site.process("sync").out == ""
    (folder_site.folder / "elsewhere").rename(folder_site.inbox)
    synced(folder_site)
    assert folder_site.process("sync").out == "Nothing new.\n"
