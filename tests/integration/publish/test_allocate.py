"""allocate: what is computed when, what changes, and what waits in the outbox."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from schemas.errors import ConfigError, TransientError
from schemas.tables import feed
from stockfeed.store.engine import write
from tests.integration.publish.conftest import Desk
from tests.integration.publish.memory_shop import PLACE


@pytest.fixture
def stocked(desk: Desk) -> Desk:
    """Two feeds with A and B, one channel, allocated once."""
    desk.add_feed("acme.stock")
    desk.add_feed("globex.stock", buffer=1)
    desk.add_channel()
    desk.deliver("acme.stock", {"A": 10, "B": 0})
    desk.deliver("globex.stock", {"A": 5})
    desk.allocate()
    return desk


def test_the_first_allocation_computes_everything(stocked):
    assert stocked.offered() == {"A": 14, "B": 0}
    assert stocked.outbox() == [("A", 14, "pending"), ("B", 0, "pending")]


def test_nothing_new_computes_nothing(stocked):
    result = stocked.allocate()
    assert (result.computed, result.changed) == (0, 0)


def test_what_was_numbered_for_channels_since_is_no_news_and_is_not_looked_at_twice(stocked):
    assert stocked.query("SELECT value FROM clock WHERE name = 'change'") != stocked.query('SELECT "cursor" FROM channel')
    assert stocked.allocate().computed == 0
    assert stocked.query("SELECT value FROM clock WHERE name = 'change'") == stocked.query('SELECT "cursor" FROM channel')


def test_only_dirty_skus_are_computed_and_only_changed_values_written(stocked):
    stocked.deliver("acme.stock", {"A": 11})
    result = stocked.allocate()
    assert (result.computed, result.changed) == (1, 1)
    assert stocked.outbox() == [("A", 14, "superseded"), ("B", 0, "pending"), ("A", 15, "pending")]
    rows = stocked.query("SELECT sku, version, before, after, cause FROM ats_change ORDER BY id")
    assert [(r.sku, r.version, r.before, r.after) for r in rows] == [("A", 1, None, 14), ("B", 1, None, 0), ("A", 2, 14, 15)]
    assert rows[-1].cause == "delivery 3"


def test_a_recomputed_equal_value_writes_nothing_at_all(stocked):
    before = stocked.ats("A")
    stocked.clock.advance(hours=1)
    stocked.set_feed("acme.stock", is_stale=False)
    result = stocked.allocate()
    assert (result.computed, result.changed) == (2, 0)
    assert stocked.ats("A") == before


def test_a_new_explanation_of_the_same_value_is_kept_without_a_new_version(desk):
    desk.add_feed("acme.stock")
    desk.add_channel(maximum=5)
    desk.deliver("acme.stock", {"A": 10})
    desk.allocate()
    desk.deliver("acme.stock", {"A": 20})
    assert desk.allocate().changed == 0
    row = desk.ats("A")
    assert (row.quantity, row.version, row.steps[0]["value"]) == (5, 1, 20)


def test_the_steps_explain_the_whole_number(stocked):
    assert [(s["step"], s["value"]) for s in stocked.ats("A").steps] == [
        ("acme.stock", 10),
        ("globex.stock", 5),
        ("globex.stock: feed buffer", 4),
        ("combine", 14),
        ("result", 14),
    ]


def test_change_ids_of_history_and_levels_come_from_one_clock(stocked):
    ids = stocked.query("SELECT id FROM level_change UNION ALL SELECT id FROM ats_change ORDER BY id")
    assert [row.id for row in ids] == list(range(1, len(ids) + 1))


def test_a_sku_without_a_source_of_the_channel_is_not_offered(desk):
    desk.add_feed("acme.stock")
    desk.add_channel(sources=["globex.*"])
    desk.deliver("acme.stock", {"A": 10})
    desk.allocate()
    assert desk.offered() == {}


def test_a_sku_that_vanishes_is_offered_as_zero(stocked):
    from sqlalchemy import delete

    from schemas.tables import inventory
    from stockfeed.store.engine import write
    from stockfeed.store.marks import mark

    with write(stocked.engine) as connection:
        connection.execute(delete(inventory).where(inventory.c.sku == "A"))
        mark(connection, "sku", ["A"], reason="unlinked", at=stocked.clock.now)
    stocked.allocate()
    row = stocked.ats("A")
    assert (row.quantity, row.version, row.reason_code) == (0, 2, "no_source")


def test_an_unknown_quantity_is_offered_as_zero_and_says_so(stocked):
    stocked.deliver("acme.stock", {"B": None})
    stocked.allocate()
    assert (stocked.ats("B").quantity, stocked.ats("B").reason_code) == (0, "unknown")


def test_time_makes_a_feed_stale_even_before_the_sweep(stocked):
    stocked.set_feed("acme.stock", stale_at=stocked.clock.now + timedelta(hours=1))
    stocked.allocate()
    assert stocked.offered()["A"] == 14
    stocked.clock.advance(hours=2)
    stocked.deliver("globex.stock", {"A": 6})
    stocked.allocate()
    assert stocked.offered()["A"] == 5


@pytest.mark.parametrize("way", ["a delivery came before the sweep", "the clock was set back"])
def test_what_counted_as_stale_before_a_sweep_said_so_is_offered_again_when_it_is_fresh(stocked, way):
    stocked.set_feed("acme.stock", stale_at=stocked.clock.now + timedelta(hours=1))
    stocked.clock.advance(hours=2)
    stocked.deliver("globex.stock", {"A": 6})
    stocked.allocate()
    assert stocked.offered()["A"] == 5
    if way == "the clock was set back":
        stocked.clock.advance(hours=-2)
    else:  # of the same content: it changes no level and marks nothing
        with write(stocked.engine) as connection:
            connection.execute(
                update(feed).where(feed.c.code == "acme.stock").values(stale_at=stocked.clock.now + timedelta(days=1))
            )
    assert stocked.allocate().computed == 2
    assert stocked.offered()["A"] == 15
    assert stocked.allocate().computed == 0


def test_a_feed_in_shadow_is_explained_but_the_channel_is_told_nothing_until_its_release(desk):
    desk.add_feed("acme.stock", in_shadow=True)
    shop = desk.add_channel()
    shop.list_skus("A", "B", quantity=50)
    desk.deliver("acme.stock", {"A": 10, "B": 0})
    desk.publish()
    assert (desk.ats("A").quantity, desk.ats("A").reason_code) == (0, "in_shadow")
    assert (shop.shows("A"), desk.outbox()) == (50, [])
    desk.set_feed("acme.stock", in_shadow=False)
    desk.publish()
    assert (shop.shows("A"), shop.shows("B")) == (10, 0)


def test_a_changed_configuration_computes_everything_again_and_an_irrelevant_change_nothing(stocked):
    stocked.add_channel(owner="ops", schedule="0 4 * * *")
    assert stocked.allocate().computed == 0
    stocked.add_channel(buffer=2)
    assert stocked.allocate().computed == 2
    assert stocked.offered() == {"A": 12, "B": 0}


def test_a_rule_that_starts_or_ends_computes_everything_again(stocked):
    stocked.add_channel(rule=[{"sku": "A", "maximum": 3, "starts_on": "2026-11-03", "ends_on": "2026-11-03"}])
    stocked.allocate()
    assert stocked.offered()["A"] == 14
    stocked.clock.advance(days=1)
    stocked.allocate()
    assert stocked.offered()["A"] == 3
    stocked.clock.advance(days=1)
    stocked.allocate()
    assert stocked.offered()["A"] == 14
    assert stocked.ats("A").version == 3


def test_rules_by_brand_and_tag_read_the_product(stocked):
    from sqlalchemy import insert

    from schemas.tables import product
    from stockfeed.store.engine import write

    with write(stocked.engine) as connection:
        connection.execute(insert(product).values(sku="A", brand="Bolt", tags=["sale"]))
    stocked.add_channel(rule=[{"brand": "Bolt", "buffer": 1}, {"tag": "sale", "buffer": "50%"}])
    stocked.allocate()
    assert stocked.offered() == {"A": 7, "B": 0}
    assert "rule 2 (tag sale)" in str(stocked.ats("A").steps)


def test_a_linked_sku_counts_with_its_factor(stocked):
    from sqlalchemy import insert, update

    from schemas.tables import inventory, product_link
    from stockfeed.store.engine import write
    from stockfeed.store.marks import mark

    with write(stocked.engine) as connection:
        connection.execute(
            insert(product_link).values(feed_id=1, supplier_sku="B", sku="A", factor_numerator=1, factor_denominator=3)
        )
        connection.execute(update(inventory).where(inventory.c.supplier_sku == "B").values(sku="A", on_hand=7000))
        mark(connection, "sku", ["A", "B"], reason="linked", at=stocked.clock.now)
    stocked.allocate()
    assert stocked.offered() == {"A": 16, "B": 0}


def test_each_channel_location_offers_the_stock_of_its_source_locations(desk):
    desk.add_feed("acme.stock")
    desk.add_channel(locations=[{"id": "east", "from": ["E"]}, {"id": "west", "from": ["W"]}])
    desk.deliver("acme.stock", {"A": 10}, location="E")
    desk.deliver("acme.stock", {"A": 20, "B": 4}, location="W")
    desk.allocate()
    assert desk.ats("A", location="east").quantity == 10
    assert desk.ats("A", location="west").quantity == 20
    assert desk.ats("B", location="east") is None


def test_a_location_that_is_no_longer_ours_is_never_written(desk):
    desk.add_feed("acme.stock")
    shop = desk.add_channel(locations=["old"])
    shop.locations = ("old", PLACE)
    shop.list_skus("A")
    desk.deliver("acme.stock", {"A": 10})
    desk.allocate()
    desk.add_channel(locations=[PLACE])
    desk.publish()
    assert (shop.shows("A", "old"), shop.shows("A", PLACE)) == (0, 10)


def test_a_failed_allocation_leaves_nothing_behind(stocked, monkeypatch):
    stocked.deliver("acme.stock", {"A": 99})
    cursor = stocked.query('SELECT "cursor" FROM channel')

    def lost(*_args, **_values):
        raise TransientError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr("stockfeed.store.availability.publish_changes", lost)
        with pytest.raises(TransientError):
            stocked.allocate()
    assert stocked.offered()["A"] == 14
    assert stocked.query('SELECT "cursor" FROM channel') == cursor
    assert stocked.allocate().changed == 1


def test_more_skus_than_one_page_are_all_computed(desk):
    desk.add_feed("acme.stock")
    desk.add_channel()
    desk.deliver("acme.stock", {f"S{n}": 1 for n in range(4500)})
    result = desk.allocate()
    assert (result.computed, result.changed, len(desk.offered())) == (4500, 4500, 4500)


@pytest.mark.parametrize("sku", ["NA", "NULL", "001", "1E5", "é", "e\u0301", "it's", 'say "x"', "%s", "a\\b"])
def test_strange_skus_come_through_unchanged(desk, sku):
    desk.add_feed("acme.stock")
    shop = desk.add_channel()
    shop.list_skus(sku)
    desk.deliver("acme.stock", {sku: 3})
    desk.publish()
    assert shop.stock == {(sku, PLACE): 3}


def test_an_unknown_channel_is_a_config_error(desk):
    with pytest.raises(ConfigError):
        desk.allocate("nowhere")
