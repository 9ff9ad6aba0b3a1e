"""What the gate counts and does not: values without a listing, staleness beside a fresh source, undone and overtaken causes."""

import pytest

from schemas.errors import ConfigError
from stockfeed.pipeline.channel_acts import release_publish_hold
from stockfeed.pipeline.preview import channel_preview
from tests.integration.publish.conftest import WHO, Desk
from tests.integration.publish.memory_shop import MemoryShop

SKUS = [f"S{n:03}" for n in range(60)]


@pytest.fixture
def gated(desk: Desk) -> tuple[Desk, MemoryShop]:
    """60 SKUs with 10 units each, published through a gate with the defaults two days ago."""
    for code in ("acme.stock", "globex.stock"):
        desk.add_feed(code)
    shop = desk.add_channel(gate={})
    shop.list_skus(*SKUS)
    desk.deliver("acme.stock", dict.fromkeys(SKUS, 10))
    desk.publish()
    desk.clock.advance(days=2)
    return desk, shop


def test_what_the_shop_does_not_list_does_not_widen_the_gate(gated):
    desk, shop = gated
    desk.deliver("globex.stock", {f"T{n:03}": 10 for n in range(400)})
    assert desk.publish().failed == 400
    desk.clock.advance(days=2)
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    assert desk.publish().held == 30, "half of what the shop lists, though a sixteenth of what the suppliers have"
    assert shop.shows("S000") == 10


def test_changes_of_what_the_shop_does_not_list_hold_nothing(gated):
    desk, shop = gated
    others = [f"T{n:03}" for n in range(100)]
    desk.deliver("globex.stock", dict.fromkeys(others, 10))
    desk.publish()
    desk.clock.advance(days=2)
    desk.deliver("globex.stock", {**dict.fromkeys(others, 0), "S000": 5})
    result = desk.publish()
    assert (result.held, shop.shows("S000")) == (0, 15)


def test_a_source_that_grows_stale_beside_a_fresh_one_is_not_held(gated):
    desk, shop = gated
    desk.deliver("globex.stock", {**dict.fromkeys(SKUS[:30], 0), **dict.fromkeys(SKUS[30:], 2)})
    desk.publish()
    desk.clock.advance(days=2)
    desk.set_feed("acme.stock", reason="age", is_stale=True)
    assert desk.publish().held == 0
    assert (shop.shows("S000"), shop.shows("S059")) == (0, 2)


def test_an_undo_of_a_held_delivery_goes_out_and_ends_the_hold(gated):
    desk, shop = gated
    desk.deliver("acme.stock", {**dict.fromkeys(SKUS[:30], 100), **dict.fromkeys(SKUS[50:55], 0)})
    assert desk.publish().held == 30
    assert shop.shows("S050") == 0, "few zeros pass"
    desk.undo("acme.stock")
    result = desk.publish()
    assert (result.held, result.hold_id) == (0, None)
    assert (shop.shows("S050"), shop.shows("S000")) == (10, 10)
    (row,) = desk.query("SELECT state FROM hold WHERE kind = 'publish'")
    assert row.state == "superseded"


def test_a_hold_that_newer_values_made_empty_is_closed(gated):
    desk, _ = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    assert desk.publish().hold_id is not None
    desk.clock.advance(hours=1)
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 11))
    assert desk.publish().hold_id is None


def test_a_held_total_does_not_hide_the_next_fall(desk):
    for code in ("acme.stock", "globex.stock"):
        desk.add_feed(code)
    shop = desk.add_channel(gate={"changed_listings_percent": 100})
    shop.list_skus("A", "B", "C")
    desk.deliver("acme.stock", {"A": 100, "C": 1000})
    desk.deliver("globex.stock", {"B": 1000})
    desk.publish()
    desk.clock.advance(days=2)
    desk.deliver("acme.stock", {"A": 1_000_000})
    assert desk.publish().held == 1
    desk.deliver("globex.stock", {"B": 1})
    assert desk.publish().held == 2
    assert shop.shows("B") == 1000


def test_a_sale_does_not_carry_a_waiting_change_past_the_gate(gated):
    desk, shop = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:40], 100))
    desk.allocate()
    for sku in SKUS[:40]:
        shop.sell(sku, 1)
    desk.reconcile()
    assert desk.publish().held == 40
    assert shop.shows("S000") == 9


def test_the_preview_is_what_the_next_publish_does(gated):
    desk, shop = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    desk.publish()
    desk.deliver("globex.stock", {"S050": 1, "T000": 4})
    desk.publish()
    desk.clock.advance(hours=1)
    desk.deliver("globex.stock", {"S051": 2, "T000": 5})
    outbox = desk.outbox()
    seen = channel_preview(desk.app, "shop", limit=500)
    assert desk.outbox() == outbox, "a preview leaves nothing behind"
    wanted = {item["sku"]: item["quantity"] for item in seen["items"] if not item["held"]}
    assert wanted == {"S051": 12}
    assert (seen["waiting"], seen["held"]) == (1, 30)
    calls = len(shop.calls)
    desk.publish()
    sent = {item.listing.sku: item.quantity for call in shop.calls[calls:] for item in call}
    assert sent == wanted


def test_a_hold_is_released_only_for_its_own_channel(gated):
    desk, _ = gated
    desk.deliver("acme.stock", dict.fromkeys(SKUS[:30], 0))
    held = desk.publish().hold_id
    with pytest.raises(ConfigError, match="not to other"):
        release_publish_hold(desk.app, held, channel="other", **WHO)
    assert release_publish_hold(desk.app, held, channel="shop", **WHO) == 30
