"""What the shop sold between two deliveries is never given back by old knowledge, and is by the snapshot that contains it.

Everything through the command line: a folder of supplier files in, the demo shop over HTTP out, on both databases.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockfeed.demo.shop import Shop
from tests.servers.site import Site

NOW = datetime.now(UTC)  # the command line's clock is the machine's: files are dated around it, nothing waits
BEFORE = NOW - timedelta(hours=2)
STILL_BEFORE = NOW - timedelta(hours=1)  # a newer snapshot, but from before any sale of these tests


def after(*, seconds: int = 0) -> datetime:
    """Later than any sale so far, and not yet "in the future" (I3: ten minutes)."""
    return datetime.now(UTC) + timedelta(minutes=5, seconds=seconds)


Life = Callable[[Shop], Shop]


@pytest.fixture
def life() -> Iterator[Life]:
    """Start a shop that lives until the end of the test."""
    with ExitStack() as shops:
        yield shops.enter_context


@pytest.fixture
def sold(site: Site, life: Life) -> tuple[Site, Shop]:
    """A 10, B 20, C 30 delivered, approved and published to a shop; then it sold 3 of A."""
    shop = life(Shop(["A", "B", "C"]))
    site.add_supplier(more='sales_lag = "1s"')
    site.add_shop(shop)
    site.deliver({"A": 10, "B": 20, "C": 30}, BEFORE)
    assert [row["state"] for row in site.rows("sync")] == ["applied"]
    open_channel(site, "shop")
    assert shows(shop, "ABC") == [10, 20, 30]
    assert shop.sell("A", 3) == 3
    return site, shop


def open_channel(site: Site, channel: str) -> None:
    site.rows("allocate", channel)
    site.rows("channels", "approve", channel, "--reason", "looked right")
    [published] = site.rows("publish", channel)
    assert (published["failed"], published["held"], published["pending"]) == (0, 0, 0), published


def shows(shop: Shop, skus: str) -> list[int | None]:
    return [shop.available(sku) for sku in skus]


def again(path: Path, at: datetime) -> Path:
    """The same bytes as in `path` once more, under a new name and of the instant `at`."""
    return Site.date(path.with_name(f"again-{path.name}"), path.read_text(encoding="utf-8"), at)


def publish(site: Site, channel: str = "shop") -> dict:
    [published] = site.rows("publish", channel)
    return published


def given(site: Site, sku: str) -> int:
    """What the channel may offer of a SKU, as `why` explains it; the last step must be that number."""
    [offer] = site.rows("why", sku, "--channel", "shop")[0]["available_to_sell"]
    assert float(offer["steps"][-1]["value"]) == offer["quantity"]
    return int(offer["quantity"])


def test_an_unchanged_file_never_gives_a_sale_back(sold: tuple[Site, Shop]) -> None:
    site, shop = sold
    again(site.inbox / "acme" / "stock.csv", after())
    assert [row["state"] for row in site.rows("sync")] == ["unchanged"]
    publish(site)
    assert shows(shop, "ABC") == [7, 20, 30]
    assert site.rows("reconcile")[0]["sales_seen"] == 3
    again(site.inbox / "acme" / "again-stock.csv", after(seconds=1))
    assert [row["state"] for row in site.rows("sync")] == ["unchanged"]
    publish(site)
    assert (shows(shop, "ABC"), given(site, "A")) == ([7, 20, 30], 7)


def test_publishing_another_change_never_gives_a_sale_back(sold: tuple[Site, Shop]) -> None:
    site, shop = sold
    site.deliver({"A": 10, "B": 25, "C": 30}, STILL_BEFORE)
    assert [row["state"] for row in site.rows("sync")] == ["applied"]
    publish(site)
    assert shows(shop, "ABC") == [7, 25, 30]
    site.rows("reconcile")
    publish(site)
    assert shows(shop, "ABC") == [7, 25, 30]


def test_a_snapshot_from_before_a_sale_that_was_seen_already_never_gives_it_back(sold: tuple[Site, Shop]) -> None:
    site, shop = sold
    assert site.rows("reconcile")[0]["sales_seen"] == 3
    site.deliver({"A": 12, "B": 20, "C": 30}, STILL_BEFORE)
    assert [row["state"] for row in site.rows("sync")] == ["applied"]
    publish(site)
    assert (shows(shop, "ABC"), given(site, "A")) == ([9, 20, 30], 9)


@pytest.mark.parametrize(("delivered", "shown"), [(12, 9), (8, 5)])
def test_a_stale_compare_never_gives_a_sale_back(sold: tuple[Site, Shop], delivered: int, shown: int) -> None:
    site, shop = sold
    site.deliver({"A": delivered, "B": 20, "C": 30}, STILL_BEFORE)
    site.rows("sync")
    published = publish(site)
    assert (published["stale"], published["sales_seen"]) == (1, 3)
    assert (shows(shop, "ABC"), given(site, "A")) == ([shown, 20, 30], shown)
    assert [entry.quantity for entry in shop.log if entry.sku == "A"] == [10, shown]  # never 12 nor 8, not even for a moment


def test_reconcile_never_gives_a_sale_back(sold: tuple[Site, Shop]) -> None:
    site, shop = sold
    [found] = site.rows("reconcile")
    assert (found["checked"], found["sales_seen"], found["edited"], found["repaired"]) == (3, 3, 0, 0)
    publish(site)
    [found] = site.rows("reconcile")
    assert (found["checked"], found["equal"], found["sales_seen"]) == (3, 3, 0)
    assert (shows(shop, "ABC"), given(site, "A")) == ([7, 20, 30], 7)


def test_a_sale_at_the_very_moment_of_publishing_is_not_overwritten(sold: tuple[Site, Shop]) -> None:
    site, shop = sold
    shop.fail_next("sale_first", "SetAvailable")
    site.deliver({"A": 10, "B": 25, "C": 30}, STILL_BEFORE)
    site.rows("sync")
    publish(site)
    assert shows(shop, "ABC") == [7, 24, 30]
    assert given(site, "B") == 24


@pytest.mark.parametrize("order", ["reconcile first", "publish only"])
def test_the_next_snapshot_that_contains_the_sale_gives_it_back(sold: tuple[Site, Shop], order: str) -> None:
    site, shop = sold
    if order == "reconcile first":
        site.rows("reconcile")
    else:
        site.deliver({"A": 11, "B": 20, "C": 30}, STILL_BEFORE)
        site.rows("sync")
        publish(site)
        assert shows(shop, "A") == [8]
    site.deliver({"A": 9, "B": 20, "C": 30}, after())  # 7 left, and 2 came in
    assert [row["state"] for row in site.rows("sync")] == ["applied"]
    publish(site)
    assert (shows(shop, "ABC"), given(site, "A")) == ([9, 20, 30], 9)
    [found] = site.rows("reconcile")
    assert (found["equal"], found["sales_seen"]) == (3, 0)
    assert site("db", "check").out == "All rules hold.\n"


def test_a_snapshot_inside_the_sales_lag_is_not_believed_to_contain_the_sale(site: Site, life: Life) -> None:
    shop = life(Shop(["A"]))
    site.add_supplier()  # sales_lag is 24 h
    site.add_shop(shop)
    site.deliver({"A": 10}, BEFORE)
    site.rows("sync")
    open_channel(site, "shop")
    shop.sell("A", 3)
    site.rows("reconcile")
    site.deliver({"A": 11}, after())
    site.rows("sync")
    publish(site)
    assert (shows(shop, "A"), given(site, "A")) == ([8], 8)


def test_a_sale_lowers_every_channel_that_shares_the_source_and_no_other(site: Site, life: Life) -> None:
    shops = {code: life(Shop(["A"])) for code in ("one", "two", "three")}
    site.add_supplier("acme", more='sales_lag = "1s"')
    site.add_supplier("globex", more='sales_lag = "1s"')
    for code, shop in shops.items():
        site.add_shop(shop, code, more=f'sources = ["{"globex" if code == "three" else "acme"}.*"]')
    for supplier in ("acme", "globex"):
        site.deliver({"A": 10}, BEFORE, to=site.inbox / supplier)
    site.rows("sync")
    for code in shops:
        open_channel(site, code)
    shops["one"].sell("A", 4)
    site.rows("reconcile", "one")
    for _ in range(2):  # the second one finds nothing to do
        site.rows("publish")
        assert {code: shop.available("A") for code, shop in shops.items()} == {"one": 6, "two": 6, "three": 10}
    site.deliver({"A": 6}, after())
    site.deliver({"A": 9}, after(), to=site.inbox / "globex")
    site.rows("sync")
    site.rows("publish")
    assert {code: shop.available("A") for code, shop in shops.items()} == {"one": 6, "two": 6, "three": 9}
    assert [row["sales_seen"] for row in site.rows("reconcile")] == [0, 0, 0]


def test_sales_at_two_channels_of_one_source_are_both_taken_off_at_both(site: Site, life: Life) -> None:
    shops = {code: life(Shop(["A"])) for code in ("one", "two")}
    site.add_supplier(more='sales_lag = "1s"')
    for code, shop in shops.items():
        site.add_shop(shop, code)
    site.deliver({"A": 10}, BEFORE)
    site.rows("sync")
    for code in shops:
        open_channel(site, code)
    shops["one"].sell("A", 2)
    shops["two"].sell("A", 3)
    site.rows("reconcile")
    site.rows("publish")
    assert [shop.available("A") for shop in shops.values()] == [5, 5]
    again(site.inbox / "acme" / "stock.csv", after())
    site.rows("sync")
    site.rows("publish")
    assert [shop.available("A") for shop in shops.values()] == [5, 5]
    site.deliver({"A": 5}, after(seconds=5))
    site.rows("sync")
    site.rows("publish")
    assert [shop.available("A") for shop in shops.values()] == [5, 5]
    site.deliver({"A": 6}, after(seconds=9))
    site.rows("sync")
    site.rows("publish")
    assert [shop.available("A") for shop in shops.values()] == [6, 6]
