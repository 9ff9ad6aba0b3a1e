"""What every registered channel must do. A channel without a harness here fails: add one with its fake server."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from connectors.protocols import Channel
from connectors.registry import CHANNELS, load_channel
from schemas.channel_config import Channel as ChannelConfig
from schemas.connections import Connection, Secret
from schemas.errors import CredentialsError, StockfeedError, TransientError
from schemas.publishing import Listing, PublishItem
from stockfeed.demo.sftp_server import Login, SftpServer
from stockfeed.demo.shop import Shop, ShopLocation
from tests.servers.feeds import connection as sftp_connection

CANARY = "canary-51c9-never-shown"
SKUS = ("NA", "001", "1E5", " é", "O'Brien", "=1+1")
OWNED, FOREIGN = "place-owned", "place-of-others"


@dataclass
class Harness:
    """One channel under test, what its outside shows, and how to break it. SKUS are listed there at both locations."""

    config: dict[str, Any]
    shown: Callable[[str, str], int | None]  # SKU, location → what a customer sees
    connection: Connection | None = None
    refuse: Callable[[str], None] | None = None  # make the outside refuse this one SKU
    overload: Callable[[float], None] | None = None  # the next write is answered "come back in … seconds"
    lose_answer: Callable[[], None] | None = None  # the next write is accepted and its answer lost
    echo_secrets: Callable[[], None] | None = None  # the next answer is an error that quotes our login
    wrong_login: Connection | None = None
    die: Callable[[], None] | None = None  # the outside is gone from now on

    def load(self, connection: Connection | None = None) -> Channel:
        config = ChannelConfig.model_validate({"code": "test", "name": "Test", "locations": [OWNED], **self.config})
        return load_channel(config, connection or self.connection)


def _shopify(tmp_path: Path, stack: ExitStack) -> Harness:
    shop = Shop(token=CANARY, locations=[ShopLocation(OWNED, "Ours"), ShopLocation(FOREIGN, "Theirs")])
    for sku in SKUS:
        shop.stock.add(sku, 5).available[FOREIGN] = 5
    stack.enter_context(shop)
    login = Connection("shop", host="shop.example", password=Secret(CANARY), extra={"base_url": shop.url})

    def refuse(sku: str) -> None:
        shop.stock.item(sku).bundle = True

    def overload(seconds: float) -> None:
        shop.fail_next("answer", "SetAvailable", status=429, headers={"Retry-After": f"{seconds:g}"})

    def echo_secrets() -> None:
        shop.fail_next("answer", status=400, body={"errors": f"bad token {CANARY}"})

    return Harness(
        {"kind": "shopify"},
        shop.available,
        login,
        refuse=refuse,
        overload=overload,
        lose_answer=lambda: shop.fail_next("reset_after_accept", "SetAvailable"),
        echo_secrets=echo_secrets,
        wrong_login=replace(login, password=Secret(CANARY[::-1])),
        die=shop.stop,
    )


def _read_feed_file(folder: Path) -> Callable[[str, str], int | None]:
    """What another system would read: plain csv, no code of ours."""
    import csv

    def shown(sku: str, location: str) -> int | None:
        with (folder / "stock.csv").open(newline="", encoding="utf-8") as file:
            found = [row["quantity"] for row in csv.DictReader(file) if (row["sku"], row["location"]) == (sku, location)]
        return int(found[0]) if found else None

    return shown


def _feed_rows(folder: Path) -> None:
    lines = "".join(f"{sku},{place},5,2026-11-01T00:00:00Z\n" for sku in SKUS for place in (OWNED, FOREIGN))
    (folder / "stock.csv").write_text("sku,location,quantity,updated_at\n" + lines, encoding="utf-8")


def _feed_folder(tmp_path: Path, _: ExitStack) -> Harness:
    _feed_rows(tmp_path)
    return Harness({"kind": "feed_file", "path": str(tmp_path)}, _read_feed_file(tmp_path))


def _feed_sftp(tmp_path: Path, stack: ExitStack) -> Harness:
    _feed_rows(tmp_path)
    server = stack.enter_context(SftpServer(tmp_path, Login("acme", CANARY)))
    login = sftp_connection(server, password=Secret(CANARY))
    return Harness(
        {"kind": "feed_file", "path": "/", "to": "sftp"},
        _read_feed_file(tmp_path),
        login,
        wrong_login=replace(login, password=Secret(CANARY[::-1])),
        die=server.stop,
    )


HARNESSES = {"shopify": _shopify, "feed_file": _feed_folder, "feed_file/sftp": _feed_sftp}
REMOTE = [name for name in HARNESSES if name != "feed_file"]  # with a login that can be wrong and a server that can die


def test_every_registered_channel_has_a_harness():
    assert {name.partition("/")[0] for name in HARNESSES} == set(CHANNELS)


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with ExitStack() as stack:
        yield HARNESSES[request.param](tmp_path, stack)


@pytest.fixture(params=REMOTE)
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with ExitStack() as stack:
        yield HARNESSES[request.param](tmp_path, stack)


@pytest.fixture(params=["shopify"])
def answering(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    """Channels whose outside refuses single items, can be too busy, and can lose an answer."""
    with ExitStack() as stack:
        yield HARNESSES[request.param](tmp_path, stack)


def items(channel: Channel, quantities: dict[str, int], version: int = 1) -> list[PublishItem]:
    listings = {listing.sku: listing for listing in channel.resolve(list(quantities))}
    return [
        PublishItem(listings[sku], quantity, version, f"{sku}|{version}|{quantity}", None) for sku, quantity in quantities.items()
    ]


def outcomes(channel: Channel, sent: list[PublishItem]) -> dict[str, str]:
    """The status of each item; fails unless every item has exactly one."""
    results = list(channel.publish(sent))
    assert sorted(id(result.item) for result in results) == sorted(id(one) for one in sent)
    return {result.item.listing.sku: result.status for result in results}


def accepted(status: str) -> bool:
    return status in {"confirmed", "accepted"}


def test_it_says_how_much_it_takes_and_whether_it_compares(harness):
    channel = harness.load()
    assert channel.max_batch >= 1
    assert isinstance(channel.compares, bool)


def test_each_sku_gets_one_listing_for_each_owned_location_and_unknown_ones_say_so(harness):
    found = list(harness.load().resolve([*SKUS, "  "]))
    assert [(listing.sku, listing.location) for listing in found] == [(sku, OWNED) for sku in [*SKUS, "  "]]
    assert [listing.status for listing in found] == ["active"] * len(SKUS) + ["missing"]
    assert found[-1].message


def test_what_is_published_is_what_customers_see(harness):
    channel = harness.load()
    wanted = {sku: number + 7 for number, sku in enumerate(SKUS)}
    assert all(map(accepted, outcomes(channel, items(channel, wanted)).values()))
    assert {sku: harness.shown(sku, OWNED) for sku in SKUS} == wanted
    assert {seen.listing.sku: seen.quantity for seen in channel.read_back(list(channel.resolve(SKUS)))} == wanted


def test_zero_is_published_as_zero(harness):
    channel = harness.load()
    outcomes(channel, items(channel, dict.fromkeys(SKUS, 0)))
    assert {harness.shown(sku, OWNED) for sku in SKUS} == {0}
    assert {seen.quantity for seen in channel.read_back(list(channel.resolve(SKUS)))} == {0}


def test_a_negative_quantity_is_never_sent_and_fails_alone(harness):
    channel = harness.load()
    sent = items(channel, {"NA": -1, "001": 3})
    assert outcomes(channel, sent) == {"NA": "failed", "001": "confirmed"}
    assert (harness.shown("NA", OWNED), harness.shown("001", OWNED)) == (5, 3)


def test_nothing_is_ever_written_outside_the_owned_locations(harness):
    channel = harness.load()
    [one, two] = items(channel, {"NA": 1, "001": 2})
    foreign = replace(one, listing=replace(one.listing, location=FOREIGN))
    assert outcomes(channel, [foreign, two]) == {"NA": "failed", "001": "confirmed"}
    outcomes(channel, items(channel, dict.fromkeys(SKUS, 9), version=2))
    assert {harness.shown(sku, FOREIGN) for sku in SKUS} == {5}


def test_a_listing_that_is_not_active_fails_alone(harness):
    channel = harness.load()
    [one, two] = items(channel, {"NA": 1, "001": 2})
    gone = replace(one, listing=Listing("NA", OWNED, status="missing", message="gone"))
    assert outcomes(channel, [gone, two]) == {"NA": "failed", "001": "confirmed"}
    assert harness.shown("NA", OWNED) == 5


def test_the_same_batch_twice_and_from_a_new_process_changes_nothing_more(harness):
    channel = harness.load()
    sent = items(channel, {"NA": 1, "001": 2})
    assert all(map(accepted, outcomes(channel, sent).values()))
    assert all(map(accepted, outcomes(channel, sent).values()))
    assert all(map(accepted, outcomes(harness.load(), sent[::-1]).values()))
    assert (harness.shown("NA", OWNED), harness.shown("001", OWNED)) == (1, 2)


def test_the_newest_of_two_values_for_one_listing_wins_and_both_have_an_outcome(harness):
    channel = harness.load()
    [old] = items(channel, {"NA": 1}, version=1)
    [new] = items(channel, {"NA": 2}, version=2)
    results = {result.item.version: result.status for result in channel.publish([new, old])}
    assert results == {1: "failed", 2: "confirmed"}
    assert harness.shown("NA", OWNED) == 2


def test_an_empty_batch_is_no_work(harness):
    channel = harness.load()
    assert list(channel.publish([])) == []
    assert list(channel.read_back([])) == []
    assert list(channel.resolve([])) == []
    assert harness.shown("NA", OWNED) == 5


def test_reading_back_has_one_answer_for_every_listing_also_for_unknown_ones(harness):
    channel = harness.load()
    listings = [*channel.resolve(["NA"]), Listing("never-seen", OWNED), *channel.resolve(["001"])]
    seen = list(channel.read_back(listings))
    assert [one.listing for one in seen] == listings
    assert [one.quantity for one in seen] == [5, None, 5]
    assert seen[1].message


def test_a_channel_that_compares_refuses_to_overwrite_what_it_was_not_told(harness):
    channel = harness.load()
    [one] = items(channel, {"NA": 9})
    [result] = channel.publish([replace(one, expected=4)])
    if channel.compares:
        assert (result.status, result.observed, harness.shown("NA", OWNED)) == ("stale", 5, 5)
    else:
        assert (result.status, harness.shown("NA", OWNED)) == ("confirmed", 9)


def test_a_refused_item_leaves_the_others_their_own_outcome(answering):
    answering.refuse("001")
    channel = answering.load()
    wanted = dict.fromkeys(SKUS, 8)
    results = outcomes(channel, items(channel, wanted))
    assert results.pop("001") == "failed"
    assert all(map(accepted, results.values()))
    assert {sku: answering.shown(sku, OWNED) for sku in SKUS} == {**wanted, "001": 5}


def test_a_busy_channel_says_when_to_come_back_and_has_written_nothing(answering):
    channel = answering.load()
    sent = items(channel, {"NA": 9})
    answering.overload(13)
    with pytest.raises(TransientError) as caught:
        list(channel.publish(sent))
    assert caught.value.retry_after == 13
    assert answering.shown("NA", OWNED) == 5
    assert outcomes(channel, sent) == {"NA": "confirmed"}


def test_a_lost_answer_is_never_reported_as_a_failure(answering):
    channel = answering.load()
    sent = items(channel, {"NA": 9})
    answering.lose_answer()
    assert outcomes(channel, sent)["NA"] in {"confirmed", "accepted", "unknown"}


def test_a_wrong_login_is_a_credentials_error(remote):
    with pytest.raises(CredentialsError) as caught:
        list(remote.load(remote.wrong_login).read_back([Listing("NA", OWNED, {"inventory_item": "x"})]))
    assert caught.value.hint


def test_a_dead_server_is_a_transient_error(remote):
    channel = remote.load()
    sent = items(channel, {"NA": 9})
    remote.die()
    with pytest.raises(TransientError):
        list(remote.load().publish(sent))


def test_no_secret_shows_in_any_message_representation_or_log(remote, caplog):
    caplog.set_level(logging.DEBUG)
    channel = remote.load()
    sent = items(channel, {"NA": 9})
    texts = [repr(result) for result in channel.publish(sent)]
    texts += [repr(seen) for seen in channel.read_back([one.listing for one in sent])]
    texts.append(repr(channel) + repr(vars(channel)) + repr(remote.connection))
    if remote.echo_secrets is not None:
        remote.echo_secrets()
        texts.append(failure(lambda: list(channel.read_back([one.listing for one in sent]))))
    texts.append(failure(lambda: list(remote.load(remote.wrong_login).read_back([one.listing for one in sent]))))
    remote.die()
    texts.append(failure(lambda: list(remote.load().publish(sent))))
    everything = "\n".join([*texts, caplog.text])
    assert CANARY not in everything
    assert CANARY[::-1] not in everything


def failure(act: Callable[[], object]) -> str:
    """Everything an error of `act` says, its causes included."""
    import traceback

    with pytest.raises(StockfeedError) as caught:
        act()
    error = caught.value
    return "\n".join([*traceback.format_exception(error), error.message, error.hint, error.detail, repr(error)])
