import pytest

from connectors.shopify import ShopifyChannel, ShopifyOptions
from schemas.connections import Connection, Secret
from schemas.errors import ConfigError, CredentialsError, PermanentError, TransientError
from stockfeed.demo.shop import DEFAULT_LOCATION, Shop, ShopRules
from tests.servers.shop import SleepClock, publish_items, shop_channel, shop_connection, statuses


@pytest.fixture
def shop():
    with Shop({"A": 5, "B": 6, "C": 7}) as running:
        yield running


def test_requests_are_spaced_so_that_the_bucket_suffices():
    clock = SleepClock()
    skus = [f"S{n}" for n in range(40)]
    with Shop(skus, rules=ShopRules(maximum_points=60, restore_rate=10), clock=clock) as shop:
        channel = shop_channel(shop, clock=clock, chunk=10, concurrency=1, batch=10)
        results = list(channel.publish(publish_items(channel, dict.fromkeys(skus, 4))))
    assert set(statuses(results).values()) == {"confirmed"}
    assert 3 <= sum(clock.slept) <= 4


def test_a_throttled_write_waits_as_long_as_the_shop_says_and_is_sent_again():
    clock = SleepClock()
    with Shop(["A"], rules=ShopRules(maximum_points=60, restore_rate=2), clock=clock) as shop:
        channel = shop_channel(shop, clock=clock)
        items = publish_items(channel, {"A": 9})
        shop.bucket.take(53)  # another app of the shop leaves 1 point
        assert statuses(channel.publish(items)) == {"A": "confirmed"}
        assert shop.requests["SetAvailable"] == 2
    assert clock.slept == [pytest.approx((10 - 1) / 2)]


def test_throttling_beyond_the_limit_is_the_callers_to_wait_for():
    clock = SleepClock()
    with Shop(["A"], rules=ShopRules(maximum_points=60, restore_rate=0.1), clock=clock) as shop:
        channel = shop_channel(shop, clock=clock)
        items = publish_items(channel, {"A": 9})
        shop.bucket.take(53)
        with pytest.raises(TransientError) as caught:
            list(channel.publish(items))
    assert caught.value.retry_after == pytest.approx((10 - 1) / 0.1)
    assert shop.log == []


def test_a_search_that_is_too_costly_is_halved():
    skus = [f"S{n}" for n in range(64)]
    with Shop(skus) as shop:
        shop.bucket.largest_query = 60
        channel = shop_channel(shop, chunk=64)
        listings = list(channel.resolve(skus))
        assert {listing.status for listing in listings} == {"active"}
        shop.bucket.largest_query = 20
        assert [seen.quantity for seen in channel.read_back(listings)] == [0] * 64


def test_a_token_fetched_with_client_credentials_is_renewed_before_it_expires_and_once_when_refused():
    clock = SleepClock()
    with Shop(["A"], clock=clock) as shop:
        connection = shop_connection(
            shop, login=shop.client_id, password=Secret(shop.client_secret), extra={"grant": "client_credentials"}
        )
        channel = shop_channel(shop, clock=clock, connection=connection)
        assert next(channel.resolve(["A"])).status == "active"
        granted = set(shop._granted)
        clock.now += 86_399 - 200
        list(channel.resolve(["A"]))
        assert len(shop._granted) == len(granted) + 1
        shop.expire_tokens()
        list(channel.resolve(["A"]))
        assert len(shop._granted) == 1


def test_a_refused_login_is_a_credentials_error(shop):
    for connection in (
        shop_connection(shop, password=Secret("wrong-token-for-this-test")),
        shop_connection(shop, login="x", password=Secret("wrong-secret-for-test"), extra={"grant": "client_credentials"}),
        shop_connection(shop, password=Secret("line\nbreak-in-the-token")),
    ):
        with pytest.raises(CredentialsError) as caught:
            list(shop_channel(shop, connection=connection).resolve(["A"]))
        assert connection.password.reveal() not in repr(caught.value.__dict__)


def test_a_connection_without_token_or_shop_says_what_to_write():
    for connection in (
        Connection("shop", host="a.example"),
        Connection("shop", password=Secret("some-token")),
        Connection("shop", host="https://a.example", password=Secret("some-token")),
        Connection("shop", host="a.example", password=Secret("some-token"), extra={"grant": "password"}),
        Connection("shop", password=Secret("some-token"), extra={"base_url": "http://shop.example.com"}),
    ):
        with pytest.raises(ConfigError) as caught:
            ShopifyChannel(ShopifyOptions(), connection, (DEFAULT_LOCATION,))
        assert caught.value.hint
    with pytest.raises(ConfigError):
        ShopifyChannel(ShopifyOptions(), None, (DEFAULT_LOCATION,))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ACCESS_DENIED", CredentialsError),
        ("SHOP_INACTIVE", PermanentError),
        ("INVALID_FIELD_ARGUMENTS", PermanentError),
        ("INTERNAL_SERVER_ERROR", TransientError),
    ],
)
def test_top_level_errors_are_sorted_by_what_to_do(shop, code, kind):
    body = {"errors": [{"message": "no", "extensions": {"code": code}}], "data": None}
    channel = shop_channel(shop)
    shop.fail_next("answer", "Locations", body=body)
    with pytest.raises(kind):
        list(channel.resolve(["A"]))


def test_pages_that_go_in_circles_end(shop):
    page = {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "same"}}
    shop.fail_next("answer", "Locations", times=2, body={"data": {"locations": page}})
    with pytest.raises(PermanentError, match="repeats a page"):
        list(shop_channel(shop).resolve(["A"]))


@pytest.mark.parametrize(
    "answer",
    [
        {"nodes": []},  # does not say whether more follow
        {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": None}},
        {"pageInfo": {"hasNextPage": False}},
    ],
)
def test_half_a_page_is_no_proof_that_a_sku_is_missing(shop, answer):
    channel = shop_channel(shop)
    shop.fail_next("answer", "ItemsBySku", body={"data": {"inventoryItems": answer}})
    with pytest.raises(TransientError, match="without a whole page"):
        list(channel.resolve(["A"]))
