"""A BigCommerce store that throttles, refuses or breaks off: one clear outcome for each, and no secret anywhere."""

import logging
from contextlib import ExitStack
from dataclasses import replace

import pytest

from schemas.connections import Secret
from schemas.errors import ConfigError, CredentialsError, DeliveryError, PermanentError, StockfeedError, TransientError
from tests.servers.bigcommerce_store import problem
from tests.servers.bigcommerce_supplier import Supplier, fill
from tests.servers.feeds import CANARY
from tests.servers.web_server import reply


@pytest.fixture
def supplier(tmp_path):
    with ExitStack() as stack:
        yield Supplier(tmp_path, stack)


@pytest.fixture
def store(supplier):
    return supplier.store


def test_the_quota_is_obeyed_without_ever_being_refused(supplier, store):
    fill(store, 20)
    store.quota = 7
    assert len(supplier.lines()) == 20
    assert store.refused == 0
    assert len(store.asked) == 30
    assert len(supplier.clock.slept) == 4
    assert set(supplier.clock.slept) == {30.0}


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"X_Rate_Limit_Time_Reset_Ms": "15000", "X_Rate_Limit_Requests_Left": "0"}, [15.0]),
        ({"X_Rate_Limit_Time_Reset_Ms": "15000", "X_Retry_After": "20"}, [20.0]),
        ({"Retry_After": "7"}, [7.0]),
        ({"X_Rate_Limit_Time_Reset_Ms": "soon"}, [1.0]),
        ({}, [1.0]),
    ],
)
def test_429_is_waited_for_as_asked_or_a_little(supplier, store, headers, waits):
    fill(store)
    supplier.instead("catalog/products", problem(429, "Too many requests", headers), page=2)
    assert len(supplier.lines()) == 5
    assert supplier.clock.slept == waits


def test_429_for_longer_is_left_to_the_next_try(supplier, store):
    supplier.instead("inventory/items", problem(429, "Too many requests", {"X_Retry_After": "3600"}))
    assert supplier.fails(TransientError, "asks us to slow down").retry_after == 3600


def test_429_for_ever_ends(supplier, store):
    supplier.instead("inventory/items", problem(429, "Too many requests"), times=99)
    supplier.fails(TransientError, "asks us to slow down")
    assert supplier.clock.slept == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("password", ["wrong", CANARY[:-1]])
def test_a_wrong_or_revoked_token_is_one_clear_error(supplier, password):
    supplier.connection = replace(supplier.connection, password=Secret(password))
    error = supplier.fails(CredentialsError, r"refused us \(HTTP 401\): Unauthorized")
    assert "connection 'acme_web'" in error.hint


def test_a_token_that_is_revoked_on_the_way_ends_the_read(supplier, store):
    fill(store)
    supplier.instead("catalog/variants", problem(401, "Unauthorized"), page=2)
    supplier.fails(CredentialsError, "refused us")


def test_a_scope_that_is_missing_is_told(supplier, store):
    supplier.instead("catalog/variants", problem(403, "You don't have a required scope to access the endpoint"))
    supplier.fails(CredentialsError, "HTTP 403.: You don't have a required scope")


@pytest.mark.parametrize(("status", "error"), [(500, TransientError), (404, PermanentError), (422, PermanentError)])
def test_other_refusals_tell_what_the_store_says(supplier, store, status, error):
    supplier.instead("inventory/items", problem(status, "Some reason"))
    supplier.fails(error, f"HTTP {status}.*Some reason")


def test_a_redirect_is_not_followed(supplier, store):
    supplier.instead("inventory/items", reply(302, Location="https://elsewhere.example/"))
    supplier.fails(PermanentError, "HTTP 302.*redirects are not followed")


def test_a_page_that_is_cut_on_the_wire_is_worth_another_try(supplier, store):
    fill(store)
    supplier.instead("inventory/items", reply(200, b'{"data":', content_length="999"), page=2)
    supplier.fails(TransientError, "cut short")


# limits, configuration, secrets


def test_more_than_the_limit_is_refused(supplier, store):
    fill(store, 30)
    assert supplier.fails(DeliveryError, "more than 2000 bytes", max_size=2000).code == "FILE-LIMIT"
    assert supplier.fails(DeliveryError, "a page of more than 300 bytes|larger than 300", max_page=300).code == "FILE-LIMIT"


def test_more_pages_than_the_limit_are_refused(supplier, store):
    fill(store)
    supplier.fails(PermanentError, "more than 2 pages", max_pages=2)


@pytest.mark.parametrize("password", [None, Secret("")])
def test_a_connection_without_a_token_is_told(supplier, password):
    supplier.connection = replace(supplier.connection, password=password)
    with pytest.raises(CredentialsError, match="connection 'acme_web' has no access token"):
        supplier.fetch()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.bigcommerce.com/stores/abc/v2",
        "https://api.bigcommerce.com/v3",
        "https://api.bigcommerce.com/stores//v3",
        "https://api.bigcommerce.com/shops/abc/v3",
        "http://api.bigcommerce.com/stores/abc/v3",
        "https://user:pw@api.bigcommerce.com/stores/abc/v3",
    ],
)
def test_an_address_that_names_no_store_is_a_mistake_of_the_configuration(supplier, url):
    with pytest.raises(ConfigError, match="url"):
        supplier.fetch(url=url)


def test_the_token_goes_to_the_connections_host_only(supplier):
    with pytest.raises(ConfigError, match=r"not the host of the connection 'acme_web', which is 127\.0\.0\.1:\d+"):
        supplier.fetch(url="https://elsewhere.example/stores/abc/v3")


def test_no_secret_is_in_a_log_an_address_or_an_error(supplier, store, caplog):
    fill(store)
    texts = []
    with caplog.at_level(logging.DEBUG):
        texts.append(repr(supplier.fetch()))
        for answer in (problem(401, f"no {CANARY}"), problem(403, CANARY), problem(500, CANARY), problem(422, CANARY)):
            supplier.instead("catalog/products", answer)
            with pytest.raises(StockfeedError) as caught:
                supplier.fetch()
            texts += [str(caught.value), str(caught.value.detail), str(caught.value.hint), repr(caught.value.__cause__)]
    texts += [record.getMessage() for record in caplog.records] + store.asked
    assert not [text for text in texts if CANARY in text]
